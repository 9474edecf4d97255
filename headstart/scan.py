"""Every file under a folder: in goes its path, out come usable images and the rest with reasons.

A file is judged by its kind and its first 32 bytes only; a broken image is found later, by the
decoder. Links are followed, but each real folder is read once, and nothing that is not a regular
file is opened. The order is that of the names, never that of the file system.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import deque
from dataclasses import dataclass

from headstart import formats
from headstart.errors import DatasetError

OWN_FOLDER = ".headstart"  # at the top of a data set: what the studio keeps beside its images
_HIDDEN_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"})
# O_NONBLOCK: should a file turn into a pipe between the look and the open, the open still returns.
_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
_ESCAPED = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Problem:
    """A file that is not used: its path for display, relative to the source, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """All that lies under one folder, sorted by name.

    `images` and `folders` are paths relative to it with the system's separator; `folders` holds
    the visible ones only, and `others` the visible files that are no usable images. Each file,
    each link that is not followed and each folder that cannot be read is either in `images` or in
    `problems`, but for `OWN_FOLDER`, which is not looked into.
    """

    images: tuple[str, ...]
    problems: tuple[Problem, ...]
    folders: tuple[str, ...]
    others: tuple[str, ...]


def display(name: str) -> str:
    """Make the name of a file fit to be shown and stored: no surrogates, no control characters.

    Bytes that are not UTF-8 become backslash escapes, so do newlines, and characters that turn the
    direction of the text. Accents are composed.
    """
    return _escaped(unicodedata.normalize("NFC", encodable(name)))


def printable(name: str) -> str:
    """`display`, but with the accents as they are, so that a plain name stays as it is."""
    return _escaped(encodable(name))


def encodable(name: str) -> str:
    """Make the name of a file valid Unicode: bytes that are not UTF-8 become backslash escapes."""
    try:
        raw = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a UTF-16 pair, which Windows allows in names
        raw = name.encode("utf-8", "surrogatepass")
    return raw.decode("utf-8", "backslashreplace")


def display_path(path: str) -> str:
    """`display` for a relative path; folders are separated by a slash on every system."""
    return display(path.replace(os.sep, "/"))


def why_unusable(path: str) -> str | None:
    """Say why the file at `path` cannot be an image, by its first bytes, or None if it can.

    Only regular files are opened, so this never waits for a pipe.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        if not status.st_size:
            return "empty file"
        descriptor = os.open(path, _OPEN_FLAGS)
        try:
            head = os.read(descriptor, formats.HEAD_BYTES)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return "no such file"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except ValueError:  # a NUL in the path
        return "no such file"
    return formats.why_unusable(head)


def scan_folder(root: str) -> Scan:
    """List every file under `root`.

    Raises:
        DatasetError: `root` itself cannot be read.
    """
    walk = _Walk(root)
    walk.run()
    return Scan(
        tuple(sorted(walk.images, key=_by_folder)),
        tuple(sorted(walk.problems, key=lambda problem: problem.path.split("/"))),
        tuple(sorted(walk.folders, key=_by_folder)),
        tuple(sorted(walk.others, key=_by_folder)),
    )


def _by_folder(path: str) -> list[str]:
    return path.split(os.sep)


def _escaped(text: str) -> str:
    return text if text.isprintable() else "".join(_escape(one) for one in text)


def _escape(one: str) -> str:
    if unicodedata.category(one) in _ESCAPED or one in _BIDI:
        return one.encode("unicode_escape").decode("ascii")
    return one


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over."""
    return name.startswith(".") or name.lower() in _HIDDEN_NAMES


class _Walk:
    """The state of one walk: real folders first, so that no link takes the place of its target."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.images: list[str] = []
        self.problems: list[Problem] = []
        self.folders: list[str] = []
        self.others: list[str] = []
        # A stack of (path, inside a hidden folder).
        self._real: list[tuple[str, bool]] = [("", False)]
        self._links: deque[str] = deque()
        self._visited = self._ancestors()

    def run(self) -> None:
        while self._real or self._links:
            if self._real:
                path, hidden = self._real.pop()
            else:
                path, hidden = self._links.popleft(), False
            if self._is_new(path):
                if path and not hidden:
                    self.folders.append(path)
                self._read(path, hidden)

    def _ancestors(self) -> set[tuple[int, int]]:
        """The source and the folders above it: a link to one of them would lead round again."""
        folder, seen = os.path.realpath(self.root), set()
        while True:
            try:
                status = os.stat(folder)
                seen.add((status.st_dev, status.st_ino))
            except OSError:
                pass
            above = os.path.dirname(folder)
            if above == folder:
                return seen
            folder = above

    def _is_new(self, path: str) -> bool:
        if not path:
            return True
        try:
            status = os.stat(os.path.join(self.root, path))
        except OSError as error:
            self._skip(path, f"folder cannot be read: {error.strerror or error}")
            return False
        identity = (status.st_dev, status.st_ino)
        if identity in self._visited:
            self._skip(path, "link to a folder that is read already")
            return False
        self._visited.add(identity)
        return True

    def _read(self, path: str, hidden: bool) -> None:
        try:
            with os.scandir(os.path.join(self.root, path)) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if not path:
                raise DatasetError(
                    f"The folder '{display_path(self.root)}' cannot be read: {error.strerror}. "
                    "Expected a folder that you may open. Check its permissions."
                ) from error
            self._skip(path, f"folder cannot be read: {error.strerror or error}")
            return
        below: list[tuple[str, bool]] = []
        for entry in entries:
            if not path and entry.name == OWN_FOLDER:
                continue
            inner = os.path.join(path, entry.name)
            if _is_link(entry):
                self._link(inner, entry.name, hidden)
            elif entry.is_dir(follow_symlinks=False):
                below.append((inner, hidden or is_hidden(entry.name)))
            else:
                self._file(inner, entry.name, hidden)
        self._real.extend(reversed(below))

    def _link(self, path: str, name: str, hidden: bool) -> None:
        full = os.path.join(self.root, path)
        if hidden or is_hidden(name) or os.path.isfile(full):
            self._file(path, name, hidden)
        elif os.path.isdir(full):
            self._links.append(path)
        elif os.path.exists(full):
            self._skip(path, "not a regular file")
        else:
            self._skip(path, "link that leads nowhere")

    def _file(self, path: str, name: str, hidden: bool) -> None:
        if hidden:
            reason: str | None = "in a hidden folder"
        elif is_hidden(name):
            reason = "hidden file"
        else:
            reason = why_unusable(os.path.join(self.root, path))
            (self.others if reason else self.images).append(path)
        if reason:
            self._skip(path, reason)

    def _skip(self, path: str, reason: str) -> None:
        self.problems.append(Problem(display_path(path), reason))


def _is_link(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink():
        return True
    is_junction = getattr(entry, "is_junction", None)  # Windows, from Python 3.12
    return bool(is_junction is not None and is_junction())
