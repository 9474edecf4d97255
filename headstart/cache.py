"""What is kept in the cache folder: how much, since when, and making room when it grows past its limit.

The limit is 20 GB, or `HEADSTART_CACHE_LIMIT` in GB. What was unused for longest goes first; what a run needs or
another process used in the last hour stays.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from headstart import progress
from headstart.errors import HeadstartError
from headstart.locations import cache_root
from headstart.store import StoreError, discard, open_store

_KINDS = ("features", "prefixes", "archives")
_IN_USE = 3600.0  # seconds


@dataclass(frozen=True)
class Entry:
    """One folder of the cache.

    `kind` is `features`, `prefixes` (converted networks) or `archives` (unpacked zip files); `records` counts
    images where there are any; `used` is seconds since the epoch.
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
    text = os.environ.get("HEADSTART_CACHE_LIMIT", "20")
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not gigabytes >= 0:
        raise HeadstartError(
            f"HEADSTART_CACHE_LIMIT is '{text}'. Expected a number of gigabytes, 0 or more. Set it anew, or unset it."
        )
    return int(gigabytes * 1e9)


def entries(*, records: bool = False) -> list[Entry]:
    """Everything in the cache, largest first; with `records`, features are opened and counted."""
    found = []
    for kind in _KINDS:
        parent = cache_root() / kind
        if not parent.is_dir():
            continue
        for folder in parent.iterdir():
            if folder.is_dir():
                found.append(_entry(kind, folder, records and kind == "features"))
    return sorted(found, key=lambda entry: (-entry.size, entry.kind, entry.name))


def _entry(kind: str, folder: Path, count: bool) -> Entry:
    size, used = 0, 0.0
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except OSError:  # removed meanwhile by another process
            continue
        if not path.is_dir():
            size += min(status.st_size, getattr(status, "st_blocks", 1 << 50) * 512)
            used = max(used, status.st_mtime, status.st_atime)
    return Entry(kind, folder.name, folder, size, used, _count(folder) if count else None)


def _count(folder: Path) -> int | None:
    try:
        with open_store(folder) as store:
            return store.count()
    except StoreError:
        return None


def clear(name: str = "") -> list[Entry]:
    """Remove what belongs to one backbone, or everything; gives what was removed.

    Args:
        name: The beginning of a name that `entries` gives, such as `efficientnet_lite0`; "" is everything.

    Raises:
        HeadstartError: Nothing has that name.
    """
    chosen = [entry for entry in entries() if entry.name.startswith(name)]
    if name and not chosen:
        names = ", ".join(sorted({entry.name for entry in entries()})) or "nothing"
        raise HeadstartError(
            f"Nothing in the cache begins with '{name}'. Expected one of: {names}."
        )
    for entry in chosen:
        discard(entry.folder)
    return chosen


def make_room(keep: str) -> None:
    """Remove what was unused for longest until the cache is within its limit.

    Args:
        keep: The name of the features that the coming run uses; they stay.
    """
    found = entries()
    total, most = sum(entry.size for entry in found), limit()
    for entry in sorted(found, key=lambda entry: entry.used):
        if total <= most:
            return
        if entry.name == keep or time.time() - entry.used < _IN_USE:
            continue
        discard(entry.folder)
        total -= entry.size
        progress.remark(
            "cache", f"removed {entry.name} ({entry.size / 1e6:.0f} MB) to stay within the limit"
        )
