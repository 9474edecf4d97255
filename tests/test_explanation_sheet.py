"""How an explanation is drawn: colours, letters, and the whole sheet."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from headstart.explanation import lettering
from headstart.explanation.colours import colour_of, overlay
from headstart.explanation.lettering import fit_text, set_text
from headstart.explanation.sheet import Example, Sheet, draw

RED = np.full((60, 90, 3), (200, 0, 0), np.uint8)


def halves(low: float, high: float) -> Any:
    heat = np.full((60, 90), low, np.float32)
    heat[:, 45:] = high
    return heat


def test_colours_get_lighter_with_heat() -> None:
    colours = colour_of(np.linspace(0, 1, 65, dtype=np.float32))
    lightness = colours @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(lightness) > 0).all()
    assert colours[0].tolist() == [0, 0, 4]
    assert colours[-1].tolist() == [252, 255, 164]


def test_cold_places_are_grey_and_hot_ones_in_colour() -> None:
    drawn = overlay(RED, halves(0, 1))
    assert drawn.dtype == np.uint8
    assert drawn[5, 5].tolist() == [60, 60, 60]
    wanted = 0.2 * 59.8 + 0.8 * np.array([252, 255, 164])
    np.testing.assert_allclose(drawn[5, 80], wanted, atol=1)


def test_what_was_not_seen_is_striped() -> None:
    drawn = overlay(RED, halves(np.nan, 0))
    assert len(np.unique(drawn[:, :45])) == 2
    assert len(np.unique(drawn[:, 45:])) == 1


def test_a_coarse_map_is_brought_to_the_size_of_the_image() -> None:
    heat = np.array([[0, 1], [0, np.nan]], np.float32)
    drawn = overlay(RED, heat)
    assert drawn.shape == RED.shape
    assert drawn[2, 2].tolist() == [60, 60, 60]
    assert drawn[2, 87, 0] > 200
    assert drawn[50, 60:].std() > 5  # stripes


def test_ascii_needs_no_font_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_opened", lambda name, size: pytest.fail(f"opened {name}"))
    text, font = set_text("roses 98.7% (a_b)", 20)
    assert text == "roses 98.7% (a_b)"
    assert font.getname()[0] == "Aileron"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Gänseblümchen", "G\\xe4nsebl\\xfcmchen"),
        ("猫", "\\u732b"),
        ("a\N{CAT}", "a\\U0001f408"),
        ("plain", "plain"),
    ],
)
def test_without_fonts_other_letters_are_escapes(
    monkeypatch: pytest.MonkeyPatch, text: str, shown: str
) -> None:
    monkeypatch.setattr(lettering, "_candidates", lambda: iter(["not-there.ttf"]))
    assert set_text(text, 20)[0] == shown


def test_a_font_that_has_more_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """matplotlib's DejaVu Sans has Latin, Greek and Cyrillic letters, but no Chinese ones."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra plot)")
    monkeypatch.setattr(lettering, "_SYSTEM_FONTS", ())
    text, font = set_text("Gänse кот 猫", 20)
    assert text == "Gänse кот \\u732b"
    assert font.getname()[0] == "DejaVu Sans"


@pytest.mark.parametrize("text", ["x" * 500, "\n" * 50, "\u202eevil", "", " "])
def test_text_fits_and_is_printable(text: str) -> None:
    shown, font = fit_text(text, 18, 300)
    assert shown.isprintable()
    assert "\u202e" not in shown
    assert font.getlength(shown) <= 300
    assert isinstance(font, ImageFont.FreeTypeFont)


def sheet(height: int = 60, width: int = 90, examples: int = 0) -> Sheet:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (0, 0, 250)).save(file, "JPEG")
    one = Example(file.getvalue(), "a class", "0.912  a/name.jpg")
    left, right = (np.full((height, width, 3), value, np.uint8) for value in (80, 160))
    return Sheet("roses", "Next", left, right, ("one", "two"), "Nearest", [one] * examples)


@pytest.mark.parametrize(
    ("size", "examples"),
    [((60, 90), 0), ((800, 533), 5), ((1, 800), 1), ((20, 20), 9), ((800, 10), 2)],
)
def test_a_sheet_shows_all_of_it(size: tuple[int, int], examples: int) -> None:
    drawn = np.asarray(draw(sheet(*size, examples)))
    assert drawn.shape[1] <= 2000
    assert (drawn[-5:] == 255).all()  # nothing is cut off
    assert (drawn[:, -5:] == 255).all()
    left, right = ((drawn == value).all(axis=-1).sum() for value in (80, 160))
    assert left == right >= size[0] * size[1]
    blue = (np.abs(drawn.astype(int) - (0, 0, 250)).max(axis=-1) < 12).any(axis=0)
    edges = np.flatnonzero(np.diff(blue.astype(int)) == 1)
    assert len(edges) == examples


def test_text_is_drawn_where_it_belongs() -> None:
    plain = np.asarray(draw(sheet()))
    other = np.asarray(draw(replace(sheet(), title="something else")))
    changed = np.flatnonzero((plain != other).any(axis=(1, 2)))
    assert plain.shape == other.shape
    assert changed.max() - changed.min() < 40
    assert changed.min() > 10


def test_an_example_without_a_thumbnail_keeps_its_place() -> None:
    drawn = draw(replace(sheet(), examples=[Example(b"", "a class", "name.jpg")]))
    assert ((np.asarray(drawn) == (222, 222, 226)).all(axis=-1)).sum() > 10_000
    assert drawn.size == draw(sheet(examples=1)).size
