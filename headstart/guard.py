"""What keeps a hostile image file from taking the machine: limits on size, memory and steps.

They are looked at before anything is decoded. Pillow reads the structure of a file in Python, step
by step, so a file that consists of millions of steps is stopped by counting them. Large images are
decoded one at a time, so that memory does not grow with the number of threads.
"""

from __future__ import annotations

import ctypes
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from headstart.errors import BadImage

MAX_PIXELS = 89_000_000  # checked on the header; just under the size at which Pillow itself warns
MAX_BYTES = 200_000_000  # of a file
MAX_MEMORY = 560_000_000  # of a file and its decoded image
_LARGE = 64_000_000  # bytes of memory from which on images are decoded one at a time
_MOST_STEPS = 20_000  # reads of the structure; photographs take some hundreds
_MOST_METADATA = 32_000_000  # bytes of it
_MOST_LOADING = 1_000_000  # reads while the pixels are decoded
_MOST_SCANNED = 1_500_000_000  # pixels of a JPEG times its scans
_MOST_RUNS = 4_000_000  # pixels of a BMP in runs, which are unpacked in Python
_STRIP_ROWS, _TILE_WIDTH, _TILE_HEIGHT, _COMPRESSION, _ORIENTATION = 278, 322, 323, 259, 274
# Measured: frames are put together on a canvas, and handed over in copies.
_BYTES_A_PIXEL = {"WEBP": 16, "AVIF": 12, "HEIF": 9}
_WHOLE_FILE = ("webp", "heic")  # whose decoders take all of it at once
_ONE_BYTE = ("1", "L", "P")
_turn = threading.RLock()


class CountedFile(io.BytesIO):
    """The bytes of an image file, for Pillow; too many reads of it raise `BadImage`.

    Args:
        data: The bytes.
        kind: One of `formats.FORMATS`.
    """

    def __init__(self, data: bytes, kind: str) -> None:
        super().__init__(data)
        self._steps, self._bytes = _MOST_STEPS, _MOST_METADATA
        if kind in _WHOLE_FILE:
            self._bytes += len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count it."""
        found = super().read(size)
        self._steps -= 1
        self._bytes -= len(found)
        if self._steps < 0 or self._bytes < 0:
            raise BadImage("broken: far too many parts")
        return found

    def loads(self) -> None:
        """From now on the pixels are read."""
        self._steps, self._bytes = _MOST_LOADING, 2 * MAX_BYTES


def check_size(image: Image.Image, kind: str, data: bytes) -> None:
    """Refuse an opened image that is too large to decode, by its header.

    Raises:
        BadImage: It is.
    """
    width, height = image.size
    pixels = width * height
    if pixels > MAX_PIXELS:
        raise BadImage(
            f"too large: {width} x {height} is {pixels / 1e6:.0f} megapixels, "
            f"at most {MAX_PIXELS / 1e6:.0f}"
        )
    if width < 1 or height < 1:
        raise BadImage("broken: no pixels")
    if kind == "jpeg" and pixels * _scans(data) > _MOST_SCANNED:
        raise BadImage(f"too large: {width} x {height} in {_scans(data)} scans")
    if kind == "bmp" and pixels > _MOST_RUNS and _is_in_runs(image):
        raise BadImage(
            f"too large: {width} x {height} as a compressed BMP, at most "
            f"{_MOST_RUNS / 1e6:.0f} megapixels"
        )


def check_memory(image: Image.Image, kind: str, data: bytes, whole: tuple[int, int]) -> int:
    """Estimate the bytes of memory that decoding takes, with the file.

    Args:
        image: Opened, a JPEG at the scale at which it is decoded.
        kind: One of `formats.FORMATS`.
        data: The file.
        whole: (width, height) of the image as it is.

    Raises:
        BadImage: Too many.
    """
    needed = (
        len(data)
        + _decoded_bytes(image, kind)
        + (_coefficients(image, data, whole) if kind == "jpeg" else 0)
    )
    if needed > MAX_MEMORY:
        width, height = image.size
        raise BadImage(
            f"too large: {width} x {height} takes {needed / 1e6:.0f} MB of memory, at most "
            f"{MAX_MEMORY / 1e6:.0f}"
        )
    return needed


@contextmanager
def turn(needed: int) -> Iterator[None]:
    """Decode inside: an image that takes much memory waits until no other such one is at it."""
    if needed < _LARGE:
        yield
    else:
        with _turn:
            try:
                yield
            finally:
                _give_back()


def _give_back() -> None:
    """Give freed memory back to the system now; the C library of Linux would keep it a while."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "malloc_trim"):  # musl has none
            library.malloc_trim(0)


def _decoded_bytes(image: Image.Image, kind: str) -> int:
    pixels = image.width * image.height
    stored = 1 if image.mode in _ONE_BYTE else 2 if image.mode.startswith("I;16") else 4
    if kind == "tiff":
        return pixels * stored + _tiff_bytes(image, pixels * stored)
    return pixels * _BYTES_A_PIXEL.get(image.format or "", stored)


def _coefficients(image: Any, data: bytes, whole: tuple[int, int]) -> int:
    """What a JPEG of several scans takes until its last scan: two bytes a component."""
    layers = image.layers
    # A second scan may be that of a small preview; with four components it is too much to trust.
    several = "progressive" in image.info or (layers > 3 and _scans(data) > 1)
    return int(2 * whole[0] * whole[1] * layers) if several else 0


def _scans(data: bytes) -> int:
    return data.count(b"\xff\xda")


def _is_in_runs(image: Any) -> bool:
    return bool(image.tile) and image.tile[0][0] == "bmp_rle"


def _tiff_bytes(image: Any, stored: int) -> int:
    """A second copy where it is turned, and the strip or tile that is unpacked."""
    tags = image.tag_v2
    turned = stored if tags.get(_ORIENTATION, 1) != 1 else 0
    if tags.get(_COMPRESSION, 1) == 1:
        return turned
    bits = tags.get(258, (8,))
    depth = max(bits if isinstance(bits, tuple) else (bits,)) * max(1, tags.get(277, 1))
    width, rows = tags.get(_TILE_WIDTH, image.width), tags.get(_TILE_HEIGHT)
    if rows is None:
        rows = min(image.height, tags.get(_STRIP_ROWS, image.height))
    return int(turned + width * rows * depth / 8)
