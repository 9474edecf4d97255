"""Where the test images of a model are now: at their path, or where a file of the same content is.

So a class that was renamed and an image that was moved, here or by a file manager, are found again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headstart.conversion import file_digest
from headstart.studio.index import Image, View

_LETTERS = 32  # of the digest that is kept


@dataclass(frozen=True)
class Answer:
    """How a test image was answered.

    Attributes:
        path: Where it was, as it is shown.
        true: Its class, as the model calls it.
        answer: The class that the model gave.
        probability: Of that class.
        size: In bytes; -1 where it is not known.
        digest: Of its content; "" where it is not known.
    """

    path: str
    true: str
    answer: str
    probability: float
    size: int = -1
    digest: str = ""


def content_of(path: Path) -> tuple[int, str]:
    """The size and the digest of a file; -1 and "" where it cannot be read."""
    try:
        return path.stat().st_size, file_digest(path)[:_LETTERS]
    except OSError:
        return -1, ""


class Tracer:
    """Finds images again; a digest is computed once, and only of files of the right size."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._digests: dict[str, str] = {}  # by the id of the image

    def trace(self, view: View, answers: Iterable[Answer]) -> dict[str, Image]:
        """The images that are still in the project, by the path that they had."""
        found: dict[str, Image] = {}
        gone: list[Answer] = []
        for one in answers:
            image = view.by_shown.get(one.path)
            if image is not None and one.size in (-1, image.file.size):
                found[one.path] = image
            elif one.digest:
                gone.append(one)
        if gone:
            self._look_for(view, gone, found)
        return found

    def _look_for(self, view: View, gone: list[Answer], found: dict[str, Image]) -> None:
        sizes, used = {one.size for one in gone}, {one.id for one in found.values()}
        there: dict[str, list[Image]] = {}
        for image in view.all():
            if image.file.size in sizes and image.id not in used:
                there.setdefault(self._digest(image), []).append(image)
        for one in gone:
            if there.get(one.digest):
                found[one.path] = there[one.digest].pop(0)

    def _digest(self, image: Image) -> str:
        if image.id not in self._digests:
            self._digests[image.id] = content_of(self.root / image.path)[1]
        return self._digests[image.id]


def own_names(
    classes: Iterable[str], answers: Iterable[Answer], found: Mapping[str, Image], view: View
) -> dict[str, str]:
    """How a model calls those classes of the project that it knows.

    A class that was renamed is known by the test images in it: what they showed is no class any
    more.

    Args:
        classes: Of the model.
        answers: On its test images.
        found: Those of them that are still there, as `Tracer.trace` gives them.
        view: The project.
    """
    names = {one: one for one in classes if one in view.folders}
    former: dict[str, set[str]] = {}
    for one in answers:
        image = found.get(one.path)
        if image and image.class_name not in names and one.true not in view.folders:
            former.setdefault(image.class_name, set()).add(one.true)
    return names | {name: true.pop() for name, true in former.items() if len(true) == 1}
