"""The files below a folder, read again only where a folder has changed.

A folder's time of change tells whether files came, went or were renamed. A folder that changed
within the grain of the clock is listed again, and a file that is known, by its name and its number
on the disk, is not opened again: 20,000 images are looked over in some milliseconds. Links are not
followed: what is seen here may be moved, and lies inside the folder.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from headstart.scan import is_hidden, why_unusable

_COARSE = 2_000_000_000  # nanoseconds; FAT keeps time in steps of two seconds, others of one
_FINE = 50_000_000  # of a file system that keeps fractions: the system's clock goes in steps too


class File(NamedTuple):
    """A visible file that is an image by its first bytes; its number on the disk stays its own."""

    name: str
    size: int
    changed: int  # nanoseconds
    number: int


@dataclass
class Folder:
    """One visible folder: when it was listed, its images and other files, the folders in it."""

    changed: int
    listed: int
    images: tuple[File, ...] = ()
    others: dict[str, int] = field(default_factory=dict)  # name -> number on the disk
    folders: tuple[str, ...] = ()


class Tree:
    """The folders below `root` by their path relative to it, "" for itself."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.folders: dict[str, Folder] = {}

    def refresh(self) -> bool:
        """Look at every folder again; tell whether anything is not as it was."""
        found: dict[str, Folder] = {}
        changed, waiting = False, [""]
        while waiting:
            path = waiting.pop()
            before = self.folders.get(path)
            folder = self._look(path, before)
            if folder is None:
                changed = changed or before is not None
                continue
            changed = changed or folder is not before
            found[path] = folder
            waiting += [os.path.join(path, name) for name in folder.folders]
        changed = changed or len(found) != len(self.folders)
        self.folders = found
        return changed

    def _look(self, path: str, before: Folder | None) -> Folder | None:
        """The folder as it is now; `before` itself where nothing has changed; None: it is gone."""
        full = os.path.join(self.root, path)
        try:
            changed = os.stat(full).st_mtime_ns
            if before is not None and _is_fresh(before, changed):
                return before
            listed = time.time_ns()
            found = self._list(path, Folder(changed, listed), before)
        except OSError:
            return None
        same = before is not None and (found.images, found.others, found.folders) == (
            before.images,
            before.others,
            before.folders,
        )
        if before is None or not same:
            return found
        before.changed, before.listed = changed, listed
        return before

    def _list(self, path: str, found: Folder, before: Folder | None) -> Folder:
        known = {} if before is None else {one.name: one for one in before.images}
        images, folders = [], []
        with os.scandir(os.path.join(self.root, path)) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            number, old = entry.inode(), known.get(entry.name)
            if old is not None and old.number == number:
                images.append(old)
            elif is_hidden(entry.name) or entry.is_symlink():
                continue
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif before is not None and before.others.get(entry.name) == number:
                found.others[entry.name] = number
            elif (new := _read(entry)) is not None:
                images.append(new)
            else:
                found.others[entry.name] = number
        found.images, found.folders = tuple(images), tuple(folders)
        return found


def _is_fresh(folder: Folder, changed: int) -> bool:
    grain = _FINE if changed % 10_000_000 else _COARSE
    return folder.changed == changed and folder.listed - changed > grain


def _read(entry: os.DirEntry[str]) -> File | None:
    """What is told of an image; None where the file is none."""
    try:
        status = os.stat(entry.path, follow_symlinks=False)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or why_unusable(entry.path) is not None:
        return None
    return File(entry.name, status.st_size, status.st_mtime_ns, status.st_ino)
