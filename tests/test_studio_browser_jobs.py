"""Work that goes on while the page is loaded again, in two tabs, without the server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from studio_page import Tab, make_folders, opened, studio, tab
from tiny_run import trained

from headstart.studio.claim import hold
from headstart.studio.place import open_place

START = 60_000  # milliseconds until the first epoch is over
STARTER = ".checkup-start button >> nth=0"
RUNNING, CURVE = ".job[data-state=running]", ".curve polyline"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_folders(tmp_path / "project", 60, ("daisies", "roses", "tulips"))


def start(page: Tab) -> None:
    """Fine-tune a small network, which takes a while."""
    page.turn_to("train")
    page.page.check("input[value=good]")
    page.page.click(".advanced summary")
    page.page.locator("option[value=tiny]").wait_for(state="attached")
    for place, value in enumerate(("tiny", "384", "all", "none")):
        page.page.select_option(f".fields select >> nth={place}", value)
    page.page.click(".train-form button")
    page.page.wait_for_selector(RUNNING)


def test_reload_two_tabs_and_cancel(running: Any, project: Path) -> None:
    with studio(project) as served, tab(running, served.link) as page:
        start(page)
        page.page.wait_for_selector(CURVE, state="attached", timeout=START)
        page.page.reload()
        page.page.wait_for_selector(f"{RUNNING} {CURVE}", state="attached")
        assert page.page.locator(".train-form button").is_disabled()
        other = opened(page.page.context, served.link)
        other.turn_to("train")
        other.page.wait_for_selector(f"{RUNNING} {CURVE}", state="attached")
        other.page.click(".job-head button")
        for one in (page, other):
            one.page.wait_for_selector(".job[data-state=cancelled]", timeout=START)
            one.shows(".job", "See how good it is")  # the best so far is kept
        assert page.messages == other.messages == []


def test_it_outlives_the_server(running: Any, project: Path) -> None:
    with studio(project) as served, tab(running, served.link) as page:
        start(page)
        port = int(served.origin.rsplit(":", 1)[1])
        served.process.terminate()
        served.process.wait(20)
        page.shows(".offline", "Is `headstart studio` still running?")
        with studio(project, port) as again:
            other = opened(page.page.context, again.link)
            other.turn_to("train")
            other.page.wait_for_selector(RUNNING)
            page.page.wait_for_selector(".offline", state="hidden")  # the cookie is for all tabs
            page.page.click(".job-head button")
            page.page.wait_for_selector(".job[data-state=cancelled]", timeout=START)


def test_a_checkup_shows_that_it_runs(running: Any, project: Path) -> None:
    shutil.copy(project / "daisies" / "0000.jpg", project / "roses" / "copy.jpg")
    with studio(project) as served, tab(running, served.link) as page:
        other = opened(page.page.context, served.link)
        page.page.click("text=Check the images")
        for one in (page, other):
            expect(one.page.locator(STARTER)).to_have_text("Checking…")
            expect(one.page.locator(STARTER)).to_be_disabled()
        for one in (page, other):
            one.page.wait_for_selector(".checkup .kind", timeout=START)
            expect(one.page.locator(STARTER)).to_have_text("Check the images")
            expect(one.page.locator(STARTER)).to_be_enabled()
        assert page.messages == other.messages == []


def test_a_split_that_is_put_together_is_told(running: Any, tmp_path: Path) -> None:
    for part in ("train", "test"):
        make_folders(tmp_path / "set" / part, 2)
    with studio(tmp_path / "new") as served, tab(running, served.link) as page:
        said = page.pick_folder(tmp_path / "set")
        assert "Train and test folders were put together" in said
        assert page.messages == []


@contextmanager
def waiting(project: Path, **request: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A job whose process does nothing but wait, for a studio that is started later."""
    folder = open_place(project).jobs / "20260101000000-aaaaaa"
    folder.mkdir()
    (folder / "request.json").write_text(json.dumps({"made": time.time(), **request}))
    lock = hold(folder / "lock")
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    (folder / "process.json").write_text(json.dumps({"process": process.pid}))
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        os.close(lock)


def test_an_export_is_seen_cancelled_and_found_again(running: Any, project: Path) -> None:
    place = open_place(project)
    for key in "12":
        shutil.copytree(trained().bundle, place.models / key)
    (place.own / "exports" / "2").mkdir(parents=True)
    (place.own / "exports" / "2" / "old-2-onnx-int8.zip").write_bytes(b"x")
    made = {"kind": "export", "model": "2", "to": "onnx", "int8": False}
    ready, make = "text=Download old-2-onnx-int8.zip", "button[aria-label='Make Keras']"
    here = waiting(project, **made), studio(project)
    with here[0] as process, here[1] as served, tab(running, served.link) as page:
        page.turn_to("ship")
        page.shows(".exports li", "Making it…")
        assert page.page.locator(make).is_disabled()
        page.page.select_option("#view-ship .version select", "1")
        page.shows(".export-other", "Another version is being made into ONNX.")
        page.page.select_option("#view-ship .version select", "2")
        page.page.click("button[aria-label='Cancel: ONNX']")
        page.shows(".exports li", "Ending it…")
        assert process.wait(10) != 0
        page.page.click("button[aria-label='End at once: ONNX']")
        assert page.messages == []
    with studio(project) as served, tab(running, served.link) as page:
        page.turn_to("ship")
        page.page.wait_for_selector(ready)
        expect(page.page.locator(make)).to_be_enabled()
        page.page.click("button[aria-label='Make headstart bundle']")
        page.shows(".exports a", "Download project-2-bundle.zip", START)
        assert page.messages == []


def test_a_checkup_is_cancelled(running: Any, project: Path) -> None:
    here = waiting(project, kind="checkup"), studio(project)
    with here[0] as process, here[1] as served, tab(running, served.link) as page:
        page.page.click(".checkup-start button:text-is('Cancel')")
        page.shows(".checkup-start", "Ending it…")
        assert process.wait(10) != 0
