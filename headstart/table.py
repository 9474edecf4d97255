"""A CSV file that lists images: in goes its path, out come rows and the problems with others.

The header names the columns: `path` (or `file_name`, as Hugging Face has it), `label` and, if
wanted, `split`. Comma, semicolon and tab are understood as separators, by the header; the text is
UTF-8.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import DatasetError
from headstart.scan import Problem, display, display_path, why_unusable

# Names of the parts in folders and in the split column, and their codes.
PARTS = {
    "": -1,
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "test": 2,
    "testing": 2,
}
_PATH_COLUMNS = ("path", "file_name")
_EXPECTED = "Expected UTF-8 text whose first line is 'path,label' or 'path,label,split'"


@dataclass(frozen=True)
class Row:
    """One usable line of the table; `path` is as the system opens it, `part` a code or -1."""

    line: int
    path: str
    label: str
    part: int


@dataclass(frozen=True)
class Table:
    """The usable rows, in the order of the file, the others with the reason, and all paths."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    mentioned: frozenset[str]


@dataclass(frozen=True)
class _Columns:
    path: int
    label: int
    split: int | None
    count: int
    delimiter: str


def is_table(path: Path) -> bool:
    """Whether the file begins with a header that `read_table` understands."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            _columns(file.readline(10_000), path.name)
    except (OSError, UnicodeError, DatasetError):
        return False
    return True


def read_table(path: Path, *, confined: bool = False) -> Table:
    """Read a CSV file of images.

    Args:
        path: The CSV file; the paths in it are relative to its folder.
        confined: Refuse paths that leave that folder, as a table of unknown origin must not reach
            for other files. Otherwise absolute paths and `..` are followed.

    Returns:
        Rows whose file begins as an image does; a file listed twice counts once.

    Raises:
        DatasetError: It cannot be read, is not UTF-8, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            columns = _columns(file.readline(10_000), path.name)
            reader = csv.reader(file, delimiter=columns.delimiter, strict=True)
            read = [_row(path, columns, line, cells, confined) for line, cells in _lines(reader)]
    except UnicodeError as error:
        raise _refusal(path.name, "it is not UTF-8", "Save it as 'CSV UTF-8'") from error
    except csv.Error as error:
        raise _refusal(path.name, f"line {reader.line_num + 1}: {error}", "Correct it") from error
    except OSError as error:
        raise _refusal(path.name, error.strerror or str(error), "Check its permissions") from error
    rows, problems = _without_repeats(path, [row for _, row in read])
    return Table(rows, problems, frozenset(full for full, _ in read))


def _refusal(name: str, why: str, advice: str) -> DatasetError:
    return DatasetError(f"'{display(name)}' cannot be read: {why}. {_EXPECTED}. {advice}.")


def _columns(header: str, name: str) -> _Columns:
    """Find the columns by the first line, which also tells the separator."""
    delimiter = next((one for one in ",;\t" if one in header), ",")
    try:
        cells = next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error:
        cells = []
    names = [cell.strip().casefold() for cell in cells]
    path = next((one for one in _PATH_COLUMNS if one in names), None)
    twice = {one for one in names if one and names.count(one) > 1}
    if path is None or "label" not in names or twice & {"path", "file_name", "label", "split"}:
        found = display(header.strip()[:80])
        raise _refusal(name, f"its first line is '{found}'", "Put that line on top")
    split = names.index("split") if "split" in names else None
    return _Columns(names.index(path), names.index("label"), split, len(names), delimiter)


def _lines(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, with the line (of the whole file) on which each begins."""
    line = 2
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = reader.line_num + 2  # type: ignore[attr-defined]


def _row(
    path: Path, columns: _Columns, line: int, cells: list[str], confined: bool
) -> tuple[str, Row | Problem]:
    """The path as the system opens it ("" where there is none), and what the row is."""
    if len(cells) != columns.count:
        shown = display_path(cells[min(columns.path, len(cells) - 1)])
        return "", Problem(
            shown, f"{len(cells)} cells, the header has {columns.count}: line {line}"
        )
    name, label = cells[columns.path], cells[columns.label].strip()
    part = "" if columns.split is None else cells[columns.split].strip().casefold()
    if not name.strip():
        return "", Problem(display(path.name), f"empty path: line {line}")
    full = os.path.normpath(os.path.join(path.parent, name))
    reason: str | None
    if not label:
        reason = "empty label"
    elif part not in PARTS:
        reason = f"unknown split '{display(part)[:40]}'"
    elif confined and not _is_below(full, path.parent):
        reason = "path leads out of the archive"
    else:
        reason = why_unusable(full)
    if reason is None:
        return full, Row(line, full, label, PARTS[part])
    if reason == "no such file" and "\\" in name and os.sep != "\\":
        reason += ", folders are separated by '/'"
    return full, Problem(display_path(name), f"{reason}: line {line}")


def _is_below(path: str, folder: Path) -> bool:
    return path.startswith(os.path.normpath(folder) + os.sep)


def _without_repeats(
    path: Path, read: list[Row | Problem]
) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
    """A file listed again with the same label counts once, with another label not at all."""
    first: dict[str, Row] = {}
    disputed: set[str] = set()
    for row in read:
        if isinstance(row, Row):
            known = first.setdefault(row.path, row)
            if (known.label, known.part) != (row.label, row.part):
                disputed.add(row.path)
    rows: list[Row] = []
    problems: list[Problem] = []
    for row in read:
        if isinstance(row, Problem):
            problems.append(row)
        elif row.path in disputed:
            reason = f"listed again with another label or split: line {row.line}"
            problems.append(Problem(_shown(row.path, path.parent), reason))
        elif first[row.path] is not row:
            reason = f"listed twice: line {row.line}, already in line {first[row.path].line}"
            problems.append(Problem(_shown(row.path, path.parent), reason))
        else:
            rows.append(row)
    return tuple(rows), tuple(problems)


def _shown(path: str, folder: Path) -> str:
    below = os.path.normpath(folder) + os.sep
    return display_path(path.removeprefix(below))
