"""One project: its classes and images, and every change to them.

A project is a folder with one folder a class, or with such folders in train, validation and test
folders; new images then go to the first of these. Every change looks at the disk first and after,
so what the command line or a file manager does in the meantime is seen.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.scan import display
from headstart.studio.index import Image, Index, NotThere, View
from headstart.studio.names import checked_class_name, free_name
from headstart.studio.place import Place
from headstart.studio.trash import Move, Trash, Undone


class Conflict(HeadstartError):
    """What was asked for does not go with what is there."""


class Project:
    """The classes and images of one folder; all methods may be called from several threads.

    Attributes:
        place: Its folders.
        on_change: Called with the new version whenever something has changed.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.on_change: Callable[[int], None] = lambda version: None
        self._index, self._trash = Index(str(place.root)), Trash(place)
        self._lock = threading.RLock()
        for left in place.incoming.iterdir():
            shutil.rmtree(left, ignore_errors=True)
        self.refresh()

    @property
    def view(self) -> View:
        """The project as it was seen last."""
        return self._index.view

    def refresh(self) -> View:
        """Look at the disk again."""
        with self._lock:
            before = self._index.view.version
            view = self._index.refresh()
        if view.version != before:
            self.on_change(view.version)
        return view

    def add_class(self, name: str) -> str:
        """Make a class; its name as it was taken.

        Raises:
            HeadstartError: The name is not possible, or is there already.
        """
        with self._lock:
            view = self.refresh()
            name = self._new_name(view, name)
            (self.place.root / view.parts[0] / name).mkdir()
            self.refresh()
        return name

    def rename_class(self, name: str, to: str) -> str:
        """Give a class another name; the id by which that is undone."""
        with self._lock:
            view = self.refresh()
            folders = view.folders_of(name)
            to = self._new_name(view, to, but=name)
            if to == name:
                raise Conflict(f"The class is called '{to}' already. Expected another name.")
            targets = [os.path.join(os.path.dirname(one), to) for one in folders]
            moves = [Move(one, to) for one, to in zip(folders, targets, strict=True)]
            if len(set(targets)) < len(targets):  # two forms of one name, side by side
                raise Conflict(
                    f"The class '{name}' has two folders, whose names look alike. Expected one. "
                    "Put their images together first."
                )
            about = {"kind": "rename_class", "class": name, "to": to}
            return self._stepped(lambda: self._trash.rename(moves, about))

    def delete_class(self, name: str) -> str:
        """Put a class and its images aside; the id by which that is undone."""
        with self._lock:
            view = self.refresh()
            folders = view.folders_of(name)
            about = {"kind": "delete_class", "class": name, "images": len(view.images[name])}
            return self._stepped(lambda: self._trash.delete(folders, about))

    def delete(self, ids: Sequence[str]) -> str:
        """Put images aside; the id by which that is undone."""
        with self._lock:
            found = self._found(self.refresh(), ids)
            about = {"kind": "delete", "images": len(found)}
            return self._stepped(lambda: self._trash.delete([one.path for one in found], about))

    def move(self, ids: Sequence[str], class_name: str) -> str:
        """Move images to another class, within their part; the id by which that is undone."""
        with self._lock:
            view = self.refresh()
            found = self._found(view, ids)
            folders, taken, moves = view.folders_of(class_name), _Taken(self.place.root), []
            for one in found:
                folder = _beside(one, view, folders)
                if one.class_name != class_name:
                    name = taken.take(folder, one.file.name)
                    moves.append(Move(one.path, os.path.join(folder, name)))
            about = {"kind": "move", "images": len(moves), "to": class_name}
            return self._stepped(lambda: self._trash.rename(moves, about))

    def steps(self) -> list[dict[str, Any]]:
        """The last steps that can be undone, the newest first, as JSON values."""
        return self._trash.steps()

    def undo(self, key: str) -> Undone:
        """Take a step back."""
        with self._lock:
            undone = self._trash.undo(key)
            self.refresh()
        return undone

    def adopt(self, files: Sequence[tuple[Path, str, str]]) -> list[Image | None]:
        """Take finished uploads into the project.

        Args:
            files: Of each the file itself, the name it should have, and its class, which is there.

        Returns:
            The images, in the order given; None for one that has gone again meanwhile.
        """
        with self._lock:
            view, taken, paths = self.refresh(), _Taken(self.place.root), []
            for source, name, class_name in files:
                folder = view.folders_of(class_name)[0]
                path = os.path.join(folder, taken.take(folder, name))
                os.rename(source, self.place.root / path)
                paths.append(path)
            after, classes = self.refresh(), {class_name for _, _, class_name in files}
            by_path = {one.path: one for name in classes for one in after.images.get(name, ())}
        return [by_path.get(path) for path in paths]

    def class_for(self, name: str) -> str:
        """The class of that name, which is made where there is none.

        Raises:
            HeadstartError: The name is not possible.
        """
        with self._lock:
            name = self.class_called(name)
            return name if name in self.view.folders else self.add_class(name)

    def class_called(self, name: str) -> str:
        """What the class of that name is called, or would be where there is none.

        Raises:
            HeadstartError: The name is not possible.
        """
        with self._lock:
            wanted = display(name).casefold()
            same = [one for one in self.view.folders if one.casefold() == wanted]
            return same[0] if same else self._new_name(self.view, name)

    def _found(self, view: View, ids: Sequence[str]) -> list[Image]:
        if not ids:
            raise NotThere("No image was named. Expected one or more. Choose some images.")
        return [view.image(one) for one in dict.fromkeys(ids)]

    def _new_name(self, view: View, name: str, but: str = "") -> str:
        name = checked_class_name(name)
        if any(one.casefold() == name.casefold() for one in view.folders if one != but):
            raise Conflict(
                f"There is a class '{name}' already. Expected a new name, also when capitals are "
                "not told apart. Choose another one."
            )
        for part in view.parts:
            names = os.listdir(self.place.root / part)
            taken = {one for one in names if one.casefold() == name.casefold()}
            if taken - {os.path.basename(one) for one in view.folders.get(but, ())}:
                raise Conflict(
                    f"There is a file '{name}' in the project. Expected a name that is free. "
                    "Choose another one."
                )
        return name

    def _stepped(self, step: Callable[[], str]) -> str:
        try:
            return step()
        finally:
            self.refresh()


class _Taken:
    """The names in use in each folder, with those that are given out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: dict[str, set[str]] = {}

    def take(self, folder: str, name: str) -> str:
        if folder not in self.names:
            there = self.root / folder
            names = os.listdir(there) if there.is_dir() else []
            self.names[folder] = {one.casefold() for one in names}
        found = free_name(name, self.names[folder])
        self.names[folder].add(found.casefold())
        return found


def _beside(image: Image, view: View, folders: tuple[str, ...]) -> str:
    """The folder of a class in the part where an image lies, whether or not it is there yet."""
    part = next((one for one in view.parts if one and image.path.startswith(one + os.sep)), "")
    there = (one for one in folders if os.path.dirname(one) == part)
    return next(there, os.path.join(part, os.path.basename(folders[0])))
