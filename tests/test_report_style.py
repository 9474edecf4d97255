"""The style sheet, and the parts that pages are built of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from headstart import reporting
from headstart.reporting.blocks import Column, table
from headstart.reporting.charts import Axis, axis, hundred
from headstart.reporting.html import cut, is_image, lines, name, tag, text
from headstart.reporting.wording import (
    around,
    between,
    count,
    day,
    duration,
    of_hundred,
    percent,
    sure,
)

CSS = (Path(reporting.__file__).parent / "style.css").read_text(encoding="utf-8")
BLOCKS = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
SCHEMES = [dict(re.findall(r"--(\w+): (#\w+);", block)) for block in BLOCKS]
Colour = tuple[float, float, float]


def colour(scheme: dict[str, str], name: str) -> Colour:
    digits = scheme[name][1:]
    size = len(digits) // 3
    parts = (digits[at : at + size] * (2 // size) for at in range(0, len(digits), size))
    red, green, blue = (int(one, 16) / 255 for one in parts)
    return red, green, blue


def contrast(one: Colour, other: Colour) -> float:
    """As WCAG 2 defines it."""

    def light(parts: Colour) -> float:
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_there_are_three_schemes() -> None:
    assert len(SCHEMES) == 3  # light, dark, paper
    assert all(set(one) == set(SCHEMES[0]) for one in SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark", "paper"])
@pytest.mark.parametrize("letters", ["ink", "soft", "good", "bad", "care"])
@pytest.mark.parametrize("ground", ["paper", "raised"])
def test_text_can_be_read(scheme: dict[str, str], letters: str, ground: str) -> None:
    assert contrast(colour(scheme, letters), colour(scheme, ground)) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark", "paper"])
def test_each_cell_of_the_matrix_can_be_read(scheme: dict[str, str]) -> None:
    rule = r"\.s\d \{\s*background: color-mix\(in srgb, var\(--(\w+)\) (\d+)%, var\(--paper\)\);"
    cells = re.findall(rule + r"\s*color: var\(--(\w+)\)", CSS)
    assert len(cells) == 18
    for full, share, letters in cells:
        part, paper = int(share) / 100, colour(scheme, "paper")
        pairs = zip(colour(scheme, full), paper, strict=True)
        red, green, blue = (part * one + (1 - part) * other for one, other in pairs)
        assert contrast(colour(scheme, letters), (red, green, blue)) >= 4.5, (full, share)


@pytest.mark.parametrize("word", ["@import", "url(", "http", "expression", "</"])
def test_the_style_loads_nothing(word: str) -> None:
    assert word not in CSS


@pytest.mark.parametrize(
    ("selector", "having"),
    [
        ("script", {}),
        ("iframe", {}),
        ("p onclick", {}),
        ("p", {"onclick": "x"}),
        ("p", {"style": "color:red"}),
        ("p", {'x" onclick': "x"}),
        ("a", {"href": "javascript:alert(1)"}),
        ("a", {"href": "https://example.org"}),
        ("img", {"src": "data:text/html,x"}),
        ("img", {"src": "data:image/svg+xml;base64,AAAA"}),
    ],
)
def test_what_can_run_or_load_cannot_be_made(selector: str, having: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a report has no"):
        tag(selector, "text", having=having)


def test_an_element() -> None:
    made = tag("p#place.a.b", "1 < 2", [tag("br"), None, 'say "hi"'], having={"lang": "en"})
    expected = '<p id="place" class="a b" lang="en">1 &lt; 2<br/>say &quot;hi&quot;</p>'
    assert made == expected


def test_names_and_lines() -> None:
    assert text("a\nb\u202e") == "a\\nb\\u202e"
    assert lines("a < b\nc") == "a &lt; b\nc"
    assert name("x" * 100) == f"<bdi>{'x' * 57}...</bdi>"
    assert cut("short") == "short"
    assert is_image("data:image/webp;base64,AAAA")
    assert not is_image("data:image/webp;base64,AAAA\n<")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (count(1, "image"), "1 image"),
        (count(2390, "class", "classes"), "2,390 classes"),
        (percent(0.9184), "91.8%"),
        (percent(None), "\u2013"),
        (sure(0.9991), "over 99%"),
        (sure(0.001), "under 1%"),
        (sure(1.0), "100%"),
        (between(0.884, 0.939), "88.4 to 93.9%"),
        (between(None, 1.0), "\u2013"),
        (of_hundred(0.9184), 92),
        (of_hundred(0.9999), 99),
        (of_hundred(0.0001), 1),
        (of_hundred(1.0), 100),
        (around(0.8904, 0.9397), (89, 94)),
        (around(0.9, 1.0), (90, 100)),
        (duration(0.01), "under 0.1 s"),
        (duration(9.9), "9.9 s"),
        (duration(59.6), "1 min 0 s"),
        (duration(3720), "1 h 2 min"),
        (day("2026-11-06"), "6 November 2026"),
        (day("today"), "today"),
    ],
)
def test_wording(made: object, expected: object) -> None:
    assert made == expected


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (Axis("x", 0, 1, percent=True), ["0%", "25%", "50%", "75%", "100%"]),
        (Axis("x", 100, 1600, log=True), ["100", "200", "500", "1,000"]),
        (Axis("x", 1, 1), ["1"]),
        (Axis("x", 0.31, 0.72), ["0.4", "0.6"]),
    ],
)
def test_ticks(one: Axis, expected: list[str]) -> None:
    assert [one.words(value) for value in one.ticks()] == expected


def test_an_axis_has_room_but_no_more_than_a_rate_can_be() -> None:
    found = axis("accuracy", [0.5, 1.0], percent=True)
    assert (found.low, found.high) == (0.46, 1.0)
    assert found.place(0.46) == 0
    assert found.place(1.2) == 1


def test_a_hundred_dots() -> None:
    made = hundred(89, 94, "told")
    counts = [made.count(f'class="{kind}"') for kind in ("sure", "maybe", "miss")]
    assert counts == [89, 5, 6]
    assert 'aria-label="told"' in made


def test_a_table_that_may_be_too_wide_can_be_scrolled_by_keyboard() -> None:
    made = table("Sizes", [Column("a"), Column("b", "number")], [("1", "2")], wide=True)
    assert made.startswith('<div class="scroll" role="region" tabindex="0" aria-label="Sizes">')
    assert '<th scope="row">1</th><td class="number">2</td>' in made
