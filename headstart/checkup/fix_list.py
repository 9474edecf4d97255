"""What could be done about the findings, as a CSV file to edit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from headstart import atomic
from headstart.checkup.finding import Finding
from headstart.errors import HeadstartError
from headstart.fixes import as_csv

_LEFT_OUT = ("broken",)  # is not used in any case


def check_place(path: Path) -> None:
    """Make sure that a list can be written there, before any long work.

    Raises:
        HeadstartError: There is no such folder, or it is a folder.
    """
    if path.is_dir() or not path.absolute().parent.is_dir():
        why = "it is a folder" if path.is_dir() else "its folder is not there"
        raise _unwritable(path, why)


def write_fix_list(findings: Iterable[Finding], path: Path) -> Path:
    """Write one line for each file of each finding.

    Only of files that are there twice under one label is the action filled in: all but the first
    are dropped. Where a label is in doubt the column `label` says what it probably should be.

    Raises:
        HeadstartError: It cannot be written.
    """
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
