"""Does `headstart rank` find the best backbone and image size, and what does it save?

    python benchmarks/ranking.py --data FOLDER [FOLDER ...] [--backbones a,b] [--sizes 160,224]
        [--seeds 3] [--plot FOLDER]

For each data set and seed: `rank`, and by brute force `fit` of every pair, whose test accuracy is
the truth. Both as `headstart` does them, each with features of its own; the networks are converted
before. Of later seeds brute force finds its features kept, so seconds are those of the first.

Weighted Kendall tau (Vigna 2015, as scipy has it) between what was predicted and the mean test
accuracy over the seeds; `regret` is what the recommended pair has less than the best. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scipy.stats import weightedtau

import headstart
from headstart.ranking.choice import SIZES, find_candidates

Pair = tuple[str, int]
MEASURES = ("accuracy", "log_loss", "h_score", "log_me", "top1")


def tell(text: str) -> None:
    """Say what is going on."""
    print(text, file=sys.stderr, flush=True)


def convert(names: Sequence[str] | None, sizes: Sequence[int]) -> list[Pair]:
    """Convert every network; gives the pairs."""
    frozen = headstart.read_recipe("frozen")
    candidates = [one for one, _ in find_candidates(frozen, names, sizes, "auto")]
    for prefix in candidates:
        prefix.open()
    return [(one.identity.backbone, one.identity.image_size[0]) for one in candidates]


def try_all(data: str, pairs: Sequence[Pair], seed: int) -> dict[Pair, float]:
    """Test accuracy of every pair."""
    found = {}
    for backbone, size in pairs:
        recipe = replace(
            headstart.read_recipe("frozen"),
            backbone=backbone,
            image_size=size,
            head="linear",
            seed=seed,
        )
        found[backbone, size] = float(headstart.fit(data, recipe).evaluation.accuracy or 0)
        tell(f"{data} seed {seed}: {backbone} at {size}: {found[backbone, size]:.4f}")
    return found


def taus(ranking: headstart.Ranking, truth: dict[Pair, float]) -> dict[str, float]:
    """How well each measure puts the pairs in order."""
    found = {}
    for measure in MEASURES:
        rows = [one for one in ranking.rows if getattr(one, measure) is not None]
        sign = -1 if measure == "log_loss" else 1
        predicted = [sign * getattr(one, measure) for one in rows]
        real = [truth[one.backbone, one.image_size] for one in rows]
        found[measure] = float(weightedtau(real, predicted).statistic)
    return found


def in_cache(folder: Path) -> None:
    """Keep features there from now on; networks are shared."""
    (folder.parent / "prefixes").mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    if not (folder / "prefixes").exists():
        (folder / "prefixes").symlink_to(folder.parent / "prefixes")
    os.environ["HEADSTART_CACHE"] = str(folder)


def measure(data: str, pairs: Sequence[Pair], options: argparse.Namespace, place: Path) -> Any:
    """Rank and try all, for each seed."""
    name = Path(data).resolve().name
    names = list(dict.fromkeys(backbone for backbone, _ in pairs))
    rankings, truths = [], []
    seconds: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        in_cache(place / f"{name}-rank-{seed}")
        recipe, start = headstart.Recipe(seed=seed), time.monotonic()
        rankings.append(headstart.rank(data, recipe, backbones=names, sizes=options.sizes))
        seconds.setdefault("rank", []).append(round(time.monotonic() - start, 1))
        tell(f"{name} seed {seed}: {seconds['rank'][-1]} s, {rankings[-1].reason}")
        in_cache(place / f"{name}-brute")
        start = time.monotonic()
        truths.append(try_all(data, pairs, seed))
        seconds.setdefault("brute force", []).append(round(time.monotonic() - start, 1))
    truth = {pair: statistics.mean(one[pair] for one in truths) for pair in pairs}
    found = [taus(ranking, truth) for ranking in rankings]
    best = max(truth, key=truth.__getitem__)
    chosen = [(one.best.backbone, one.best.image_size) for one in rankings]
    if options.plot:
        rankings[0].plot(options.plot / f"ranking_{name}.svg")
    return {
        "images": rankings[0].images,
        "rounds": sorted({one.images for one in rankings[0].rows}),
        "seconds": seconds,
        "tau": {one: round(statistics.mean(row[one] for row in found), 3) for one in MEASURES},
        "best": [*best, round(truth[best], 4)],
        "chosen": [[*one, round(truth[one], 4)] for one in chosen],
        "regret": round(truth[best] - statistics.mean(truth[one] for one in chosen), 4),
        "test accuracy": {f"{one[0]} {one[1]}": round(truth[one], 4) for one in pairs},
        "ranked": rankings[0].to_dict()["candidates"],
    }


def main() -> None:
    """Measure and print."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--data", required=True, nargs="+")
    parser.add_argument("--backbones", type=lambda text: text.split(","))
    parser.add_argument(
        "--sizes", type=lambda text: [int(one) for one in text.split(",")], default=SIZES
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        in_cache(place / "convert")
        pairs = convert(options.backbones, options.sizes)
        results = {
            Path(data).resolve().name: measure(data, pairs, options, place) for data in options.data
        }
    print(json.dumps({"pairs": len(pairs), "results": results}, indent=2))


if __name__ == "__main__":
    main()
