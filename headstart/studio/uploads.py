"""Uploaded files into images of a project: looked at, decoded once, taken in or refused with why.

The content of a file says what it is, never its name. A zip is unpacked after the checks of
`archive`. Where no class is given the folders in the names give it, as they do for `read_dataset`:
`roses/a.jpg`, and also `flowers/roses/a.jpg` where all lies in `flowers`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from headstart import archive, formats
from headstart.errors import HeadstartError
from headstart.images import BadImage, read_bytes
from headstart.layout import LOOSE, find_wrapper, read_layout
from headstart.scan import Scan, display, encodable, scan_folder
from headstart.studio import thumbnails
from headstart.studio.index import Image
from headstart.studio.names import safe_file_name
from headstart.studio.project import Project
from headstart.studio.receiving import Upload
from headstart.studio.thumbnails import Thumbnails

_DEEPEST = 16  # folders in the name of a file
_MOST_TOLD = 1_000  # refusals of one request
_THREADS = 2


@dataclass
class Taken:
    """What became of an upload.

    Attributes:
        added: The images added.
        refused: The refused files, with the reasons.
        merged: Whether its folders were a split, whose validation and test part are no longer told
            from the rest.
    """

    added: list[Image] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    merged: bool = False

    def refuse(self, name: str, why: str) -> None:
        """Note a file that is not taken."""
        self.refused.append((display(name)[:200], why))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "added": [
                {"id": one.id, "class": one.class_name, "name": one.name} for one in self.added
            ],
            "refused": [{"name": name, "reason": why} for name, why in self.refused[:_MOST_TOLD]],
            "refused_count": len(self.refused),
            "merged": self.merged,
        }


@dataclass(frozen=True)
class _Item:
    """A file that may be an image: where it lies, its name, and the class it is meant for."""

    path: Path
    name: str
    class_name: str


@dataclass(frozen=True)
class _Ready:
    """An image that was decoded, with its digest and thumbnail."""

    item: _Item
    kind: str
    digest: bytes
    thumbnail: bytes


def take(
    project: Project, kept: Thumbnails, uploads: Sequence[Upload], class_name: str = ""
) -> Taken:
    """Take uploaded files into a project.

    Args:
        project: Where they go.
        kept: Takes their thumbnails.
        uploads: Files that have come in completely; they are moved away.
        class_name: The class of all of them; "" where folders tell it.

    Raises:
        HeadstartError: The class is not possible.
    """
    taken = Taken()
    if class_name:
        class_name = project.class_called(class_name)
    items = _items(uploads, class_name, taken)
    with ThreadPoolExecutor(_THREADS) as pool:
        looked = list(pool.map(_look, items))
    ready: list[_Ready] = []
    for item, found in zip(items, looked, strict=True):
        if isinstance(found, _Ready):
            ready.append(found)
        else:
            taken.refuse(item.name, found)
    _adopt(project, kept, ready, taken)
    return taken


def _items(uploads: Sequence[Upload], class_name: str, taken: Taken) -> list[_Item]:
    """The files, those in zips too, each with its class."""
    plain: list[Upload] = []
    items: list[_Item] = []
    for one in uploads:
        if _is_zip(one.path):
            items += _unpacked(one, class_name, taken)
        else:
            plain.append(one)
    if class_name:
        return [*items, *(_Item(one.path, one.name, class_name) for one in plain)]
    named: dict[str, Upload] = {}
    for one in plain:
        path = _relative(one.name)
        if path is None or path in named:
            taken.refuse(one.name, "its name leads elsewhere" if path is None else "named twice")
        else:
            named[path] = one
    found = _by_folder(_scan_of(list(named)), taken)
    return [*items, *(_Item(named[path].path, path, label) for path, label in found)]


def _is_zip(path: Path) -> bool:
    try:
        return archive.is_zip(path)
    except OSError:
        return False


def _relative(name: str) -> str | None:
    """The name as a path below a folder; None where it leads anywhere else."""
    parts = encodable(name).replace("\\", "/").split("/")
    bad = any(one in ("", ".", "..") or "\0" in one for one in parts)
    return None if bad or len(parts) > _DEEPEST else os.sep.join(parts)


def _scan_of(paths: list[str]) -> Scan:
    """The files of a drop as if they lay in a folder."""
    folders = {str(one) for path in paths for one in PurePosixPath(path).parents} - {"."}
    return Scan(tuple(paths), (), tuple(sorted(folders)), ())


def _by_folder(scan: Scan, taken: Taken) -> Iterator[tuple[str, str]]:
    """Each image of a scan with the class that its folder gives it."""
    layout = read_layout(scan, find_wrapper(scan))
    for problem in layout.problems:
        why = "no class was chosen" if problem.reason == LOOSE else problem.reason
        taken.refuse(problem.path, why)
    taken.merged |= any(one.part > 0 for one in layout.labelled)
    yield from ((one.path, one.label) for one in layout.labelled)


def _unpacked(upload: Upload, class_name: str, taken: Taken) -> Iterator[_Item]:
    name = display(upload.name)
    try:
        folder = archive.unpack(upload.path, upload.path.parent / "unpacked", name)
        scan = scan_folder(str(folder))
    except HeadstartError as error:
        taken.refuse(name, str(error))
        return
    for problem in scan.problems:
        if "hidden" not in problem.reason:
            taken.refuse(f"{name}/{problem.path}", problem.reason)
    if class_name:
        found = iter([(path, class_name) for path in scan.images])
    else:
        found = _by_folder(scan, taken)
    yield from (_Item(folder / path, path, label) for path, label in found)


def _look(item: _Item) -> _Ready | str:
    """Decode a file once, which makes its thumbnail; a text says why it is refused."""
    try:
        data = read_bytes(item.path)
        why = formats.why_unusable(data[: formats.HEAD_BYTES])
        if why is not None:
            return why
        small = thumbnails.small(data)
    except (BadImage, OSError) as error:
        return str(error)
    kind = formats.sniff(data[: formats.HEAD_BYTES])
    return _Ready(item, kind or "jpeg", hashlib.sha256(data).digest(), small)


def _adopt(project: Project, kept: Thumbnails, ready: Sequence[_Ready], taken: Taken) -> None:
    """Move the images to their classes, but for those that are there already."""
    known, files = _Known(project), []
    good: list[_Ready] = []
    names = dict.fromkeys(one.item.class_name for one in ready)
    classes = {name: _class_of(project, name) for name in names}
    for one in ready:
        label, why = classes[one.item.class_name]
        if why:
            taken.refuse(one.item.name, why)
            continue
        same = known.find(label, one)
        if same:
            taken.refuse(one.item.name, f"the same image is in '{label}' already: {same}")
            continue
        good.append(one)
        files.append((one.item.path, safe_file_name(one.item.name, one.kind), label))
    for image, one in zip(project.adopt(files), good, strict=True):
        if image is None:
            continue
        taken.added.append(image)
        with suppress(OSError):  # it can be made again
            kept.keep(image.file, one.thumbnail)


def _class_of(project: Project, name: str) -> tuple[str, str]:
    """The class of a name, or why there can be none."""
    try:
        return project.class_for(name), ""
    except HeadstartError as error:
        return "", str(error)


class _Known:
    """The digests of the images of a class; only files of the same size are read."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.by_size: dict[str, dict[int, list[Image]]] = {}
        self.fresh: dict[tuple[str, bytes], str] = {}

    def _sizes(self, class_name: str) -> dict[int, list[Image]]:
        if class_name not in self.by_size:
            sizes = self.by_size[class_name] = {}
            for one in self.project.view.images.get(class_name, ()):
                sizes.setdefault(one.file.size, []).append(one)
        return self.by_size[class_name]

    def find(self, class_name: str, ready: _Ready) -> str:
        """The name of the same image in a class; "" where there is none, and it counts from now."""
        name = self.fresh.get((class_name, ready.digest), "")
        size = os.stat(ready.item.path).st_size
        for one in self._sizes(class_name).get(size, ()):
            if not name and self._digest(one) == ready.digest:
                name = one.name
        if not name:
            self.fresh[class_name, ready.digest] = display(Path(ready.item.name).name)[:100]
        return name

    def _digest(self, image: Image) -> bytes:
        try:
            data = (self.project.place.root / image.path).read_bytes()
        except OSError:
            return b""
        return hashlib.sha256(data).digest()
