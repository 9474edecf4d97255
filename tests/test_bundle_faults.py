"""Bundles in other processes: killed while they save, and what loading imports."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from tiny_run import trained

from headstart.bundle import load

SAVE = """
import sys
from pathlib import Path
from headstart.bundle import Contents, load, save_bundle
from headstart.recipe import Recipe

source, target = map(Path, sys.argv[1:])
classifier = load(source)
for number in range(100_000):
    seen = bytes([number % 256]) * 8 * 50_000
    contents = Contents(Recipe(), {}, {"number": number}, str(number), None, {}, seen)
    save_bundle(target, classifier, contents)
    if not number:
        print("started", flush=True)
"""


def test_killed_while_it_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "flowers"
    expected = load(trained().bundle).predict_proba(trained().paths)
    chance, numbers = random.Random(3), set()
    for _ in range(5):
        command = [sys.executable, "-c", SAVE, str(trained().bundle), str(target)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            time.sleep(chance.uniform(0, 0.2))
            process.kill()
        assert np.array_equal(load(target).predict_proba(trained().paths), expected)
        number = json.loads((target / "metrics.json").read_text())["number"]
        assert (target / "README.md").read_text() == str(number)
        assert (target / "seen.bin").read_bytes()[:1] == bytes([number % 256])
        numbers.add(number)
    assert len(numbers) > 1
    trained().run.save(target)
    assert np.array_equal(load(target).predict_proba(trained().paths), expected)


PREDICT = """
import sys
import headstart

classifier = headstart.load(sys.argv[1])
print(*classifier.predict_proba(sys.argv[2:]).tobytes())
print(*sys.modules)
"""


def test_predicting_imports_no_framework_for_learning() -> None:
    paths = trained().paths[:5]
    command = [sys.executable, "-c", PREDICT, str(trained().bundle), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answers, imported = done.stdout.splitlines()
    expected = load(trained().bundle).predict_proba(paths)
    assert bytes(map(int, answers.split())) == expected.tobytes()
    loaded = {name.partition(".")[0] for name in imported.split()}
    assert "openvino" in loaded
    assert not loaded & {"tensorflow", "keras", "sklearn", "scipy", "lmdb", "pickletools", "rich"}
