"""The files of the studio's page: small, of one place, and without a way from a name to markup."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from check_shape import FILE_LINES, ROOT

from headstart.studio.choices import offered

STATIC = ROOT / "headstart" / "studio" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
FILES = sorted(STATIC.iterdir())
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
    r"|\beval\(|new Function|srcdoc|setAttribute\(\"style\"|[\"'`]javascript:"
)
NETWORK = re.compile(r"(?:https?:)?//[\w-]+\.\w+")
ALLOWED = "http://www.w3.org/"  # the name of SVG, which is never fetched


@pytest.mark.parametrize("path", FILES, ids=lambda one: one.name)
def test_it_is_small_and_asks_nobody_else(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= FILE_LINES
    assert NETWORK.findall(text.replace(ALLOWED, "")) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda one: one.name)
def test_no_script_makes_markup_from_text(path: Path) -> None:
    code = re.sub(r"^\s*//.*$", "", path.read_text(encoding="utf-8"), flags=re.M)
    assert MARKUP.findall(code) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda one: one.name)
def test_what_it_imports_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for names, source in re.findall(r"import \{([^}]*)\} from \"\./(.*?)\"", text):
        given = (STATIC / source).read_text(encoding="utf-8")
        for name in filter(None, (one.strip() for one in names.split(","))):
            assert re.search(rf"export (async )?(const|let|function|class) {name}\b", given), name
            assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{name} is not used"


def test_every_text_that_is_asked_for_is_there() -> None:
    texts = (STATIC / "texts.js").read_text(encoding="utf-8")
    rest = "\n".join(one.read_text(encoding="utf-8") for one in SCRIPTS)
    asked = set(re.findall(r"\b(?:words|texts)((?:\.\w+)+)", rest.replace("texts.js", "")))
    names = {name for chain in asked for name in chain[1:].split(".")} - {"map", "filter"}
    assert {name for name in names if not re.search(rf"\b{name}\b[:(,]", texts)} == set()
    assert len(names) > 100


def test_every_format_is_offered() -> None:
    listed = re.search(r"FORMATS = (\[.*\])", (STATIC / "exports.js").read_text(encoding="utf-8"))
    assert listed
    assert sorted(json.loads(listed[1])) == sorted(offered()["exports"])
    texts = (STATIC / "texts.js").read_text(encoding="utf-8")
    for name in json.loads(listed[1]):
        assert re.search(rf"\b{name}: \{{ title: ", texts)


def test_the_page_has_no_script_or_style_of_its_own() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page) == []
    for name in re.findall(r"(?:src|href)=\"static/([^\"]+)\"", page):
        assert (STATIC / name).is_file()
