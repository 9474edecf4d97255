"""What fine-tuning brings and costs, by its depth: whole processes of `headstart fit`, timed.

    python benchmarks/fine_tuning.py --data FOLDER [--unfreeze 0 20 auto all] [--seeds 3]
        [--runs FILE] [ANY OTHER OPTION OF headstart fit, such as --learning-rate 3e-4]

Each depth is trained once a seed, on the same split as the others of that seed, one after the
other, with the image size and resize mode of `--recipe frozen`. Before each run features,
checkpoints and networks converted up to a cut are removed; only the whole network stands converted.
Test and validation accuracy, seconds by the wall clock, and which depth came out: `0` where
validation preferred the frozen network. With `--runs` each finished run is appended to a JSON-lines
file, and not run again where it stands there: the same command goes on where it was stopped. The
cache is in a folder of TMPDIR (some GB for deep cuts). Prints one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from speed import timed

import headstart

Row = dict[str, Any]
Parts = dict[str, list[tuple[str, str]]]  # train, validation and test: images with their classes


class Runs:
    """Finished runs, those in a JSON-lines file among them; None keeps no file."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.rows = path, list[Row]()
        if path is not None and path.exists():
            self.rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def missing(self, keys: Sequence[Row]) -> list[Row]:
        """The keys of no run."""
        return [key for key in keys if not self.find(key)]

    def find(self, key: Mapping[str, Any]) -> list[Row]:
        """The runs that have all of these values."""
        return [row for row in self.rows if all(row.get(one) == key[one] for one in key)]

    def add(self, row: Row) -> None:
        """Keep a run and tell of it."""
        self.rows.append(row)
        line = json.dumps(row)
        print(line, file=sys.stderr, flush=True)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


class Place:
    """A folder with a cache of its own, from which each run finds the whole network at most."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"
        self.whole: set[Path] | None = None
        self.splits: dict[tuple[str, int], Parts] = {}
        os.environ["HEADSTART_CACHE"] = str(self.cache)

    def hold(self) -> None:
        """Keep the networks that are converted by now; what comes later is removed."""
        self.whole = set((self.cache / "prefixes").iterdir())

    def split(self, data: str, key: Row) -> Parts:
        """The split of a run's seed; made once, and its network is converted, too."""
        about = (data, key["seed"])
        if about not in self.splits:
            network = {name: key[name] for name in ("backbone", "image_size", "seed")}
            recipe = replace(headstart.read_recipe("frozen"), head="prototype", **network)
            files = headstart.fit(data, recipe).files
            self.splits[about] = {
                part: [(str(path.resolve()), name) for path, name in pairs]
                for part, pairs in files.items()
            }
        return self.splits[about]

    def fit_parts(self, parts: Parts, options: Sequence[str]) -> tuple[float, Row]:
        """The same as `fit`, on images whose split is given."""
        table = self.folder / "images.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label", "split"])
            writer.writerows([*pair, part] for part, pairs in parts.items() for pair in pairs)
        return self.fit(str(table), options)

    def fit(self, data: str, options: Sequence[str]) -> tuple[float, Row]:
        """Seconds of `headstart fit` as a process, and what it printed."""
        if self.whole is not None:
            for name in ("features", "runs"):
                shutil.rmtree(self.cache / name, ignore_errors=True)
            for one in set((self.cache / "prefixes").iterdir()) - self.whole:
                shutil.rmtree(one, ignore_errors=True)
        command = [sys.executable, "-m", "headstart", "fit", data, "--recipe", "frozen"]
        return timed([*command, *options, "--json", "--out", str(self.folder / "bundle")])


def outcome(seconds: float, answer: Row) -> Row:
    """What is kept of a run."""
    tuned = answer["fine_tuning"] or {}
    names = ("epochs", "best_epoch", "learning_rate", "stopped", "tried")
    return {
        "accuracy": answer["test"]["accuracy"],
        "validation": answer["validation"]["accuracy"],
        "came_out": answer["recipe"]["unfreeze"],
        "seconds": round(seconds, 1),
        "stages": {name: round(one, 1) for name, one in answer["seconds"].items()},
        "load": round(os.getloadavg()[0], 1),  # about 1 a processor where nothing else runs
        **{name: tuned[name] for name in names if name in tuned},
    }


def spread(values: Sequence[float]) -> Row:
    """Mean and range."""
    return {
        "mean": round(statistics.mean(values), 4),
        "low": round(min(values), 4),
        "high": round(max(values), 4),
    }


def measure(keys: Sequence[Row], data: str, options: Sequence[str], runs: Runs) -> None:
    """Run what does not stand there yet."""
    missing = runs.missing(keys)
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        place.fit(data, [*options, "--unfreeze", "0"])  # converts the network
        place.hold()
        for key in missing:
            own = ["--unfreeze", key["unfreeze"], "--seed", str(key["seed"])]
            runs.add({**key, **outcome(*place.fit(data, [*options, *own]))})


def summarise(rows: Sequence[Row]) -> Row:
    """Accuracy, seconds and what came out, for one depth."""
    return {
        "accuracy": spread([row["accuracy"] for row in rows]),
        "validation": spread([row["validation"] for row in rows]),
        "seconds": spread([row["seconds"] for row in rows]),
        "came_out": [row["came_out"] for row in rows],
    }


def main() -> None:
    """Run every depth and seed and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--unfreeze", nargs="+", default=["0", "20", "auto", "all"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path)
    chosen, options = parser.parse_known_args()
    about = {"data": Path(chosen.data).resolve().name, "options": options}
    runs = Runs(chosen.runs)
    keys = [
        {**about, "unfreeze": unfreeze, "seed": seed}
        for seed in range(chosen.seeds)
        for unfreeze in chosen.unfreeze
    ]
    measure(keys, chosen.data, options, runs)
    rows = [runs.find(key)[0] for key in keys]
    results = {
        unfreeze: summarise([row for row in rows if row["unfreeze"] == unfreeze])
        for unfreeze in chosen.unfreeze
    }
    print(json.dumps({**about, "results": results, "runs": rows}, indent=2))


if __name__ == "__main__":
    main()
