"""Records kept on disk by key, one LMDB environment a folder: crash-safe, many processes at once.

Each value carries a checksum over key and content, so a damaged record is as good as none. A file
cut short or damaged in its structure would bring the process down inside LMDB: unless the last user
closed it cleanly and nothing touched it since, a child process walks through it first, and what
does not survive that is thrown away.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from headstart import atomic, progress

_MAP_SIZES = (1 << 36, 1 << 33, 1 << 30) if os.name != "nt" else (1 << 32, 1 << 30)
_CHECKSUM = 8  # bytes
LOCK = "lock.mdb"  # its time is when the records were last used
_DATA, _CLEAN = "data.mdb", "clean.json"
_LOCK_BYTES = 1 << 16  # more than 512 readers take
_READ_BLOCK = 2048  # records after which the map is renewed, so that its pages do not pile up

_WALK = """
import lmdb, sys
with lmdb.open(sys.argv[1], readonly=True, map_size=int(sys.argv[2])) as environment:
    with environment.begin() as transaction:
        keys = transaction.cursor().iternext(values=False)
        if sum(1 for _ in keys) != transaction.stat()["entries"]:
            sys.exit(3)
"""


class StoreError(OSError):
    """The records cannot be read or written (no space, no permission); those kept are safe."""


class Store:
    """Records in an open folder; made by `open_store`."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Give the content of each key, None where it is missing or damaged; thread-safe."""
        import lmdb

        try:
            with self._environment.begin(buffers=True) as transaction:
                return [_checked(key, transaction.get(key)) for key in keys]
        except lmdb.Error:
            return [None] * len(keys)

    def put(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep the records, all or none.

        Raises:
            StoreError: They cannot be written.
        """
        import lmdb

        try:
            with self._environment.begin(write=True) as transaction:
                for key, content in records:
                    transaction.put(key, content + _checksum(key, content))
        except (lmdb.Error, OSError) as error:
            raise StoreError(f"cannot write to {self._environment.path()}: {error}") from error

    def count(self) -> int:
        """The number of records."""
        return int(self._environment.stat()["entries"])


def _checksum(key: bytes, content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(
        content, key=hashlib.sha256(key).digest(), digest_size=_CHECKSUM
    ).digest()


def _checked(key: bytes, value: memoryview | None) -> bytes | None:
    if value is None or len(value) < _CHECKSUM:
        return None
    content = bytes(value[:-_CHECKSUM])
    return content if _checksum(key, content) == bytes(value[-_CHECKSUM:]) else None


# LMDB allows a folder to be open once in a process: each with its number of users.
_open: dict[tuple[int, str], tuple[Any, int]] = {}
_open_lock = threading.Lock()


@contextmanager
def open_store(folder: Path) -> Iterator[Store]:
    """Open the records in `folder`, making it where it is not there; damaged ones are thrown away.

    Raises:
        StoreError: The folder cannot be made or written.
    """
    key = (os.getpid(), str(folder.absolute()))
    with _open_lock:
        environment, users = _open.get(key, (None, 0))
        environment = environment or _open_environment(folder)
        _open[key] = (environment, users + 1)
    try:
        yield Store(environment)
    finally:
        with _open_lock:
            environment, users = _open.pop(key)
            if users > 1:
                _open[key] = (environment, users - 1)
            else:
                environment.close()
                _stamp(folder)


def read_in_blocks(folder: Path, keys: Sequence[bytes]) -> Iterator[bytes | None]:
    """Give the content of each key, with bounded memory for any number of keys."""
    for start in range(0, len(keys), _READ_BLOCK):
        with open_store(folder) as store:
            yield from store.get(keys[start : start + _READ_BLOCK])


def _open_environment(folder: Path) -> Any:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent):
            if not _is_sound(folder):
                progress.remark("cache", f"{folder.name} was damaged and is made anew")
                discard(folder)
                folder.mkdir(parents=True, exist_ok=True)
            _reserve(folder / LOCK)
            environment = _open_lmdb(folder)
    except OSError as error:
        raise StoreError(f"cannot open the cache folder '{folder}': {error}") from error
    with suppress(OSError):
        os.utime(folder / LOCK)
    return environment


def _open_lmdb(folder: Path) -> Any:
    import lmdb

    error: Exception | None = None
    for size in _MAP_SIZES:
        try:
            environment = lmdb.open(
                str(folder), map_size=size, metasync=False, max_readers=512, max_spare_txns=16
            )
            environment.reader_check()  # slots of processes that were killed
            return environment
        except (lmdb.Error, MemoryError) as failure:
            error = failure
    raise OSError(str(error)) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time look at the records in `folder` and replace damaged ones."""
    try:
        import fcntl
    except ImportError:  # Windows does not let go of a file that another process has open
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _reserve(lock: Path) -> None:
    """Take the space of the lock file now: LMDB maps it, and on a full disk dies of SIGBUS."""
    if not hasattr(os, "posix_fallocate"):
        return
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        os.posix_fallocate(descriptor, 0, _LOCK_BYTES)
    finally:
        os.close(descriptor)


def discard(folder: Path) -> None:
    """Remove a folder of records; processes that have it open keep their view of it."""
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.partial")
    with suppress(FileNotFoundError):
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _is_sound(folder: Path) -> bool:
    data = folder / _DATA
    if not data.exists() or data.stat().st_size == 0:
        return True
    if not _is_whole(data):
        return False
    try:
        if json.loads((folder / _CLEAN).read_text()) == _state(data):
            return True
    except (OSError, ValueError):
        pass
    size = str(_MAP_SIZES[0])
    walk = subprocess.run(
        [sys.executable, "-c", _WALK, str(folder), size],
        capture_output=True,
        check=False,
        timeout=600,
    )
    return walk.returncode == 0


def _is_whole(data: Path) -> bool:
    """Whether the file is as long as its newest meta page says (LMDB 0.9 file format, 64-bit)."""
    with data.open("rb") as file:
        pages = file.read(1 << 17)
    newest, needed = -1, 0
    page_size = int.from_bytes(pages[40:44], sys.byteorder)
    for start in (0, page_size):
        if len(pages) < start + 152:
            return False
        (magic,) = struct.unpack_from("=I", pages, start + 16)
        last_page, transaction = struct.unpack_from("=QQ", pages, start + 136)
        if magic != 0xBEEFC0DE:
            return False
        if transaction > newest:
            newest, needed = transaction, (last_page + 1) * page_size
    return data.stat().st_size >= needed


def _state(data: Path) -> list[int]:
    status = data.stat()
    return [status.st_size, status.st_mtime_ns]


def _stamp(folder: Path) -> None:
    """Note that the records were sound when they were closed; best effort."""
    with suppress(OSError):
        if not (folder / _CLEAN).exists() or json.loads((folder / _CLEAN).read_text()) != _state(
            folder / _DATA
        ):
            atomic.write_file(folder / _CLEAN, json.dumps(_state(folder / _DATA)))
