"""Fonts for text in images, also where no font is installed.

Pillow brings one font of its own, which has ASCII alone. Text with other characters is set in the
font of the system (or of matplotlib, which brings DejaVu Sans) that lacks least of it; what none
has becomes a backslash escape, so that nothing is lost and no empty box stands there.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from PIL import ImageFont

from headstart.scan import printable

Font: TypeAlias = ImageFont.FreeTypeFont
# Found in the system's own folders by Pillow; first those with many scripts.
_SYSTEM_FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf"),
    *("segoeui.ttf", "Arial Unicode.ttf", "arial.ttf", "Arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf"),
    *("msyh.ttc", "meiryo.ttc", "malgun.ttf", "PingFang.ttc", "AppleSDGothicNeo.ttc"),
    *("Nirmala.ttc", "NotoSansDevanagari-Regular.ttf", "NotoSansArabic-Regular.ttf"),
    *("NotoSansThai-Regular.ttf", "NotoSansHebrew-Regular.ttf", "leelawui.ttf"),
)
_ABSENT = "\uffff"  # a character that no font has; what stands for it shows what is missing


def fit_text(text: str, size: int, width: int) -> tuple[str, Font]:
    """Make text fit to be drawn: printable, in a font that has it, cut where it is too long.

    Args:
        text: May hold anything; control characters become escapes.
        size: Of the letters in pixels.
        width: Of the place in pixels.

    Returns:
        The text as it is to be drawn, and its font.
    """
    text, font = set_text(printable(text), size)
    if font.getlength(text) <= width:
        return text, font
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}...", font


def set_text(text: str, size: int) -> tuple[str, Font]:
    """Find the font that lacks least of a text, and write what it lacks as escapes."""
    best, lacking = _own(size), _lacking(_own(size), text)
    candidates = _candidates()
    while lacking and (name := next(candidates, None)):
        font = _opened(name, size)
        if font is not None and len(lacks := _lacking(font, text)) < len(lacking):
            best, lacking = font, lacks
    return "".join(_escape(one) if one in lacking else one for one in text), best


def _escape(one: str) -> str:
    return one.encode("ascii", "backslashreplace").decode("ascii")


@functools.cache
def _own(size: int) -> Font:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _candidates() -> Iterator[str]:
    yield from _SYSTEM_FONTS
    spec = importlib.util.find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        yield str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")


@functools.cache
def _opened(name: str, size: int) -> Font | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


def _lacking(font: Font, text: str) -> set[str]:
    """The characters for which a font draws the same box as for one that no font has."""
    absent = _drawn(font, _ABSENT)
    return {one for one in set(text) if not one.isspace() and _drawn(font, one) == absent}


def _drawn(font: Font, one: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(one)
    return mask.size, bytes(mask)
