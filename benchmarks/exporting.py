"""Every export format: agreement with the classifier, largest difference, size and speed.

    python benchmarks/exporting.py --data FOLDER [--kinds linear mlp fine-tuned] [--formats ...]
        [--table]

Trains a frozen linear head, a frozen mlp and a network fine-tuned for two epochs (last 20 layers)
in float32, exports each to every format and, where there is one, to 8 bits, checked with the
images of the folder. Speed is images a second of the format's own runtime in batches of 16 that
are decoded already, the median of 5 rounds of at least 2 seconds after one that does not count;
the formats take turns, so that a busy moment does not hit one alone. Prints one JSON
object, or with --table a Markdown table.

Expected, on trashnet and two cores of an AMD EPYC (Zen 4), 2026-11-26: agreement 100% and a
difference of at most 5.5e-6 for all formats in float32; 97.5 to 99.5% and a loss of at most 1.5
points with 8 bits; the table stands in docs/export.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import headstart
from headstart.exporting import INT8_FORMATS, Export
from headstart.exporting.runtimes import OPEN, Run
from headstart.images import Pixels
from headstart.recipe import NAMED, Recipe
from headstart.workers import cpu_count

KINDS = ("linear", "mlp", "fine-tuned")
BATCH = 16
ROUNDS, SECONDS = 5, 2.0


def recipe_of(kind: str, backbone: str) -> Recipe:
    """The recipe of one kind of classifier."""
    frozen = replace(NAMED["frozen"], backbone=backbone, precision="float32")
    if kind != "fine-tuned":
        return replace(frozen, head=kind)
    tuning = replace(frozen.tuning, epochs=2)
    return replace(frozen, unfreeze=20, kept_views=1, tuning=tuning)


def rate(run: Run, images: Pixels, seconds: float) -> float:
    """Images a second."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        run(images)
        count += len(images)
    return count / (time.perf_counter() - start)


def rates(exports: Mapping[str, Export], images: Pixels, rounds: int) -> dict[str, float]:
    """The median for each export."""
    runs = {name: OPEN[one.format](one.path) for name, one in exports.items()}
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            each = rate(run, images, SECONDS)
            if number:
                found[name].append(each)
    return {name: round(statistics.median(each), 1) for name, each in found.items()}


def row(found: Export, seconds: float) -> dict[str, Any]:
    """What is told of one export."""
    return {
        "agreement": found.check.agreement,
        "difference": float(f"{found.check.difference:.2g}"),
        "bundle_difference": float(f"{found.bundle.difference:.2g}"),
        "loss": None if found.loss is None else round(found.loss, 4),
        "megabytes": round(found.bytes / 1e6, 2),
        "images": found.check.images,
        "export_seconds": round(seconds, 1),
    }


def measure(kind: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All formats of one kind of classifier."""
    run = headstart.fit(options.data, recipe_of(kind, options.backbone), out=folder / "bundle")
    exports: dict[str, Export] = {}
    rows: dict[str, dict[str, Any]] = {}
    for name in options.formats:
        wanted, _, int8 = name.partition("-")
        start = time.perf_counter()
        suffix = {"openvino": "xml", "litert": "tflite"}.get(wanted, wanted)
        out = folder / f"{name}.{suffix}"
        try:
            found = headstart.export(
                folder / "bundle", wanted, int8=bool(int8), out=out, data=options.data
            )
        except headstart.HeadstartError as error:
            rows[name] = {"refused": str(error)}
            continue
        exports[name], rows[name] = found, row(found, time.perf_counter() - start)
    height, width = run.classifier.image_size
    images = np.random.default_rng(0).integers(0, 256, (BATCH, height, width, 3), dtype=np.uint8)
    for name, each in rates(exports, images, options.rounds).items():
        rows[name]["images_a_second"] = each
    share = None if run.fine_tuning is None else run.fine_tuning["share"]
    return {"accuracy": run.evaluation.accuracy, "share": share, "formats": rows}


def table(kinds: Mapping[str, Any]) -> str:
    """The figures as Markdown, one row for each format and kind."""
    lines = [
        "| format | classifier | agreement | largest difference | accuracy lost | MB | images/s |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, found in kinds.items():
        for name, one in found["formats"].items():
            if "refused" in one:
                lines.append(f"| {name} | {kind} | refused | | | | |")
                continue
            lines.append(
                f"| {name} | {kind} | {one['agreement']:.1%} | {one['difference']:.1e} "
                f"| {one['loss']:.3f} | {one['megabytes']:.1f} | {one['images_a_second']:.0f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Train, export, measure, print."""
    formats = [*OPEN, *(f"{name}-int8" for name in INT8_FORMATS)]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--formats", nargs="+", default=formats, choices=formats)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    found = {}
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as folder:
            found[kind] = measure(kind, options, Path(folder))
    if options.table:
        print(table(found))
        return
    about = {"data": options.data.name, "backbone": options.backbone, "processors": cpu_count()}
    print(json.dumps({**about, "kinds": found}, indent=2))


if __name__ == "__main__":
    main()
