"""Would more images help? The learning curve, where it leads, and which classes need images."""

from __future__ import annotations

from headstart.reporting.blocks import Column, Section, figure, note, table, unfold
from headstart.reporting.charts import Axis, Series, axis, legend, line_chart
from headstart.reporting.html import Child, Markup, join, name, tag
from headstart.reporting.material import Material, Values, part
from headstart.reporting.wording import between, count, percent

_MOST_CLASSES = 20
_HEAD = "a linear head on frozen features"  # whatever the classifier is


def growth(material: Material) -> Section | None:
    """The learning curve and the advice for each class."""
    found = part(material.trust, "learning_curve")
    points = found.get("points") or []
    if len(points) < 2:
        return None
    verdict = tag("p.verdict", str(found["verdict"])) if found.get("verdict") else None
    curve = _curve(points, part(found, "expected"))
    body = join([verdict, tag("div.figures-two", curve, _advice(found))])
    return Section("growth", "Would more images help?", "More images", body)


def _curve(points: list[Values], expected: Values) -> Markup:
    every = [*points, expected] if expected else points
    x = Axis("training images", points[0]["images"], every[-1]["images"], log=True)
    ends = [end for one in every for end in (one["low"], one["high"]) if end is not None]
    y = axis("accuracy", [*ends, *(one["accuracy"] for one in every)], percent=True)
    series = [_series("measured", "first", points)]
    if expected:
        series.insert(0, _series("expected", "second", [points[-1], expected]))
    said = [f"{one['images']:,} {percent(one['accuracy'])}" for one in every]
    told = f"Accuracy of {_HEAD} by the number of training images: {'; '.join(said)}"
    told += ", which is what is expected." if expected else "."
    columns = [Column(one, "number") for one in ("images", "accuracy", "95% interval")]
    rows = [
        (
            [f"{one['images']:,}", " (expected)" if one is expected else None],
            percent(one["accuracy"]),
            between(one["low"], one["high"]),
        )
        for one in every
    ]
    return figure(
        f"Accuracy of {_HEAD}, with fewer and with more images",
        [line_chart(x, y, series, told), legend(series)],
        unfold("Numbers: learning curve", table("Learning curve", columns, rows)),
    )


def _series(title: str, kind: str, points: list[Values]) -> Series:
    band = [
        (one["images"], one["low"], one["high"])
        for one in points
        if one["low"] is not None and one["high"] is not None
    ]
    return Series(title, kind, [(one["images"], one["accuracy"]) for one in points], band)


def _advice(found: Values) -> Child:
    every = [one for one in found.get("classes") or () if one.get("advice")]
    if not every:
        return None
    shown = sorted(every, key=lambda one: one["recall"])[:_MOST_CLASSES]
    columns = [Column("class"), Column("found", "number"), Column("advice")]
    rows = [(name(one["name"]), percent(one["recall"]), str(one["advice"])) for one in shown]
    left = len(every) - len(shown)
    return figure(
        "Which class needs them",
        table("Advice for each class", columns, rows),
        note(f"{count(left, 'more class', 'more classes')} left out.") if left > 0 else None,
    )
