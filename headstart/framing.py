"""Where an image lies in what the network sees: the geometry of the resize modes, nothing else.

Sizes are (width, height), as Pillow has them; boxes are (left, top, right, bottom) in pixels. All
is centred, so that it stays right when the image is turned.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Framing:
    """Which part of an image is seen, and where.

    Attributes:
        source: The box of the image that the network sees; all of it, or the middle (`crop`).
        target: The box of the network's input that shows it; all of it, or the middle (`pad`).
    """

    source: tuple[float, float, float, float]
    target: tuple[int, int, int, int]


def frame(size: tuple[float, float], target: tuple[int, int], resize: str) -> Framing:
    """Say what becomes of an image of `size` where the network sees `target`.

    Args:
        size: (width, height) of the image.
        target: (width, height) of the network's input.
        resize: `squash`, `crop` or `pad`.
    """
    width, height = size
    whole, full = (0.0, 0.0, float(width), float(height)), (0, 0, *target)
    if resize == "crop":
        scale = min(width / target[0], height / target[1])
        left, top = (width - target[0] * scale) / 2, (height - target[1] * scale) / 2
        box = (max(0.0, left), max(0.0, top), min(width, width - left), min(height, height - top))
        return Framing(box, full)
    if resize == "pad":
        scale = min(target[0] / width, target[1] / height)
        inner = (_inside(width * scale, target[0]), _inside(height * scale, target[1]))
        left, top = (target[0] - inner[0]) // 2, (target[1] - inner[1]) // 2
        return Framing(whole, (left, top, left + inner[0], top + inner[1]))
    return Framing(whole, full)


def _inside(length: float, limit: int) -> int:
    """`length` rounded so that both margins are equal, as turning the image demands."""
    return max(1, limit - 2 * round((limit - length) / 2))
