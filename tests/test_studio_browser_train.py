"""Training in the studio and what comes after it, in headless Chromium, on one classifier."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from browse import judged
from playwright.sync_api import expect
from studio_page import Studio, Tab, make_folders, studio, tab

from headstart import atomic

LIMIT = 60.0  # seconds from opening the page to a trained classifier
TRAINING = 90_000  # milliseconds that a training may take while other tests run
PER_CLASS = 100
JUMPS = """
window.jumped = 0;
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) jumped += one.hadRecentInput ? 0 : one.value;
}).observe({type: "layout-shift", buffered: true});
"""
PASTE = """(async () => {
  const canvas = document.createElement("canvas");
  const blob = await new Promise((done) => canvas.toBlob(done));
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([blob], "pasted.png", {type: "image/png"}));
  window.dispatchEvent(new ClipboardEvent("paste", {clipboardData}));
})()"""


@dataclass(frozen=True)
class Trained:
    """The studio, an image to try that it has not seen, and how long it took to get there."""

    served: Studio
    new_image: Path
    seconds: float


def two_classes(folder: Path) -> tuple[Path, Path]:
    """200 images of ants and bees where there are some, else made; and one more image.

    One image of the first class is in the second class too.
    """
    names = ("ants", "bees")
    real = os.environ.get("HEADSTART_TEST_DATA")
    if real:
        new = sorted(Path(real, "ants-bees", "val", "bees").glob("*.jpg"))[0]
        for name in names:
            (folder / name).mkdir(parents=True)
            for path in sorted(Path(real, "ants-bees", "train", name).glob("*.jpg"))[:PER_CLASS]:
                shutil.copy(path, folder / name)
    else:
        new = next(make_folders(folder.with_name("new"), 1).rglob("*.jpg"))
        make_folders(folder, PER_CLASS, names)
    sorted((folder / "bees").iterdir())[-1].unlink()
    shutil.copy(sorted((folder / "ants").iterdir())[0], folder / "bees" / "copy.jpg")
    return folder, new


def train(running: Any, place: Path) -> None:
    """From opening the page to the result, all by the page; leaves the project and the time."""
    images, _ = two_classes(place / "images")
    with studio(place / "project") as served:
        begin = time.monotonic()
        with tab(running, served.link) as page:
            assert page.pick_folder(images, 60_000) == f"{2 * PER_CLASS} images added."
            page.turn_to("train")
            page.page.click(".train-form button")
            page.page.wait_for_selector(".job[data-state=done]", timeout=TRAINING)
            page.turn_to("understand")
            page.page.wait_for_selector(".matrix")
            assert page.messages == []
    atomic.write_file(place / "seconds", str(time.monotonic() - begin))


@pytest.fixture(scope="module")
def trained(running: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Trained once, also where these tests are shared out among processes."""
    own = tmp_path_factory.mktemp("trained")
    place = own / "shared"
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = tmp_path_factory.getbasetemp().parent / "studio-trained"
    try:
        place.mkdir()
        train(running, place)
    except FileExistsError:
        end = time.monotonic() + 2 * TRAINING / 1000
        while not (place / "seconds").exists():
            assert time.monotonic() < end, "the other process trained nothing"
            time.sleep(0.2)
    shutil.copytree(place / "project", own / "project")
    _, new_image = two_classes(own / "images")
    with studio(own / "project") as served:
        yield Trained(served, new_image, float((place / "seconds").read_text()))


@pytest.fixture
def page(running: Any, trained: Trained) -> Iterator[Tab]:
    with tab(running, trained.served.link) as found:
        yield found
        assert found.messages == []


def test_it_takes_under_a_minute(trained: Trained) -> None:
    assert trained.seconds < LIMIT
    assert (trained.served.folder / ".headstart/models/1/bundle.json").is_file()


def test_the_result_is_told_and_the_matrix_filters(page: Tab) -> None:
    page.turn_to("understand")
    page.shows("h2.verdict", "Of 100 new images like these")
    assert int(page.text(".figure").removeprefix("over ").rstrip("%")) > 80
    cell = page.page.locator(".matrix td.right button").first
    cell.click()
    page.shows(".cell-images", "named right")
    seen = page.page.locator(".cell-images li")
    seen.first.wait_for()
    assert seen.count() == int(cell.inner_text())
    cell.click()
    page.shows(".cell-images", "Press a number")
    page.shows("h3", "What to add next")
    with page.page.expect_popup() as report:
        page.page.click("text=Open the full report")
    assert "report.html" in report.value.url


def test_what_the_checkup_found_is_fixed_and_brought_back(page: Tab, trained: Trained) -> None:
    copy = trained.served.folder / "bees" / "copy.jpg"
    page.page.locator("button.kind", has_text="Copies with different labels").click()
    page.page.click("text=Show only these images")
    page.shows(".said", "2 images")
    expect(page.page.locator(".tile:visible .badge:visible")).to_have_count(2)
    page.page.locator(".fixes button", has_text="Keep it as 'ants'").click()
    page.shows(".toast", "Done: Keep it as 'ants'")
    assert not copy.exists()
    page.page.click(".toast .undo")
    page.page.locator("button.kind", has_text="Copies with different labels").wait_for()
    assert copy.exists()
    page.page.click(".filter")
    page.shows(".said", f"{2 * PER_CLASS} images")


