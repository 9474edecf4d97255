"""Write beside the place, flush, fsync, rename: a reader sees the old content or the new, never half.

A process killed at any moment leaves at most an unused `.<name>.<random>.partial` beside the target.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name[:200]}.{secrets.token_hex(6)}.partial")


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


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder to fill; when the block ends well it takes the place of `target`.

    A folder already at `target` is moved aside, and removed only when the new one stands.

    Raises:
        OSError: The parent cannot be written; `target` is then untouched.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(target)
    aside.mkdir()
    try:
        yield aside
        for path in aside.rglob("*"):
            if path.is_file():
                _sync(path)
        _swap(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _swap(aside: Path, target: Path) -> None:
    if not target.exists():
        aside.rename(target)
        _sync(target.parent)
        return
    old = _aside(target)
    target.rename(old)
    try:
        aside.rename(target)
    except OSError:
        old.rename(target)
        raise
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)
