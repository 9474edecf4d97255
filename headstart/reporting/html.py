"""HTML built from values: every text and attribute is escaped here, and nowhere else.

`tag` makes an element; a child that is not `Markup` is text. What can run or load something cannot
be written at all: no script, no style or event attribute, no address but a place in the page and
an image within it. Names are for people to read: what cannot be printed becomes an escape.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from headstart.scan import printable

_VOID = frozenset({"br", "circle", "img", "line", "meta", "path", "polyline", "rect"})
_NEVER = frozenset({"base", "embed", "form", "iframe", "link", "object", "script", "style"})
_TAG = re.compile(r"[a-z][a-zA-Z0-9]*")
_ATTRIBUTE = re.compile(r"(?!on|style|srcdoc)[a-z][a-zA-Z0-9-]*")
_IMAGE = re.compile(r"data:image/(?:jpeg|png|webp);base64,[A-Za-z0-9+/]+={0,2}")
_PLACE = re.compile(r"#[a-z][a-z-]*")
_ADDRESSES = {"href": _PLACE, "src": _IMAGE}
_LONGEST = 60  # characters of a name


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = "str | Markup | Iterable[Child] | None"
Attributes: TypeAlias = Mapping[str, str | int | float | None]


def tag(selector: str, *children: Child, having: Attributes | None = None) -> Markup:
    """Make an element.

    Args:
        selector: Its name, with an id and classes as in CSS: `section#result.wide`.
        children: Text, elements and lists of these; None is nothing.
        having: Attributes; one that is None is left out.

    Raises:
        ValueError: An element, attribute or address that a report may not have.
    """
    name, identity, classes = _parts(selector)
    if not _TAG.fullmatch(name) or name in _NEVER:
        raise ValueError(f"a report has no element {name!r}")
    given: dict[str, str | int | float | None] = {"id": identity, "class": classes}
    written = "".join(
        f' {key}="{_attribute(key, value)}"'
        for key, value in (given | dict(having or {})).items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Text, elements and lists of these, one after the other."""
    return Markup("".join(_child(one) for one in children))


def text(value: str) -> Markup:
    """Text of one line, escaped."""
    return Markup(html.escape(printable(value)))


def lines(value: str) -> Markup:
    """Text of several lines, escaped."""
    return Markup("\n".join(text(line) for line in value.splitlines()))


def name(value: object) -> Markup:
    """The name of a class, file or data set, kept apart from the direction of what is around it."""
    return tag("bdi", cut(str(value)))


def cut(value: str, longest: int = _LONGEST) -> str:
    """A name that is too long to be shown, without its end."""
    value = printable(value)
    return value if len(value) <= longest else value[: longest - 3] + "..."


def is_image(value: object) -> bool:
    """Whether a value is an image that may stand in a page, as a data: address."""
    return isinstance(value, str) and _IMAGE.fullmatch(value) is not None


def _child(one: Child) -> str:
    if one is None:
        return ""
    if isinstance(one, Markup):
        return one
    return text(one) if isinstance(one, str) else join(one)


def _parts(selector: str) -> tuple[str, str | None, str | None]:
    head, *classes = selector.split(".")
    name, _, identity = head.partition("#")
    return name, identity or None, " ".join(classes) or None


def _attribute(key: str, value: object) -> Markup:
    if not _ATTRIBUTE.fullmatch(key):
        raise ValueError(f"a report has no attribute {key!r}")
    pattern = _ADDRESSES.get(key)
    if pattern is not None and not pattern.fullmatch(str(value)):
        raise ValueError(f"a report has no address {str(value)[:40]!r}")
    return text(str(value))