def test_an_image_is_pasted(page: Tab) -> None:
    page.turn_to("try")
    page.page.evaluate(PASTE)
    page.page.locator(".probabilities li").nth(1).wait_for()


def test_an_image_is_tried(page: Tab, trained: Trained) -> None:
    page.turn_to("try")
    page.page.set_input_files("#try-file", str(trained.new_image))
    page.page.locator(".probabilities li").nth(1).wait_for()
    shares = [one.inner_text() for one in page.page.locator(".probabilities .count").all()]
    assert len(shares) == 2
    assert all(one.endswith("%") for one in shares)
    page.page.click("text=Show the map")
    page.page.wait_for_selector("img[src^='data:image/']")
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    page.page.click("text=Hide the map")
    page.page.wait_for_selector("img[src^='blob:']")
    page.page.click("text=Show the map")
    page.page.wait_for_selector("img[src^='data:image/']")
    assert [one for one in asked if "predict" in one] == []  # the map is kept
    page.drop([trained.new_image], ".try-frame")
    page.page.wait_for_selector("img[src^='blob:']")


def test_the_webcam_is_answered_live(page: Tab) -> None:
    page.turn_to("try")
    page.page.locator("#view-try").get_by_role("button", name="Webcam").click()
    page.shows(".rate", "answers a second")
    rates = []
    for _ in range(8):
        page.page.wait_for_timeout(250)
        rates.append(float(page.text(".rate").split()[0]))
    assert max(rates) >= 10
    page.page.click("text=Show the map")
    shown, seen = page.page.locator(".try-frame img[src^='data:image/']"), set()
    shown.wait_for()
    for _ in range(8):
        page.page.wait_for_timeout(250)
        seen.add(shown.get_attribute("src"))
    assert len(seen) > 2  # a moving image, as the made-up webcam gives it
    page.page.click("text=Hide the map")
    shown.wait_for(state="hidden")
    page.page.click("text=Show the map")
    shown.wait_for()
    page.page.click("text=Webcam off")
    assert page.page.locator(".try-frame video").is_hidden()
    assert shown.is_hidden()


@pytest.mark.parametrize(
    ("title", "inside"), [("headstart bundle", "bundle.json"), ("OpenVINO", ".xml")]
)
def test_an_export_is_downloaded(page: Tab, tmp_path: Path, title: str, inside: str) -> None:
    page.turn_to("ship")
    page.page.click(f"button[aria-label='Make {title}']")
    page.page.wait_for_selector(".exports a", timeout=TRAINING)
    with page.page.expect_download() as got:
        page.page.click(".exports a")
    got.value.save_as(tmp_path / "export.zip")
    with zipfile.ZipFile(tmp_path / "export.zip") as archive:
        assert any(name.endswith(inside) for name in archive.namelist())


def test_the_code_to_use_it_is_shown(page: Tab) -> None:
    page.turn_to("ship")
    page.shows(".copy pre", "headstart serve ")
    page.page.click("text=JavaScript")
    page.shows(".copy pre", "await fetch(")


def test_two_versions_are_compared(page: Tab, trained: Trained) -> None:
    models = trained.served.folder / ".headstart/models"
    shutil.copytree(models / "1", models / "2")
    shutil.copy(models / "1.json", models / "2.json")
    page.page.reload()
    page.turn_to("ship")
    page.page.click("button:text-is('Compare')")
    page.shows(".lead", "Both are right for equally many")
    figures = page.page.locator("[aria-label='Compare two versions'] td.number")
    assert figures.nth(0).inner_text() == figures.nth(2).inner_text()
    page.page.select_option("#view-ship .version select", "1")
    page.shows(".copy pre", "models/1")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_jumps(running: Any, trained: Trained, width: int) -> None:
    size = {"width": width, "height": 800}
    with tab(running, trained.served.link, script=JUMPS, viewport=size) as page:
        for view in ("collect", "train", "understand", "try", "ship"):
            page.page.goto(f"{trained.served.origin}/#{view}")
            page.page.reload()
            page.page.wait_for_timeout(700)
            assert page.page.evaluate("jumped") < 0.02, view


@pytest.mark.parametrize(("scheme", "rules"), [("light", ()), ("dark", ("color-contrast",))])
def test_axe_finds_nothing_serious(
    running: Any, trained: Trained, scheme: str, rules: tuple[str, ...]
) -> None:
    with tab(running, trained.served.link, bypass_csp=True, color_scheme=scheme) as page:
        for view in ("train", "understand", "try", "ship", "collect"):
            page.turn_to(view)
            page.page.wait_for_timeout(300)
            page.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert judged(page.page, *rules) == []
        page.page.locator("button.kind").first.click()
        assert judged(page.page, *rules) == []
