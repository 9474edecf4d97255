"""What the check-up finds of what was planted: wrong labels, and copies across the split.

    python benchmarks/checkup.py --data FOLDER [--seeds 3] [--wrong 0.05] [--copies 100]

Wrong labels: that share of all images is put into the folder of another class. `first_tenth`: which
part of them stands in the first tenth of the ranking; `flagged`: which part is flagged;
`precision`: which part of what is flagged was planted (the data set's own wrong labels count
against it). Copies: the data set is divided into train and test, and of the training images
`--copies` of each sort are put into the test folder, with a new name. `false`: which part of the
images that are no copy, nor have one, is told as a copy of another; `false_beyond_own`
leaves out the pairs that are told of the data set as it is, too. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

import headstart
from headstart.scan import display_path

Change = Callable[[Image.Image, np.random.Generator], tuple[Image.Image, int]]  # with its quality


def resized(image: Image.Image, random: np.random.Generator) -> tuple[Image.Image, int]:
    """0.4 to 0.9 times as large."""
    scale = random.uniform(0.4, 0.9)
    return image.resize([max(1, round(side * scale)) for side in image.size]), 90


def compressed(image: Image.Image, random: np.random.Generator) -> tuple[Image.Image, int]:
    """JPEG quality 20 to 70."""
    return image, int(random.integers(20, 70))


def both(image: Image.Image, random: np.random.Generator) -> tuple[Image.Image, int]:
    """Resized and compressed."""
    return resized(image, random)[0], compressed(image, random)[1]


def mirrored(image: Image.Image, random: np.random.Generator) -> tuple[Image.Image, int]:
    """Left and right exchanged."""
    return ImageOps.mirror(image), 90


def cropped(image: Image.Image, random: np.random.Generator) -> tuple[Image.Image, int]:
    """90% of each side, anywhere."""
    width, height = image.size
    left, top = (random.uniform(0, 0.1) * side for side in image.size)
    return image.crop((int(left), int(top), int(left + 0.9 * width), int(top + 0.9 * height))), 90


CHANGES: dict[str, Change] = {
    "resized": resized,
    "compressed": compressed,
    "both": both,
    "mirrored": mirrored,
    "cropped": cropped,
}


def link(source: Path, target: Path) -> Path:
    """Put an image elsewhere too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, target) if source.stat().st_dev == target.parent.stat().st_dev else (
        target.write_bytes(source.read_bytes())
    )
    return target


def wrong_labels(dataset: headstart.Dataset, share: float, seed: int) -> dict[str, Any]:
    """Plant wrong labels and look for them."""
    random, names = np.random.default_rng(seed), dataset.class_names
    count = len(dataset.paths)
    planted = set(random.choice(count, round(share * count), replace=False).tolist())
    with tempfile.TemporaryDirectory() as folder:
        files = set()
        for row, path in enumerate(dataset.paths):
            label = int(dataset.labels[row])
            if row in planted:
                label = (label + int(random.integers(1, len(names)))) % len(names)
            link(path, Path(folder, names[label], f"{row}{path.suffix}"))
            if row in planted:
                files.add(f"{names[label]}/{row}{path.suffix}")
        found = headstart.check(folder)
    first = set(found.label_ranking[: count // 10])
    flagged = {one.files[0] for one in found.findings if one.kind == "label"}
    return {
        "seed": seed,
        "planted": len(files),
        "first_tenth": len(first & files) / len(files),
        "flagged": len(flagged & files) / len(files),
        "precision": len(flagged & files) / len(flagged),
        "seconds": found.seconds,
    }


def pairs_of(dataset: headstart.Dataset) -> list[set[int]]:
    """The rows that are told as copies in the data set as it is."""
    rows = {
        display_path(os.path.relpath(path, dataset.root)): row
        for row, path in enumerate(dataset.paths)
    }
    found = headstart.check(dataset)
    return [{rows[file] for file in one.files} for one in found.findings if one.kind in _COPIES]


def plant_copies(
    dataset: headstart.Dataset, folder: Path, each: int, seed: int
) -> dict[str, tuple[str, str]]:
    """Fill a folder; gives for each copy which sort it is, and of which image."""
    random, names = np.random.default_rng(seed), dataset.class_names
    order = random.permutation(len(dataset.paths))
    test = set(order[: len(order) // 5].tolist())
    train = [row for row in order if row not in test]
    originals: dict[str, tuple[str, str]] = {}
    places = []
    for row, path in enumerate(dataset.paths):
        part = "test" if row in test else "train"
        places.append(f"{part}/{names[dataset.labels[row]]}/{row}{path.suffix}")
        link(path, folder / places[-1])
    for number, sort in enumerate(["exact", *CHANGES]):
        for row in train[number * each : (number + 1) * each]:
            name = f"test/{names[dataset.labels[row]]}/{sort}{row}.jpg"
            originals[name] = sort, places[row]
            if sort == "exact":
                link(dataset.paths[row], folder / name)
                continue
            with Image.open(dataset.paths[row]) as image:
                changed, quality = CHANGES[sort](image.convert("RGB"), random)
            changed.save(folder / name, quality=quality)
    return originals


def copies(
    dataset: headstart.Dataset, known: list[set[int]], each: int, seed: int
) -> dict[str, Any]:
    """Plant copies of training images in the test part and look for them."""
    with tempfile.TemporaryDirectory() as folder:
        originals = plant_copies(dataset, Path(folder), each, seed)
        found = headstart.check(folder)
    together = [set(one.files) for one in found.findings if one.kind in _COPIES]
    hit = {
        sort: statistics.mean(
            any({name, original} <= files for files in together)
            for name, (own, original) in originals.items()
            if own == sort
        )
        for sort in ("exact", *CHANGES)
    }
    involved = {*originals, *(original for _, original in originals.values())}
    others = [files for files in together if not files & involved]
    new = [
        files
        for files in others
        if not any({int(Path(file).stem) for file in files} <= rows for rows in known)
    ]
    total = len(dataset.paths) - len(originals)
    false, own = (len(set().union(*found)) / total for found in (others, new))
    return {"seed": seed, "found": hit, "false": false, "false_beyond_own": own}


_COPIES = ("leak", "copy", "near_copy", "two_labels")


def main() -> None:
    """Measure and print."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--wrong", type=float, default=0.05)
    parser.add_argument("--copies", type=int, default=100)
    options = parser.parse_args()
    dataset = headstart.read_dataset(options.data)
    results: dict[str, list[dict[str, Any]]] = {"labels": [], "copies": []}
    known = pairs_of(dataset)
    for seed in range(options.seeds):
        results["labels"].append(wrong_labels(dataset, options.wrong, seed))
        results["copies"].append(copies(dataset, known, options.copies, seed))
        print(json.dumps({name: rows[-1] for name, rows in results.items()}), file=sys.stderr)
    print(json.dumps({"data": dataset.name, "own_pairs": len(known), **results}, indent=2))


if __name__ == "__main__":
    main()
