"""Peak memory of `headstart fit` with a linear head, for few images and for many.

    python benchmarks/memory.py --data FOLDER [--counts 2000 20000]

Makes that many different JPEGs of 256 x 256 from random parts of the images in FOLDER, and runs
each `fit` as a process of its own: `first` converts the network with TensorFlow, `computed` finds
the network kept but no features, `kept` finds both. `extract_computed` and `extract_kept` make or
find the features alone. The targets: `first` and both of `extract` with 20,000 images within 15% of
2,000, everything under 1.5 GB; the head holds the features of its images besides, 2.5 kB each.
Prints one JSON object with the peak of the resident memory in MB, which counts the pages of the
features' file that are mapped just then.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.workers import cpu_count

_SIDE = 256
_EXTRACT = """
import sys
from pathlib import Path
from headstart.backbones import load_backbone
from headstart.engine import choose_engine, resolve_precision
from headstart.features import extract
from headstart.prefix import make_prefix
engine = choose_engine()
prefix = make_prefix(
    load_backbone("efficientnet_lite0"), (224, 224), engine, resolve_precision("auto", engine)
)
assert not extract(sorted(Path(sys.argv[1]).glob("*/*")), prefix).bad
"""


def vary(folder: Path, task: tuple[int, Path]) -> None:
    """Write a random part of an image, in another light, into the folder of its class."""
    number, path = task
    rng = np.random.default_rng(number)
    with Image.open(path) as file:
        image = file.convert("RGB")
    width, height = image.size
    part = rng.uniform(0.4, 0.9)
    left, top = rng.uniform(0, 1 - part, 2)
    box = (width * left, height * top, width * (left + part), height * (top + part))
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC, box=box))
    light = np.clip(small * rng.uniform(0.6, 1.2), 0, 255).astype(np.uint8)
    Image.fromarray(light).save(folder / path.parent.name / f"{number:06}.jpg", quality=90)


def make_images(data: Path, folder: Path, count: int) -> None:
    """Fill `folder` with `count` images."""
    sources = sorted(path for path in data.glob("*/*") if path.suffix.lower() in (".jpg", ".png"))
    for name in {path.parent.name for path in sources}:
        (folder / name).mkdir(parents=True)
    np.random.default_rng(0).shuffle(sources)
    tasks = [(number, sources[number % len(sources)]) for number in range(count)]
    with ProcessPoolExecutor(cpu_count()) as pool:
        list(pool.map(partial(vary, folder), tasks, chunksize=200))


def run(command: Sequence[str], cache: Path) -> dict[str, float]:
    """Run a process; its seconds and the peak of its resident memory in MB."""
    environment = {**os.environ, "HEADSTART_CACHE": str(cache)}
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if process.returncode:
            raise SystemExit(f"{command} failed:\n{output.read().decode()[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    megabytes = usage.ru_maxrss * unit / 1e6
    return {"megabytes": round(megabytes), "seconds": round(time.monotonic() - start, 1)}


def measure(data: Path, place: Path, count: int) -> dict[str, dict[str, float]]:
    """Fit `count` images three times, and make or find their features alone."""
    folder, cache = place / f"images-{count}", place / f"cache-{count}"
    make_images(data, folder, count)
    fit = [sys.executable, "-m", "headstart", "fit", str(folder), "--recipe", "frozen"]
    fit += ["--head", "linear", "--json", "--out", str(place / f"out-{count}")]
    extract = [sys.executable, "-c", _EXTRACT, str(folder)]
    results = {"first": run(fit, cache)}
    for prefix, command in (("", fit), ("extract_", extract)):
        shutil.rmtree(cache / "features")
        results[f"{prefix}computed"] = run(command, cache)
        results[f"{prefix}kept"] = run(command, cache)
    shutil.rmtree(folder)
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs=2, default=[2000, 20000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        few, many = (measure(options.data, Path(folder), count) for count in options.counts)
    grown = {name: round(many[name]["megabytes"] / few[name]["megabytes"], 3) for name in few}
    counts = [str(count) for count in options.counts]
    print(json.dumps({counts[0]: few, counts[1]: many, "grown": grown}))


if __name__ == "__main__":
    main()
