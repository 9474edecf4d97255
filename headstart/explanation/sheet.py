"""Draw an explanation as one image: the image, the map over it, and the nearest training images.

Pillow draws it, no plotting library is needed. The letters follow the width, so that they are as
readable beside a thumbnail as beside a photo.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from headstart.explanation.colours import colour_of
from headstart.explanation.lettering import fit_text
from headstart.images import Pixels

_INK, _GREY, _PAPER, _LINE = (25, 25, 28), (105, 105, 112), (255, 255, 255), (222, 222, 226)
_LEAST = 360  # pixels of a column; a smaller image is enlarged


@dataclass(frozen=True)
class Example:
    """A small image, the bytes of a JPEG or none, with two lines below it."""

    thumbnail: bytes
    first: str
    second: str


@dataclass(frozen=True, eq=False)
class Sheet:
    """What is drawn.

    Attributes:
        title: The answer.
        subtitle: What else was likely.
        left: An image, uint8 (height, width, 3); `right` is another of the same shape.
        right: The same image with the map.
        captions: Below these two; a scale of the colours follows the second.
        heading: Above the examples.
        examples: Small images; none is well too.
    """

    title: str
    subtitle: str
    left: Pixels
    right: Pixels
    captions: tuple[str, str]
    heading: str
    examples: Sequence[Example]


def draw(sheet: Sheet) -> Image.Image:
    """Draw a sheet, RGB."""
    drawing = _Drawing(sheet.left.shape[0], sheet.left.shape[1])
    drawing.line(sheet.title, 1.7)
    drawing.line(sheet.subtitle, 1.0, _GREY)
    drawing.skip(0.7)
    drawing.panels(sheet)
    if sheet.examples:
        drawing.rule()
        drawing.line(sheet.heading, 1.15)
        drawing.skip(0.4)
        drawing.row(sheet.examples)
    return drawing.finished()


class _Drawing:
    """The state of one drawing: from top to bottom, `y` is where the next part begins."""

    def __init__(self, height: int, width: int) -> None:
        scale = max(1.0, _LEAST / max(height, width))
        self.panel = (round(width * scale), round(height * scale))
        column = max(self.panel[0], _LEAST)
        self.unit = max(14, round(column / 30))  # height of ordinary letters
        self.gap, self.margin = self.unit, 2 * self.unit
        self.columns = (self.margin, self.margin + column + self.gap)
        self.column = column
        self.across = 2 * column + self.gap
        self.y = self.margin
        # Higher than needed; the rest is cut off in the end.
        size = (self.across + 2 * self.margin, self.panel[1] + 40 * self.unit)
        self.image = Image.new("RGB", size, _PAPER)
        self.pen = ImageDraw.Draw(self.image)

    def finished(self) -> Image.Image:
        return self.image.crop((0, 0, self.image.width, self.y + self.margin))

    def skip(self, units: float) -> None:
        self.y += round(units * self.unit)

    def line(self, text: str, size: float, ink: tuple[int, int, int] = _INK) -> None:
        self.text(text, self.margin, self.across, size, ink)
        self.skip(size * 1.5)

    def text(
        self, text: str, left: int, width: int, size: float, ink: tuple[int, int, int]
    ) -> None:
        """Write at `y`; by the baseline, so that accents and other fonts do not move the line."""
        shown, font = fit_text(text, round(size * self.unit), width)
        self.pen.text((left, self.y + round(size * self.unit)), shown, ink, font, anchor="ls")

    def panels(self, sheet: Sheet) -> None:
        for left, pixels in zip(self.columns, (sheet.left, sheet.right), strict=True):
            part = Image.fromarray(pixels).resize(self.panel, Image.Resampling.BICUBIC)
            self.image.paste(part, (left, self.y))
        self.y += self.panel[1] + round(0.5 * self.unit)
        self.text(sheet.captions[0], self.columns[0], self.column, 1.0, _INK)
        self.text(sheet.captions[1], self.columns[1], self.column, 1.0, _INK)
        self.skip(1.6)
        self.scale(self.columns[1])
        self.skip(1.0)

    def scale(self, left: int) -> None:
        """The colours of the map, from none to most."""
        high, wide, beside = round(0.55 * self.unit), 9 * self.unit, round(2.6 * self.unit)
        heat = np.tile(np.linspace(0, 1, wide, dtype=np.float32), (high, 1))
        bar = Image.fromarray(colour_of(heat).astype(np.uint8))
        self.image.paste(bar, (left + beside, self.y + round(0.3 * self.unit)))
        self.text("less", left, beside, 0.85, _GREY)
        self.text("more", left + beside + wide + round(0.5 * self.unit), beside * 2, 0.85, _GREY)

    def rule(self) -> None:
        self.skip(0.9)
        self.pen.line((self.margin, self.y, self.margin + self.across, self.y), _LINE)
        self.skip(0.9)

    def row(self, examples: Sequence[Example]) -> None:
        each = (self.across - (len(examples) - 1) * self.gap) // len(examples)
        each = min(each, 12 * self.unit)
        for number, one in enumerate(examples):
            left = self.margin + number * (each + self.gap)
            small = _opened(one.thumbnail)
            scale = each / max(small.size)
            size = (max(1, round(small.width * scale)), max(1, round(small.height * scale)))
            self.image.paste(small.resize(size, Image.Resampling.BICUBIC), (left, self.y))
            begin = self.y
            self.y += each + round(0.3 * self.unit)
            self.text(one.first, left, each, 0.95, _INK)
            self.skip(1.25)
            self.text(one.second, left, each, 0.8, _GREY)
            self.y = begin
        self.y += each + round(2.6 * self.unit)


def _opened(thumbnail: bytes) -> Image.Image:
    if not thumbnail:
        return Image.new("RGB", (1, 1), _LINE)
    with Image.open(io.BytesIO(thumbnail), formats=["JPEG"]) as file:
        return file.convert("RGB")
