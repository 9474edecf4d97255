"""Open a page in headless Chromium: what it asks for and complains of, as an image, checked by axe.

    python tools/browse.py report.html --to images/      # 390, 820 and 1440 pixels, light and dark
    python tools/browse.py report.html --axe             # what axe-core finds, serious or critical

Needs a Chromium; CHROMIUM names another than /usr/bin/chromium.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

WIDTHS = (390, 820, 1440)  # pixels: phone, tablet, desktop
SCHEMES = ("light", "dark")
MISSING = (
    "there is no Chromium: `apt-get install chromium` on Debian, or let CHROMIUM name the file of "
    "one"
)
WORST = ("serious", "critical")
_HEIGHT = 900


@dataclass
class Visit:
    """What happened while a page was open.

    Attributes:
        requests: Addresses it asked for, besides itself and what is in it.
        messages: What stands in the console.
        overflow: By how many pixels it is wider than the window.
        sections: The ids of its sections.
    """

    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    overflow: int = 0
    sections: list[str] = field(default_factory=list)


def chromium() -> str | None:
    """The path of a Chromium, or None."""
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    return path if Path(path).is_file() else None


@contextmanager
def browser(*args: str) -> Iterator[Any]:
    """A running browser, with further arguments of its command line."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as made:
        given = ["--no-sandbox", *args]
        found = made.chromium.launch(executable_path=chromium(), args=given)
        yield found
        found.close()


def axe_source() -> str:
    """The script of axe-core, from the package axe-playwright-python."""
    place = files("axe_playwright_python") / "axe.min.js"
    return place.read_text(encoding="utf-8")


def visit(running: Any, page: Path, width: int, scheme: str, to: Path | None = None) -> Visit:
    """Open a page and, where asked to, draw all of it."""
    seen = Visit()
    window = running.new_context(
        viewport={"width": width, "height": _HEIGHT}, color_scheme=scheme, device_scale_factor=2
    )
    tab = window.new_page()
    tab.on("console", lambda message: seen.messages.append(message.text))
    tab.on("pageerror", lambda error: seen.messages.append(str(error)))
    tab.on("request", lambda asked: seen.requests.append(asked.url))
    tab.on("dialog", lambda dialog: seen.messages.append(f"dialog: {dialog.message}"))
    tab.goto(page.resolve().as_uri())
    tab.wait_for_timeout(100)
    seen.overflow = max(0, tab.evaluate("document.documentElement.scrollWidth") - width)
    seen.sections = tab.evaluate("[...document.querySelectorAll('section')].map(one => one.id)")
    own = page.resolve().as_uri()
    seen.requests = [one for one in seen.requests if one != own and not one.startswith("data:")]
    if to is not None:
        tab.screenshot(path=to, full_page=True)
    window.close()
    return seen


def accessibility(running: Any, page: Path, scheme: str) -> list[str]:
    """What axe-core finds in a page with all of it unfolded, serious or critical."""
    # The page's own policy would refuse axe.
    window = running.new_context(
        viewport={"width": WIDTHS[0], "height": _HEIGHT}, color_scheme=scheme, bypass_csp=True
    )
    tab = window.new_page()
    tab.goto(page.resolve().as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = judged(tab)
    window.close()
    return found


def judged(tab: Any, *rules: str) -> list[str]:
    """What axe-core finds in what a tab shows now, serious or critical; by some of its rules."""
    tab.evaluate(axe_source())
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = rules
    found = tab.evaluate("(options) => axe.run(options)", options)["violations"]
    return [
        f"{one['impact']}: {one['id']}: {node['html'][:120]}: {node['failureSummary'][:200]}"
        for one in found
        if one["impact"] in WORST
        for node in one["nodes"]
    ]


def on_paper(running: Any, page: Path, to: Path) -> None:
    """Print a page into a PDF file."""
    tab = running.new_page()
    tab.goto(page.resolve().as_uri())
    tab.pdf(path=to, format="A4", prefer_css_page_size=True)
    tab.close()


def main() -> int:
    """Visit a page and tell what was seen; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--to", type=Path, help="folder for images and a PDF")
    parser.add_argument("--axe", action="store_true", help="let axe-core judge it too")
    given = parser.parse_args()
    problems = []
    with browser() as running:
        for scheme in SCHEMES:
            for width in WIDTHS:
                to = None if given.to is None else given.to / f"{width}-{scheme}.png"
                seen = visit(running, given.page, width, scheme, to)
                problems += [*seen.requests, *seen.messages]
                problems += [f"{seen.overflow} pixels too wide at {width}"] * bool(seen.overflow)
            if given.axe:
                problems += accessibility(running, given.page, scheme)
        if given.to is not None:
            on_paper(running, given.page, given.to / "paper.pdf")
    print("\n".join(problems) or "Nothing is asked for, nothing complains, nothing is too wide.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
