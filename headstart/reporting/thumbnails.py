"""Image files as small JPEGs in data: addresses, for a page that loads nothing."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.images import BadImage, Pixels, opened, read_bytes, upright
from headstart.workers import map_in_order

LARGE, SMALL = 224, 112  # pixels of the longer side
_MOST_BYTES = 9_000  # of a thumbnail, so that a report stays small whatever the images are
_QUALITIES = (72, 50, 30)
Explain = Callable[[Path, str], Pixels]


def thumbnails(paths: Sequence[Path], side: int) -> list[str | None]:
    """A thumbnail of each file; None where it cannot be decoded any more."""
    return list(map_in_order(lambda path: thumbnail(path, side), paths))


def thumbnail(path: str | os.PathLike[str], side: int) -> str | None:
    """A file as a data: address, its longer side at most `side` pixels; None if it is broken."""
    try:
        with opened(read_bytes(path), (side, side), "pad") as image:
            return address(upright(image), side)
    except BadImage:
        return None


def address(image: Image.Image | Pixels, side: int) -> str:
    """An image as a data: address; nothing but its pixels goes in."""
    small = image if isinstance(image, Image.Image) else Image.fromarray(image)
    small = Image.fromarray(np.asarray(small.convert("RGB")))  # without comments and metadata
    small.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    content = b""
    while not content or len(content) > _MOST_BYTES:
        for quality in _QUALITIES:
            content = _jpeg(small, quality)
            if len(content) <= _MOST_BYTES:
                break
        small = small.resize((max(1, small.width // 2), max(1, small.height // 2)))
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def _jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()
