"""Draw the images of the studio that docs show, as WebP.

    python tools/studio_pictures.py photos/ docs/             # the images of the docs
    python tools/studio_pictures.py photos/ docs/ --all look/ # and every view, to look at

`photos/` has a folder for each class and is not changed: a project of some of its images is made,
trained (quick) and shown at 390, 820 and 1440 pixels, light and dark. Those of the docs are of
trashnet (MIT licence). Needs what `browse.py` needs.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browse import SCHEMES, WIDTHS, browser
from PIL import Image
from report_pictures import beside

VIEWS = ("collect", "train", "understand", "try", "ship")
PHONE, TABLET, DESKTOP = WIDTHS
HEIGHTS = {PHONE: 844, TABLET: 700, DESKTOP: 900}  # pixels
PER_CLASS = 120
_TRAINING = 300_000  # milliseconds at most
_QUALITY = 82

# What stands side by side in an image of the docs: view, width, scheme.
SHEETS = {
    "collect": (("collect", DESKTOP, "light"),),
    "understand": (("understand", DESKTOP, "dark"),),
    "tablet": (("train", TABLET, "light"), ("try", TABLET, "dark")),
    "phone": (("collect", PHONE, "light"), ("understand", PHONE, "dark"), ("try", PHONE, "light")),
}


def make_project(source: Path, target: Path) -> Path:
    """Copy some images of each class; the last one of all is left out and given back."""
    last = source
    for folder in sorted(one for one in source.iterdir() if one.is_dir()):
        images = sorted(one for one in folder.iterdir() if one.is_file())
        (target / folder.name).mkdir(parents=True)
        for path in images[:PER_CLASS]:
            shutil.copy(path, target / folder.name)
        last = images[min(PER_CLASS, len(images) - 1)]
    return last


@contextmanager
def served(project: Path) -> Iterator[str]:
    """A studio that runs on a project, by its link."""
    command = [sys.executable, "-m", "headstart", "studio", str(project), "--port", "0"]
    process = subprocess.Popen([*command, "--no-browser"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().removeprefix("Studio: ").strip()
    process.terminate()
    process.wait()
    process.stdout.close()


def train(running: Any, link: str) -> None:
    """Train once, and once more with another backbone, so that there are two to compare."""
    tab = running.new_page()
    tab.goto(link)
    for backbone in ("efficientnet_lite1", "efficientnet_lite0"):
        tab.click('nav a[href="#train"]')
        if not tab.locator(".advanced").get_attribute("open"):
            tab.evaluate("document.querySelector('.advanced').open = true")
        tab.locator(f"option[value={backbone}]").wait_for(state="attached")
        tab.select_option(".fields select >> nth=0", backbone)
        tab.click(".train-form button")
        tab.wait_for_selector(".job[data-state=running]")
        tab.wait_for_selector(".job[data-state=done]", timeout=_TRAINING)
    tab.close()


def prepare(tab: Any, view: str, new: Path) -> None:
    """Bring a view to where it has something to show."""
    tab.click(f'nav a[href="#{view}"]')
    width = tab.viewport_size["width"]
    if view == "collect":
        tab.wait_for_selector("button.kind")
    if view == "collect" and width != DESKTOP:
        tab.locator("button.kind", has_text="Probably wrong labels").click()
    if view == "understand":
        tab.wait_for_selector(".matrix")
        wrong = tab.locator(".matrix td.wrong button").all()
        max(wrong, key=lambda one: int(one.inner_text())).click()
        tab.wait_for_selector(".cell-images img")
    if view == "try":
        tab.set_input_files("#try-file", str(new))
        tab.wait_for_selector(".probabilities li")
        if width == TABLET:
            tab.click("text=Show the map")
            tab.wait_for_selector("img[src^='data:']")
    if view == "ship":
        tab.locator(".exports button").first.click()
        tab.wait_for_selector(".exports a")
    tab.wait_for_timeout(700)


def shot(running: Any, link: str, how: tuple[str, int, str], new: Path) -> Image.Image:
    """What a window shows of a view."""
    view, width, scheme = how
    size = {"width": width, "height": HEIGHTS[width]}
    window = running.new_context(viewport=size, color_scheme=scheme, device_scale_factor=2)
    tab = window.new_page()
    tab.goto(link)
    tab.wait_for_selector("html[data-ready=yes]")
    prepare(tab, view, new)
    content = tab.screenshot()
    window.close()
    return Image.open(io.BytesIO(content)).convert("RGB")


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--all", type=Path, help="folder for every view, width and scheme")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        project = Path(place, given.photos.resolve().name)
        new = make_project(given.photos, project)
        with served(project) as link, browser() as running:
            train(running, link)
            for name, parts in SHEETS.items():
                images = [shot(running, link, how, new) for how in parts]
                sheet = images[0] if len(images) == 1 else beside(images)
                smaller = sheet.resize((sheet.width * 5 // 8, sheet.height * 5 // 8))
                smaller.save(given.docs / f"studio_{name}.webp", quality=_QUALITY, method=6)
            if given.all is not None:
                given.all.mkdir(parents=True, exist_ok=True)
                every = [
                    (view, width, one) for view in VIEWS for width in WIDTHS for one in SCHEMES
                ]
                for how in every:
                    target = given.all / f"{how[0]}-{how[1]}-{how[2]}.png"
                    shot(running, link, how, new).save(target)


if __name__ == "__main__":
    main()
