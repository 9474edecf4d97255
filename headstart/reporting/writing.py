"""`report.html` from a bundle or a run, and its material in `report.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headstart import atomic
from headstart.errors import HeadstartError
from headstart.reporting.gathering import ReportedPart, gather
from headstart.reporting.material import (
    CHECKUP,
    EXTRA,
    PAGE,
    Material,
    material_in,
    read_material,
    read_object,
)
from headstart.reporting.page import page
from headstart.run import Run

_ENDINGS = (".html", ".htm")


@dataclass(frozen=True)
class Report:
    """A report that was written: where, how large, and from what of the bundle."""

    path: Path
    bytes: int
    parts: tuple[str, ...]

    def __str__(self) -> str:
        """Where it is, and what it was made of."""
        made = f"{self.path}: {self.bytes / 1000:.0f} kB, from {', '.join(self.parts)}."
        return made if EXTRA in self.parts else f"{made} There is no {EXTRA}, so it has no images."

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: the object that `headstart report --json` prints."""
        place = os.fsencode(self.path).decode(errors="backslashreplace")
        return {"report": place, "bytes": self.bytes, "parts": list(self.parts)}


def report(bundle: str | os.PathLike[str], *, out: str | os.PathLike[str] | None = None) -> Report:
    """Write the report of a bundle again, as this version of headstart shows it.

    A bundle of an older headstart, or saved without a report, gives the figures, without images.

    Args:
        bundle: The folder that `headstart fit` wrote.
        out: Where to write it, `.html` or `.htm`; `NAME.report.html` in the current folder where it
            is left out. The bundle itself is not changed: its files are checked when it is loaded.

    Raises:
        HeadstartError: Not a bundle, from a newer headstart, or damaged; or the place has another
            ending or cannot be written.
    """
    folder = Path(bundle)
    target = Path(f"{folder.resolve().stem}.{PAGE}" if out is None else out)
    material = read_material(folder)
    _check_target(target, folder)
    content = page(material).encode("utf-8")
    try:
        atomic.write_file(target, content)
    except OSError as error:
        raise HeadstartError(
            f"The report '{target}' cannot be written: {error.strerror or error}. Expected a file "
            "in a folder that is there and can be written. Choose another place with --out."
        ) from error
    return Report(target, len(content), _parts(material))


def _check_target(target: Path, folder: Path) -> None:
    if target.is_dir():
        raise HeadstartError(
            f"'{target}' is a folder. Expected the name of a file for the report. Choose one, such "
            f"as --out {PAGE}."
        )
    if target.suffix.lower() not in _ENDINGS:
        raise HeadstartError(
            f"'{target}' cannot be the report. Expected a name that ends in .html or .htm; "
            f"received '{target.suffix}'. Choose one, such as --out {PAGE}."
        )
    if target.resolve().parent == folder.resolve():
        raise HeadstartError(
            f"'{target}' lies in the bundle, whose files are checked when it is loaded. Expected a "
            "place outside. Choose one with --out."
        )


def _parts(material: Material) -> tuple[str, ...]:
    found = {"metrics.json": True, EXTRA: material.extra, CHECKUP: material.checkup}
    return tuple(name for name, there in found.items() if there)


def with_report(run: Run, tested: ReportedPart) -> Run:
    """The run, which writes its report into each bundle it is saved to; nothing is made yet."""

    def write(folder: Path, about: Mapping[str, Any]) -> None:
        extra = gather(run, tested, read_object(folder / CHECKUP))
        (folder / EXTRA).write_text(json.dumps(extra, allow_nan=False), encoding="utf-8")
        (folder / PAGE).write_bytes(page(material_in(folder, about)).encode("utf-8"))

    return replace(run, contents=replace(run.contents, report=write))
