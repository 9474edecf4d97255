"""Write beside the place, flush, fsync, rename: a reader sees the old content or the new.

A process killed at any moment leaves at most an unused `.<name>.<random>.partial` beside the
target. Where the system cannot exchange two folders in one step, as Linux and macOS can, a kill
between two renames may leave the old folder under such a name.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_HERE = -100  # AT_FDCWD


def hidden_name(target: Path, end: str) -> str:
    """The name of a hidden file beside `target`: a dot, its name, a dot and `end`.

    A name may have 255 bytes, which are fewer characters in some scripts: a long one is cut.
    """
    name = os.fsencode(target.name)[:200].decode(errors="ignore")
    return f".{name}.{end}"


def _aside(target: Path) -> Path:
    return target.with_name(hidden_name(target, f"{secrets.token_hex(6)}.partial"))


def _sync(path: Path) -> None:
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, flags)
    try:
        with suppress(OSError):  # some file systems cannot sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(target: Path, content: bytes | str) -> None:
    """Replace `target` by `content` (text is written as UTF-8) in one step.

    Raises:
        OSError: The folder cannot be written; `target` is then untouched.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    aside = _aside(target)
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
        _sync(target.parent)
    finally:
        aside.unlink(missing_ok=True)


def put_file(aside: Path, target: Path) -> None:
    """Let a file that was written beside `target`, and is closed, take its place in one step.

    Raises:
        OSError: The folder cannot be written; both are then untouched.
    """
    _sync(aside)
    aside.replace(target)
    _sync(target.parent)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder to fill; when the block ends well it takes the place of `target`.

    A folder already at `target` is removed only when the new one stands. A link is followed.

    Raises:
        OSError: The parent cannot be written; `target` is then untouched.
    """
    target = Path(os.path.realpath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(target)
    aside.mkdir()
    try:
        yield aside
        for path in (*aside.rglob("*"), aside):
            if path.is_file() or path.is_dir():
                _sync(path)
        _put(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def new_files(parent: Path) -> Iterator[Path]:
    """Give an empty folder to fill; when the block ends well its files are moved into `parent`.

    Each takes the place of one of its name in one step, the longest name first: what is said of a
    file, as `x.onnx.json`, is there before the file.

    Raises:
        OSError: The folder cannot be written.
    """
    parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(parent / "files")
    aside.mkdir()
    try:
        yield aside
        for path in sorted(aside.iterdir(), key=lambda one: -len(one.name)):
            _sync(path)
            path.replace(parent / path.name)
        _sync(parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _put(aside: Path, target: Path) -> None:
    if not target.is_dir():
        aside.rename(target)
    elif not _exchange(aside, target):
        _replace(aside, target)
    _sync(target.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system or the file system cannot."""
    if os.name == "nt":
        return False
    library = ctypes.CDLL(None)
    names = os.fsencode(one), os.fsencode(other)
    if hasattr(library, "renameat2"):
        return bool(library.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)
    if hasattr(library, "renamex_np"):
        return bool(library.renamex_np(*names, _EXCHANGE) == 0)
    return False


def _replace(aside: Path, target: Path) -> None:
    old = _aside(target)
    target.rename(old)
    try:
        aside.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
