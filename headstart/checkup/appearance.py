"""Findings from how images look: dark, bright, blurred, blank, tiny and odd ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart import formats
from headstart.checkup.looks import FIELDS

Floats = npt.NDArray[np.float64]
# The limits for light are those of CleanVision 0.3: hardly a bright, or hardly a dark pixel.
_DARK, _BRIGHT = 0.32, 0.95
_BLANK = 0.01  # contrast below which there is nothing to see: 2.5 of 255 grey levels
# Of the 4,783 images of ants-bees, trashnet and the textile set none lies above 0.6 unless it is
# out of focus; a Gaussian blur of 3 pixels (of 192) leads to 0.7 and more.
_BLURRED = 0.62
_LONG = 3.0  # aspect ratio
_TINY = 0.5  # of the network's side
# Endings that say what a file is; others, such as .tmp, say nothing.
_ENDINGS = {
    "jpeg": ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    "png": ("png",),
    "webp": ("webp",),
    "bmp": ("bmp", "dib"),
    "gif": ("gif",),
    "tiff": ("tif", "tiff"),
    "heic": ("heic", "heif", "avif", "hif"),
}


@dataclass(frozen=True)
class Remark:
    """One row of the looks that is worth a finding: its kind, evidence, and how bad it is."""

    row: int
    kind: str
    evidence: str
    score: float


def remarks(looks: Floats, names: list[str], side: int) -> Iterator[Remark]:
    """What is worth a look.

    Args:
        looks: float64 (n, fields) of `looks.measure`; rows that are not a number say nothing.
        names: n file names.
        side: Height and width at which the network sees an image.
    """
    column = {name: looks[:, place] for place, name in enumerate(FIELDS)}
    for row in np.flatnonzero(np.isfinite(looks).all(axis=1)):
        values = {name: float(numbers[row]) for name, numbers in column.items()}
        yield from _of_light(int(row), values)
        yield from _of_shape(int(row), values, side)
        odd = "; ".join(_odd(values, names[row]))
        if odd:
            yield Remark(int(row), "odd", odd, 0.0)


def _of_light(row: int, one: dict[str, float]) -> Iterator[Remark]:
    if one["contrast"] < _BLANK:
        text = f"contrast {one['contrast']:.3f} (0.2 is usual)"
        yield Remark(row, "blank", text, -one["contrast"])
    elif one["brightest"] < _DARK:
        text = f"99% of its pixels are below {one['brightest']:.0%} of full light"
        yield Remark(row, "dark", text, -one["brightest"])
    elif one["darkest"] > _BRIGHT:
        text = f"95% of its pixels are above {one['darkest']:.0%} of full light"
        yield Remark(row, "bright", text, one["darkest"])
    elif one["blur"] > _BLURRED:
        text = f"blur {one['blur']:.2f}, measured at 192 pixels (0 is sharp, 1 blurred)"
        yield Remark(row, "blurred", text, one["blur"])


def _of_shape(row: int, one: dict[str, float], side: int) -> Iterator[Remark]:
    height, width = int(one["height"]), int(one["width"])
    if min(height, width) < _TINY * side:
        text = f"{width} x {height} pixels; the network looks at {side} x {side}"
        yield Remark(row, "tiny", text, -min(height, width))


def _odd(one: dict[str, float], name: str) -> Iterator[str]:
    kind = formats.FORMATS[int(one["format"])]
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    said = next((known for known, endings in _ENDINGS.items() if ending in endings), kind)
    tests: tuple[tuple[bool, Callable[[], str]], ...] = (
        (said != kind, lambda: f"ends in .{ending} and is {kind.upper()}"),
        (one["frames"] > 1, lambda: f"has {one['frames']:.0f} frames, the first is used"),
        (one["transparent"] > 0, lambda: "has a transparent layer, which is put on white"),
        (one["bits"] > 8, lambda: "has more than 8 bits, which are scaled"),
        (_aspect(one) > _LONG, lambda: f"is {_aspect(one):.1f} times as long as wide"),
    )
    yield from (text() for holds, text in tests if holds)


def _aspect(one: dict[str, float]) -> float:
    return max(one["height"], one["width"]) / min(one["height"], one["width"])
