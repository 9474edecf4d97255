"""A CSV file that grows while a folder is watched; each row is on the disk before the next."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from headstart.batch.columns import Answer, Columns
from headstart.batch.journal import csv_line, lock
from headstart.batch.table import check_table
from headstart.errors import HeadstartError
from headstart.scan import printable


class Appended:
    """The open file; `paths` are those of the rows that were there before."""

    def __init__(self, file: BinaryIO, columns: Columns, paths: frozenset[str]) -> None:
        self.paths = paths
        self._file, self._columns = file, columns

    def passing(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        """Append the row of each answer, and pass it on."""
        for answer in answers:
            self._file.write(csv_line(self._columns.text(answer)).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
            yield answer


@contextmanager
def appended(path: Path, columns: Columns) -> Iterator[Appended]:
    """Open a CSV file to append to; a row that was written half is cut off.

    Raises:
        HeadstartError: It is no CSV file with these columns, or another process writes to it.
    """
    check_table(path, (".csv",))
    with path.open("r+b" if path.exists() else "w+b") as file:
        lock(file, path)
        header = csv_line(columns.header()).encode()
        paths: set[str] = set()
        kept = 0
        for number, line in enumerate(file):
            if number == 0 and not header.startswith(line):  # a row written half is cut off
                raise HeadstartError(
                    f"'{printable(str(path))}' has other columns. Expected a file that the same "
                    f"options wrote, with {','.join(columns.header())}. Choose another name."
                )
            if not line.endswith(b"\n"):
                break
            kept += len(line)
            if number:
                paths.add(_first(line))
        file.seek(kept)
        file.truncate()
        if not kept:
            file.write(header)
            file.flush()
        yield Appended(file, columns, frozenset(paths))


def _first(line: bytes) -> str:
    try:
        return next(csv.reader([line.decode()]), [""])[0]
    except (UnicodeError, csv.Error, IndexError):
        return ""
