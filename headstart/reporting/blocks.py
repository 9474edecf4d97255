"""What sections are built of: headed parts, tables, figures, and what can be unfolded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headstart.reporting.html import Child, Markup, lines, tag


@dataclass(frozen=True)
class Section:
    """A part of the page: its place, its heading, a short one for the contents, what is in it."""

    place: str
    heading: str
    short: str
    body: Markup

    def markup(self) -> Markup:
        """The part with its heading."""
        heading = tag(f"h2#{self.place}-heading", self.heading)
        having = {"aria-labelledby": f"{self.place}-heading"}
        return tag(f"section#{self.place}", heading, self.body, having=having)


@dataclass(frozen=True)
class Column:
    """A column of a table; `kind` is `number`, `strip` (a small drawing) or nothing."""

    heading: str
    kind: str = ""


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Child]],
    *,
    wide: bool = False,
    kind: str = "",
) -> Markup:
    """A table whose first column names the rows.

    Args:
        caption: What it shows.
        columns: One for each cell of a row.
        rows: The cells.
        wide: It may be too wide for a phone: then it can be scrolled, by keyboard too.
        kind: A class for the style sheet.
    """
    head = tag("tr", [_head(column) for column in columns])
    body = [tag("tr", _cells(row, columns)) for row in rows]
    made = tag(
        f"table.{kind}" if kind else "table",
        tag("caption", caption),
        tag("thead", head),
        tag("tbody", body),
    )
    return scrolled("div.scroll", made, caption) if wide else made


def scrolled(selector: str, what: Child, label: str) -> Markup:
    """What may be too wide: it can be scrolled, by keyboard too."""
    return tag(selector, what, having={"role": "region", "tabindex": "0", "aria-label": label})


def _head(column: Column) -> Markup:
    return tag(_cell("th", column), column.heading, having={"scope": "col"})


def _cells(row: Sequence[Child], columns: Sequence[Column]) -> list[Markup]:
    first, *rest = zip(row, columns, strict=True)
    named = tag(_cell("th", first[1]), first[0], having={"scope": "row"})
    return [named, *(tag(_cell("td", column), cell) for cell, column in rest)]


def _cell(name: str, column: Column) -> str:
    return f"{name}.{column.kind}" if column.kind else name


def figure(title: str, chart: Child, *told: Child, kind: str = "") -> Markup:
    """A chart with its title above and what is to be seen in it below."""
    return tag(
        f"figure.{kind}" if kind else "figure",
        tag("figcaption", tag("h3", title)),
        chart,
        [tag("div.told", told)] if told else None,
    )


def unfold(summary: str, *children: Child) -> Markup:
    """What is shown when it is asked for, and in print."""
    return tag("details", tag("summary", summary), children)


def note(*children: Child) -> Markup:
    """A remark in small letters."""
    return tag("p.note", children)


def pairs(rows: Iterable[tuple[str, Child]]) -> Markup:
    """Names and what they are."""
    return tag("dl.pairs", [tag("div", tag("dt", one), tag("dd", value)) for one, value in rows])


def code(text: str, label: str) -> Markup:
    """Lines of a program or a file, which can be scrolled."""
    return scrolled("pre", tag("code", lines(text)), label)


def link(words: str, place: str) -> Markup:
    """A link to a section of the page."""
    return tag("a", words, having={"href": f"#{place}"})


def image(address: str | None, alternative: str, missing: str = "not shown") -> Markup:
    """A thumbnail, or an empty place with the reason."""
    if not address:
        return tag("span.empty", missing)
    return tag("img", having={"src": address, "alt": alternative})
