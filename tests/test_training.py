from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_image_folder
from feature_rows import head_digest
from tiny_run import CLASSES, RECIPE, fresh_cache, make_mixed_folder, trained

from headstart import progress
from headstart import training as module
from headstart.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.learning import choose_prefix
from headstart.metrics import log_loss
from headstart.recipe import Recipe
from headstart.run import Run
from headstart.training import fit

KEYS = {
    "bundle",
    "backbone",
    "image_size",
    "head",
    "classes",
    "train",
    "validation",
    "test",
    "skipped",
    "seconds",
    "recipe",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The images of `trained`, the test's own."""
    return shutil.copytree(trained().photos, tmp_path / "photos")


def used(run: Run) -> list[Path]:
    return [path for files in run.files.values() for path, _ in files]


def test_what_a_run_gives() -> None:
    run = trained().run
    assert sorted(used(run)) == trained().paths
    assert run.images == {"train": 42, "validation": 6, "test": 12}
    for part, evaluation in (
        ("train", run.train),
        ("validation", run.validation),
        ("test", run.evaluation),
    ):
        assert evaluation.images == run.images[part]
        assert all(path.parent.name == name for path, name in run.files[part])
    assert run.classifier.class_names == CLASSES
    assert (run.skipped, run.warnings, run.computed) == ((), (), 60)
    assert run.bundle == trained().bundle
    assert run.head["cv_images"] == 42
    assert run.evaluation.accuracy is not None
    assert run.evaluation.accuracy > 0.7


def test_the_recipe_is_filled_in() -> None:
    assert trained().run.recipe == replace(
        RECIPE, image_size=(32, 32), head="linear", class_weight="none", augment="none"
    )
    assert RECIPE.head == "auto"
    prefix, recipe = choose_prefix(Recipe(backbone="tiny", image_size=None, resize="squash"), "cpu")
    assert recipe.image_size == prefix.identity.image_size == (64, 64)  # the backbone's own
    assert recipe.precision == prefix.identity.precision != "auto"


def test_the_json_object() -> None:
    values = json.loads(json.dumps(trained().run.to_dict(), allow_nan=False))
    assert set(values) >= KEYS
    evaluation = trained().run.evaluation
    assert values["test"] == {
        "images": 12,
        "accuracy": evaluation.accuracy,
        "low": evaluation.low,
        "high": evaluation.high,
    }
    assert values["train"] == {"images": 42, "accuracy": trained().run.train.accuracy}
    assert values["bundle"] == str(trained().bundle)
    assert values["classes"] == list(CLASSES)
    assert values["image_size"] == [32, 32]
    stages = {"read", "features", "split", "check-up", "head", "evaluate", "trust", "save"}
    assert set(values["seconds"]) == {"total", *stages}
    assert values["seconds"]["total"] >= max(values["seconds"][name] for name in stages)


def test_nothing_is_saved_unless_it_is_asked_for(photos: Path, tmp_path: Path) -> None:
    run = fit(photos, RECIPE)
    assert run.bundle is None
    assert run.to_dict()["bundle"] is None
    assert "save" not in run.seconds
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "photos"]
    assert run.save(tmp_path / "later") == tmp_path / "later"


def test_the_same_seed_gives_the_same_head_bit_for_bit(photos: Path) -> None:
    runs = [fit(photos, RECIPE), fit(photos, RECIPE), fit(str(photos), replace(RECIPE, seed=1))]
    digests = [head_digest(run.classifier.head) for run in runs]
    expected = head_digest(trained().run.classifier.head)  # made with another cache
    assert digests[0] == digests[1] == expected
    assert digests[2] != expected
    assert [run.computed for run in runs] == [60, 0, 0]
    names = [[path.name for path, _ in run.files["test"]] for run in [*runs, trained().run]]
    assert names[0] == names[1] == names[3] != names[2]


def test_three_more_images_cost_three(photos: Path, tmp_path: Path) -> None:
    fit(photos, RECIPE)
    more = make_mixed_folder(tmp_path / "more", CLASSES, seed=5)
    for name in CLASSES:
        shutil.copy(more / name / "00.png", photos / name / "new.png")
    run = fit(photos, RECIPE)
    assert (run.computed, len(used(run))) == (3, 63)


@pytest.mark.parametrize(
    ("per_class", "head", "kind"),
    [(4, "auto", "prototype"), (12, "auto", "linear"), (4, "linear", "linear")],
)
def test_the_head_by_the_number_of_images(
    tmp_path: Path, per_class: int, head: str, kind: str
) -> None:
    photos = make_image_folder(tmp_path / "few", CLASSES, per_class, (24, 32))
    run = fit(photos, replace(RECIPE, head=head))
    assert (run.classifier.head.kind, run.recipe.head) == (kind, kind)
    assert run.evaluation.accuracy == 1.0


