"""The figures with their intervals, each class, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headstart.reporting.blocks import Column, Section, note, scrolled, table, unfold
from headstart.reporting.charts import interval
from headstart.reporting.html import Child, Markup, join, name, tag
from headstart.reporting.material import Material, Values, part
from headstart.reporting.wording import between, count, decimal, percent

LARGEST_MATRIX = 30  # classes; of more the most frequent confusions are shown
SHOWN_CLASSES, MOST_CLASSES = 30, 300
MOST_CONFUSIONS, _TOLD = 30, 3
SHADES = 9

_PARTS = {"train": "images it learned from", "validation": "validation images"}
# Name, what it means, and whether it is a rate.
_FIGURES = {
    "balanced_accuracy": (
        "Balanced accuracy",
        "each class counts alike, however many images it has",
        True,
    ),
    "macro_f1": ("Macro F1", "precision and recall of each class in one, averaged", True),
    "calibration_error": ("Calibration error", "how far stated probabilities are off", True),
    "log_loss": ("Log loss", "the price of being sure and wrong; 0 is perfect", False),
}


def figures(material: Material) -> Section | None:
    """The figures on the test part."""
    test = material.test
    if test.get("accuracy") is None:
        return None
    wide = part(material.trust, "intervals")
    accuracy = _explained("Accuracy", "test images that were named right")
    rows: list[Sequence[Child]] = [
        (accuracy, percent(test["accuracy"]), between(test["low"], test["high"]))
    ]
    for one, (title, told, rate) in _FIGURES.items():
        ends = wide.get(one) or (None, None)
        value = percent(test[one]) if rate else decimal(test[one])
        rows.append((_explained(title, told), value, between(*ends) if rate else _decimals(*ends)))
    others = [
        f"{_PARTS[one]} {percent(part(material.metrics, one)['accuracy'])}"
        for one in _PARTS
        if part(material.metrics, one).get("accuracy") is not None
    ]
    columns = [Column("figure"), Column("value", "number"), Column("95% interval", "number")]
    made = table(f"On {count(test['images'], 'test image')}", columns, rows, kind="figures")
    compared = note(f"For comparison, accuracy on {' and on '.join(others)}.") if others else None
    body = join([made, compared, _cross_validated(part(material.metrics, "cross_validation"))])
    return Section("figures", "The figures", "Figures", body)


def _cross_validated(found: Values) -> Markup | None:
    if not found:
        return None
    return note(
        f"Cross-validated on all {count(found['images'], 'image')}, with a {found['head']} head on "
        f"frozen features: accuracy {percent(found['accuracy'])} "
        f"({between(found['low'], found['high'])})."
    )


def _explained(title: str, told: str) -> Markup:
    return join([title, tag("span.soft", told)])


def _decimals(low: float | None, high: float | None) -> str:
    return decimal(None) if low is None or high is None else f"{low:.3f} to {high:.3f}"


def classes(material: Material) -> Section | None:
    """A row for each class; those found least often first where there are many."""
    tested = [one for one in material.test.get("classes") or () if one["images"]]
    if not tested:
        return None
    many = len(tested) > SHOWN_CLASSES
    if many:
        tested = sorted(tested, key=lambda one: (one["recall"], one["name"]))
    start = _start([one["recall_low"] for one in tested])
    shown, more = tested[:SHOWN_CLASSES], tested[SHOWN_CLASSES:MOST_CLASSES]
    left, total = len(tested[MOST_CLASSES:]), len(material.test["classes"])
    body: list[Child] = [
        tag(
            "p",
            "Recall: of the images of a class, how many were found. Precision: of the answers with "
            f"a class, how many were right. The strip shows recall from {percent(start, 0)} to "
            "100%, with its 95% interval.",
        ),
        _class_table("Each class" if not many else "The classes found least often", shown, start),
    ]
    if more:
        title = f"{count(len(more), 'more class', 'more classes')}"
        body.append(unfold(title, _class_table("More classes", more, start)))
    if left:
        told = f"{count(left, 'class', 'classes')} with a higher recall are left out here"
        body.append(note(f"{told}; metrics.json in the bundle has all."))
    if total > len(tested):
        untested = total - len(tested)
        body.append(note(f"Without a test image: {count(untested, 'class', 'classes')}."))
    return Section("classes", "Class by class", "Classes", join(body))


def _start(lows: Sequence[float]) -> float:
    """A round rate below all of them, for the strips to begin at."""
    return int(10 * min(lows)) / 10


def _class_table(caption: str, rows: Sequence[Values], start: float) -> Markup:
    columns = [
        Column("class"),
        Column("images", "number"),
        Column("recall", "number"),
        Column("interval", "strip"),
        Column("precision", "number"),
        Column("F1", "number"),
    ]
    cells = [
        (
            name(one["name"]),
            f"{one['images']:,}",
            percent(one["recall"]),
            [
                interval(one["recall_low"], one["recall"], one["recall_high"], start),
                tag("span.spoken", between(one["recall_low"], one["recall_high"])),
            ],
            percent(one["precision"]),
            percent(one["f1"]),
        )
        for one in rows
    ]
    return table(caption, columns, cells, wide=True, kind="classes")


def confusion(material: Material) -> Section | None:
    """Which class is taken for which."""
    test = material.test
    if not test.get("images"):
        return None
    matrix, names = test.get("confusion"), [one["name"] for one in test["classes"]]
    body: list[Child]
    if matrix is not None and len(names) <= LARGEST_MATRIX:
        told = "Each row is a true class, each column an answer; the diagonal is right. "
        body = [tag("p", told, _most(test["confusions"])), _matrix(matrix, names)]
    else:
        body = [_frequent(test["confusions"])]
    return Section("confusion", "What is taken for what", "Confusions", join(body))


def _most(confusions: Sequence[Sequence[Any]]) -> list[Child]:
    """The most frequent confusions as a sentence."""
    said: list[Child] = []
    for true, answer, number in confusions[:_TOLD]:
        times = "once" if number == 1 else f"{number:,} times"
        said += ["; " if said else None, name(true), " is taken for ", name(answer), f" {times}"]
    return ["Most often ", *said, "."] if said else []


def _matrix(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Markup:
    having = {"scope": "col"}
    corner = tag("td.corner", tag("span.soft", "true class"), tag("span.soft", "answer"))
    head = tag("tr", corner, [tag("th", name(one), having=having) for one in names])
    rows = []
    for true, counts in enumerate(matrix):
        total = sum(counts)
        cells = [
            tag(
                f"td.{_shade(number, total, right=answer == true)}", f"{number:,}" if number else ""
            )
            for answer, number in enumerate(counts)
        ]
        rows.append(tag("tr", tag("th", name(names[true]), having={"scope": "row"}), cells))
    caption = "Confusion matrix: number of test images"
    made = tag("table.matrix", tag("caption", caption), tag("thead", head), tag("tbody", rows))
    return scrolled("div.scroll", made, caption)


def _shade(number: int, total: int, *, right: bool) -> str:
    """The class of a cell: how much of its row it has, and whether that is right."""
    if not number:
        return "none"
    step = min(SHADES, 1 + int(SHADES * number / total))
    return f"{'right' if right else 'wrong'}.s{step}"


def _frequent(confusions: Sequence[Sequence[Any]]) -> Markup:
    if not confusions:
        return tag("p", "No test image was taken for another class.")
    columns = [Column("true class"), Column("taken for"), Column("images", "number")]
    rows = [
        (name(true), name(answer), f"{number:,}")
        for true, answer, number in confusions[:MOST_CONFUSIONS]
    ]
    more = len(confusions) - len(rows)
    left = f"{count(more, 'pair')} that come up less often are left out; metrics.json has all."
    return join(
        [table("The most frequent confusions", columns, rows), note(left) if more else None]
    )
