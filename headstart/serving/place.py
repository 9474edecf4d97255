"""Where models lie: bundles by themselves, or in the layout `models/NAME/VERSION/`.

The layout is that of TensorFlow Serving: VERSION is a whole number, and the largest is the newest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.bundle import is_bundle
from headstart.errors import HeadstartError
from headstart.scan import display, printable

_ENDING = ".headstart"
_SINGLE = "1"  # the version of a bundle by itself


@dataclass(frozen=True)
class Place:
    """A model: its name, its folder, and whether that holds versions or is the bundle itself."""

    name: str
    folder: Path
    versioned: bool

    def versions(self) -> list[tuple[str, Path]]:
        """Every version and its folder, the newest first; none where the folder has gone."""
        if not self.versioned:
            return [(_SINGLE, self.folder)]
        return sorted(_versions(self.folder), key=lambda one: int(one[0]), reverse=True)


def find_places(paths: Sequence[Path]) -> list[Place]:
    """The models of all `paths`; the first is the default.

    Raises:
        HeadstartError: There is none in one of them, or two have the same name.
    """
    places = [place for path in paths for place in _places(path)]
    names = [place.name for place in places]
    if not places:
        raise HeadstartError(
            "There is nothing to serve. Expected bundles, or folders of models. Name at least one."
        )
    for place in places:
        if names.count(place.name) > 1:
            raise HeadstartError(
                f"Two models are called '{place.name}'. Expected a name of its own for each, which "
                "is that of its folder. Rename one of the folders."
            )
    return places


def _places(path: Path) -> list[Place]:
    folder = Path(os.path.abspath(path))
    if is_bundle(folder):
        return [Place(display(folder.name.removesuffix(_ENDING) or "model"), folder, False)]
    if _versions(folder):
        return [Place(display(folder.name), folder, True)]
    inside = [Place(display(one.name), one, True) for one in _folders(folder) if _versions(one)]
    if not inside:
        raise HeadstartError(
            f"There is no bundle in '{printable(str(path))}'. Expected a folder that headstart fit "
            "wrote, or models/NAME/VERSION/ where VERSION is a number. Check the path."
        )
    return inside


def _versions(folder: Path) -> list[tuple[str, Path]]:
    """Folders named by a number; whether they hold a bundle is seen when they are loaded."""
    return [
        (one.name, one)
        for one in _folders(folder)
        if one.name.isascii() and one.name.isdigit() and len(one.name) <= 18
    ]


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.is_dir())
    except OSError:
        return []


def signature(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of all files of a folder: where it stays the same, nothing is copied."""
    try:
        stats = [(one.name, one.stat()) for one in sorted(folder.iterdir())]
    except OSError:  # a file that goes while it is looked at
        return ()
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
