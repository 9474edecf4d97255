"""How far the figures about trust hold: calibration, sets, unknown images. Prints one JSON object.

    python benchmarks/trust.py --data FOLDER [--others FOLDER ...] [--head NAME] [--unfreeze WHAT]
        [--seeds 3]

For each seed: calibration error with and without the temperature, and whether it changed an answer;
how many images of each class have their class in their set, against the binomial interval of the
level; how well images of `--others` are told from the test images by their distance to the training
images; what all this costs. Features are kept between the runs, in the usual cache.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import betabinom, binom
from sklearn.metrics import roc_auc_score

import headstart
from headstart.classifier import Classifier
from headstart.reference import strangeness
from headstart.run import Run


def calibration(run: Run) -> dict[str, Any]:
    """Calibration error and log loss before and after, and how many answers have changed."""
    found, classifier = run.trust["calibration"], run.classifier
    raw = classifier.head.tempered(1 / found["temperature"])
    features = classifier.embed([path for path, _ in run.files["test"]])
    both = (one.logits(features).argmax(axis=1) for one in (raw, classifier.head))
    return {
        "temperature": found["temperature"],
        "answers_changed": int((next(both) != next(both)).sum()),
        **{
            f"{name}_{when}": round(found[when][name], 4)
            for name in ("calibration_error", "log_loss", "by_chance")
            for when in ("before", "after")
        },
    }


def coverage(run: Run) -> dict[str, Any]:
    """How many classes are covered as often as chance allows."""
    sets, decision = run.trust["sets"], run.classifier.decision
    assert decision is not None
    outside = {"below": 0.0, "above": 0.0, "expected": 0.0}
    for one, found_with in zip(sets["classes"], decision.images, strict=True):
        low, high = binom.ppf((0.025, 0.975), one["images"], sets["level"])
        count = round(one["covered"] * one["images"])
        outside["below"] += count < low
        outside["above"] += count > high
        # The thresholds are a matter of chance as well: the fewer images, the more.
        place = np.floor((found_with + 1) * (1 - sets["level"]) + 1e-9)
        chance = betabinom(one["images"], found_with + 1 - place, place)
        outside["expected"] += chance.cdf(low - 1) + chance.sf(high)
    return {
        "calibration_images": list(decision.images),
        "covered": round(sets["covered"], 4),
        "classes": [round(one["covered"], 3) for one in sets["classes"]],
        "classes_outside": {side: round(float(one), 2) for side, one in outside.items()},
        "mean_size": round(sets["mean_size"], 3),
        "sizes": sets["sizes"],
        "calibrated_on": sets["calibrated_on"],
    }


def unknown(run: Run, others: list[Path]) -> dict[str, Any]:
    """How well other images are told from the test images."""
    classifier = run.classifier
    usual = strange_by(classifier, [path for path, _ in run.files["test"]])
    flagged = run.trust["unknown"]
    found: dict[str, Any] = {"test_flagged": round(flagged["flagged"] / flagged["images"], 4)}
    for folder in others:
        strange = strange_by(classifier, list(headstart.read_dataset(folder).paths))
        labels = np.repeat([0, 1], [len(usual), len(strange)])
        area = roc_auc_score(labels, np.concatenate([usual, strange]))
        share = (strange > flagged["threshold"]).mean()
        found[folder.name] = {"auroc": round(area, 4), "flagged": round(float(share), 4)}
    return found


def strange_by(classifier: Classifier, paths: list[Path]) -> Any:
    """How unlike the training images each image is."""
    known, decision = classifier.reference, classifier.decision
    assert known is not None
    assert decision is not None
    return strangeness(known, classifier.head, decision.by_energy, classifier.embed(paths))


def measure(data: str, recipe: headstart.Recipe, others: list[Path]) -> dict[str, Any]:
    """One run and its figures."""
    if recipe.unfreeze == 0:
        headstart.fit(data, recipe)
    run = headstart.fit(data, recipe)  # features are kept now
    curve = run.trust["learning_curve"]
    assert run.evaluation.accuracy is not None
    return {
        "seed": recipe.seed,
        "accuracy": round(run.evaluation.accuracy, 4),
        "calibration": calibration(run),
        "sets": coverage(run),
        "unknown": unknown(run, others),
        "verdict": None if curve is None else curve["verdict"],
        "seconds": run.seconds,
    }


def main() -> None:
    """Measure each seed and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--others", nargs="*", type=Path, default=[])
    parser.add_argument("--head", default="linear")
    parser.add_argument("--unfreeze", default="0")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    unfreeze = int(options.unfreeze) if options.unfreeze.isdecimal() else options.unfreeze
    recipe = replace(headstart.read_recipe("frozen"), head=options.head, unfreeze=unfreeze)
    others = [one.resolve() for one in options.others]
    runs = [
        measure(options.data, replace(recipe, seed=seed), others) for seed in range(options.seeds)
    ]
    outside = {
        side: round(sum(one["sets"]["classes_outside"][side] for one in runs), 2)
        for side in ("below", "above", "expected")
    }
    report = {
        "data": Path(options.data).resolve().name,
        "head": options.head,
        "unfreeze": unfreeze,
        "classes_outside": outside,
        "classes": sum(len(one["sets"]["classes"]) for one in runs),
        "runs": runs,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
