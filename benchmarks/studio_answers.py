"""Answers a second in the studio for images as a webcam gives them, alone and during a training.

    python benchmarks/studio_answers.py --data FOLDER [--seconds 5]

Copies the images into a project, trains with `quick`, then sends JPEG frames of 640 x 480 pixels
one after the other, each when the last is answered, with and without a map; then again while a
second training (`good`) runs. Also how long the page's own requests take meanwhile. Through HTTP,
with a studio in a process of its own.

Expected: more than 10 answers a second without a map, also during a training.
"""

from __future__ import annotations

import argparse
import io
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from headstart.dataset import read_dataset


@contextmanager
def running(folder: Path) -> Iterator[httpx.Client]:
    """A studio, and a client that is let in."""
    command = [sys.executable, "-m", "headstart", "studio", str(folder), "--port", "0"]
    process = subprocess.Popen([*command, "--no-browser"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    link = process.stdout.readline().split()[-1]
    base = link.partition("/?")[0]
    try:
        with httpx.Client(base_url=base, timeout=120) as client:
            client.headers.update({"Origin": base, "X-Headstart": "studio"})
            client.get(link)
            yield client
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def make_project(data: Path, folder: Path) -> None:
    """Copy the images into one folder a class."""
    dataset = read_dataset(data)
    for number, (path, label) in enumerate(zip(dataset.paths, dataset.labels, strict=True)):
        place = folder / dataset.class_names[label]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place / f"{number:05}{path.suffix}")


def frames() -> list[bytes]:
    """Some frames, smooth and noisy as a webcam's."""
    rng, found = np.random.default_rng(0), []
    for _ in range(8):
        small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(small.resize((640, 480), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(smooth + rng.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)
        content = io.BytesIO()
        Image.fromarray(noisy).save(content, "JPEG", quality=85)
        found.append(content.getvalue())
    return found


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job at its end."""
    while job["state"] == "running":
        time.sleep(0.1)
        job = client.get(f"/api/jobs/{job['id']}").json()
    return job


def rate(client: httpx.Client, path: str, seconds: float) -> str:
    """Answers a second, and the median and slowest answer in milliseconds."""
    given, times, end = frames(), list[float](), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        client.post(path, content=given[len(times) % len(given)]).raise_for_status()
        times.append(1000 * (time.perf_counter() - begin))
    median = statistics.median(times)
    return f"{len(times) / seconds:6.1f} a second, median {median:.0f} ms, slowest {max(times):.0f}"


def measure(client: httpx.Client, seconds: float, when: str) -> None:
    """All that is measured, at one time."""
    for name, path in (("answers", "predict"), ("answers with map", "predict?map=1")):
        print(f"{when}, {name}: {rate(client, f'/api/models/1/{path}', seconds)}")
    times = []
    for _ in range(30):
        begin = time.perf_counter()
        client.get("/api/images").raise_for_status()
        times.append(1000 * (time.perf_counter() - begin))
        time.sleep(0.02)
    print(f"{when}, GET /api/images: median {statistics.median(times):.1f} ms, {max(times):.1f}")


def main() -> None:
    """Train, measure, train again and measure meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        make_project(given.data, Path(place) / "project")
        with running(Path(place) / "project") as client:
            begin = time.perf_counter()
            first = client.post("/api/train", json={"time": "quick"}).json()["job"]
            state = ended(client, first)["state"]
            print(f"quick: {state} after {time.perf_counter() - begin:.1f} s")
            measure(client, given.seconds, "alone")
            second = client.post("/api/train", json={"time": "good"}).json()["job"]
            measure(client, given.seconds, "during a training")
            for _ in range(2):
                client.post("/api/jobs/cancel", json={"job": second["id"]})
            ended(client, client.get(f"/api/jobs/{second['id']}").json())


if __name__ == "__main__":
    main()
