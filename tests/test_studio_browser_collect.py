"""Collecting in the studio, in headless Chromium: uploads, marks, moves, undo, the webcam."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browse import judged
from playwright.sync_api import expect
from studio_page import Studio, Tab, make_files, make_folders, opened, studio, tab

# The webcam is given when the test says so; whether each that was given is still on.
ALLOWING = """
const asked = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.allowed = new Promise((done) => (window.allow = done));
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const stream = await asked(wanted);
  await allowed;
  given.push(...stream.getTracks());
  return stream;
};
window.given = [];
"""
LIVE = "given.map((track) => track.readyState === 'live')"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with studio(tmp_path_factory.mktemp("studio") / "project") as found:
        yield found


@pytest.fixture
def page(running: Any, served: Studio) -> Iterator[Tab]:
    """The page; at the end nothing may have complained."""
    with tab(running, served.link) as found:
        yield found
        assert found.messages == []


def stored(served: Studio, name: str) -> list[str]:
    return sorted(one.name for one in (served.folder / name).iterdir())


def test_a_folder_is_dropped(page: Tab, served: Studio, tmp_path: Path) -> None:
    page.drop([make_folders(tmp_path / "flowers", 4, ("asters", "lilies"))], ".work")
    assert page.sent() == "8 images added."
    page.shows(".classes", "lilies")
    assert page.counts()["asters"] == page.counts()["lilies"] == "4"
    assert len(stored(served, "asters")) == 4


@pytest.mark.parametrize(
    ("files", "classes", "told"),
    [
        (("a/1.jpg", "b/2.jpg"), {"a": 1, "b": 1}, "2 images added."),
        (("deep/c/1.jpg", "deep/d/x/2.jpg"), {"c": 1, "d": 1}, "2 images added."),
        (("set/train/e/1.jpg", "set/val/e/2.jpg"), {"e": 2}, "2 images added. Train and test fold"),
        (("f/1.jpg", "f/near/2.jpg"), {"f": 2}, "2 images added."),
        (("s/g/1.jpg", "s/h/2.jpg", "s/me.txt"), {"g": 1}, "2 images added, 1 file refused."),
        (("i/1.jpg", "i/.hidden.jpg"), {"i": 1}, "1 image added."),
    ],
)
def test_folders_give_the_classes(
    page: Tab, tmp_path: Path, files: tuple[str, ...], classes: dict[str, int], told: str
) -> None:
    for place, name in enumerate(files):
        made = make_files(tmp_path / "made", 1, seed=place)[0]
        (tmp_path / "drop" / name).parent.mkdir(parents=True, exist_ok=True)
        made.rename(tmp_path / "drop" / name)
    page.drop(sorted((tmp_path / "drop").iterdir()), ".work")
    assert page.sent().startswith(told)
    for name, count in classes.items():
        page.shows(".classes", name)
        assert page.counts()[name] == str(count)


def test_500_images_are_dropped(page: Tab, tmp_path: Path) -> None:
    files = make_files(tmp_path, 500)
    page.add_class("many")
    page.drop(files, ".work")
    assert page.sent(60_000) == "500 images added."
    page.shows(".said", "500 images")
    assert page.page.locator(".tile").count() < 120


def test_a_zip_names_the_classes(page: Tab, served: Studio, tmp_path: Path) -> None:
    folder = make_folders(tmp_path / "zipped", 3, ("elms", "oaks"))
    with zipfile.ZipFile(tmp_path / "trees.zip", "w") as archive:
        for path in folder.rglob("*.jpg"):
            archive.write(path, path.relative_to(folder))
    page.pick([tmp_path / "trees.zip"])
    page.shows(".classes", "oaks")
    assert len(stored(served, "elms")) == len(stored(served, "oaks")) == 3


def test_a_broken_image_and_a_copy_are_refused_with_a_reason(page: Tab, tmp_path: Path) -> None:
    files = make_files(tmp_path, 2)
    (tmp_path / "broken.jpg").write_bytes(b"this is no image")
    page.add_class("mixed")
    told = page.pick([*files, tmp_path / "broken.jpg"])
    assert told == "2 images added, 1 file refused."
    page.page.click(".upload summary")
    assert page.text(".refused li").startswith("broken.jpg: ")
    page.pick(files[:1])
    page.shows(".refused li", "is in 'mixed' already")


def test_what_lies_beside_the_folders_is_told_each_time(page: Tab, tmp_path: Path) -> None:
    for drop in ("first", "second"):
        folder = make_folders(tmp_path / drop, 1, (f"{drop} one", f"{drop} other"))
        (folder / f"{drop}.txt").touch()
        page.drop([folder], ".work")
        page.shows(".classes", f"{drop} other")
        assert page.sent() == "2 images added, 1 file refused."
        expect(page.page.locator(".refused li")).to_contain_text(f"{drop}.txt")


def test_marks_by_click_and_keyboard(page: Tab, tmp_path: Path) -> None:
    page.add_class("marked")
    page.pick(make_files(tmp_path, 12))
    tiles, marked = page.page.locator(".tile:visible"), page.page.locator("[aria-selected=true]")
    tiles.nth(1).click()
    tiles.nth(4).click(modifiers=["Shift"])
    page.shows(".said", "4 selected")
    tiles.nth(2).click(modifiers=["Control"])
    page.shows(".said", "3 selected")
    expect(marked).to_have_count(3)
    page.page.keyboard.press("Escape")
    page.shows(".said", "12 images")
    page.page.focus(".gallery")
    page.page.keyboard.press("Home")
    page.page.keyboard.press("Shift+End")
    page.shows(".said", "12 selected")
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("Control+a")
    page.shows(".said", "12 selected")
    page.page.keyboard.press("Home")
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("Enter")
    page.shows("dialog", "0001.jpg")
    page.page.keyboard.press("Escape")


def test_what_was_told_can_be_seen(page: Tab, tmp_path: Path) -> None:
    page.add_class("slow")
    page.page.route("**/api/project", later)
    page.page.route("**/api/images?*", later)
    page.pick(make_files(tmp_path, 3))
    page.page.keyboard.press("Control+a")
    page.shows(".said", "3 selected")


def later(route: Any) -> None:
    """An answer that takes its time, as beside a training."""
    time.sleep(0.7)
    route.continue_()


def test_delete_and_undo(page: Tab, served: Studio, tmp_path: Path) -> None:
    page.add_class("doomed")
    page.pick(make_files(tmp_path, 5))
    before = stored(served, "doomed")
    page.page.locator(".tile:visible").nth(0).click()
    page.page.locator(".tile:visible").nth(2).click(modifiers=["Control"])
    page.page.keyboard.press("Delete")
    page.shows(".toast", "Deleted 2 images.")
    page.shows(".said", "3 images")
    assert len(stored(served, "doomed")) == 3
    page.page.click(".toast .undo")
    page.shows(".said", "5 images")
    assert stored(served, "doomed") == before
    page.page.click("text=Delete class")
    page.shows(".toast", "Deleted the class doomed")
    assert not (served.folder / "doomed").exists()
    page.page.keyboard.press("Control+z")
    page.shows(".classes", "doomed")
    assert stored(served, "doomed") == before


def test_images_move_and_a_class_is_renamed(page: Tab, served: Studio, tmp_path: Path) -> None:
    for name in ("left", "right"):
        page.add_class(name)
    page.choose_class("left")
    page.pick(make_files(tmp_path, 3))
    page.page.keyboard.press("Control+a")
    page.shows(".said", "3 selected")
    page.page.locator(".tile:visible").first.drag_to(
        page.page.locator(".classes li", has_text="right")
    )
    page.shows(".toast", "Moved 3 images to right.")
    assert (stored(served, "left"), len(stored(served, "right"))) == ([], 3)
    page.choose_class("right")
    page.page.locator(".tile:visible").first.click()
    page.page.select_option(".tools select", "left")
    page.shows(".toast", "Moved 1 image to left.")
    page.page.click("text=Rename")
    page.page.fill("dialog input", "far right")
    page.page.keyboard.press("Enter")
    page.shows(".title h2", "far right")
    assert len(stored(served, "far right")) == 2


def test_the_webcam_records_while_the_button_is_held(page: Tab, served: Studio) -> None:
    page.add_class("webcam")
    page.page.click(".camera-button")
    page.page.wait_for_selector(".camera video")
    page.page.hover(".hold")
    page.page.mouse.down()
    page.shows(".camera-count", "5 images taken")
    page.page.mouse.up()
    page.sent()
    assert len(stored(served, "webcam")) >= 4  # the made-up camera may show the same twice
    page.page.click("text=Turn off")
    assert page.page.locator(".camera").is_hidden()


def webcams(page: Tab, wanted: list[bool]) -> None:
    """Wait until of the webcams that were given these are on."""
    found = None
    for _ in range(100):
        found = page.page.evaluate(LIVE)
        if found == wanted:
            break
        page.page.wait_for_timeout(50)
    assert found == wanted


def test_the_webcam_stays_off_where_it_is_not_wanted_any_more(page: Tab) -> None:
    page.add_class("unseen")
    page.page.evaluate(ALLOWING)
    page.page.click(".camera-button")
    page.turn_to("train")
    page.page.evaluate("allow()")
    webcams(page, [False])
    page.turn_to("collect")
    assert page.page.locator(".camera").is_hidden()


def test_the_webcam_is_on_once(page: Tab) -> None:
    page.add_class("impatient")
    page.page.evaluate(ALLOWING)
    page.page.dblclick(".camera-button")
    page.page.evaluate("allow()")
    page.page.wait_for_selector(".camera video")
    webcams(page, [False, True])
    page.page.click("text=Turn off")
    webcams(page, [False, False])


def test_two_tabs_and_the_disk_stay_in_step(page: Tab, served: Studio, tmp_path: Path) -> None:
    other = opened(page.page.context, served.link)
    page.add_class("shared")
    other.choose_class("shared")
    page.pick(make_files(tmp_path, 4))
    other.shows(".said", "4 images")
    (served.folder / "shared" / "0000.jpg").unlink()
    for one in (page, other):
        one.shows(".said", "3 images")
    assert other.messages == []


def test_without_the_link_it_says_what_to_do(running: Any, served: Studio) -> None:
    window = running.new_context()
    page = Tab(window.new_page())
    page.page.goto(served.origin)
    page.shows(".offline", "Open the newest link that `headstart studio` printed.")
    window.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(
    running: Any, served: Studio, tmp_path: Path, width: int
) -> None:
    size = {"width": width, "height": 800}
    with tab(running, served.link, bypass_csp=True, viewport=size) as page:
        page.add_class(f"judged {width}")
        assert judged(page.page) == []
        page.pick([*make_files(tmp_path, 3), Path(__file__)])
        page.page.locator(".tile:visible").first.click()
        assert judged(page.page) == []
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        page.page.dblclick(".tile:visible")
        page.page.wait_for_selector("dialog img")
        assert judged(page.page) == []