def test_the_mlp_head(photos: Path) -> None:
    run, again = (fit(photos, replace(RECIPE, head="mlp"), out=None) for _ in range(2))
    assert head_digest(run.classifier.head) == head_digest(again.classifier.head)
    assert len(run.classifier.head.layers) == 2
    losses = run.head["validation_loss"]
    assert len(losses) == run.head["epochs"]
    raw = run.classifier.head.tempered(1 / run.trust["calibration"]["temperature"])
    paths, names = zip(*run.files["validation"], strict=True)
    labels = np.array([CLASSES.index(name) for name in names])
    loss = log_loss(raw.probabilities(run.classifier.embed(paths)), labels)
    assert loss == pytest.approx(min(losses), abs=1e-5)


def test_the_stages_are_told(photos: Path, tmp_path: Path) -> None:
    stages: list[str] = []

    def hear(event: progress.Event) -> None:
        if event.finished:
            stages.append(event.stage)

    with progress.listen(hear):
        fit(photos, RECIPE, out=tmp_path / "bundle")
    checked = ["linear head", "neighbours", "looks"]
    head = ["linear head", "evaluate", "thumbnails", "trust", "save"]
    assert stages == ["read", "features", *checked, *head]


@pytest.mark.parametrize("seconds", [0, -1, math.nan])
def test_an_impossible_time_limit(photos: Path, seconds: float) -> None:
    with pytest.raises(HeadstartError, match=rf"time limit cannot be {seconds}\. Expected seconds"):
        fit(photos, RECIPE, time_limit=seconds)


def test_a_time_limit_that_is_too_short(photos: Path) -> None:
    with pytest.raises(HeadstartError, match=r"time limit is over before the first image\. Expect"):
        fit(photos, RECIPE, time_limit=0.1)


def test_a_time_limit_that_is_long_enough(photos: Path) -> None:
    run = fit(photos, RECIPE, time_limit=1000)
    assert run.skipped == ()
    assert head_digest(run.classifier.head) == head_digest(trained().run.classifier.head)


class Clock:
    """A clock on which, after some looks at it, an hour has gone by."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def monotonic(self) -> float:
        self.looks -= 1
        return time.monotonic() + (3600 if self.looks < 0 else 0)


def test_images_not_reached_are_listed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.features.extraction.time", Clock(10))
    run = fit(photos, RECIPE, time_limit=1000)
    late = [one for one in run.skipped if one.reason.startswith("not reached within the time lim")]
    assert 20 <= len(late) < 60
    assert len(used(run)) + len(late) == 60
    assert run.computed == len(used(run))
    counts = np.unique([path.parent.name for path in used(run)], return_counts=True)[1]
    assert counts.max() - counts.min() <= 1  # all classes alike


def test_after_a_time_limit_it_goes_on(photos: Path, cache: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.features.extraction.time", Clock(10))
        first = fit(photos, RECIPE, time_limit=1000)
    second = fit(photos, RECIPE)
    assert (first.computed + second.computed, second.skipped) == (60, ())
    assert head_digest(second.classifier.head) == head_digest(trained().run.classifier.head)


@pytest.mark.parametrize(
    ("choices", "options", "message"),
    [
        ({}, {"out": "photos"}, r"photos' exists and is no bundle\."),
        ({}, {"time_limit": 0}, r"The time limit cannot be 0\."),
        ({}, {"device": "tpu"}, r"Unknown device 'tpu'\."),
        ({"backbone": "resnet51"}, {}, r"resnet51"),
        ({"weights": "missing.h5"}, {}, r"missing\.h5"),
    ],
)
def test_a_wrong_choice_is_told_before_any_work(
    photos: Path, monkeypatch: pytest.MonkeyPatch, choices: Any, options: Any, message: str
) -> None:
    monkeypatch.setattr(
        "headstart.preparation.read_dataset", lambda _: pytest.fail("the data were read")
    )
    monkeypatch.chdir(photos.parent)
    with pytest.raises(HeadstartError, match=message):
        fit(photos, replace(RECIPE, **choices), **options)


def test_the_default_recipe(monkeypatch: pytest.MonkeyPatch, photos: Path) -> None:
    seen: list[Recipe] = []

    def stop(dataset: Dataset, recipe: Recipe, device: str, *_: object) -> None:
        seen.append(recipe)
        raise HeadstartError(device)

    monkeypatch.setattr(module, "choose_network", stop)
    with pytest.raises(HeadstartError, match="auto"):
        fit(photos)
    assert seen == [Recipe()]


def test_digests_are_those_of_the_files() -> None:
    run = trained().run
    expected = sorted(
        hashlib.sha256(path.read_bytes()).digest()[:8]
        for part in ("train", "validation")
        for path, _ in run.files[part]
    )
    assert run.contents.seen == b"".join(expected)
