"""Whole runs on real images, at the figures that the README tells; skipped where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.bundle import load
from headstart.recipe import NAMED
from headstart.run import Run
from headstart.training import fit


def accuracy(run: Run) -> float:
    assert run.evaluation.accuracy is not None
    return run.evaluation.accuracy


def test_ants_and_bees(test_data: Path, tmp_path: Path) -> None:
    run = fit(test_data / "ants-bees", NAMED["frozen"], out=tmp_path / "bundle")
    assert accuracy(run) >= 0.93
    assert run.evaluation.low is not None
    assert run.evaluation.low > 0.85
    assert len(run.skipped) + sum(run.images.values()) == sum(
        path.is_file() for path in (test_data / "ants-bees").rglob("*")
    )
    assert {path.parts[-3] for path, _ in run.files["test"]} == {"val"}
    assert {path.parts[-3] for path, _ in run.files["train"]} == {"train"}

    classifier = load(tmp_path / "bundle")
    answers = classifier.predict([path for path, _ in run.files["test"]])
    right = [one.label == name for one, (_, name) in zip(answers, run.files["test"], strict=True)]
    assert np.mean(right) == pytest.approx(accuracy(run))

    for head, least in (("mlp", 0.92), ("prototype", 0.85)):
        other = fit(test_data / "ants-bees", replace(NAMED["frozen"], head=head))
        assert other.computed == 0
        assert accuracy(other) >= least


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "choices", "least"),
    [
        ("ants-bees", {"backbone": "efficientnet_lite2"}, 0.95),
        ("trashnet", {}, 0.87),
        ("trashnet", {"head": "mlp"}, 0.86),
    ],
)
def test_the_figures(test_data: Path, data: str, choices: dict[str, Any], least: float) -> None:
    run = fit(test_data / data, replace(NAMED["frozen"], **choices))
    assert accuracy(run) >= least
    assert run.evaluation.calibration_error is not None
    assert run.evaluation.calibration_error < 0.1
