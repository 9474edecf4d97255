"""What transfer is worth: test accuracy against the images of a class. Draws a figure.

    python benchmarks/transfer.py --data FOLDER [FOLDER ...] [--per-class 5 10 20 50 all]
        [--curves frozen fine-tuned scratch] [--seeds 3] [--runs FILE] [--plot docs/transfer.svg]

`frozen`: `headstart fit --recipe frozen`. `fine-tuned`: the same with `--unfreeze auto`. `scratch`:
all layers of the same network from random weights, in plain Keras: AdamW, 1e-3 falling to 0 by a
cosine, batch 32, `Augmentation("light")`, about 2,000 steps or `--scratch-epochs`, back to the
epoch with the best validation accuracy. All get the same images and the whole test part of the
seed's split. Of N images a class a fifth is from its validation part, the rest from its training
part; `all` takes both as they are. Each run is a process with no features kept. `--runs`: a JSON-
lines file, to which finished runs are appended and in which none is run again; results and figure
tell of all runs of these data and this network in it, with `--seeds 0` without a new one. Prints
one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import plain_keras
from fine_tuning import Parts, Place, Row, Runs, outcome, spread

from headstart.augment import Augmentation, augment_pixels
from headstart.images import Pixels, decode, read_bytes

CURVES = {"frozen": "o-", "fine-tuned": "s-", "scratch": "^--"}
_STEPS, _BATCH, _FIGURES = 2000, 32, ("images", "seconds", "accuracy")
_DRAWN = ("images", "mean", "low", "high")


def draw_few(parts: Parts, per_class: str, seed: int) -> Parts:
    """The parts with as many images a class as asked for; the test part stays whole."""
    if per_class == "all":
        return parts
    held, random = max(1, round(int(per_class) / 5)), np.random.default_rng(seed)
    few = {"train": list[tuple[str, str]](), "validation": [], "test": parts["test"]}
    for part, count in (("train", int(per_class) - held), ("validation", held)):
        shuffled = [parts[part][row] for row in random.permutation(len(parts[part]))]
        for name in sorted({name for _, name in parts["train"]}):
            found = [pair for pair in shuffled if pair[1] == name][:count]
            if len(found) < count:
                raise SystemExit(f"Class '{name}' has no {count} images in the {part} part.")
            few[part] += found
    return few


def batches(images: Pixels, labels: npt.NDArray[np.int64], seed: int) -> Iterator[Any]:
    """Random views for ever; an epoch leaves out what fills no batch."""
    random, light = np.random.default_rng(seed), Augmentation("light")
    while True:
        order = random.permutation(len(labels))
        for start in range(0, max(1, len(labels) - _BATCH + 1), _BATCH):
            rows = order[start : start + _BATCH]
            views = [augment_pixels(images[row], light, random) for row in rows]
            yield np.stack(views), labels[rows]


def train_scratch(key: Row, parts: Parts, most_epochs: int) -> Row:
    """Train from random weights and test; called in a process of its own."""
    import keras

    keras.utils.set_random_seed(key["seed"])
    side, names = key["image_size"], sorted({name for _, name in parts["train"]})
    data = {}
    for part, pairs in parts.items():
        images = [decode(read_bytes(path), (side, side), "squash").pixels for path, _ in pairs]
        data[part] = np.stack(images), np.array([names.index(one) for _, one in pairs], np.int64)
    _, model = plain_keras.build(key["backbone"], side, len(names), scratch=True)
    steps = max(1, len(parts["train"]) // _BATCH)
    epochs = min(most_epochs, -(-_STEPS // steps))
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, steps * epochs)
    plain_keras.compile_with(model, keras.optimizers.AdamW(schedule))
    best: Row = {"score": (-1.0, 0.0)}

    def judge(epoch: int, logs: dict[str, float]) -> None:
        score = logs["val_accuracy"], -logs["val_loss"]
        if score > best["score"]:
            best.update(score=score, epoch=epoch + 1, weights=model.get_weights())

    callback = keras.callbacks.LambdaCallback(on_epoch_end=judge)
    how = {"epochs": epochs, "steps_per_epoch": steps, "callbacks": [callback], "verbose": 0}
    views = batches(*data["train"], key["seed"])
    history = model.fit(views, validation_data=data["validation"], **how).history
    model.set_weights(best["weights"])
    accuracy, last = model.evaluate(*data["test"], verbose=0)[1], history["accuracy"][-1]
    found = {"accuracy": accuracy, "validation": best["score"][0], "train": last}
    return {**found, "epochs": epochs, "best_epoch": best["epoch"], "steps": steps * epochs}


def run_one(key: Row, parts: Parts, place: Place, most_epochs: int) -> Row:
    """One run, in a new process."""
    if key["curve"] == "scratch":
        start = time.monotonic()
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(train_scratch, key, parts, most_epochs).result()
        return {**found, "seconds": round(time.monotonic() - start, 1)}
    network = ["--backbone", key["backbone"], "--image-size", str(key["image_size"])]
    depth = "auto" if key["curve"] == "fine-tuned" else "0"
    own = ["--seed", str(key["seed"]), "--unfreeze", depth]
    return outcome(*place.fit_parts(parts, [*network, *own]))


def measure(data: str, missing: Sequence[Row], runs: Runs, most_epochs: int) -> None:
    """Run what does not stand there yet, on the split that headstart draws for each seed."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        splits = {key["seed"]: place.split(data, key) for key in missing}
        place.hold()
        for key in missing:
            parts = draw_few(splits[key["seed"]], key["per_class"], key["seed"])
            learned = [name for part in ("train", "validation") for _, name in parts[part]]
            images = round(len(learned) / len(set(learned)), 1)
            runs.add({**key, "images": images, **run_one(key, parts, place, most_epochs)})


