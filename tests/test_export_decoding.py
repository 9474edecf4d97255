"""The decoder that docs/export.md shows gives the very pixels that headstart sees."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import STORED, make_image
from docs_page import read_blocks
from PIL import Image

from headstart.images import PAD_COLOUR, RESIZE_MODES, decode

PAGE = Path(__file__).resolve().parent.parent / "docs" / "export.md"
SIZE = (30, 44)


@functools.cache
def names() -> dict[str, Any]:
    """What the block with the decoder defines, without what it does then."""
    (code,) = [one.code for one in read_blocks(PAGE.read_text()) if "def read_image" in one.code]
    found: dict[str, Any] = {}
    exec(code.partition("about = ")[0], found)
    return found


def same(data: bytes, resize: str) -> bool:
    about = {"image_size": SIZE, "resize": resize, "pad_colour": PAD_COLOUR}
    got = names()["read_image"](io.BytesIO(data), about)
    return bool(np.array_equal(got, decode(data, SIZE, resize).pixels))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(size: tuple[int, int] = (400, 611)) -> Image.Image:
    return make_image(np.random.default_rng(0), 0.4, size)


@pytest.mark.parametrize("resize", RESIZE_MODES)
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation(orientation: int, resize: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert same(encoded(photo(), "JPEG", exif=exif), resize)


@pytest.mark.parametrize("resize", RESIZE_MODES)
@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("WEBP", "RGB"),
        ("WEBP", "RGBA"),
        ("BMP", "RGB"),
        ("GIF", "P"),
        ("TIFF", "RGB"),
    ],
)
def test_every_kind_of_file(kind: str, mode: str, resize: str) -> None:
    image = photo((90, 61))
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    assert same(encoded(image.convert(mode), kind), resize)


@pytest.mark.parametrize("resize", RESIZE_MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (30, 44), (2000, 1501)])
def test_every_size(size: tuple[int, int], resize: str) -> None:
    assert same(encoded(photo(size), "JPEG"), resize)
