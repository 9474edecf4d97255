"""How sure it is: calibration, sets of classes, abstaining, and whether more images would help."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.reporting.blocks import Column, Section, figure, note, table, unfold
from headstart.reporting.charts import (
    Axis,
    Series,
    across,
    axis,
    bar,
    down,
    legend,
    line_chart,
    segment,
)
from headstart.reporting.html import Child, Markup, name, tag
from headstart.reporting.material import Material, Values, part
from headstart.reporting.wording import between, count, decimal, percent

_MOST_CLASSES, _LARGEST_SET = 30, 6
_TELLING = 10  # images that a bin needs to be drawn
_GAIN = 0.003  # by which the calibration error falls where the temperature helps
_WORTHWHILE = 0.7  # of the images at least are still answered in the example of abstaining


def sureness(material: Material) -> Section | None:
    """Each part of it whose data are there."""
    trust = material.trust
    parts = [
        _calibration(part(trust, "calibration")),
        _abstaining(trust.get("abstaining") or (), material.test),
        _sets(part(trust, "sets")),
        _unknown(part(trust, "unknown")),
    ]
    found = [one for one in parts if one is not None]
    if not found:
        return None
    return Section("sureness", "How sure it is", "Sureness", tag("div.figures-two", found))


def _calibration(found: Values) -> Markup | None:
    before, after = part(found, "before"), part(found, "after")
    if not after:
        return None
    x = Axis("stated probability", 0, 1, percent=True)
    y = Axis("named right", 0, 1, percent=True)
    series = [_bins("before", "second", before)] if before else []
    series.append(_bins("after" if before else "measured", "first", after))
    diagonal = segment((across(x, 0), down(y, 0)), (across(x, 1), down(y, 1)), "ideal")
    told = "Reliability: how often an answer is right, by the probability that is stated. "
    told += _calibrated(found, before, after)
    columns = [Column(one, "number") for one in ("stated", "images", "mean stated", "right")]
    rows = [
        (between(one["low"], one["high"]), f"{one['images']:,}", *map(percent, _rates(one)))
        for one in after["bins"]
        if one["images"]
    ]
    return figure(
        "When it says 90%, is it right 90% of the time?",
        [line_chart(x, y, series, told, diagonal), legend(series)],
        tag("p", _calibrated(found, before, after)),
        tag(
            "p",
            f"On the broken line it would be. A dot is a bin of answers: the larger, the more "
            f"images; bins with fewer than {_TELLING} stand in the numbers alone.",
        ),
        unfold("Numbers: reliability", table("Stated and true", columns, rows)),
    )


def _calibrated(found: Values, before: Values, after: Values) -> str:
    """What the temperature did, on the test images."""
    error = after["calibration_error"]
    told = f"On the test images stated and true differ by {100 * error:.1f} points on average"
    if after.get("by_chance") is not None:
        told += f"; by chance alone it would be about {100 * after['by_chance']:.1f}"
    if before:
        gained = before["calibration_error"] - error
        told += f". Before it was {100 * before['calibration_error']:.1f}: the temperature "
        told += f"{decimal(found.get('temperature'), 2)}, found on other images, "
        told += "sets the probabilities right" if gained >= _GAIN else "changes little"
    return f"{told}. No answer changes by that." if before else f"{told}."


def _rates(one: Values) -> tuple[float, float]:
    return one["stated"], one["right"]


def _bins(title: str, kind: str, found: Values) -> Series:
    """The bins with images enough to tell something; the more images, the larger the dot."""
    there = [one for one in found["bins"] if one["images"]]
    telling = [one for one in there if one["images"] >= _TELLING]
    shown = telling if len(telling) > 1 else there
    most = max((one["images"] for one in shown), default=1)
    sizes = [2 + 4 * (one["images"] / most) ** 0.5 for one in shown]
    return Series(title, kind, [_rates(one) for one in shown], sizes=sizes)


def _abstaining(rows: Sequence[Values], test: Values) -> Markup | None:
    if len(rows) < 2:
        return None
    shares = _answered(rows, test)
    points = [(share, one["accuracy"]) for share, one in zip(shares, rows, strict=True)]
    points = [(share, right) for share, right in points if right is not None]
    band = [
        (share, one["low"], one["high"])
        for share, one in zip(shares, rows, strict=True)
        if one["accuracy"] is not None
    ]
    x = axis("answered", [share for share, _ in points], percent=True)
    y = axis("of these right", [end for _, *ends in band for end in ends], percent=True)
    line = Series("accuracy, with its 95% interval", "first", sorted(points), sorted(band))
    told = "Accuracy against the share of images that is answered at all; unsure ones are left out."
    columns = [Column("if at least this sure"), *(Column(one, "number") for one in _ABSTAINING)]
    cells = [
        (
            percent(one["threshold"], 0),
            percent(share),
            percent(one["accuracy"]),
            between(one["low"], one["high"]),
        )
        for share, one in zip(shares, rows, strict=True)
    ]
    return figure(
        "What if it may say \u201cI am not sure\u201d?",
        [line_chart(x, y, [line], told), legend([line])],
        tag("p", *_example(rows, shares, test)),
        unfold("Numbers: abstaining", table("Answering only when sure", columns, cells)),
    )


_ABSTAINING = ("answered", "right", "95% interval")


def _answered(rows: Sequence[Values], test: Values) -> list[float]:
    """The share that is answered at each threshold, which may be told as a number of images."""
    numbers = [float(one["answered"]) for one in rows]
    return [one / test["images"] for one in numbers] if max(numbers) > 1 else numbers


def _example(rows: Sequence[Values], shares: list[float], test: Values) -> list[Child]:
    able = [
        (one["accuracy"], share, one["threshold"])
        for share, one in zip(shares, rows, strict=True)
        if _WORTHWHILE <= share < 1 and one["accuracy"] is not None
    ]
    if not able or max(able)[0] <= test["accuracy"]:
        return ["Leaving out the unsure ones does not make the others more often right."]
    right, share, threshold = max(able)
    return [
        f"Leaving the {percent(1 - share, 0)} that are less than {percent(threshold, 0)} sure to a "
        f"person, {percent(right)} of the others are right, instead of "
        f"{percent(test['accuracy'])} of all."
    ]


def _sets(found: Values) -> Markup | None:
    if not found:
        return None
    sizes: dict[int, int] = {}
    for size, number in part(found, "sizes").items():
        shown = min(int(size), _LARGEST_SET)
        sizes[shown] = sizes.get(shown, 0) + number
    total = sum(sizes.values()) or 1
    named = {0: "none of these", 1: "one class", _LARGEST_SET: f"{_LARGEST_SET} classes or more"}
    rows = [
        (named.get(size, f"{size} classes"), f"{number:,}", bar(number / total))
        for size, number in sorted(sizes.items())
    ]
    columns = [Column("answer"), Column("images", "number"), Column("share", "strip")]
    told = (
        f"Instead of one class, it can answer with as many as it takes to hold the true one "
        f"{percent(found.get('level'), 0)} of the time. On the test images they hold it "
        f"{percent(found['covered'])} of the time ({between(found['low'], found['high'])}), "
        f"with {decimal(found.get('mean_size'), 2)} classes on average."
    )
    return figure(
        "When one answer is too few",
        table("How many classes an answer has", columns, rows),
        tag("p", told),
        _coverage(found),
    )


def _coverage(found: Values) -> Markup | None:
    every = [one for one in found.get("classes") or () if one["images"]]
    if not every:
        return None
    shown = sorted(every, key=lambda one: one["covered"])[:_MOST_CLASSES]
    numbers = ("images", "held", "95% interval")
    columns = [Column("class"), *(Column(one, "number") for one in numbers)]
    cells = [
        (
            name(one["name"]),
            f"{one['images']:,}",
            percent(one["covered"]),
            between(one["low"], one["high"]),
        )
        for one in shown
    ]
    left = len(every) - len(shown)
    return unfold(
        "Numbers: each class",
        table("How often the answer holds the true class", columns, cells),
        note(f"{count(left, 'more class', 'more classes')} left out.") if left else None,
    )


def _unknown(found: Values) -> Markup | None:
    if not found.get("images"):
        return None
    share = found["flagged"] / found["images"]
    return figure(
        "Something else altogether",
        tag(
            "p",
            f"An image unlike all that it learned from is flagged as unknown. Of the test images, "
            f"which are like them, {found['flagged']:,} of {found['images']:,} "
            f"({percent(share)}) were flagged without need.",
        ),
    )
