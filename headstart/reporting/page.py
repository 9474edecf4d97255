"""The page: every section whose data are there, in one file that loads and runs nothing."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from headstart.reporting import choices, figures, findings, growth, mistakes, result, sureness
from headstart.reporting import usage as use
from headstart.reporting.blocks import Section, link, note
from headstart.reporting.html import Markup, cut, join, tag
from headstart.reporting.material import Material

SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    result.examples,
    result.trusted,
    figures.figures,
    figures.classes,
    figures.confusion,
    mistakes.mistakes,
    sureness.sureness,
    growth.growth,
    findings.findings,
    choices.choices,
    use.usage,
    use.again,
    use.times,
)
_OTHER_SHAPE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_STYLE = Path(__file__).with_name("style.css")
# The page may show images that are in it, and its own style; everything else is forbidden.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
)


def page(material: Material) -> str:
    """The report as HTML.

    A section whose data have another shape than this version of headstart writes is left out, and
    named at the end.
    """
    missing: list[str] = []
    head = _opening(material, missing)
    sections = list(_sections(material, missing))
    title = cut(str(material.data.get("name", "")))
    body = tag(
        "body",
        tag("a.skip", "To the report", having={"href": "#report"}),
        tag("header", head),
        tag("div.columns", _contents(sections), _main(sections, missing)),
        _footer(material),
    )
    style, digest = _style()
    meta = [
        tag("meta", having={"charset": "utf-8"}),
        _meta("http-equiv", "Content-Security-Policy", _POLICY.format(digest)),
        _meta("name", "viewport", "width=device-width, initial-scale=1"),
        _meta("name", "color-scheme", "light dark"),
        _meta("name", "referrer", "no-referrer"),
        _meta("name", "generator", "headstart"),
        tag("title", f"{title}: report of headstart"),
        Markup(f"<style>{style}</style>"),
    ]
    document = tag("html", tag("head", meta), body, having={"lang": "en"})
    return f"<!DOCTYPE html>\n{document}\n"


@functools.cache
def _style() -> tuple[str, str]:
    """The style sheet, and its SHA-256 as the policy has it."""
    style = _STYLE.read_text(encoding="utf-8")
    return style, base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _meta(kind: str, name: str, content: str) -> Markup:
    return tag("meta", having={kind: name, "content": content})


def _opening(material: Material, missing: list[str]) -> Markup:
    try:
        return result.opening(material)
    except _OTHER_SHAPE as error:
        missing.append(_named("opening", error))
        return tag("h1", "A classifier of images")


def _sections(material: Material, missing: list[str]) -> Iterator[Section]:
    for make in SECTIONS:
        try:
            made = make(material)
        except _OTHER_SHAPE as error:
            missing.append(_named(make.__name__, error))
            continue
        if made is not None:
            yield made


def _named(section: str, error: Exception) -> str:
    return f"{section} ({type(error).__name__}: {str(error)[:80]})"


def _contents(sections: list[Section]) -> Markup:
    links = [tag("li", link(one.short, one.place)) for one in sections]
    return tag("nav", tag("ol", links), having={"aria-label": "Contents"})


def _main(sections: list[Section], missing: list[str]) -> Markup:
    left = f"Not shown, as the data have another shape than expected: {', '.join(missing)}."
    return tag(
        "main#report",
        [one.markup() for one in sections],
        note(left) if missing else None,
        having={"tabindex": -1},
    )


def _footer(material: Material) -> Markup:
    told = (
        "This file loads nothing and runs nothing. It shows test images and names of files: pass "
        "it on only to those who may see them."
    )
    return tag("footer", join([tag("p", told)]))
