"""A decoded image of any mode in, RGB out: transparent parts on white, deep grey values scaled.

A large image is converted strip by strip and shrunk at once by whole numbers, so that never two of
its size stand in memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
LARGE = 16_000_000  # pixels
_STRIP = 1_000_000  # pixels
_DEPTHS = np.arange(1 << 16, dtype=np.float32)
_TRANSPARENT = ("RGBA", "LA", "PA", "La", "RGBa")


def to_rgb(image: Image.Image) -> Image.Image:
    """All of a loaded image, in RGB."""
    if image.mode == "RGB":
        return image
    if _is_deep(image):
        return _deep_to_grey(image, _limit([image])).convert("RGB")
    return _shallow_to_rgb(image)


def shrunk(
    image: Image.Image, smallest: tuple[int, int]
) -> tuple[Image.Image, tuple[float, float]]:
    """A large loaded image in RGB, smaller by whole factors, but at least of a size.

    Args:
        image: The image.
        smallest: (width, height) that it still has, where it has them now.

    Returns:
        The smaller image, and its exact (width, height): the last column and row may stand for
        less than the others.
    """
    across, down = (max(1, image.size[side] // smallest[side]) for side in (0, 1))
    size = image.width / across, image.height / down
    if image.mode == "RGB":
        return image.reduce((across, down)), size
    limit = _limit(strip for _, strip in _strips(image, down)) if _is_deep(image) else 0.0
    whole = Image.new("RGB", (-(-image.width // across), -(-image.height // down)))
    for top, strip in _strips(image, down):
        if strip.mode == "RGBA":  # the same, and several times faster
            part = _shallow_to_rgb(strip.convert("RGBa").reduce((across, down)))
        else:
            part = _deep_to_grey(strip, limit) if limit else _shallow_to_rgb(strip)
            part = part.reduce((across, down))
        whole.paste(part.convert("RGB"), (0, top // down))
    return whole, size


def _strips(image: Image.Image, down: int) -> Iterator[tuple[int, Image.Image]]:
    """Where each strip begins, and it; its height is a multiple of `down`, but for the last."""
    rows = max(1, _STRIP // (image.width * down)) * down
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _shallow_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _deep_to_grey(image: Image.Image, limit: float) -> Image.Image:
    values = np.asarray(image)
    if values.dtype == np.uint16 and values.size > _DEPTHS.size:  # each value once, not each pixel
        return Image.fromarray(_scaled(_DEPTHS, limit)[values])
    return Image.fromarray(_scaled(_numbers(image), limit))


def _scaled(values: npt.NDArray[np.float32], limit: float) -> Pixels:
    scaled: Pixels = np.clip(values * (255.0 / limit) + 0.5, 0, 255).astype(np.uint8)
    return scaled


def _limit(parts: Iterator[Image.Image] | list[Image.Image]) -> float:
    """The value of white: the smallest usual bit depth that holds all values.

    Cameras and microscopes store 10, 12 or 14 bits in 16-bit files without saying so; Pillow's own
    conversion clips all of them to white.
    """
    highest, mode = 0.0, ""
    for part in parts:
        values = np.asarray(part)  # whole numbers need no copy
        values = values if values.dtype.kind in "iu" else _numbers(part)
        highest, mode = max(highest, float(values.max(initial=0))), part.mode
    if mode == "F" and highest <= 1.0:
        return 1.0
    return next((2.0**bits - 1 for bits in (8, 10, 12, 14, 16) if highest < 2.0**bits), highest)


def _numbers(image: Image.Image) -> npt.NDArray[np.float32]:
    values = np.asarray(image).astype(np.float32)
    return np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
