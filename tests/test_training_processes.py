"""`headstart fit` as whole processes: killed and run again, and what it imports and prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from feature_rows import head_digest
from tiny_run import RECIPE, SIDE, fresh_cache, trained

from headstart.bundle import load
from headstart.store import open_store
from headstart.training import fit

SLOW_FIT = """
import sys, time
from headstart import store, training
from headstart.features import extraction as features
from headstart.recipe import Recipe

def slow(data, size, resize, decode=features.decode):
    time.sleep(0.02)
    return decode(data, size, resize)

def told(self, records, put=store.Store.put):
    put(self, records)
    print("kept", flush=True)

features.decode, store.Store.put = slow, told
features._FLUSH_RECORDS = 4
recipe = Recipe(
    backbone="tiny",
    image_size=int(sys.argv[1]),
    resize="squash",
    unfreeze=0,
    precision="float32",
)
training.fit(sys.argv[2], recipe, out=sys.argv[3])
"""


def test_killed_in_the_middle_and_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = fresh_cache(monkeypatch, tmp_path / "cache")
    kept = 0
    folder = cache / "features" / trained().run.classifier.prefix.identity.key
    arguments = [str(SIDE), str(trained().photos), str(tmp_path / "bundle")]
    for blocks in (1, 3, 2):
        command = [sys.executable, "-c", SLOW_FIT, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(blocks):
                assert process.stdout.readline() == "kept\n"
            process.kill()
        with open_store(folder) as store:
            assert store.count() >= kept + 4 * blocks
            kept = store.count()
    assert kept < 60
    run = fit(trained().photos, RECIPE, out=tmp_path / "bundle")
    assert run.computed == 60 - kept
    expected = head_digest(trained().run.classifier.head)
    assert head_digest(run.classifier.head) == expected
    assert head_digest(load(tmp_path / "bundle").head) == expected
    left = [path.name for path in tmp_path.iterdir()]
    assert sorted(left) == ["bundle", "cache"]


CLI = """
import sys
from headstart import cli
sys.argv = ["headstart", *sys.argv[1:]]
try:
    cli.main()
finally:
    print("imported:", *sys.modules, file=sys.stderr)
"""


def headstart(*arguments: str, **environment: str) -> tuple[str, set[str], str]:
    """What a command prints, the packages that it imports, and what else it told."""
    done = subprocess.run(
        [sys.executable, "-c", CLI, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    told, _, imported = done.stderr.rpartition("imported: ")
    return done.stdout, {name.partition(".")[0] for name in imported.split()}, told


def fit_arguments(out: Path) -> list[str]:
    options = f"--recipe frozen --backbone tiny --image-size {SIDE} --precision float32".split()
    options += ["--json", "--out"]
    return ["fit", str(trained().photos), *options, str(out)]


def same_result(one: dict[str, Any], other: dict[str, Any]) -> bool:
    timed = ("seconds", "computed", "bundle", "warnings", "checkup")
    found = (values["checkup"]["findings"] for values in (one, other))
    return next(found) == next(found) and all(
        one[name] == other[name] for name in one if name not in timed
    )


def test_from_nothing_and_again(tmp_path: Path) -> None:
    place = {"HEADSTART_CACHE": str(tmp_path / "cache")}
    printed, loaded, told = headstart(*fit_arguments(tmp_path / "one"), **place)
    first = json.loads(printed)  # one object and nothing else
    assert "Error" not in told
    assert "tensorflow" in loaded
    printed, loaded, told = headstart(*fit_arguments(tmp_path / "two"), **place)
    second = json.loads(printed)
    assert told == ""
    assert not loaded & {"tensorflow", "keras"}
    assert {"numpy", "lmdb", "scipy"} <= loaded
    assert (first["computed"], second["computed"]) == (60, 0)
    assert same_result(first, second)
    assert same_result(first, json.loads(json.dumps(trained().run.to_dict())))
    heads = [load(tmp_path / name).head for name in ("one", "two")]
    assert {*map(head_digest, heads)} == {head_digest(trained().run.classifier.head)}


def test_predicting_as_a_process(tmp_path: Path) -> None:
    paths = trained().paths[:3]
    printed, loaded, told = headstart(
        "predict", str(trained().bundle), *map(str, paths), "--json", "--top", "3",
        HEADSTART_CACHE=str(tmp_path / "cache"),
    )  # fmt: skip
    assert told == ""
    assert not loaded & {"tensorflow", "keras", "sklearn", "scipy"}
    answers = json.loads(printed)["predictions"]
    for answer, expected in zip(answers, load(trained().bundle).predict(paths), strict=True):
        assert answer["path"] == expected.source
        assert answer["label"] == expected.label
        found = {one["label"]: one["probability"] for one in answer["top"]}
        assert found == pytest.approx(dict(expected.probabilities), abs=1e-6)
    assert not (tmp_path / "cache").exists()
