"""The server's page in headless Chromium; skipped where there is no Chromium or no playwright."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browse import browser, chromium
from test_serving_limits import PLAIN
from tiny_run import trained
from tiny_server import Server, serving

from headstart.bundle import load

pytest.importorskip("playwright", reason="playwright is not installed")
if chromium() is None:
    pytest.skip("no /usr/bin/chromium, and CHROMIUM names no other", allow_module_level=True)


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(PLAIN) as found:
        yield found


def opened(running: Any, server: Server) -> tuple[Any, list[str], list[str]]:
    """The page, what goes wrong in it, and what it asks for."""
    wrong: list[str] = []
    asked: list[str] = []
    page = running.new_page()
    page.on("console", lambda said: wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda one: asked.append(one.url))
    page.goto(server.url)
    page.wait_for_selector("#model option", state="attached")
    return page, wrong, asked


def test_an_image_gets_its_answer_and_its_map(running: Any, server: Server) -> None:
    page, wrong, asked = opened(running, server)
    path = trained().paths[0]
    page.set_input_files("#file", path)
    page.wait_for_selector("#map-figure:not([hidden])")
    label = load(trained().bundle).predict(path).label
    assert page.text_content("#classes td") == label
    assert page.text_content("#status").startswith(f"{label}, ")
    assert page.text_content("#about") == "bundle, version 1"
    for image in ("#given", "#map"):
        assert page.evaluate(f"document.querySelector('{image}').naturalWidth") > 0
    assert wrong == []
    assert all(one.startswith((server.url, "blob:", "data:")) for one in asked)
    page.close()


def test_what_is_no_image_is_told(running: Any, server: Server, tmp_path: Path) -> None:
    page, wrong, _ = opened(running, server)
    (tmp_path / "x.jpg").write_text("<b>not an image</b>")
    page.set_input_files("#file", tmp_path / "x.jpg")
    page.wait_for_selector("#status.error")
    assert page.text_content("#status") == "not an image"
    assert page.is_hidden("#result")
    assert all("400" in one for one in wrong)
    page.close()


def test_the_token_is_asked_for(running: Any) -> None:
    with serving(dataclasses.replace(PLAIN, token="secret")) as server:
        page = running.new_page()
        page.goto(server.url)
        page.wait_for_selector("#secret:not([hidden])")
        page.fill("#token", "secret")
        page.press("#token", "Enter")
        page.wait_for_selector("#model option", state="attached")
        page.set_input_files("#file", trained().paths[0])
        page.wait_for_selector("#map-figure:not([hidden])")
        page.close()


@pytest.mark.parametrize("place", ["/", "/docs"])
@pytest.mark.parametrize("width", [320, 1280])
def test_axe_finds_nothing(running: Any, server: Server, place: str, width: int) -> None:
    sync = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = running.new_page(viewport={"width": width, "height": 800}, bypass_csp=True)
    page.goto(server.url + place)
    found = sync.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0
    page.close()
