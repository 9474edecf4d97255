"""Memory of large images goes back to the system when they are done with."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of mallopt, in malloc.h of glibc
_LARGE, _KEPT = 8 << 20, 16 << 20  # bytes


def give_back_large_blocks() -> None:
    """Let glibc take blocks of 8 MB or more from the system by themselves, for good.

    By default the bound grows to 32 MB with use; the blocks of Pillow have 16 MB, so each thread
    would keep what its largest image took. Of smaller ones 16 MB stay at hand for the next image.
    Elsewhere nothing is done.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            set_option = ctypes.CDLL(None).mallopt
            set_option(_MMAP_THRESHOLD, _LARGE)
            set_option(_TRIM_THRESHOLD, _KEPT)
