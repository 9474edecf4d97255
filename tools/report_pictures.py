"""Draw the images of a report that README and docs show, as WebP.

    python tools/report_pictures.py textile.headstart/report.html docs/

`report_desktop.webp` is the top of the page at the width of a desktop, `report_phone.webp` parts of
it as a phone shows them, light and dark. Needs what `browse.py` needs.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from browse import browser
from PIL import Image

DESKTOP, PHONE = (1280, 1180), (390, 844)  # pixels
SHOWN = (("header", "light"), ("mistakes", "light"), ("classes", "dark"))  # on the phone
_GAP, _GROUND, _QUALITY = 36, (128, 126, 122), 82


def shot(running: Any, page: Path, size: tuple[int, int], scheme: str, part: str) -> Image.Image:
    """What a window shows whose top is at a part of the page."""
    view = {"width": size[0], "height": size[1]}
    window = running.new_context(viewport=view, color_scheme=scheme, device_scale_factor=2)
    tab = window.new_page()
    tab.goto(page.resolve().as_uri())
    place = "header" if part == "header" else f"#{part}"
    tab.evaluate(f"document.querySelector('{place}').scrollIntoView({{behavior: 'instant'}})")
    tab.wait_for_timeout(200)
    content = tab.screenshot()
    window.close()
    return Image.open(io.BytesIO(content)).convert("RGB")


def beside(images: list[Image.Image]) -> Image.Image:
    """Images in a row."""
    width = sum(one.width + _GAP for one in images) + _GAP
    sheet = Image.new("RGB", (width, images[0].height + 2 * _GAP), _GROUND)
    left = _GAP
    for one in images:
        sheet.paste(one, (left, _GAP))
        left += one.width + _GAP
    return sheet


def main() -> None:
    """Draw both into a folder."""
    page, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with browser() as running:
        desktop = shot(running, page, DESKTOP, "light", "header")
        phone = beside([shot(running, page, PHONE, scheme, part) for part, scheme in SHOWN])
    for name, image in (("desktop", desktop), ("phone", phone)):
        smaller = image.resize((image.width * 3 // 4, image.height * 3 // 4))
        smaller.save(folder / f"report_{name}.webp", quality=_QUALITY, method=6)


if __name__ == "__main__":
    main()
