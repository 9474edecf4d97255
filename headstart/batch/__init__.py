"""Many images at once: into a table, into a folder for each class, and as they arrive.

`predict_to_table`, `sort_into` and `watch` are the calls for Python; the command line puts the same
parts together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from headstart.batch.columns import Answer, Columns
from headstart.batch.sorting import Sorter, Sorting
from headstart.batch.table import Counts, Table, write_table
from headstart.batch.watching import Watcher, watch_folder
from headstart.bundle import load
from headstart.classifier import Classifier
from headstart.conversion import file_digest
from headstart.errors import HeadstartError
from headstart.listing import Files, find_files

Place = str | os.PathLike[str]

__all__ = [
    "Counts",
    "belonging",
    "columns_of",
    "loaded",
    "predict_to_table",
    "sort_into",
    "sureness",
    "watch",
]


def predict_to_table(
    bundle: Place,
    images: Place | Iterable[Place],
    table: Place,
    *,
    top: int = 1,
    probabilities: bool = False,
    level: float | None = None,
) -> Counts:
    """Classify any number of files and write a table of the answers, in order.

    Memory does not grow with the number of files. Where the call is stopped, by a kill too, the
    same call goes on; the table appears when it is whole, and equals that of one call.

    Args:
        bundle: A folder that `headstart fit` wrote.
        images: Files and folders; in a folder, each file that is an image by its content.
        table: The file to write, `.csv` or, with the extra `parquet`, `.parquet`.
        top: How many classes to write for each image.
        probabilities: Write the probability of every class.
        level: How often the candidates hold the true class.

    Returns:
        How many were answered, and how many could not be read: their rows say why.

    Raises:
        HeadstartError: The bundle, an image's place or the table's cannot be used.
        MissingExtra: The table is to be Parquet, and pyarrow is not installed.
    """
    classifier = loaded(bundle, level)
    columns = columns_of(classifier, top, probabilities)
    files = _files(images)
    belongs = belonging(Path(bundle), files, level)
    return write_table(classifier.predict_files, files, Table(Path(table), columns, belongs))


def sort_into(
    bundle: Place,
    images: Place | Iterable[Place],
    folder: Place,
    *,
    copy: bool = False,
    sure: float | None = None,
) -> Iterator[Answer]:
    """Classify files and put a link to each into the folder of its class, or `unsure`.

    The originals are not touched and nothing is overwritten: the same name from two folders gets a
    number. A second call makes nothing twice.

    Args:
        bundle: A folder that `headstart fit` wrote.
        images: Files and folders.
        folder: Where the folders of the classes are made, apart from `images`.
        copy: Copies, instead of symbolic links.
        sure: Probability below which an image goes to `unsure`; by default the bundle's own.
            Images that are none of the classes, or unlike all training images, go there too.

    Yields:
        The answer for each file, once its link stands; broken files stay where they are.

    Raises:
        HeadstartError: The bundle, an image's place or the folder cannot be used.
    """
    classifier = loaded(bundle, None)
    files = _files(images)
    sorting = Sorting(Path(folder), copy, sureness(classifier, sure))
    sorter = Sorter(sorting, classifier.class_names, files.places)
    yield from sorter.passing(classifier.predict_files(files))


def watch(
    bundle: Place, folder: Place, *, asked: Callable[[], bool] = lambda: False
) -> Iterator[Answer]:
    """Classify the images in a folder and all that arrive in it.

    Args:
        bundle: A folder that `headstart fit` wrote.
        folder: The folder, with all folders in it.
        asked: Whether to stop; asked several times a second.

    Yields:
        The answer for each image, once it is whole; a file that cannot be read comes once.

    Raises:
        HeadstartError: The bundle or the folder cannot be used.
    """
    return watch_folder(loaded(bundle, None).predict_files, Watcher(Path(folder)), asked)


def columns_of(classifier: Classifier, top: int, probabilities: bool) -> Columns:
    """The columns of a table of a classifier's answers."""
    names = classifier.class_names
    return Columns(min(top, len(names)), names if probabilities else ())


def belonging(
    bundle: Path, files: Files, level: float | None, sorting: Sorting | None = None
) -> tuple[Any, ...]:
    """All that the rows of a table depend on, as JSON values."""
    places = [[str(place), os.path.abspath(place)] for place in files.places]
    sort = None
    if sorting is not None:
        sort = [os.path.abspath(sorting.folder), sorting.copy, sorting.sure]
    return (1, file_digest(bundle / "bundle.json"), ascii(places), level, ascii(sort))


def sureness(classifier: Classifier, sure: float | None) -> float:
    """The probability below which an image is sorted as unsure.

    Raises:
        HeadstartError: `sure` is no probability.
    """
    if sure is None:
        decision = classifier.decision
        return (decision and decision.abstain_below) or 0.0
    if not 0 <= sure <= 1:
        raise HeadstartError(
            f"Nothing can be sorted by the probability {sure:g}. Expected 0 to 1. Choose one."
        )
    return sure


def loaded(bundle: Place, level: float | None) -> Classifier:
    """The classifier of a bundle, whose candidates hold the true class as often as `level` says."""
    classifier = load(bundle)
    if level is not None:
        classifier.choose_level(level)
    return classifier


def _files(images: Place | Iterable[Place]) -> Files:
    if isinstance(images, str | os.PathLike):
        images = [images]
    return find_files([Path(place) for place in images])