def summarise(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The points of each curve, from few to many images a class."""
    curves: dict[str, list[Row]] = {}
    for curve, per_class in itertools.product(CURVES, {row["per_class"]: None for row in rows}):
        found = [row for row in rows if (row["curve"], row["per_class"]) == (curve, per_class)]
        if found:
            images, seconds, accuracy = (spread([row[one] for row in found]) for one in _FIGURES)
            point = {"per_class": per_class, "runs": len(found), "images": images["mean"]}
            point |= {"seconds": seconds["mean"], **accuracy}
            curves.setdefault(curve, []).append(point)
    return {curve: sorted(found, key=lambda one: one["images"]) for curve, found in curves.items()}


def draw(results: dict[str, dict[str, list[Row]]], out: Path) -> None:
    """One panel a data set: lines of the means, bands from the lowest to the highest."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "headstart", "font.size": 9})
    figure = Figure(figsize=(3.4 * len(results), 3), layout="constrained")
    panels = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for panel, (name, curves) in zip(panels, results.items(), strict=True):
        for curve, points in curves.items():
            images, mean, low, high = ([one[name] for one in points] for name in _DRAWN)
            panel.plot(images, mean, CURVES[curve], label=curve, markersize=4)
            panel.fill_between(images, low, high, alpha=0.2, linewidth=0)
        panel.set(xscale="log", xlabel="images a class", title=name)
        ticks = {one["images"]: one["per_class"] for points in curves.values() for one in points}
        panel.set_xticks(list(ticks), list(ticks.values()))
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("test accuracy")
    panels[0].legend(frameon=False)
    figure.savefig(out, metadata={"Date": None})


def main() -> None:
    """Measure, draw and print."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--data", required=True, nargs="+")
    parser.add_argument("--curves", nargs="+", choices=CURVES, default=list(CURVES))
    parser.add_argument("--per-class", nargs="+", default=["5", "10", "20", "50", "all"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scratch-epochs", type=int, default=500)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    runs, results = Runs(options.runs), {}
    asked = range(options.seeds), options.per_class, options.curves
    for data in options.data:
        network = {"backbone": options.backbone, "image_size": options.image_size}
        about = {"data": Path(data).resolve().name, **network}
        keys = [
            {**about, "curve": curve, "per_class": per_class, "seed": seed}
            for seed, per_class, curve in itertools.product(*asked)
        ]
        if missing := runs.missing(keys):
            measure(data, missing, runs, options.scratch_epochs)
        results[about["data"]] = summarise(runs.find(about))
    if options.plot:
        draw(results, options.plot)
    print(json.dumps({"backbone": options.backbone, "results": results}, indent=2))


if __name__ == "__main__":
    main()
