"""`headstart predict`: images to lines, a table or folders, all at once or as they arrive."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from headstart import console, progress
from headstart.bundle_commands import Bundle
from headstart.errors import HeadstartError
from headstart.options import with_options
from headstart.predict_options import PRINTED, PredictOptions
from headstart.scan import printable

if TYPE_CHECKING:
    from headstart.batch.columns import Answer, Columns
    from headstart.batch.sorting import Sorting
    from headstart.batch.table import Classify, Counts
    from headstart.classifier import Classifier
    from headstart.listing import Files


@with_options(PredictOptions)
def predict(bundle: Bundle, options: PredictOptions) -> None:
    """Classify images."""
    options.check()
    with console.own_words():
        _predict(bundle, options)


def _predict(bundle: Path, options: PredictOptions) -> None:
    from headstart.batch import belonging, columns_of, loaded
    from headstart.batch.table import Table, write_table
    from headstart.listing import find_files

    classifier = loaded(bundle, options.level)
    columns = columns_of(classifier, options.top, options.probabilities)
    sorting = options.sorting(classifier)
    if options.watch is not None:
        _watch(options, _classify(classifier, sorting, [options.watch]), columns)
        return
    files = find_files(options.images or [])
    classify = _classify(classifier, sorting, files.places)
    with console.progress_shown():
        if options.table is None:
            counts = _print(options, classify, files, columns)
        else:
            belongs = belonging(bundle, files, options.level, sorting)
            counts = write_table(classify, files, Table(options.table, columns, belongs))
    if not counts.answered:
        raise HeadstartError(
            f"No file could be read, of {counts.refused}. Expected images that open. The reasons "
            "stand beside their names."
        )
    if options.table is not None:
        print(f"{printable(str(options.table))}: {counts}.")


def _classify(classifier: Classifier, sorting: Sorting | None, places: Sequence[Path]) -> Classify:
    """What gives the answers for many paths, and sorts their files on the way if asked to."""
    if sorting is None:
        return classifier.predict_files
    from headstart.batch.sorting import Sorter

    sorter = Sorter(sorting, classifier.class_names, places)
    return lambda paths: sorter.passing(classifier.predict_files(paths))


def _print(options: PredictOptions, classify: Classify, files: Files, columns: Columns) -> Counts:
    """Print an answer for each file."""
    from headstart.batch.table import Counts
    from headstart.prediction import write_csv, write_json, write_text

    seen = 0
    with progress.stage("predict", files.count()) as stage:

        def stepping() -> Iterator[Answer]:
            nonlocal seen
            for answer in classify(files.images(passed=stage.advance)):
                seen += 1
                stage.advance()
                yield answer

        if options.csv is not None:
            answered = write_csv(stepping(), columns)
        else:
            answered = (write_json if options.json else write_text)(stepping(), columns.top)
    return Counts(answered, seen - answered)


def _watch(options: PredictOptions, classify: Classify, columns: Columns) -> None:
    """Print a line for each image that arrives, until Ctrl-C."""
    from headstart.answers import Unreadable
    from headstart.batch.appending import appended
    from headstart.batch.table import Counts
    from headstart.batch.watching import Watcher, watch_folder
    from headstart.interruption import noticed
    from headstart.prediction import line_writer

    assert options.watch is not None
    watcher, answered, refused = Watcher(options.watch), 0, 0
    form = "json" if options.json else "csv" if options.csv == PRINTED else "text"
    with ExitStack() as stack:
        asked = stack.enter_context(noticed())
        write = line_writer(form, columns)
        if options.table is not None:
            file = stack.enter_context(appended(options.table, columns))
            watcher = Watcher(options.watch, lambda path: printable(path) in file.paths)
            answers = file.passing(watch_folder(classify, watcher, asked))
        else:
            answers = watch_folder(classify, watcher, asked)
        for answer in answers:
            write(answer)
            refused += isinstance(answer, Unreadable)
            answered += not isinstance(answer, Unreadable)
    print(f"Stopped: {Counts(answered, refused)}.", file=sys.stderr)
    raise SystemExit(console.INTERRUPTED)
