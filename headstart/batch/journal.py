"""Rows on their way into a table: kept beside it line by line, and found again after a kill.

The lines stand in `.<name>.<key>.unfinished` beside the table; the key says what they belong to.
The first line is the header, each other one a row whose first cell is the path. Whoever goes on
compares the paths with the files that there are now, and cuts off the first row that does not fit
and all behind it, so that the finished table is that of a run in one go.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from headstart import atomic, progress
from headstart.batch.columns import Answer, Columns
from headstart.errors import HeadstartError
from headstart.listing import Candidate
from headstart.scan import encodable, printable

_SYNC_SECONDS = 10.0  # what a power failure can lose at most
_END = ".unfinished"


@dataclass(frozen=True)
class Form:
    """How a row is written as one line: `line` of its cells, and `cells` of a line again."""

    line: Callable[[list[Any]], str]
    cells: Callable[[str], list[Any]]
    shown: Callable[[str], str]
    row: Callable[[Columns, Answer], list[Any]]


def csv_line(cells: list[Any]) -> str:
    """A row of a CSV file, with its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _csv_cells(line: str) -> list[Any]:
    return next(csv.reader([line], strict=True), [])


def _json_line(cells: list[Any]) -> str:
    return json.dumps(cells, allow_nan=False) + "\n"


def _json_cells(line: str) -> list[Any]:
    cells = json.loads(line)
    return cells if isinstance(cells, list) else []


CSV = Form(csv_line, _csv_cells, printable, Columns.text)
VALUES = Form(_json_line, _json_cells, encodable, Columns.values)


class Journal:
    """The open file of unfinished rows; made by `open_journal`.

    Attributes:
        path: The file.
        columns: Of its rows.
        answered: How many of the files in it have an answer.
        refused: How many could not be read.
        found: How many rows stood there already.
    """

    def __init__(self, path: Path, file: BinaryIO, columns: Columns, form: Form) -> None:
        self.path, self.columns, self.form = path, columns, form
        self.answered = self.refused = self.found = 0
        self._file = file
        self._error = columns.header().index("error")
        self._synced = time.monotonic()

    def add(self, answer: Answer) -> None:
        """Append the row of an answer."""
        cells = self.form.row(self.columns, answer)
        self._file.write(self.form.line(cells).encode())
        self._count(cells)
        self._file.flush()  # a kill loses nothing that was written
        now = time.monotonic()
        if now - self._synced > _SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced = now

    def _count(self, cells: list[Any]) -> None:
        if cells[self._error]:
            self.refused += 1
        else:
            self.answered += 1

    def go_on(
        self, candidates: Iterator[Candidate], stepped: Callable[[], object]
    ) -> Iterator[Candidate]:
        """Keep the rows that fit the files, cut off all others, and give the files without a row.

        Args:
            candidates: All files, in their order.
            stepped: Called for each candidate that needs no more work.
        """
        header = self.form.line(self.columns.header()).encode()
        self._file.seek(0, os.SEEK_END)
        size = self._file.tell()
        self._file.seek(0)
        kept, fits, ahead = 0, True, None
        if self._file.readline() == header:
            kept = len(header)
            for cells, length in self._rows():
                fits, ahead = self._fitting(cells[0], candidates, stepped)
                if not fits:
                    break
                kept += length
                self._count(cells)
                stepped()
        self.found = self.answered + self.refused
        self._tell(size - kept, fits)
        self._file.seek(kept)
        self._file.truncate()
        if not kept:
            self._file.write(header)
            self._file.flush()
        return candidates if ahead is None else chain([ahead], candidates)

    def _rows(self) -> Iterator[tuple[list[Any], int]]:
        """The whole rows, and the length of each in bytes."""
        count = len(self.columns.header())
        for line in self._file:
            try:
                cells = self.form.cells(line.decode())
            except (ValueError, csv.Error):
                return
            if not line.endswith(b"\n") or len(cells) != count:
                return
            yield cells, len(line)

    def _fitting(
        self, shown: Any, candidates: Iterator[Candidate], stepped: Callable[[], object]
    ) -> tuple[bool, Candidate | None]:
        """Step on to the file of a row; or to the one that stands in its place, if any."""
        for one in candidates:
            if self.form.shown(one.path) == shown:
                return True, None
            if one.is_image():
                return False, one
            stepped()
        return False, None

    def _tell(self, cut: int, fits: bool) -> None:
        if self.found:
            progress.remark("predict", f"{self.found} images were done before; the rest follow")
        if not fits:
            progress.remark("predict", "the files are not those of before; from there on anew")
        elif cut and not self.found:
            progress.remark("predict", "what was there before cannot be used; all anew")

    def close(self) -> None:
        """Leave the rows for the next time."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


@contextmanager
def open_journal(table: Path, key: str, columns: Columns, form: Form) -> Iterator[Journal]:
    """Open the unfinished rows of a table, or begin them; they stay when the block ends.

    Args:
        table: Where the table will stand.
        key: What the rows belong to; those of another key are removed.
        columns: Of the table.
        form: How the rows are written.

    Raises:
        HeadstartError: Another process is writing the same table.
    """
    path = table.with_name(atomic.hidden_name(table, f"{key}{_END}"))
    _remove_others(path, atomic.hidden_name(table, ""), table)
    with path.open("r+b" if path.exists() else "w+b") as file:
        lock(file, table)
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise _taken(table)  # another process has finished it in this moment
        journal = Journal(path, file, columns, form)
        try:
            yield journal
        finally:
            if not file.closed:
                journal.close()


def _remove_others(own: Path, start: str, table: Path) -> None:
    for name in sorted(os.listdir(own.parent)):
        # Of the same length, or it is of another table whose name goes on, as `a.csv.parquet`.
        alike = name.startswith(start) and name.endswith(_END) and len(name) == len(own.name)
        if alike and name != own.name:
            other = own.with_name(name)
            with suppress(FileNotFoundError), other.open("rb") as file:
                lock(file, table)
            other.unlink(missing_ok=True)
            progress.remark(
                "predict", "what was begun with another bundle or other options is begun anew"
            )


def lock(file: BinaryIO, table: Path) -> None:
    """Let one process write a table; the lock goes with the file.

    Raises:
        HeadstartError: Another process has it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _taken(table) from error
    except OSError:  # some network file systems have no locks
        return


def _taken(table: Path) -> HeadstartError:
    return HeadstartError(
        f"'{printable(str(table))}' is being written by another process. Expected to be the only "
        "one. Wait for it, or choose another file."
    )


def put_in_place(journal: Journal, table: Path) -> None:
    """Let the rows themselves become the table."""
    journal.close()
    atomic.put_file(journal.path, table)
