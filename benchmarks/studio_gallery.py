"""How quick the studio is with 20,000 images in a project: lists, looks at the disk, thumbnails.

    python benchmarks/studio_gallery.py [--images 20000]

Makes a project of small JPEG files in four classes, then asks a studio in this process, through all
of its checks, as the page does: the median and the slowest of 30 requests each, in milliseconds. A
new studio has to look at every file once ("open"); after that a look finds what has changed.

Expected: lists and looks in a few milliseconds, some tens where a folder of 5,000 has changed.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from headstart.studio.app import make_app
from headstart.studio.protection import cookie_name
from headstart.studio.serving import guarded
from headstart.studio.state import Studio

PORT, TOKEN, TIMES = 8123, "token", 30


def make_project(folder: Path, images: int) -> None:
    """Four classes of small images, each of its own bytes."""
    rng = np.random.default_rng(0)
    for number in range(images):
        place = folder / f"class {number % 4}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((96, 72), Image.Resampling.BICUBIC)
        image.save(place / f"{number:05}.jpg", "JPEG")


def timed(name: str, work: Callable[[], object], times: int = TIMES) -> None:
    """Print the median and the slowest of several calls."""
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        seconds.append(1000 * (time.perf_counter() - begin))
    print(f"{name:<44} {statistics.median(seconds):8.1f} {max(seconds):8.1f}")


def measure(folder: Path, images: int) -> None:
    """Ask for all that the page asks for."""
    begin = time.perf_counter()
    studio = Studio(folder)
    print(f"open: {time.perf_counter() - begin:.2f} s\n{'':<44} {'median':>8} {'slowest':>8}  ms")
    headers = {
        "Cookie": f"{cookie_name(PORT)}={TOKEN}",
        "Origin": f"http://127.0.0.1:{PORT}",
        "X-Headstart": "studio",
    }
    app = guarded(make_app(studio), TOKEN, PORT)
    time.sleep(3)  # the folders are no longer new
    with TestClient(app, f"http://127.0.0.1:{PORT}", headers=headers) as client:
        timed("look at the disk, nothing new", studio.project.refresh)
        timed("GET /api/project", lambda: client.get("/api/project"))
        timed("GET /api/images, first 500", lambda: client.get("/api/images"))
        last = f"/api/images?offset={images - 500}"
        timed("GET /api/images, last 500", lambda: client.get(last))
        one = "/api/images?class=class 2&offset=2000"
        timed("GET /api/images of a class, 500", lambda: client.get(one))
        ids = [one["id"] for one in client.get("/api/images").json()["images"]]
        left = iter(ids[:TIMES])
        timed("a thumbnail, new", lambda: client.get(f"/api/images/{next(left)}/thumbnail"))
        timed("a thumbnail, kept", lambda: client.get(f"/api/images/{ids[0]}/thumbnail"))
        measure_changes(client, ids[TIMES:])
    studio.stop_listening()
    studio.close()


def measure_changes(client: TestClient, ids: list[str]) -> None:
    """Move and upload images, one at a time."""
    moving = iter(ids)

    def move() -> None:
        values = {"ids": [next(moving)], "class": "class 1"}
        assert client.post("/api/images/move", json=values).status_code == 200

    timed("move an image (two folders change)", move)
    data = io.BytesIO()
    Image.new("RGB", (640, 480), "red").save(data, "JPEG")
    count = iter(range(TIMES))

    def upload() -> None:
        content = data.getvalue() + bytes([next(count)])
        form = [("files", ("new.jpg", content))]
        answer = client.post("/api/images", params={"class": "class 3"}, files=form)
        assert len(answer.json()["added"]) == 1

    timed("upload an image", upload)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        make_project(Path(place) / "project", given.images)
        measure(Path(place) / "project", given.images)
