"""The images that a command is to look at: paths and folders in, one path after another out.

The folders are walked while the work goes on, each in the order of its names, so a list of millions
of files never stands in memory: what is held is the names in one folder, and folders still to come.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart import formats
from headstart.errors import HeadstartError
from headstart.scan import printable


@dataclass(frozen=True)
class Candidate:
    """A file that may be an image; one that was named by itself counts as one, whatever it is."""

    path: str
    named: bool

    def is_image(self) -> bool:
        """Whether it was named, or is an image by its content."""
        return self.named or may_be_image(self.path)


class Files:
    """Files and folders of images; made by `find_files`. Each loop over it walks them anew."""

    def __init__(self, places: Sequence[Path]) -> None:
        self.places = tuple(places)

    def __iter__(self) -> Iterator[str]:
        """The path of each image."""
        return self.images()

    def candidates(self) -> Iterator[Candidate]:
        """Every file named, and every regular file in the folders named, sorted by name."""
        for place in self.places:
            if place.is_dir():
                for path in walk(os.fspath(place)):
                    yield Candidate(path, named=False)
            else:
                yield Candidate(os.fspath(place), named=True)

    def images(
        self,
        candidates: Iterator[Candidate] | None = None,
        passed: Callable[[], object] = lambda: None,
    ) -> Iterator[str]:
        """The path of each image.

        Args:
            candidates: The rest of `candidates()`, by default all.
            passed: Called for each file that is no image.
        """
        for one in self.candidates() if candidates is None else candidates:
            if one.is_image():
                yield one.path
            else:
                passed()

    def count(self) -> int:
        """How many candidates there are now."""
        return sum(1 for _ in self.candidates())


def find_files(places: Sequence[Path]) -> Files:
    """Every file named, and every image (by content) in the folders named, sorted within a folder.

    Raises:
        HeadstartError: A place does not exist, or there is no image at all.
    """
    for place in places:
        if not place.exists():
            raise HeadstartError(
                f"There is no file or folder '{printable(str(place))}'. Expected images or "
                "folders of images. Check the path."
            )
    files = Files(places)
    if next(iter(files), None) is None:
        names = ", ".join(f"'{printable(str(place))}'" for place in places)
        raise HeadstartError(
            f"No images in {names}. Expected JPEG, PNG, WebP, BMP, GIF or TIFF files."
        )
    return files


def walk(folder: str) -> Iterator[str]:
    """Every regular file below `folder`, those of a folder before those of the folders in it.

    A folder that is a link is not followed.

    Raises:
        OSError: A folder cannot be read: it is no empty folder.
    """
    waiting = [folder]
    while waiting:
        above = waiting.pop()
        files: list[str] = []
        folders: list[str] = []
        with os.scandir(above) as listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif _is_file(entry):
                    files.append(entry.name)
        files.sort()
        for name in files:
            yield os.path.join(above, name)
        waiting += (os.path.join(above, name) for name in sorted(folders, reverse=True))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link round in a circle
        return False


def may_be_image(path: str) -> bool:
    """Whether a file is an image by its content, or cannot be looked into."""
    try:
        with open(path, "rb") as file:
            return formats.sniff(file.read(formats.HEAD_BYTES)) is not None
    except OSError:
        return True  # it may be one: its answer will say why it cannot be read
