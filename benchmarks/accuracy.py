"""Test accuracy of `headstart fit` over several splits. Prints one JSON object.

    python benchmarks/accuracy.py --data FOLDER [--backbones NAME ...] [--sizes N ...]
        [--heads NAME ...] [--seeds 5]

Each seed draws another split (where the data have no test part of their own), so the spread shows
how much of a difference is chance. Features are kept between the runs, in the usual cache.

Two cores of an AMD EPYC (Zen 4), no GPU, 2026-11; mean (range) of seeds 0 to 2, bfloat16, linear.
ants-bees: efficientnet_lite0 0.946 (0.935 to 0.954), efficientnet_lite2 at 260 0.959 (0.954 to
0.961). trashnet: efficientnet_lite0 0.868 (0.847 to 0.883).
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import headstart


def measure(data: str, recipe: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Mean and range of the accuracy over seeds."""
    accuracies, seconds = [], []
    for seed in range(seeds):
        run = headstart.fit(data, replace(headstart.read_recipe("frozen"), **recipe, seed=seed))
        assert run.evaluation.accuracy is not None
        accuracies.append(run.evaluation.accuracy)
        seconds.append(run.seconds["total"])
    return {
        **recipe,
        "mean": round(statistics.mean(accuracies), 4),
        "low": round(min(accuracies), 4),
        "high": round(max(accuracies), 4),
        "accuracy": [round(one, 4) for one in accuracies],
        "seconds": [round(one, 1) for one in seconds],
    }


def main() -> None:
    """Run every combination and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--backbones", nargs="+", default=["efficientnet_lite0"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[None])
    parser.add_argument("--heads", nargs="+", default=["linear"])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for backbone, size, head in itertools.product(options.backbones, options.sizes, options.heads):
        recipe = {"backbone": backbone, "image_size": size, "head": head}
        rows.append(measure(options.data, recipe, options.seeds))
    print(json.dumps({"data": Path(options.data).resolve().name, "results": rows}, indent=2))


if __name__ == "__main__":
    main()
