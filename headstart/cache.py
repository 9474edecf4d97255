"""What is kept in the cache folder: how much, since when, and making room past its limit.

The limit is 20 GB, or `HEADSTART_CACHE_LIMIT` in GB. What was unused for longest goes first; what a
run needs or another process used in the last hour stays.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headstart import progress
from headstart.errors import HeadstartError
from headstart.locations import cache_root
from headstart.store import LOCK, discard, open_store

_KINDS = ("features", "prefixes", "images", "archives", "runs")
_IN_USE = 3600.0  # seconds


@dataclass(frozen=True)
class Entry:
    """One folder of the cache.

    `kind` is `features`, `prefixes` (converted networks), `images` (how they look, and what was
    found in them), `archives` (unpacked zip files) or `runs` (fine-tuning that has not ended);
    `records` counts images where there are any; `size` is what it takes on the disk, in bytes;
    `used` is seconds since the epoch.
    """

    kind: str
    name: str
    folder: Path
    size: int
    used: float
    records: int | None = None


def limit() -> int:
    """The largest size of the cache in bytes.

    Raises:
        HeadstartError: `HEADSTART_CACHE_LIMIT` is no number of gigabytes.
    """
    text = os.environ.get("HEADSTART_CACHE_LIMIT") or "20"
    try:
        most = int(float(text) * 1e9)
    except (ValueError, OverflowError):
        most = -1
    if most < 0:
        raise HeadstartError(
            f"HEADSTART_CACHE_LIMIT is '{text}'. Expected a number of gigabytes, 0 or more. "
            "Set it anew, or unset it."
        )
    return most


def entries(*, records: bool = False) -> list[Entry]:
    """Everything in the cache, largest first; with `records`, features are opened and counted."""
    found = []
    for kind in _KINDS:
        with suppress(OSError):  # not there, or not to be read
            for folder in (cache_root() / kind).iterdir():
                if folder.is_dir():
                    found.append(_entry(kind, folder, records and kind == "features"))
    return sorted(found, key=lambda entry: (-entry.size, entry.kind, entry.name))


def _entry(kind: str, folder: Path, count: bool) -> Entry:
    size, used = 0, 0.0
    for path in _all_in(folder):
        try:
            status = path.lstat()
        except OSError:  # removed meanwhile by another process
            continue
        if not stat.S_ISDIR(status.st_mode):
            size += min(status.st_size, getattr(status, "st_blocks", 1 << 50) * 512)
        read = status.st_atime if kind == "archives" else 0.0  # the others note their use
        used = max(used, status.st_mtime, read)
    return Entry(kind, folder.name, folder, size, used, _count(folder) if count else None)


def _all_in(folder: Path) -> Iterator[Path]:
    yield folder
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _count(folder: Path) -> int | None:
    """Count the records; that is no use of them, for the order in which they go."""
    lock = folder / LOCK
    try:
        before = lock.stat()
        with open_store(folder) as store:
            records = store.count()
        os.utime(lock, ns=(before.st_atime_ns, before.st_mtime_ns))
    except OSError:
        return None
    return records


def clear(name: str = "") -> list[Entry]:
    """Remove what belongs to one backbone, or everything; gives what was removed.

    Args:
        name: The beginning of a name that `entries` gives, such as `efficientnet_lite0`; "" is
            everything.

    Raises:
        HeadstartError: Nothing has that name, or it cannot be removed.
    """
    chosen = [entry for entry in entries() if entry.name.lstrip(".").startswith(name)]
    if name and not chosen:
        names = ", ".join(sorted({entry.name for entry in entries()})) or "nothing"
        raise HeadstartError(
            f"Nothing in the cache begins with '{name}'. Expected one of: {names}."
        )
    for entry in chosen:
        try:
            discard(entry.folder)
        except OSError as error:
            raise HeadstartError(
                f"'{entry.folder}' cannot be removed: {error.strerror}. Expected a folder that "
                "may be changed. Remove it by hand."
            ) from error
    return chosen


def make_room(keep: str) -> None:
    """Remove what was unused for longest until the cache is within its limit.

    What a process that was killed left half done goes in any case.

    Args:
        keep: The name of the features that the coming run uses; they stay, and so does the network
            that makes them.
    """
    found = entries()
    total, most = sum(entry.size for entry in found), limit()
    for entry in sorted(found, key=lambda entry: entry.used):
        half_done = entry.name.startswith(".")
        if _is_needed(entry, keep) or time.time() - entry.used < _IN_USE:
            continue
        if total <= most and not half_done:
            continue
        with suppress(OSError):
            discard(entry.folder)
            total -= entry.size
            if not half_done:
                size = f"{entry.size / 1e6:.0f} MB"
                progress.remark("cache", f"removed {entry.name} ({size}) to stay within the limit")


def room() -> int:
    """Bytes that one run may keep: within the limit, and within what the disk has free."""
    place = next(path for path in (cache_root(), *cache_root().parents) if path.exists())
    return max(0, min(limit(), int(0.9 * shutil.disk_usage(place).free)))


def _is_needed(entry: Entry, keep: str) -> bool:
    network, _, _ = entry.name.rpartition("-")  # backbone and image size
    return entry.name == keep or (entry.kind == "prefixes" and keep.startswith(f"{network}-"))
