"""A list of fixes: a CSV file that a check-up wrote and a person edited, applied to a data set.

Each line names a file, and an action: `drop` leaves it out, `relabel` gives it the class of the
column `label`, `keep` or nothing leaves it as it is. The files themselves are never touched.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headstart.dataset import Dataset, drop
from headstart.errors import DatasetError, HeadstartError
from headstart.scan import display

COLUMNS = ("file", "action", "label", "class", "finding", "evidence", "advice")
ACTIONS = ("keep", "drop", "relabel")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute such a cell
_SHIELDED = (*_FORMULA, "'")  # what `_shielded` puts a ' before: so `_bare` gives any cell back


@dataclass(frozen=True)
class _Fix:
    line: int
    file: str
    action: str
    label: str


def as_csv(rows: Iterable[Mapping[str, str]]) -> str:
    """Lines with the columns `COLUMNS` as CSV; no cell begins as a formula does."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _shielded(row.get(name, "")) for name in COLUMNS})
    return text.getvalue()


def listed(text: str) -> list[dict[str, str]] | None:
    """The lines of which `as_csv` made a text, or None: it is none of its own."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [{str(name): _bare(cell or "") for name, cell in row.items()} for row in reader]
    except (csv.Error, TypeError, AttributeError):
        return None
    return rows if text == as_csv(rows) else None


def _shielded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_SHIELDED) else cell


def _bare(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_SHIELDED) else cell


def _meant(cell: str, known: Container[str]) -> str:
    """Which known name a cell means: as it was written, as it stands, or typed with spaces."""
    found = (_bare(cell), cell, _bare(cell.strip()), cell.strip())
    return next((name for name in found if name in known), found[2])


def apply_fixes(dataset: Dataset, path: str | os.PathLike[str]) -> Dataset:
    """Leave out and relabel images as a list of fixes says.

    Args:
        dataset: What `read_dataset` gave.
        path: The CSV file. Lines about files that are no longer there are passed over.

    Returns:
        The data set, with a note of what was done; what was left out is among its problems.

    Raises:
        DatasetError: The list cannot be read, has an unknown action or class, contradicts itself,
            or is about none of these files; or fewer than two classes are left.
    """
    file = Path(path)
    rows = _rows(dataset)
    fixes = _wanted(file, rows, dataset.class_names)
    known = {name: fix for name, fix in fixes.items() if name in rows}
    if fixes and not known:
        raise DatasetError(
            f"None of the files in '{display(file.name)}' is in '{dataset.name}', such as "
            f"'{next(iter(fixes))}'. Expected paths below the folder of the data set. Make the "
            "list with headstart check, for these images."
        )
    labels, relabelled = dataset.labels.copy(), 0
    for name, fix in known.items():
        if fix.action == "relabel":
            labels[rows[name]] = _class(dataset, file, fix)
            relabelled += 1
    reason = f"left out by {display(file.name)}"
    dropped = {rows[name]: reason for name, fix in known.items() if fix.action == "drop"}
    missing = len(fixes) - len(known)
    note = f"{display(file.name)}: {len(dropped)} images left out, {relabelled} relabelled"
    note += f", {missing} no longer there" if missing else ""
    return _relabelled(replace(dataset, notes=(*dataset.notes, note)), labels, dropped)


def _relabelled(dataset: Dataset, labels: np.ndarray, dropped: Mapping[int, str]) -> Dataset:
    """With other labels, and without the classes that nothing is left of."""
    dataset = drop(replace(dataset, labels=labels), dropped)
    present, own = np.unique(dataset.labels, return_inverse=True)
    names = tuple(dataset.class_names[label] for label in present)
    if len(names) < 2:
        raise DatasetError(
            f"The fixes leave one class, '{names[0]}'. Expected two or more. Correct the list."
        )
    return replace(dataset, labels=own.reshape(-1).astype(np.int64), class_names=names)


def _rows(dataset: Dataset) -> dict[str, int]:
    return {dataset.shown(row): row for row in range(len(dataset.paths))}


def _class(dataset: Dataset, file: Path, fix: _Fix) -> int:
    if fix.label not in dataset.class_names:
        names = ", ".join(dataset.class_names[:20])
        raise _refusal(file, fix.line, f"there is no class '{fix.label}'", f"one of: {names}")
    return dataset.class_names.index(fix.label)


def _wanted(file: Path, known: Container[str], classes: Container[str]) -> dict[str, _Fix]:
    """What is to be done about each file, in the order of the list."""
    fixes: dict[str, _Fix] = {}
    for read in _read(file):
        if read.action in ("", "keep"):
            continue
        fix = replace(read, file=_meant(read.file, known), label=_meant(read.label, classes))
        before = fixes.setdefault(fix.file, fix)
        if (before.action, before.label) != (fix.action, fix.label):
            what = f"line {before.line} wants something else of '{fix.file}'"
            raise _refusal(file, fix.line, what, "one action for each file")
    return fixes


def _read(file: Path) -> Iterator[_Fix]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(
            f"The list of fixes '{display(str(file))}' cannot be read: {error.strerror or error}. "
            "Expected a file that headstart check --fix-list wrote. Check the path."
        ) from error
    except UnicodeError as error:
        raise _refusal(file, 1, "it is not UTF-8", "a file saved as 'CSV UTF-8'") from error
    header = text.split("\n", 1)[0]
    delimiter = next((one for one in ",;\t" if one in header), ",")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names = [(name or "").strip().casefold() for name in reader.fieldnames or ()]
    if not {"file", "action", "label"} <= set(names):
        shown = display(header.strip()[:80])
        what = f"its first line is '{shown}'"
        raise _refusal(file, 1, what, "the columns file, action and label")
    reader.fieldnames = names
    try:
        for row in reader:
            yield _fix(file, reader.line_num, row)
    except csv.Error as error:
        raise _refusal(file, reader.line_num + 1, str(error), "CSV as it was written") from error


def _fix(file: Path, line: int, row: Mapping[str, str | None]) -> _Fix:
    name, action, label = (row[column] or "" for column in ("file", "action", "label"))
    action = _bare(action.strip()).casefold()
    if action and action not in ACTIONS:
        expected = f"{', '.join(ACTIONS)}, or nothing"
        raise _refusal(file, line, f"unknown action '{display(action)[:40]}'", expected)
    if action not in ("", "keep") and not name.strip():
        raise _refusal(file, line, "it names no file", "a path in the column 'file'")
    return _Fix(line, name, action, label if action == "relabel" else "")


def _refusal(file: Path, line: int, what: str, expected: str) -> HeadstartError:
    return DatasetError(
        f"'{display(file.name)}', line {line}: {what}. Expected {expected}. Correct the line."
    )
