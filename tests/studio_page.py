"""A studio of its own in a process of its own, and its page in a tab of a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from conftest import make_image

WAIT = 20_000  # milliseconds that anything on the page may take while other tests run
DESKTOP = {"width": 1280, "height": 860}


@dataclass
class Studio:
    """A running studio.

    Attributes:
        folder: The project.
        link: What it printed, with the token.
        process: What runs it.
    """

    folder: Path
    link: str
    process: subprocess.Popen[str]

    @property
    def origin(self) -> str:
        """The address without the token."""
        return self.link.split("/?")[0]


@contextmanager
def studio(folder: Path, port: int = 0) -> Iterator[Studio]:
    """Run `headstart studio` on a folder."""
    command = [sys.executable, "-m", "headstart", "studio", str(folder)]
    command += ["--port", str(port), "--no-browser"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        assert "http://" in first, f"the studio did not start: {first!r}"
        yield Studio(folder, "http://" + first.split("http://")[1].strip(), process)
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@dataclass
class Tab:
    """The page in a tab, and what was complained of in its console."""

    page: Any
    messages: list[str] = field(default_factory=list)

    def turn_to(self, view: str) -> None:
        """Open a view by its link, as a user does."""
        self.page.click(f'nav a[href="#{view}"]')

    def text(self, selector: str) -> str:
        """The text of the first element."""
        return str(self.page.locator(selector).first.inner_text())

    def shows(self, selector: str, text: str, wait: int = WAIT) -> None:
        """Wait until an element with this text can be seen."""
        found = self.page.locator(selector, has_text=text).first
        found.wait_for(state="visible", timeout=wait)

    def add_class(self, name: str) -> None:
        """Make a class by the dialog."""
        self.page.click("text=New class")
        self.page.fill("dialog input", name)
        self.page.keyboard.press("Enter")
        self.shows(".title h2", name)

    def choose_class(self, name: str) -> None:
        """Show the images of a class."""
        self.page.locator(".classes button", has_text=name).click()
        self.shows(".title h2", name)

    def counts(self) -> dict[str, str]:
        """The classes with their numbers of images, as the list shows them."""
        rows = self.page.locator(".classes .class-top").all()
        lines = [row.inner_text().split("\n") for row in rows]
        return {line[0]: line[-1] for line in lines}

    def pick(self, files: Sequence[Path]) -> str:
        """Choose files, and wait until they are in; what is told of them."""
        self.forget_upload()
        self.page.set_input_files("#pick-files", [str(one) for one in files])
        return self.sent()

    def pick_folder(self, folder: Path, wait: int = WAIT) -> str:
        """Choose a folder, and wait until its files are in; what is told of them."""
        self.forget_upload()
        self.page.set_input_files("#pick-folder", str(folder))
        return self.sent(wait)

    def forget_upload(self) -> None:
        """Close what is told of the last upload."""
        close = self.page.locator(".upload.over .quiet")
        if close.is_visible():
            close.click()

    def sent(self, wait: int = WAIT) -> str:
        """Wait until all files are sent; what is told of them."""
        self.page.wait_for_selector(".upload.over", timeout=wait)
        return self.text(".upload-line")

    def drop(self, paths: Sequence[Path], selector: str) -> None:
        """Drop files and folders onto an element, as a file manager does."""
        box = self.page.locator(selector).first.bounding_box()
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + min(60, box["height"] / 2)}
        data = {"items": [], "files": [str(one) for one in paths], "dragOperationsMask": 1}
        session = self.page.context.new_cdp_session(self.page)
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})
        session.detach()


@contextmanager
def tab(running: Any, link: str, script: str = "", **choices: Any) -> Iterator[Tab]:
    """A tab of its own window with the page in it, ready; `script` runs before the page's own."""
    window = running.new_context(**{"viewport": DESKTOP, **choices})
    window.set_default_timeout(WAIT)
    if script:
        window.add_init_script(script)
    yield opened(window, link)
    window.close()


def opened(window: Any, link: str) -> Tab:
    """One more tab in a window."""
    made = Tab(window.new_page())
    made.page.on("console", lambda message: made.messages.append(message.text))
    made.page.on("pageerror", lambda error: made.messages.append(str(error)))
    made.page.on("dialog", lambda dialog: made.messages.append(f"dialog {dialog.message}"))
    made.page.goto(link)
    made.page.wait_for_selector("html[data-ready=yes]")
    return made


def make_files(folder: Path, count: int, hue: float = 0.3, seed: int = 0) -> list[Path]:
    """Images in one colour, each another."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, int(hue * 1000)])
    made = [folder / f"{index:04}.jpg" for index in range(count)]
    for path in made:
        make_image(rng, hue, (48, 64)).save(path)
    return made


def make_folders(folder: Path, count: int, names: Sequence[str] = ("daisies", "roses")) -> Path:
    """A folder with a folder of images for each class."""
    for place, name in enumerate(names):
        make_files(folder / name, count, (place + 0.5) / len(names))
    return folder
