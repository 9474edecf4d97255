"""20,000 images in the studio: what a user does is answered on the screen within 100 ms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from studio_page import Studio, Tab, make_files, studio, tab

CLASSES, PER_CLASS, DISTINCT = 10, 2_000, 20
LIMIT = 100.0  # milliseconds
TRIES = 6  # at most: other tests run on the same processors, so the best counts

# What the browser itself measures: from the input until the screen shows the answer, and how long
# a script kept the page from answering.
WATCH = """
window.slow = [];
for (const type of ['event', 'longtask']) {
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) slow.push([one.name, one.duration]);
  }).observe({type, durationThreshold: 16, buffered: true});
}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A project of 20,000 images, most of them hard links."""
    folder: Path = tmp_path_factory.mktemp("many") / "project"
    files = make_files(folder / "class 0", DISTINCT)
    for place in range(CLASSES):
        (folder / f"class {place}").mkdir(exist_ok=True)
        for number in range(PER_CLASS - (DISTINCT if place == 0 else 0)):
            os.link(files[number % DISTINCT], folder / f"class {place}" / f"link {number:04}.jpg")
    with studio(folder) as found:
        yield found


def slowest(page: Tab, act: Any) -> float:
    """Do something and ask the browser for the longest time that it took over any of it."""
    found: list[float] = []
    while len(found) < TRIES and min(found, default=LIMIT) >= LIMIT:
        page.page.evaluate("slow.length = 0")
        act()
        page.page.wait_for_timeout(150)
        found.append(max([one[1] for one in page.page.evaluate("slow")], default=0.0))
    return min(found)


def scroll(page: Tab) -> None:
    for _ in range(8):
        page.page.mouse.wheel(0, 1500)
        page.page.wait_for_timeout(20)


def mark(page: Tab) -> None:
    tiles = page.page.locator(".tile:visible")
    tiles.nth(9).click()
    tiles.nth(30).click(modifiers=["Shift"])
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Escape")


def mark_all(page: Tab) -> None:
    page.page.keyboard.press("Control+a")
    page.shows(".said", "20,000 selected")
    page.page.keyboard.press("Escape")


def switch(page: Tab) -> None:
    for name in ("class 3", "class 7", "All images"):
        page.choose_class(name)
    page.shows(".said", "20,000 images")


def to_the_end(page: Tab) -> None:
    page.page.focus(".gallery")
    page.page.keyboard.press("End")
    page.page.wait_for_selector("#image-19999 img[src]")
    page.page.keyboard.press("Home")


def remove(page: Tab) -> None:
    page.page.locator(".tile:visible").nth(3).click()
    page.page.keyboard.press("Delete")
    page.shows(".toast", "Deleted 1 image.")
    page.page.click(".toast .undo")
    page.shows(".toast", "Taken back")


def remove_all(page: Tab) -> None:
    """Only what the page does: the server is not asked."""
    page.page.route("**/api/images/delete", lambda route: route.fulfill(json={"undo": None}))
    page.choose_class("class 0")
    page.choose_class("All images")
    page.shows(".said", "20,000 images")
    page.page.keyboard.press("Control+a")
    page.shows(".said", "20,000 selected")
    page.page.keyboard.press("Delete")
    page.shows(".toast", "Deleted 20,000 images.")
    page.page.unroute("**/api/images/delete")


@pytest.fixture(scope="module")
def page(running: Any, served: Studio) -> Iterator[Tab]:
    with tab(running, served.link, script=WATCH) as found:
        found.shows(".said", "20,000 images")
        yield found
        assert found.messages == []


def test_it_answers_at_once(page: Tab) -> None:
    """All in one test, so that the project is made once however the tests are shared out."""
    took = {}
    for act in (scroll, mark, mark_all, switch, to_the_end, remove, remove_all):
        page.page.evaluate("scrollTo(0, 0)")
        took[act.__name__] = slowest(page, lambda act=act: act(page))
        assert page.page.locator(".tile").count() < 250
    assert {name: time for name, time in took.items() if time >= LIMIT} == {}

    busy = "document.body.addEventListener('keydown', () => {const end = performance.now() + 150;"
    page.page.evaluate(busy + "while (performance.now() < end) ;})")
    assert slowest(page, lambda: page.page.keyboard.press("x")) > LIMIT  # it can be seen
