from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_command
from tiny_run import RECIPE, SIDE, fresh_cache, trained

from headstart import crossvalidation as module
from headstart.crossvalidation import cross_validate
from headstart.errors import HeadstartError
from headstart.heads import HeadFit, TrainingData, fit_head
from headstart.training import fit


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[TrainingData]:
    """What the heads were fitted on."""
    seen: list[TrainingData] = []

    def noted(kind: str, data: TrainingData, **choices: Any) -> HeadFit:
        seen.append(data)
        return fit_head(kind, data, **choices)

    monkeypatch.setattr(module, "fit_head", noted)
    return seen


def test_each_image_is_answered_once(fitted: list[TrainingData]) -> None:
    found = cross_validate(trained().photos, RECIPE, folds=4)
    assert [len(data.labels) for data in fitted] == [45] * 4
    assert (found.evaluation.images, len(found.folds), found.head) == (60, 4, "linear")
    assert found.evaluation.accuracy == pytest.approx(np.mean(found.folds))
    assert 0.6 < np.mean(found.folds) < 0.95
    told = found.summary()
    assert told.startswith(
        "Cross-validated on all 60 images in 4 folds, frozen features and linear"
    )
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["evaluation"]["images"] == 60


def test_it_is_about_as_good_as_the_cross_validation_of_the_head() -> None:
    found, head = cross_validate(trained().photos, RECIPE), trained().run.head
    assert found.evaluation.accuracy == pytest.approx(head["cv_accuracy"], abs=0.15)
    again = cross_validate(trained().photos, RECIPE)
    assert again.to_dict() == found.to_dict()
    assert cross_validate(trained().photos, replace(RECIPE, seed=5)).folds != found.folds


def test_copies_stay_in_one_fold(tmp_path: Path, fitted: list[TrainingData]) -> None:
    photos = shutil.copytree(trained().photos, tmp_path / "photos")
    for name in ("roses", "tulips"):
        for index in range(10):
            shutil.copy(photos / name / f"{index:02}.png", photos / name / f"copy {index:02}.png")
    cross_validate(photos, RECIPE)
    rows = [{row.tobytes() for row in data.features} for data in fitted]
    for data, own in zip(fitted, rows, strict=True):
        assert len(own) < len(data.labels)  # copies are among them
    total = set().union(*rows)
    held = [total - own for own in rows]
    assert sum(map(len, held)) == len(total) == 60  # each image is held out in one fold only


@pytest.mark.parametrize("head", ["linear", "prototype"])
def test_heads(head: str) -> None:
    found = cross_validate(trained().photos, replace(RECIPE, head=head), folds=3)
    assert found.head == head
    assert found.evaluation.accuracy is not None
    assert found.evaluation.accuracy > 0.5


@pytest.mark.parametrize("folds", [1, 0, -1, 101, 2.5, True])
def test_numbers_of_folds_that_cannot_be(folds: Any) -> None:
    with pytest.raises(HeadstartError, match=r"divided into .* folds\. Expected a whole number"):
        cross_validate(trained().photos, RECIPE, folds=folds)
    with pytest.raises(HeadstartError, match=r"divided into .* folds\. Expected a whole number"):
        fit(trained().photos, RECIPE, folds=folds)


def test_nothing_but_copies(tmp_path: Path) -> None:
    image = trained().paths[0]
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(3):
            shutil.copy(image, tmp_path / "photos" / name / f"{index}.png")
    with pytest.raises(HeadstartError, match=r"Too few images|copies of one"):
        cross_validate(tmp_path / "photos", RECIPE)


def test_with_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = f"--recipe frozen --backbone tiny --image-size {SIDE} --precision float32".split()
    out = tmp_path / "bundle"
    code = run_command(
        monkeypatch, "fit", trained().photos, *options, "--out", out, "--cross-validate", 3
    )
    assert code == 0
    expected = cross_validate(trained().photos, RECIPE, folds=3)
    assert expected.summary() in capsys.readouterr().out
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["cross_validation"] == expected.to_dict()


def test_fit_without_it() -> None:
    assert trained().run.cross_validation is None
    assert trained().run.to_dict()["cross_validation"] is None
