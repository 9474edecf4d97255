"""What could be done about the findings, as a CSV file to edit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from headstart import atomic
from headstart.checkup.finding import Finding
from headstart.errors import HeadstartError
from headstart.fixes import as_csv, listed

_LEFT_OUT = ("broken",)  # is not used in any case


def check_place(path: Path, fixes: Path | None = None) -> None:
    """Make sure that a list can be written there, before any long work.

    Args:
        path: The place. A list that is there already is replaced if nothing was decided in it.
        fixes: The list that is applied first, if any: it is not replaced.

    Raises:
        HeadstartError: Another ending than .csv, no such folder, a folder, or a file to be kept.
    """
    if path.suffix.lower() != ".csv":
        raise HeadstartError(
            f"'{path}' cannot be the list of fixes. Expected a name that ends in .csv; received "
            f"'{path.suffix}'. Choose another name, such as fixes.csv."
        )
    if fixes is not None and _is_same(path, fixes):
        raise HeadstartError(
            f"'{path}' is the list that is applied. Expected another place for the new list, or "
            "the decisions in it are lost. Choose another name with --fix-list."
        )
    if path.is_dir() or not path.absolute().parent.is_dir():
        why = "it is a folder" if path.is_dir() else "its folder is not there"
        raise _unwritable(path, why)
    if path.exists() and not _is_undecided(path):
        raise HeadstartError(
            f"'{path}' is there and is no list as it was written. Expected a new name, or a list "
            "in which nothing was decided, to replace. Apply it with --fixes and choose another "
            "name for the new one, or remove it."
        )


def _is_same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.absolute() == other.absolute()


def _is_undecided(path: Path) -> bool:
    """Whether a file is a list in which no action was written, changed or taken away."""
    try:
        rows = listed(path.read_bytes().decode("utf-8"))
    except (OSError, UnicodeError):
        return False
    if rows is None:
        return False
    return [row["action"] for row in rows] == _filled_in(rows)


def _filled_in(rows: list[dict[str, str]]) -> list[str]:
    """The actions with which these lines were written: see `_action`.

    A copy is dropped that names, first of the others, one that stands before it and stays.
    """
    found: list[str] = []
    kept = ""
    for row in rows:
        copied = row["finding"] == "copy"
        drop = copied and kept != "" and _names_first(row["evidence"], kept)
        if not drop:
            kept = row["file"] if copied else ""
        found.append("drop" if drop else "")
    return found


def _names_first(evidence: str, file: str) -> bool:
    """Whether this is what `_evidence` says of another file of the finding that begins so."""
    return any(f": {file}{after}" in f"{evidence}\n" for after in ("\n", ", ", " and "))


def write_fix_list(findings: Iterable[Finding], path: Path) -> Path:
    """Write one line for each file of each finding.

    Only of files that are there twice under one label is the action filled in: all but the first
    are dropped. Where a label is in doubt the column `label` says what it probably should be.

    Raises:
        HeadstartError: It cannot be written; see `check_place`.
    """
    check_place(path)
    try:
        atomic.write_file(path, as_csv(_lines(findings)))
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error
    return path


def _unwritable(path: Path, why: str) -> HeadstartError:
    return HeadstartError(
        f"The list of fixes '{path}' cannot be written: {why}. Expected a place in a folder that "
        "is there and may be written. Choose another place."
    )


def _lines(findings: Iterable[Finding]) -> Iterator[dict[str, str]]:
    for one in findings:
        if one.kind in _LEFT_OUT:
            continue
        for number, file in enumerate(one.files):
            yield {
                "file": file,
                "action": _action(one, number),
                "label": one.suggested,
                "class": one.classes[number],
                "finding": one.kind,
                "evidence": _evidence(one, number),
                "advice": one.advice,
            }


def _action(one: Finding, number: int) -> str:
    return "drop" if one.kind == "copy" and number else ""


def _evidence(one: Finding, number: int) -> str:
    """What was seen, and where there are several files, which others it is about."""
    if len(one.files) == 1:
        return one.evidence
    others = [file for place, file in enumerate(one.files) if place != number]
    rest = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return f"{one.evidence}: {', '.join(others[:3])}{rest}"
