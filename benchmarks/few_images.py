"""How accuracy grows with the images of a class, and which head suits how many. Draws a figure.

    python benchmarks/few_images.py --data FOLDER [FOLDER ...] --out docs/few_images.svg

For 1, 2, 4 ... images a class, drawn from the training part, each head is fitted on kept features
and tested on the whole test part; mean over seeds. Prints one JSON object.

2026-11, efficientnet_lite0 at 224, bfloat16, 5 seeds, 1 to 64 images a class. ants-bees: prototype
0.681, 0.780, 0.909, 0.929, 0.931, 0.931, 0.935; linear 0.681, 0.778, 0.907, 0.918, 0.927, 0.931,
0.939. trashnet: prototype 0.431, 0.471, 0.594, 0.655, 0.701, 0.717, 0.731; linear 0.458, 0.473,
0.595, 0.686, 0.736, 0.784, 0.814.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import headstart
from headstart.features import extract
from headstart.heads import TrainingData, fit_head

COUNTS = (1, 2, 4, 8, 16, 32, 64)
HEADS = ("prototype", "linear")
Parts = dict[str, tuple[npt.NDArray[np.float16], npt.NDArray[np.int64]]]


def load_parts(data: str, seed: int) -> tuple[Parts, int]:
    """Features and labels of the training and the test part, and the number of classes."""
    run = headstart.fit(data, replace(headstart.read_recipe("frozen"), seed=seed))
    names = run.classifier.class_names
    parts: Parts = {}
    for part in ("train", "test"):
        paths, labels = zip(*run.files[part], strict=True)
        features = extract(paths, run.classifier.prefix, resize=run.recipe.resize)
        index = np.array([names.index(label) for label in labels], np.int64)
        parts[part] = features.matrix(np.arange(len(paths))), index
    return parts, len(names)


def accuracy(parts: Parts, classes: int, choice: tuple[str, int, int]) -> float | None:
    """Test accuracy of a head on `count` images a class; None where there are not so many."""
    head, count, seed = choice
    features, labels = parts["train"]
    if np.bincount(labels).min() < count:
        return None
    order = np.random.default_rng(seed).permutation(len(labels))
    rows = np.concatenate([order[labels[order] == one][:count] for one in range(classes)])
    fitted = fit_head(head, TrainingData(features[rows], labels[rows], classes), seed=seed)
    tested, truth = parts["test"]
    return float((fitted.head.logits(tested).argmax(axis=1) == truth).mean())


def measure(data: str, seeds: int) -> dict[str, list[float | None]]:
    """Mean accuracy for each head and number of images."""
    loaded = [load_parts(data, seed) for seed in range(seeds)]
    curves: dict[str, list[float | None]] = {}
    for head in HEADS:
        curves[head] = []
        for count in COUNTS:
            found = [accuracy(*one, (head, count, seed)) for seed, one in enumerate(loaded)]
            known = [one for one in found if one is not None]
            curves[head].append(round(statistics.mean(known), 4) if known else None)
    return curves


def draw(results: dict[str, dict[str, list[float | None]]], out: Path) -> None:
    """One panel a data set."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "headstart", "font.size": 9})
    figure, panels = pyplot.subplots(
        1, len(results), figsize=(3.4 * len(results), 3), sharey=True, layout="constrained"
    )
    for panel, (name, curves) in zip(np.atleast_1d(panels), results.items(), strict=True):
        for (head, values), style in zip(curves.items(), ("o--", "s-"), strict=True):
            points = [(x, y) for x, y in zip(COUNTS, values, strict=True) if y is not None]
            panel.plot(*zip(*points, strict=True), style, label=head, markersize=4)
        panel.set(xscale="log", xlabel="images a class", title=name)
        panel.set_xticks(COUNTS, [str(count) for count in COUNTS])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    np.atleast_1d(panels)[0].set_ylabel("test accuracy")
    np.atleast_1d(panels)[0].legend(frameon=False)
    figure.savefig(out, metadata={"Date": None})


def main() -> None:
    """Measure, draw and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = {Path(one).resolve().name: measure(one, options.seeds) for one in options.data}
    if options.out:
        draw(results, options.out)
    report: dict[str, Any] = {"images_a_class": COUNTS, "accuracy": results}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
