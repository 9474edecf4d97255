"""Charts as inline SVG: numbers in, `Markup` out; colours are classes of the style sheet.

A chart is one image with a text alternative that says what is to be seen in it. Lengths are in
pixels at the width of a phone; a chart is never shown much wider, so its letters stay readable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headstart.reporting.html import Child, Markup, tag

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 340, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 42
_TICKS = 4  # about as many on each axis


@dataclass(frozen=True)
class Axis:
    """What an axis shows, from where to where; `percent` writes 0.5 as 50%."""

    label: str
    low: float
    high: float
    percent: bool = False
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        low, high, value = (
            (math.log(one) if self.log else one) for one in (self.low, self.high, value)
        )
        return 0.5 if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))

    def ticks(self) -> list[float]:
        """Round values within."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if self.high < 100 * self.low else (1,)
            values = [step * 10.0**power for power in powers for step in steps]
            return [value for value in values if self.low <= value <= self.high]
        step = _round_step((self.high - self.low) / _TICKS)
        first, last = math.ceil(self.low / step - 1e-6), math.floor(self.high / step + 1e-6)
        return [number * step for number in range(first, last + 1)]

    def words(self, value: float) -> str:
        """A value as its label."""
        if self.percent:
            return f"{100 * value:.0f}%"
        return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.3g}"


@dataclass(frozen=True)
class Series:
    """One line: its name, its class in the style sheet, points, and a band of (x, low, high).

    `sizes` are the radii of its dots; without them all are alike.
    """

    name: str
    kind: str
    points: Points
    band: Sequence[tuple[float, float, float]] = ()
    dots: bool = True
    sizes: Sequence[float] = ()


def axis(label: str, values: Sequence[float], *, percent: bool = False) -> Axis:
    """An axis that holds all the values with some room; within 0 to 1 where they are percent."""
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or (0.02 if percent else 1.0)
    low, high = low - room, high + room
    return Axis(label, max(0.0, low), min(1.0, high) if percent else high, percent)


def line_chart(x: Axis, y: Axis, series: Sequence[Series], told: str, *extra: Child) -> Markup:
    """Lines with points and bands.

    Args:
        x: The horizontal axis.
        y: The vertical axis.
        series: The lines; those that come first lie below.
        told: The text alternative.
        extra: What is drawn below the lines.
    """
    body = [_grid(x, y), *extra]
    for one in series:
        if one.band:
            body.append(_band(x, y, one))
        places = " ".join(_pair(across(x, px), down(y, py)) for px, py in one.points)
        body.append(tag(f"polyline.line.{one.kind}", having={"points": places}))
        if one.dots:
            body += [
                _dot((across(x, px), down(y, py)), one.sizes[number] if one.sizes else 3, one.kind)
                for number, (px, py) in enumerate(one.points)
            ]
    return picture(body, told)


