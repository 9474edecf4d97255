"""Lay a map over an image: a grey image with the heat in colour, cold places as they are.

The colours are those of `inferno` by Smith and van der Walt (CC0), which are perceptually uniform:
equal steps of heat look equally large, to the colour-blind and in grey print too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from headstart.images import Pixels

Floats = npt.NDArray[np.float32]
_STOPS = np.array(
    [
        (0x00, 0x00, 0x04),
        (0x21, 0x0C, 0x4A),
        (0x57, 0x10, 0x6E),
        (0x8A, 0x22, 0x6A),
        (0xBC, 0x37, 0x54),
        (0xE4, 0x5A, 0x31),
        (0xF9, 0x8E, 0x09),
        (0xF9, 0xCB, 0x35),
        (0xFC, 0xFF, 0xA4),
    ],
    np.float32,
)
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)
_STRONGEST = 0.8  # how much of the colour shows at the hottest place
_LEVELS = 256  # of heat, which are told apart in an overlay
_STRIPE = 8  # width of the stripes over what was not seen, in pixels


def colour_of(heat: Floats) -> Floats:
    """The colour of heat 0 to 1, float32 (..., 3), 0 to 255."""
    places = np.linspace(0, 1, len(_STOPS))
    parts = [np.interp(heat, places, _STOPS[:, part]) for part in range(3)]
    return np.stack(parts, axis=-1).astype(np.float32)


_HEAT = np.linspace(0, 1, _LEVELS, dtype=np.float32)
_KEPT = 1 - _STRONGEST * _HEAT  # of the image, by level of heat
_TINT = _STRONGEST * _HEAT[:, None] * colour_of(_HEAT)


def overlay(image: Pixels, heat: Floats) -> Pixels:
    """Lay a map over an image.

    Args:
        image: uint8 (height, width, 3).
        heat: float32 (rows, columns) over all of the image, 0 to 1, NaN where the network saw
            nothing; of another size it is enlarged or reduced.

    Returns:
        uint8 (height, width, 3): grey, with the heat in colour, and striped where heat is NaN.
    """
    if heat.shape != image.shape[:2]:
        size = (image.shape[1], image.shape[0])
        unseen = np.isnan(_resized(heat, size, Image.Resampling.NEAREST))
        heat = _resized(np.nan_to_num(heat), size, Image.Resampling.BILINEAR)
    else:
        unseen, heat = np.isnan(heat), np.nan_to_num(heat)
    grey = np.asarray(image @ _LUMA)[..., None]
    level = np.asarray(np.clip(heat, 0, 1) * (_LEVELS - 1) + 0.5, np.uint8)
    mixed = _KEPT[level][..., None] * grey + _TINT[level]
    diagonal = np.add.outer(np.arange(heat.shape[0]), np.arange(heat.shape[1]))
    striped = (diagonal // _STRIPE % 2)[..., None]
    mixed[unseen] = (0.5 * grey + 90 + 40 * striped)[unseen]
    return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8)


def _resized(heat: Floats, size: tuple[int, int], how: Image.Resampling) -> Floats:
    return np.asarray(Image.fromarray(np.ascontiguousarray(heat, np.float32)).resize(size, how))
