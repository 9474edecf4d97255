"""Work that goes on while the page is loaded again, in two tabs, without the server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from studio_page import Tab, make_folders, opened, studio, tab

START = 60_000  # milliseconds until the first epoch is over
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
            expect(one.page.locator(".checkup-start button")).to_have_text("Checking…")
            expect(one.page.locator(".checkup-start button")).to_be_disabled()
        for one in (page, other):
            one.page.wait_for_selector(".checkup .kind", timeout=START)
            expect(one.page.locator(".checkup-start button")).to_have_text("Check the images")
            expect(one.page.locator(".checkup-start button")).to_be_enabled()
        assert page.messages == other.messages == []
