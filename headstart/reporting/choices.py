"""How it was chosen: networks and sizes compared, depths tried, training, and the recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headstart.reporting.blocks import Column, Section, figure, note, pairs, table, unfold
from headstart.reporting.charts import Axis, Series, axis, interval, legend, line_chart
from headstart.reporting.html import Child, Markup, join, name, tag
from headstart.reporting.material import Material, Values, part
from headstart.reporting.wording import between, count, decimal, percent

_MOST_ROWS, _MOST_EPOCHS = 20, 200
_STATUS = {
    "complete": "to the end",
    "dropped": "dropped: others were better",
    "unfinished": "time was over",
}


def choices(material: Material) -> Section | None:
    """What was compared and tried, and what came of it."""
    about = material.about
    parts = [
        _made_of(material),
        _networks(part(about, "choice")),
        _depths(part(about, "fine_tuning")),
        _training(part(about, "fine_tuning")),
    ]
    body = [one for one in parts if one is not None]
    return Section("choices", "How it was chosen", "Choices", join(body)) if body else None


def _made_of(material: Material) -> Markup | None:
    recipe = material.recipe
    if not recipe:
        return None
    about, network = material.about, part(material.about, "prefix")
    height, width = about["image_size"]
    choice = part(about, "choice")
    head = part(material.extra, "head")
    rows: list[tuple[str, Child]] = [
        (
            "Backbone",
            [name(network.get("backbone", recipe["backbone"])), _reason(choice.get("reason"))],
        ),
        (
            "Images",
            [
                f"{height} \u00d7 {width} pixels, {recipe['resize']}",
                _reason(part(choice, "resize").get("reason")),
            ],
        ),
        ("Fine-tuning", [_depth(material), _reason(_why_depth(material))]),
        ("Head", [str(about["head"]), _reason(_why_head(head))]),
        ("Class weight", str(recipe["class_weight"])),
        (
            "Precision",
            f"{network.get('precision', recipe['precision'])} on {network.get('engine', '')}",
        ),
    ]
    return pairs(rows)


def _reason(told: object) -> Markup | None:
    return tag("span.soft", str(told)) if told else None


def _depth(material: Material) -> str:
    found = part(material.about, "fine_tuning")
    if "epochs" not in found or found.get("share") == 0:
        return "none: all of the backbone stays frozen"
    layers = count(len(found.get("moved") or ()), "layer")
    return f"{layers} learned, from {found['depth']} on"


def _why_depth(material: Material) -> str:
    found = part(material.about, "fine_tuning")
    if not found:
        return ""
    if "epochs" not in found:
        return str(found.get("stopped") or "")
    if found.get("share") == 0:
        return "it was tried and is not better on validation"
    before, after = part(found, "before"), part(found, "after")
    if not before or not after:
        return ""
    told = f"accuracy on validation {percent(before['accuracy'])} frozen, "
    told += f"{percent(after['accuracy'])} fine-tuned"
    return f"{told}; no deeper: {found['search_ended']}" if found.get("search_ended") else told


def _why_head(found: Values) -> str:
    if found.get("cv_accuracy") is None:
        return ""
    return f"cross-validated accuracy {percent(found['cv_accuracy'])} on the frozen features"


def _networks(choice: Values) -> Markup | None:
    rows = choice.get("candidates") or []
    if not rows:
        return None
    shown, best = rows[:_MOST_ROWS], choice["best"]
    start = int(10 * min((one["low"] for one in shown if one["low"] is not None), default=0)) / 10
    columns = [
        Column("network"),
        Column("accuracy", "number"),
        Column("interval", "strip"),
        Column("judged on", "number"),
        Column("images/s", "number"),
        Column("outcome"),
    ]
    cells = [_network(one, start, chosen=one == best) for one in shown]
    left = len(rows) - len(shown)
    return join(
        [
            tag("h3", "Networks and image sizes, side by side"),
            table(
                "Cross-validated on the training part, with a linear head",
                columns,
                cells,
                wide=True,
            ),
            note(f"{left:,} more are left out; bundle.json has all.") if left else None,
        ]
    )


def _network(one: Values, start: float, *, chosen: bool) -> Sequence[Child]:
    title: Child = [name(one["backbone"]), f" at {one['image_size']}"]
    speed, strip = one["images_per_second"], None
    if one["low"] is not None:
        strip = join(
            [
                interval(one["low"], one["accuracy"], one["high"], start),
                tag("span.spoken", between(one["low"], one["high"])),
            ]
        )
    return (
        tag("strong", title, tag("span.chosen", "chosen")) if chosen else title,
        percent(one["accuracy"]),
        strip,
        f"{one['images']:,}",
        "\u2013" if speed is None else f"{speed:,.0f}",
        _STATUS.get(one["status"], str(one["status"])),
    )


def _depths(found: Values) -> Markup | None:
    rows = found.get("tried") or []
    if not rows:
        return None
    columns = [
        Column("learns from"),
        Column("layers", "number"),
        Column("validation loss", "number"),
        Column("accuracy", "number"),
        Column("epochs", "number"),
        Column("seconds", "number"),
        Column("ended by"),
    ]
    cells = [
        (
            [
                name(one["unfrozen from"]),
                tag("span.chosen", "kept") if one.get("kept") else None,
            ],
            f"{one['layers moved']:,}",
            decimal(one["validation loss"]),
            percent(one["validation accuracy"]),
            str(one["epochs"]),
            f"{one['seconds']:.0f}",
            str(one["ended by"]),
        )
        for one in rows[:_MOST_ROWS]
    ]
    heading = tag("h3", "How deep to fine-tune")
    return join([heading, table("Depths tried, judged on validation", columns, cells, wide=True)])


def _training(found: Values) -> Markup | None:
    history = found.get("history") or []
    if len(history) < 2:
        return None
    figures = list(_curves(history, found.get("best_epoch") or 0))
    return tag("div.figures-two", figures) if figures else None


def _curves(history: Sequence[Values], best: int) -> Iterator[Markup]:
    x = Axis("epoch", 1, len(history))
    loss = [
        Series("training", "second", _over(history, "train_loss"), dots=False),
        Series("validation", "first", _over(history, "validation_loss"), dots=False),
    ]
    right = [Series("validation", "first", _over(history, "validation_accuracy"), dots=False)]
    lines = (
        ("Loss, epoch by epoch", "loss", loss, False),
        ("Accuracy, epoch by epoch", "accuracy", right, True),
    )
    for title, label, every, rates in lines:
        series = [one for one in every if one.points]
        if not series:
            continue
        y = axis(label, [value for one in series for _, value in one.points], percent=rates)
        last = series[-1].points
        told = f"{title}: {series[-1].name} from {y.words(last[0][1])} to {y.words(last[-1][1])} "
        told += f"in {len(history)} epochs."
        kept = [[(at, value)] for at, value in last if at == best]
        marks = [Series("kept", "first", one) for one in kept]
        yield figure(
            title,
            [line_chart(x, y, [*series, *marks], told), legend(series)],
            tag("p.soft", f"The dot marks epoch {best}, the best on validation.") if kept else None,
            unfold(f"Numbers: {label}", _epochs(label, series)),
        )


def _over(history: Sequence[Values], figure_name: str) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = [
        (number, one[figure_name])
        for number, one in enumerate(history, 1)
        if one.get(figure_name) is not None
    ]
    return found if len(found) <= _MOST_EPOCHS else found[:: -(-len(found) // _MOST_EPOCHS)]


def _epochs(label: str, series: Sequence[Series]) -> Markup:
    columns = [Column("epoch", "number"), *(Column(one.name, "number") for one in series)]
    values = [dict(one.points) for one in series]
    epochs = sorted({at for one in values for at in one})
    rows = [(f"{at:.0f}", *(decimal(one.get(at)) for one in values)) for at in epochs]
    return table(label, columns, rows)
