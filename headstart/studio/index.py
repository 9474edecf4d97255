"""The images of a project in memory: by class, by page, by id; kept up with the disk.

Classes and parts are found as `read_dataset` finds them, so the studio and the command line see the
same classes. A class may have several folders: one in each part of a ready-made split. An image's
id is made of its path, size and time of change: it stays until the image is moved or replaced.
"""

from __future__ import annotations

import functools
import hashlib
import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field

from headstart.dataset import displayed_names
from headstart.errors import HeadstartError
from headstart.layout import class_key, part_folders
from headstart.scan import display, display_path
from headstart.studio.tree import File, Folder, Tree


class NotThere(HeadstartError):
    """What was asked for does not exist, or no longer."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its id, class, path below the project's folder, and what tells its content."""

    id: str
    class_name: str
    path: str
    file: File

    @property
    def name(self) -> str:
        """The file's own name, fit to be shown."""
        return display(self.file.name)

    @property
    def shown(self) -> str:
        """Its path as a check-up and a report show it."""
        return display_path(self.path)


@dataclass(frozen=True)
class View:
    """The project at one moment; never changed."""

    version: int = 0
    folders: dict[str, tuple[str, ...]] = field(default_factory=dict)  # class -> its folders
    images: dict[str, tuple[Image, ...]] = field(default_factory=dict)  # class -> its images
    by_id: dict[str, Image] = field(default_factory=dict)
    parts: tuple[str, ...] = ("",)  # the folders that hold class folders

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.by_id)

    def all(self) -> Iterator[Image]:
        """Every image, class by class."""
        for images in self.images.values():
            yield from images

    def image(self, key: str) -> Image:
        """The image with an id, or NotThere."""
        found = self.by_id.get(key)
        if found is None:
            raise NotThere(
                "There is no such image any more. Expected one that is in the project. Load the "
                "page again."
            )
        return found

    def folders_of(self, class_name: str) -> tuple[str, ...]:
        """The folders of a class, or NotThere."""
        found = self.folders.get(class_name)
        if found is None:
            raise NotThere(
                f"There is no class '{display(class_name)[:60]}'. Expected one of the project's "
                "classes. Load the page again."
            )
        return found

    @functools.cached_property
    def by_shown(self) -> dict[str, Image]:
        """The images by the name that reports and findings have for them."""
        return {one.shown: one for one in self.all()}

    @functools.cached_property
    def fingerprint(self) -> str:
        """What the images and their classes are, in a few letters."""
        return digest("\n".join(sorted(self.by_id)))


def digest(text: str) -> str:
    """16 letters that stand for a text, fit for an address."""
    raw = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()
    return urlsafe_b64encode(raw).decode("ascii")


class Index:
    """Keeps a `View` up with the disk."""

    def __init__(self, root: str) -> None:
        self._tree = Tree(root)
        self._built: dict[str, tuple[Folder, str, tuple[Image, ...]]] = {}  # by folder
        self.view = View()

    def refresh(self) -> View:
        """Look at the disk again; a new `View` where something has changed."""
        if self._tree.refresh() or not self.view.version:
            self.view = self._build()
        return self.view

    def _build(self) -> View:
        parts, raw = self._layout()
        names = displayed_names(raw)
        folders = {names[one]: raw[one] for one in raw}
        order = sorted(folders)
        images = {name: tuple(self._images(name, folders[name])) for name in order}
        by_id = {one.id: one for group in images.values() for one in group}
        version = max(self.view.version + 1, time.time_ns() // 1_000_000)
        return View(version, {name: folders[name] for name in order}, images, by_id, parts)

    def _layout(self) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
        """The folders that hold classes, and the folders of each class by its raw name."""
        known = self._tree.folders
        top = known[""].folders if "" in known else ()
        shallow = [[one] for one in top]
        shallow += [[one, inner] for one in top if one in known for inner in known[one].folders]
        codes = part_folders(shallow)
        parts = tuple(sorted(codes, key=lambda one: codes[one])) or ("",)
        raw: dict[str, tuple[str, ...]] = {}
        for part in parts:
            for name in known[part].folders if part in known else ():
                key = class_key(name)
                raw[key] = (*raw.get(key, ()), os.path.join(part, name))
        return parts, raw

    def _images(self, class_name: str, folders: tuple[str, ...]) -> Iterator[Image]:
        waiting = list(reversed(folders))
        while waiting:
            path = waiting.pop()
            folder = self._tree.folders.get(path)
            if folder is None:
                continue
            yield from self._in_folder(class_name, path, folder)
            waiting += [os.path.join(path, name) for name in reversed(folder.folders)]

    def _in_folder(self, class_name: str, path: str, folder: Folder) -> tuple[Image, ...]:
        """The images of one folder; those that were there before are the same objects."""
        before, name, built = self._built.get(path, (None, "", ()))
        if before is folder and name == class_name:
            return built
        known = {one.file.name: one for one in built} if name == class_name else {}
        found = []
        for file in folder.images:
            old = known.get(file.name)
            if old is None or old.file is not file:
                inside = f"{path}{os.sep}{file.name}"
                old = Image(
                    digest(f"{inside}\0{file.size}\0{file.changed}"), class_name, inside, file
                )
            found.append(old)
        self._built[path] = folder, class_name, tuple(found)
        return self._built[path][2]


def listed(view: View, class_name: str, offset: int, limit: int) -> tuple[int, list[Image]]:
    """How many images a class (or, with "", the project) has, and some of them."""
    if class_name:
        view.folders_of(class_name)
        images: tuple[Image, ...] = view.images[class_name]
        return len(images), list(images[offset : offset + limit])
    found: list[Image] = []
    skip = offset
    for images in view.images.values():
        if len(found) < limit:
            found += images[skip : skip + limit - len(found)]
        skip = max(0, skip - len(images))
    return view.count, found
