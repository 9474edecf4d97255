"""Bring a map of what the network saw back to the image as people see it.

An image of any kind goes in, upright and not too large it comes out; a map over the network's input
goes in, one over that image comes out. What the network did not see, as with `crop`, is NaN there.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from headstart.classifier import ImageInput
from headstart.framing import frame
from headstart.images import BadImage, Pixels, from_array, opened, read_bytes, upright

LONGEST = 800  # pixels of the longer side of an image that is shown
_RIM = 2  # cells around a map that continue it, as far as bicubic interpolation looks

Floats = npt.NDArray[np.float32]


def shown_image(image: ImageInput, longest: int = LONGEST) -> Pixels:
    """Decode an image for people: upright, all of it, RGB.

    Args:
        image: A path, the bytes of an image file, a uint8 array or a Pillow image.
        longest: How many pixels its longer side may have; a smaller image stays as it is.

    Returns:
        uint8 (height, width, 3).

    Raises:
        BadImage: It cannot be decoded.
    """
    if isinstance(image, str | os.PathLike):
        try:
            return shown_image(read_bytes(image), longest)
        except BadImage as error:
            raise BadImage(f"{Path(image)}: {error}") from error
    if isinstance(image, bytes):
        with opened(image, (longest, longest), "pad") as file:
            return _at_most(upright(file), longest)
    from_array(image, (1, 1))  # which says what is wrong with it
    pillow = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    return _at_most(upright(pillow), longest)


def _at_most(image: Image.Image, longest: int) -> Pixels:
    scale = longest / max(image.size)
    if scale >= 1:
        return np.asarray(image)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def put_in_place(
    heat: Floats, shape: tuple[int, ...], image_size: tuple[int, int], resize: str
) -> Floats:
    """Bring a map of what the network saw to the image.

    Args:
        heat: The map over the network's input, float32 (rows, columns), 0 to 1.
        shape: (height, width) or (height, width, 3) of the image.
        image_size: (height, width) of the network's input.
        resize: `squash`, `crop` or `pad`.

    Returns:
        float32 (height, width), 0 to 1; NaN where the network saw nothing.
    """
    height, width = shape[:2]
    rows, columns = heat.shape
    framing = frame((width, height), (image_size[1], image_size[0]), resize)
    scale = np.array((columns / image_size[1], rows / image_size[0]) * 2)
    box = np.clip(framing.target * scale, 0, (columns, rows) * 2) + _RIM
    left, top, right, bottom = (round(side) for side in framing.source)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    small = Image.fromarray(np.pad(heat, _RIM, mode="edge"))
    large = small.resize((right - left, bottom - top), Image.Resampling.BICUBIC, box.tolist())
    placed = np.full((height, width), np.nan, np.float32)
    placed[top:bottom, left:right] = np.clip(np.asarray(large), 0, 1)
    return placed
