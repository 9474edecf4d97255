"""Any number of files to a table on disk, CSV or Parquet: answered in order, resumed after a kill.

Memory does not grow with the number of files. The same call goes on where the last one was stopped,
also by a kill; a table begun with another bundle or other options is begun anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart import progress
from headstart.batch import parquet
from headstart.batch.columns import Answer, Columns
from headstart.batch.journal import CSV, VALUES, open_journal, put_in_place
from headstart.errors import HeadstartError
from headstart.listing import Files
from headstart.scan import printable

KINDS = (".csv", ".parquet")
Classify = Callable[[Iterable[str]], Iterable[Answer]]


@dataclass(frozen=True)
class Counts:
    """How many files were `answered`, and how many could not be read; `found` of both before."""

    answered: int
    refused: int
    found: int = 0

    def __str__(self) -> str:
        """In words."""
        return f"{self.answered} images classified, {self.refused} could not be read"


@dataclass(frozen=True)
class Table:
    """What is to be written, and where; `belongs` is all that its rows depend on, as JSON values.

    Raises:
        HeadstartError: A table cannot be written there.
        MissingExtra: It is to be Parquet, and pyarrow is not installed.
    """

    path: Path
    columns: Columns
    belongs: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be written."""
        check_table(self.path, KINDS)
        if self.is_parquet:
            parquet.require_pyarrow()

    @property
    def is_parquet(self) -> bool:
        """Whether it is a Parquet file, by its name."""
        return self.path.suffix.lower() == ".parquet"

    @property
    def key(self) -> str:
        """What the rows belong to, as 12 characters."""
        said = [*self.belongs, self.columns.header()]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def check_table(path: Path, kinds: tuple[str, ...]) -> None:
    """Make sure that a table may be written to `path`, before any work is done.

    Raises:
        HeadstartError: Its name has another ending, or its folder cannot be written.
    """
    shown = printable(str(path))
    if path.suffix.lower() not in kinds or path.is_dir():
        raise HeadstartError(
            f"'{shown}' cannot be the table. Expected the name of a file that ends in "
            f"{' or '.join(kinds)}. Choose another name."
        )
    if not os.access(path.parent, os.W_OK | os.X_OK) or not path.parent.is_dir():
        raise HeadstartError(
            f"'{shown}' cannot be written. Expected a folder that exists and may be written to. "
            "Make it, or choose another place."
        )


def write_table(classify: Classify, files: Files, table: Table) -> Counts:
    """Answer all files and write the table; it appears when it is whole.

    Args:
        classify: Gives the answer for each of many paths, in order.
        files: The images.
        table: What to write, and where.
    """
    form = VALUES if table.is_parquet else CSV
    finish = parquet.put_in_place if table.is_parquet else put_in_place
    with (
        progress.stage("predict", files.count()) as stage,
        open_journal(table.path, table.key, table.columns, form) as journal,
    ):
        rest = journal.go_on(files.candidates(), stage.advance)
        with closing(_generator(classify(files.images(rest, stage.advance)))) as answers:
            for answer in answers:
                journal.add(answer)
                stage.advance()
        finish(journal, table.path)
    return Counts(journal.answered, journal.refused, journal.found)


def _generator(answers: Iterable[Answer]) -> Any:
    yield from answers
