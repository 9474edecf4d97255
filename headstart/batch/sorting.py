"""Images into a folder for each class: links to them, or copies; the originals stay untouched.

Nothing is overwritten, and what stands there already is not made again: for a link that is one to
the same file, for a copy one with the same name and content. An image that the classifier is not
sure of goes to `unsure`.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headstart.answers import Prediction
from headstart.batch.columns import Answer
from headstart.batch.folders import UNSURE, folder_names, numbered
from headstart.errors import HeadstartError
from headstart.scan import printable

_NUMBERS = 9  # after which the number is made of the path, lest all before be looked at each time


@dataclass(frozen=True)
class Sorting:
    """How images are sorted.

    Attributes:
        folder: Where the folders of the classes are made.
        copy: Copies, instead of symbolic links.
        sure: Probability below which an image goes to `unsure`.
    """

    folder: Path
    copy: bool = False
    sure: float = 0.0


class Sorter:
    """Puts each image into the folder of its class.

    Raises:
        HeadstartError: The folder would be among the images, or cannot be made.
    """

    def __init__(
        self, sorting: Sorting, class_names: Sequence[str], places: Sequence[Path]
    ) -> None:
        self.sorting = sorting
        self._names = folder_names(class_names)
        self._made: set[Path] = set()
        _check_apart([sorting.folder / name for name in (UNSURE, *self._names.values())], places)
        try:
            sorting.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HeadstartError(
                f"'{printable(str(sorting.folder))}' cannot be the folder to sort into: "
                f"{error.strerror}. Expected a folder, or a place for one. Choose another."
            ) from error

    def passing(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        """Sort the image of each answer, and pass the answer on."""
        for answer in answers:
            if isinstance(answer, Prediction):
                self.put(answer)
            yield answer

    def put(self, answer: Prediction) -> Path:
        """Sort one image; gives where its link or copy stands."""
        folder = self.sorting.folder / self._folder(answer)
        if folder not in self._made:
            folder.mkdir(exist_ok=True)
            self._made.add(folder)
        source = os.path.abspath(answer.source)
        for name in _slots(source):
            if self._settled(source, folder / name):
                return folder / name
        raise AssertionError("there is always another number")

    def _folder(self, answer: Prediction) -> str:
        doubtful = answer.unknown or answer.candidates == ()
        if doubtful or answer.probability < self.sorting.sure:
            return UNSURE
        return self._names[answer.label]

    def _settled(self, source: str, target: Path) -> bool:
        """Whether the link or copy stands at `target`, by now or before."""
        try:
            if self.sorting.copy:
                return _copied(source, target)
            return _linked(source, target)
        except OSError as error:
            raise HeadstartError(
                f"'{printable(str(target))}' cannot be made: {error.strerror or error}. Expected "
                "a folder that takes links, with space. Choose another, or use --copy."
            ) from error


def _check_apart(folders: Sequence[Path], places: Sequence[Path]) -> None:
    """Links among the images would be taken for images the next time."""
    inputs = [os.path.realpath(place) for place in places if place.is_dir()]
    for folder in folders:
        real = os.path.realpath(folder)
        for place in inputs:
            if os.path.commonpath([real, place]) in (place, real):
                raise HeadstartError(
                    f"'{printable(str(folder))}' would lie among the images in "
                    f"'{printable(place)}'. Expected a folder apart from them. Choose another."
                )


def _slots(source: str) -> Iterator[str]:
    """The names that a file may get, in order."""
    name = os.path.basename(source)
    yield name
    for number in range(2, _NUMBERS + 1):
        yield numbered(name, number)
    own = int.from_bytes(hashlib.sha256(os.fsencode(source)).digest()[:5], "big")
    while True:
        own += 1
        yield numbered(name, own)


def _linked(source: str, target: Path) -> bool:
    try:
        os.symlink(source, target)
    except FileExistsError:
        return target.is_symlink() and os.readlink(target) == source
    return True


def _copied(source: str, target: Path) -> bool:
    if os.path.lexists(target):
        return target.is_file() and filecmp.cmp(source, target, shallow=False)
    aside = target.with_name(
        f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}.partial"
    )
    try:
        shutil.copy2(source, aside)
        with suppress(FileExistsError):
            _name(aside, target)
            return True
        return False
    finally:
        aside.unlink(missing_ok=True)


def _name(aside: Path, target: Path) -> None:
    """Give a finished copy its name, unless something stands there by now."""
    try:
        os.link(aside, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError from None
        aside.rename(target)
