"""Where headstart keeps what it would otherwise compute again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """The cache folder: `HEADSTART_CACHE`, else the platform's cache folder for headstart."""
    chosen = os.environ.get("HEADSTART_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("headstart"))
