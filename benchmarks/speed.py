"""Whole processes, timed side by side: plain Keras against headstart. Prints one JSON object.

    python benchmarks/speed.py head --data FOLDER [--seeds 3]
    python benchmarks/speed.py predict --data FOLDER [--seeds 5]
    python benchmarks/speed.py finetune --data FOLDER [--seeds 3]

`head`: the tutorial's recipe in plain Keras (`plain_keras.py`, 10 epochs of the frozen stage)
against `headstart fit --recipe frozen --head linear` with no features kept (converted network kept)
and once more with them kept. Same backbone, weights and split, one split a seed; what is compared
runs one after the other. `predict`: a script that loads the same network and head with Keras and
answers one image (`plain_predict.py`) against a cold `headstart predict`. `finetune`: 10 epochs of
the frozen stage and 10 of the last 20 layers at Adam 1e-5 (`plain_keras.py --fine-tune-epochs 10`)
against `headstart fit --recipe tutorial` with no features kept. Ratios are of medians.

Two cores of an AMD EPYC (Zen 4), no GPU, 2026-11. `head` on trashnet, two seeds: plain Keras 415
and 367 s, `fit` 11.2 and 12.7 s, second run 2.4 and 2.5 s: 32.8 and 160.8 times faster. Accuracy
0.891 and 0.881 against 0.883 and 0.872. `predict` on ants-bees, three runs: 8.1 s (8.06 to 8.22)
against 1.0 s (0.77 to 1.06): 8.1 times faster.

`finetune` on trashnet, three seeds: plain Keras 677, 548 and 588 s, headstart 88, 84 and 93 s: 6.7
times faster; the fine-tuning epochs alone 360, 326 and 345 s against 60, 58 and 65 s: 5.8 times.
Accuracy 0.904, 0.891 and 0.860 (mean 0.885) against 0.893, 0.897 and 0.862 (mean 0.884), the latter
measured again after the best epoch came to be chosen by the loss at the best temperature.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Timings = dict[str, list[tuple[float, float]]]  # seconds and accuracy of each run


def timed(command: list[str]) -> tuple[float, dict[str, Any]]:
    """Run a process that prints one JSON object; its seconds and what it printed."""
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return seconds, json.loads(done.stdout)


def write_split(data: str, seed: int, path: Path) -> Any:
    """Train in this process, which converts the network, and write down the split."""
    import headstart

    run = headstart.fit(data, replace(headstart.read_recipe("frozen"), head="linear", seed=seed))
    names = run.classifier.class_names
    split: dict[str, Any] = {"class_names": list(names)}
    for part, files in run.files.items():
        labels = [names.index(label) for _, label in files]
        split[part] = {"paths": [str(file) for file, _ in files], "labels": labels}
    path.write_text(json.dumps(split), encoding="utf-8")
    return run


def time_head(data: str, seeds: int, place: Path) -> dict[str, Any]:
    """The frozen stage of plain Keras, and a first and a second `headstart fit`."""
    results: Timings = {"plain_keras": [], "no_features_kept": [], "second_run": []}
    for seed in range(seeds):
        write_split(data, seed, place / "split.json")
        plain = [str(HERE / "plain_keras.py"), str(place / "split.json"), "--seed", str(seed)]
        seconds, answer = timed([sys.executable, *plain])
        results["plain_keras"].append((seconds, answer["accuracy"]))
        shutil.rmtree(place / "cache" / "features")
        fit = ["-m", "headstart", "fit", data, "--recipe", "frozen", "--head", "linear"]
        fit += ["--seed", str(seed), "--json"]
        for name in ("no_features_kept", "second_run"):
            seconds, answer = timed([sys.executable, *fit, "--out", str(place / "bundle")])
            results[name].append((seconds, answer["test"]["accuracy"]))
    return summarise(results)


def time_finetune(data: str, seeds: int, place: Path) -> dict[str, Any]:
    """Both stages of the tutorial, in plain Keras and by headstart; the second stage alone too."""
    results: Timings = {"plain_keras": [], "headstart": []}
    epochs: Timings = {"plain_keras": [], "headstart": []}
    for seed in range(seeds):
        write_split(data, seed, place / "split.json")
        plain = [str(HERE / "plain_keras.py"), str(place / "split.json"), "--seed", str(seed)]
        seconds, answer = timed([sys.executable, *plain, "--fine-tune-epochs", "10"])
        results["plain_keras"].append((seconds, answer["accuracy"]))
        epochs["plain_keras"].append((answer["seconds_fine_tuning"], answer["accuracy"]))
        shutil.rmtree(place / "cache" / "features")
        own = ["-m", "headstart", "fit", data, "--recipe", "tutorial", "--seed", str(seed)]
        command = [sys.executable, *own, "--json", "--out", str(place / "bundle")]
        seconds, answer = timed(command)
        results["headstart"].append((seconds, answer["test"]["accuracy"]))
        tuned = sum(one["seconds"] for one in answer["fine_tuning"]["history"])
        epochs["headstart"].append((tuned, answer["test"]["accuracy"]))
    return {**summarise(results), "fine_tuning_epochs": summarise(epochs)}


def time_predict(data: str, seeds: int, place: Path) -> dict[str, Any]:
    """One image, by Keras and by headstart, each in a new process."""
    run = write_split(data, 0, place / "split.json")
    run.save(place / "bundle")
    keras_file, image = place / "model.keras", str(run.files["test"][0][0])
    save = [str(HERE / "plain_predict.py"), "save", str(place / "bundle"), str(keras_file)]
    timed([sys.executable, *save])
    plain = [str(HERE / "plain_predict.py"), "predict", str(keras_file), image]
    own = ["-m", "headstart", "predict", str(place / "bundle"), image, "--json"]
    results: Timings = {"plain_keras": [], "headstart": []}
    for _ in range(seeds):
        for name, command in (("plain_keras", plain), ("headstart", own)):
            seconds, answer = timed([sys.executable, *command])
            results[name].append((seconds, answer["predictions"][0]["probability"]))
    return summarise(results, figure="probability")


def summarise(results: Timings, figure: str = "accuracy") -> dict[str, Any]:
    """Seconds and figures of each run, and how many times faster the others are than the first."""
    median = {
        name: statistics.median(seconds for seconds, _ in rows) for name, rows in results.items()
    }
    first, *others = median
    return {
        "seconds": {
            name: [round(seconds, 2) for seconds, _ in rows] for name, rows in results.items()
        },
        figure: {name: [round(value, 4) for _, value in rows] for name, rows in results.items()},
        "times_faster": {name: round(median[first] / median[name], 1) for name in others},
    }


def main() -> None:
    """Run a comparison and print its result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    comparisons: dict[str, Callable[[str, int, Path], dict[str, Any]]] = {
        "head": time_head,
        "predict": time_predict,
        "finetune": time_finetune,
    }
    parser.add_argument("what", choices=comparisons)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEADSTART_CACHE"] = str(Path(folder, "cache"))
        result = comparisons[options.what](options.data, options.seeds, Path(folder))
    name = Path(options.data).resolve().name
    print(json.dumps({"what": options.what, "data": name, **result}, indent=2))


if __name__ == "__main__":
    main()
