from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from report_material import NAMES, address, full_material

from headstart.reporting.material import Material
from headstart.reporting.page import SECTIONS, page

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "</title><svg onload=alert(1)>",
    "javascript:alert(1)",
    "<!--",
    "]]>",
    "&lt;b&gt;",
    "{{7*7}}",
    'x" style="background:url(//example.org/)" y="',
    "url(javascript:alert(1))",
    "@import 'http://example.org'",
    "a\nb\0c\u202ed\ud800",
    "\udcff.jpg",
]
VOID = {"meta", "img", "br", "circle", "line", "path", "polyline", "rect"}
TAGS = """html head title style body a header div p span h1 h2 h3 bdi em strong svg ul ol li nav
main section figure figcaption table caption thead tbody tr th td details summary dl dt dd pre code
text footer"""
ADDRESSES = {"href": r"#[a-z-]+", "src": r"data:image/jpeg;base64,[A-Za-z0-9+/=]+"}


class Reader(HTMLParser):
    """What a browser would find: elements with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    def named(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.found if tag in tags]


def read(material: Material) -> Reader:
    text = page(material)
    text.encode("utf-8")
    return Reader(text)


def poisoned(value: Any, text: str) -> Any:
    """The same, with a text in the place of every text, and of keys that are names."""
    if isinstance(value, dict):
        named = {"versions", "seconds", "files", "counts"}
        return {
            key: {f"{text}{one}": poisoned(each, text) for one, each in inner.items()}
            if key in named and isinstance(inner, dict)
            else poisoned(inner, text)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [poisoned(one, text) for one in value]
    return text if isinstance(value, str) else value


def hostile_material(text: str) -> Material:
    """A report's material in which every text is hostile, and each image is as it was."""
    whole = full_material()
    parts = (whole.about, whole.metrics, whole.extra, whole.checkup)
    about, metrics, extra, checkup = (poisoned(one, text) for one in parts)
    for one in (*extra["examples"], *extra["worst"]):
        one["image"] = address()
    return Material(about, metrics, extra, checkup)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_can_be_injected(text: str) -> None:
    found = read(hostile_material(text))
    assert {tag for tag, _ in found.found} <= VOID | set(TAGS.split())
    assert not found.open
    for _, attributes in found.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in set(attributes) & set(ADDRESSES):
            assert re.fullmatch(ADDRESSES[name], attributes[name])
    sections = {one.get("id") for one in found.named("section")}
    assert {"trust", "classes", "confusion", "mistakes", "sureness", "growth"} <= sections


@pytest.mark.parametrize("text", HOSTILE[:-2])
def test_a_hostile_name_is_shown_as_it_is(text: str) -> None:
    assert text in read(hostile_material(text)).text


@pytest.mark.parametrize("field", ["image", "map"])
@pytest.mark.parametrize(
    "place",
    ["https://example.org/a.jpg", "data:text/html;base64,AAAA", "data:image/svg+xml,<svg/>"],
)
def test_an_image_from_elsewhere_is_left_out(field: str, place: str) -> None:
    material = full_material()
    material.extra["worst"][0][field] = place
    assert place[:20] not in page(material)


def test_the_policy_allows_the_style_that_is_there_and_nothing_else() -> None:
    text = page(full_material())
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    policy = [one["content"] for one in Reader(text).named("meta") if "http-equiv" in one]
    assert len(style) == 1
    assert policy == [
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    ]
    assert not re.search(r"url\(|@import|https?:", text)


def test_what_a_page_must_have_to_be_read_aloud() -> None:
    found = read(full_material())
    tags = [tag for tag, _ in found.found]
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    places = [one["id"] for _, one in found.found if "id" in one]
    assert (levels[0], levels.count(1)) == (1, 1)
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(places) == len(set(places))
    assert {"header", "nav", "main", "footer"} <= set(tags)
    assert found.named("html") == [{"lang": "en"}]
    assert all("alt" in one for one in found.named("img"))
    assert all(one.get("aria-label") or one.get("aria-hidden") for one in found.named("svg"))
    assert tags.count("table") == tags.count("caption")
    assert all("scope" in one for one in found.named("th"))
    assert {one["href"][1:] for one in found.named("a")} <= set(places)
    assert {one["aria-labelledby"] for one in found.named("section")} <= set(places)


def test_every_section_is_shown() -> None:
    found = read(full_material())
    assert len(found.named("section")) == len(SECTIONS)
    assert "Not shown" not in "".join(found.text)


def test_a_bundle_without_more_than_its_figures() -> None:
    whole = full_material()
    metrics = {name: value for name, value in whole.metrics.items() if name != "trust"}
    about = {**whole.about, "choice": None, "fine_tuning": None}
    found = read(Material(about, metrics))
    sections = [one["id"] for one in found.named("section")]
    assert sections == ["trust", "figures", "classes", "confusion", "choices", "usage", "again"]
    assert "Not shown" not in "".join(found.text)


def test_a_bundle_that_was_not_tested() -> None:
    words = "".join(read(Material({"class_names": ["a", "b"]}, {})).text)
    assert "It was not tested." in words
    assert "Not shown" not in words


def values(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of everything within."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = [path] if path else []
    for key, one in inner:
        found += values(one, (*path, key)) if isinstance(one, dict | list) else [(*path, key)]
    return found


@pytest.mark.parametrize("part", ["about", "metrics", "extra", "checkup"])
@pytest.mark.parametrize("wrong", [None, "text", [[]]], ids=str)
def test_no_value_of_another_kind_breaks_the_page(part: str, wrong: Any) -> None:
    material = full_material(("cat", "dog"), images=20)
    for name in ("train", "validation"):
        material.metrics.pop(name)
    for path in values(getattr(material, part)):
        place = getattr(material, part)
        for key in path[:-1]:
            place = place[key]
        right, place[path[-1]] = place[path[-1]], wrong
        assert page(material).endswith("</html>\n"), path
        place[path[-1]] = right


def test_a_section_whose_data_have_another_shape_is_named() -> None:
    material = full_material()
    del material.metrics["trust"]["sets"]["covered"]
    words = "".join(read(material).text)
    assert "Not shown, as the data have another shape than expected: sureness (KeyError" in words
    assert "Would more images help?" in words


def test_hundreds_of_classes_and_thousands_of_wrong_images_stay_small() -> None:
    names = tuple(f"class {number} {'x' * 80}" for number in range(1000))
    material = full_material(names, images=20_000)
    extra = {**material.extra, "worst": material.extra["worst"] * 10_000}
    material.checkup["findings"] *= 10_000
    text = page(replace(material, extra=extra))
    assert len(text) < 600_000
    assert "700 classes with a higher recall are left out" in text
    assert text.count('scope="row"') < 500  # 300 of them classes
    assert text.count("Test image of") == 13  # 12 cards and one example


@pytest.mark.parametrize("names", [NAMES, tuple(f"c{number}" for number in range(31))])
def test_a_matrix_up_to_thirty_classes_and_pairs_beyond(names: tuple[str, ...]) -> None:
    text = page(full_material(names, images=620))
    assert ("Confusion matrix" in text) == (len(names) <= 30)
    assert ("most frequent confusions" in text) == (len(names) > 30)
