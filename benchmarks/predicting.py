"""`headstart predict --csv`: how near its bound it comes, and that memory does not grow.

    python benchmarks/predicting.py speed --bundle BUNDLE --data FOLDER [--images 2000] [--repeat 5]
    python benchmarks/predicting.py memory [--counts 2000 50000]

`speed`: E is the engine alone on arrays in memory, D the decoder alone on all processors, both in
images a second; where the two share the processors without loss, a table is written at
1 / (1/E + 1/D), the bound. Target: 0.85 of it. The measurements take turns, and the ratio is the
median of the turns; starting the engine is in none of them. The command as a whole, with its start,
stands beside, with the peak of its resident memory.

Expected, on trashnet with a frozen EfficientNet-Lite0 at 224 and two cores of an AMD EPYC (Zen 4),
2026-11-26: E 375, D 1374, bound 289; 254 images a second, 0.86 of it (0.84 to 0.92 over the turns);
the command as a whole 235 a second, 192 MB.

`memory`: the peak of the command over that many hard links to 60 small images with the network
`tiny`, for CSV and Parquet. Target: the most files within 15% of the fewest. Same machine, 2,000
and 50,000 files: CSV 121 and 124 MB, Parquet 206 and 249 MB (a group of 65,536 rows is written at
once, so it ends there). Each mode prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from extraction import decode_all, find_images, timed
from PIL import Image

from headstart.batch import columns_of
from headstart.batch.table import Table, write_table
from headstart.bundle import load
from headstart.classifier import Classifier
from headstart.listing import Files
from headstart.workers import cpu_count


def run_command(bundle: Path, images: Sequence[Path], out: Path) -> dict[str, float]:
    """The command in a process of its own: seconds and peak memory in MB."""
    places = [str(path) for path in images]
    command = [sys.executable, "-m", "headstart", "predict", str(bundle), *places]
    command += [f"--{out.suffix[1:]}", str(out)]
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:5])} ... ended with {process.returncode}")
    return {
        "seconds": round(time.monotonic() - start, 2),
        "peak_megabytes": round(usage.ru_maxrss / 1e3),
    }


def take_turn(classifier: Classifier, paths: Sequence[Path], out: Path) -> dict[str, float]:
    """Engine, decoder and both together, once each."""
    engine = classifier.engine()
    images = decode_all(paths, classifier.image_size)
    files = Files(paths)
    table = Table(out, columns_of(classifier, 1, False), ())
    alone = timed(lambda: list(engine.stream(images)))
    decoder = timed(lambda: decode_all(paths, classifier.image_size))
    both = timed(lambda: write_table(classifier.predict_files, files, table))
    return {
        "E": len(paths) / alone[0],
        "D": len(paths) / decoder[0],
        "bound": len(paths) / (alone[0] + decoder[0]),
        "predict": len(paths) / both[0],
        "ratio": (alone[0] + decoder[0]) / both[0],
        "processor_ratio": (alone[1] + decoder[1]) / both[1],
    }


def measure_speed(options: argparse.Namespace, place: Path) -> dict[str, object]:
    """Turns, and the command as a whole."""
    paths = find_images(options.data, options.images)
    folder = place / "images"
    folder.mkdir()
    for number, path in enumerate(paths):
        (folder / f"{number:06}{path.suffix}").symlink_to(path.absolute())
    command = run_command(options.bundle, [folder], place / "command.csv")
    classifier = load(options.bundle)
    classifier.predict(paths[0])
    turns = [take_turn(classifier, paths, place / "out.csv") for _ in range(options.repeat)]
    middle = {name: round(statistics.median(turn[name] for turn in turns), 3) for name in turns[0]}
    return {
        "images": len(paths),
        **middle,
        "ratios": sorted(round(turn["ratio"], 3) for turn in turns),
        "command": {**command, "images_a_second": round(len(paths) / command["seconds"], 1)},
    }


def make_tiny_bundle(place: Path) -> tuple[Path, list[Path]]:
    """A classifier of two colours, and its images of 48 x 48."""
    random = np.random.default_rng(0)
    paths = []
    for name, base in (("dark", 0), ("light", 128)):
        (place / "photos" / name).mkdir(parents=True)
        for number in range(30):
            pixels = random.integers(base, base + 128, (48, 48, 3), dtype=np.uint8)
            paths.append(place / "photos" / name / f"{number}.png")
            Image.fromarray(pixels).save(paths[-1])
    options = ["--recipe", "frozen", "--backbone", "tiny", "--image-size", "32", "--out"]
    command = [sys.executable, "-m", "headstart", "fit", str(place / "photos"), *options]
    # In another process: the peak of a child begins with what its parent holds.
    subprocess.run([*command, str(place / "bundle")], check=True, capture_output=True)
    return place / "bundle", paths


def measure_memory(options: argparse.Namespace, place: Path) -> dict[str, object]:
    """Peak memory by number of files."""
    bundle, paths = make_tiny_bundle(place)
    found: dict[str, object] = {}
    for count in options.counts:
        folder = place / str(count)
        for number in range(count):
            below = folder / f"{number // 10_000:04}"
            below.mkdir(parents=True, exist_ok=True)
            os.link(paths[number % len(paths)], below / f"{number:08}.png")
        for kind in ("csv", "parquet"):
            found[f"{count} {kind}"] = run_command(bundle, [folder], place / f"{count}.{kind}")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = parser.add_subparsers(dest="mode", required=True)
    speed = modes.add_parser("speed")
    speed.add_argument("--bundle", type=Path, required=True)
    speed.add_argument("--data", type=Path, required=True)
    speed.add_argument("--images", type=int, default=2000)
    speed.add_argument("--repeat", type=int, default=5)
    memory = modes.add_parser("memory")
    memory.add_argument("--counts", type=int, nargs="+", default=[2000, 50_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        measure = measure_speed if options.mode == "speed" else measure_memory
        print(json.dumps({"processors": cpu_count(), **measure(options, Path(place))}))


if __name__ == "__main__":
    main()