def picture(body: Child, told: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Markup:
    """An SVG that is read aloud as one image.

    Args:
        body: What is in it.
        told: The text alternative.
        size: (width, height).
    """
    given = {"viewBox": f"0 0 {size[0]} {size[1]}", "role": "img", "aria-label": told}
    return tag("svg.chart", body, having=given)


def legend(series: Sequence[Series]) -> Markup:
    """Which line is which."""
    return tag(
        "ul.legend",
        [tag("li", tag(f"span.key.{one.kind}"), one.name) for one in series],
    )


def across(x: Axis, value: float) -> float:
    """The horizontal place of a value."""
    return _LEFT + x.place(value) * (WIDTH - _LEFT - _RIGHT)


def down(y: Axis, value: float) -> float:
    """The vertical place of a value."""
    return HEIGHT - _BOTTOM - y.place(value) * (HEIGHT - _TOP - _BOTTOM)


def segment(start: tuple[float, float], end: tuple[float, float], kind: str) -> Markup:
    """A straight line between two places."""
    (x1, y1), (x2, y2) = start, end
    places = {"x1": _short(x1), "y1": _short(y1), "x2": _short(x2), "y2": _short(y2)}
    return tag(f"line.{kind}", having=places)


def _dot(place: tuple[float, float], radius: float, kind: str) -> Markup:
    given = {"cx": _short(place[0]), "cy": _short(place[1]), "r": _short(radius)}
    return tag(f"circle.dot.{kind}", having=given)


def box(left: float, top: float, width: float, height: float, kind: str) -> Markup:
    """A filled rectangle."""
    places = {
        "x": _short(left),
        "y": _short(top),
        "width": _short(max(0.0, width)),
        "height": _short(max(0.0, height)),
    }
    return tag(f"rect.{kind}", having=places)


def written(x: float, y: float, words: str, kind: str = "") -> Markup:
    """Text in a chart; `kind` is `end`, `middle` or nothing, by what is at the place."""
    return tag(f"text.{kind}" if kind else "text", words, having={"x": _short(x), "y": _short(y)})


def hundred(low: int, high: int, told: str) -> Markup:
    """A hundred dots: full up to `low`, light up to `high`, hollow beyond."""
    dots = []
    for number in range(100):
        row, column = divmod(number, 10)
        kind = "sure" if number < low else "maybe" if number < high else "miss"
        dots.append(
            tag(f"circle.{kind}", having={"cx": 11 + 22 * column, "cy": 11 + 22 * row, "r": 7.5})
        )
    return picture(dots, told, (220, 220))


def interval(low: float, value: float, high: float, start: float = 0.0) -> Markup:
    """A rate with its interval as a small strip beside its number, from `start` to 1."""

    def place(rate: float) -> float:
        return 4 + 112 * max(0.0, (rate - start) / (1 - start))

    body = [
        segment((4, 8), (116, 8), "rail"),
        segment((place(low), 8), (place(high), 8), "range"),
        _dot((place(value), 8), 4, "first"),
    ]
    return tag("svg.strip", body, having={"viewBox": "0 0 120 16", "aria-hidden": "true"})


def bar(share: float, kind: str = "first") -> Markup:
    """A share of the whole as a bar beside its number."""
    body = [box(0, 3, 120, 8, "rail"), box(0, 3, 120 * min(1.0, max(0.0, share)), 8, kind)]
    return tag("svg.strip", body, having={"viewBox": "0 0 120 14", "aria-hidden": "true"})


def _grid(x: Axis, y: Axis) -> list[Markup]:
    """Ticks, their labels and what the axes show."""
    left, bottom = across(x, x.low), down(y, y.low)
    right, top = across(x, x.high), down(y, y.high)
    drawn = []
    for value in y.ticks():
        drawn.append(segment((left, down(y, value)), (right, down(y, value)), "grid"))
        drawn.append(written(left - 6, down(y, value) + 4, y.words(value), "end"))
    for value in x.ticks():
        place = across(x, value)
        drawn.append(segment((place, bottom), (place, bottom + 4), "axis"))
        drawn.append(written(place, bottom + 17, x.words(value), "middle"))
    drawn.append(segment((left, bottom), (right, bottom), "axis"))
    drawn.append(written((left + right) / 2, HEIGHT - 6, x.label, "middle"))
    turned = f"translate(11 {_short((top + bottom) / 2)}) rotate(-90)"
    return [*drawn, tag("text.middle", y.label, having={"transform": turned})]


def _band(x: Axis, y: Axis, one: Series) -> Markup:
    upper = [_pair(across(x, at), down(y, high)) for at, _, high in one.band]
    lower = [_pair(across(x, at), down(y, low)) for at, low, _ in reversed(one.band)]
    return tag(f"path.band.{one.kind}", having={"d": f"M{' L'.join([*upper, *lower])} Z"})


def _round_step(rough: float) -> float:
    """The nearest of 1, 2, 2.5 and 5 times a power of ten, not smaller."""
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return next(power * one for one in (1, 2, 2.5, 5, 10) if power * one >= rough - 1e-12)


def _pair(x: float, y: float) -> str:
    return f"{_short(x)},{_short(y)}"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
