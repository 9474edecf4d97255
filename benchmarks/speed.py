"""Whole processes, timed side by side: the tutorial's recipe in plain Keras against `headstart fit`.

    python benchmarks/speed.py head --data FOLDER [--repeat 3]

prints JSON: seconds and test accuracy of plain Keras (10 epochs of the frozen stage), of `headstart fit` with no
features kept (converted network kept), and of a second run; and the ratios of the medians. Same backbone, weights
and split; everything in one run, on the same machine, one after the other.
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
from pathlib import Path

PLAIN = Path(__file__).with_name("plain_keras.py")


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, dict]:
    """Run a process that prints JSON; its seconds and what it printed."""
    start = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return seconds, json.loads(done.stdout)


def write_split(data: str, path: Path) -> None:
    """Train in this process once, to convert the network and to write down the split."""
    import headstart

    run = headstart.fit(data, headstart.Recipe(head="linear"))
    names = run.classifier.class_names
    split: dict[str, object] = {"class_names": list(names)}
    for part, files in run.files.items():
        labels = [names.index(label) for _, label in files]
        split[part] = {"paths": [str(file) for file, _ in files], "labels": labels}
    path.write_text(json.dumps(split))


def head(data: str, repeat: int) -> dict:
    """Time the frozen stage."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["HEADSTART_CACHE"] = str(place / "cache")
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        split = place / "split.json"
        write_split(data, split)
        fit = [
            sys.executable,
            "-m",
            "headstart",
            "fit",
            data,
            "--head",
            "linear",
            "--json",
            "--out",
            str(place / "out"),
        ]
        plain = [sys.executable, str(PLAIN), str(split)]
        results: dict[str, list[tuple[float, float]]] = {
            "plain_keras": [],
            "no_features_kept": [],
            "second_run": [],
        }
        for _ in range(repeat):
            seconds, answer = timed(plain, environment)
            results["plain_keras"].append((seconds, answer["accuracy"]))
            shutil.rmtree(place / "cache" / "features")
            for name in ("no_features_kept", "second_run"):
                seconds, answer = timed(fit, environment)
                results[name].append((seconds, answer["test"]["accuracy"]))
    median = {
        name: statistics.median(seconds for seconds, _ in rows) for name, rows in results.items()
    }
    return {
        "data": Path(data).name,
        "seconds": {
            name: [round(seconds, 2) for seconds, _ in rows] for name, rows in results.items()
        },
        "accuracy": {
            name: [round(accuracy, 4) for _, accuracy in rows] for name, rows in results.items()
        },
        "times_faster": {
            name: round(median["plain_keras"] / median[name], 1)
            for name in ("no_features_kept", "second_run")
        },
    }


def main() -> None:
    """Run a comparison and print its result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["head"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    print(json.dumps(head(options.data, options.repeat), indent=2))


if __name__ == "__main__":
    main()
