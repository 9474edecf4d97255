"""Predictions averaged over views, and a frozen head that learns from views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_run import RECIPE, SIDE, fresh_cache, trained

import headstart
from headstart.augment import prediction_views
from headstart.classifier import Classifier, PixelChoices
from headstart.images import BadImage, decode
from headstart.retest import evaluate_bundle
from headstart.training import fit


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


def with_views(views: int, *, flip: bool = True) -> Classifier:
    given = trained().run.classifier
    return Classifier(
        given.class_names, given.prefix, given.head, PixelChoices("squash", views, flip)
    )


@pytest.mark.parametrize(("views", "flip"), [(1, True), (2, True), (3, False), (5, True)])
def test_the_mean_over_the_views(views: int, flip: bool) -> None:
    paths = trained().paths[:6]
    plain = with_views(1)
    expected = []
    for path in paths:
        pixels = decode(path.read_bytes(), (SIDE, SIDE)).pixels
        each = plain.predict_proba(prediction_views(pixels, views, flip))
        expected.append(each.mean(axis=0))
    found = with_views(views, flip=flip).predict_proba(paths)
    assert np.abs(found - np.stack(expected)).max() < 1e-6
    assert np.array_equal(plain.embed(paths), with_views(views, flip=flip).embed(paths))


def test_broken_files_among_views(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    paths = [trained().paths[0], tmp_path / "broken.jpg", trained().paths[1]]
    answers = list(with_views(3).predict_files(paths))
    assert [type(one).__name__ for one in answers] == ["Prediction", "Unreadable", "Prediction"]
    with pytest.raises(BadImage, match=r"broken\.jpg"):
        with_views(3).predict(paths)


def test_no_images() -> None:
    assert with_views(2).predict_proba([]).shape == (0, 3)


def test_what_is_evaluated_is_what_is_predicted(tmp_path: Path) -> None:
    run = fit(trained().photos, replace(RECIPE, views=3), out=tmp_path / "bundle")
    loaded = headstart.load(tmp_path / "bundle")
    assert loaded.pixels == PixelChoices("squash", 3, flip=True)
    paths = [path for path, _ in run.files["test"]]
    right = [
        one.label == label
        for one, (_, label) in zip(loaded.predict(paths), run.files["test"], strict=True)
    ]
    assert run.evaluation.accuracy == np.mean(right)
    again = evaluate_bundle(tmp_path / "bundle", trained().photos).evaluation
    every = loaded.predict_proba(trained().paths)
    labels = [loaded.class_names.index(path.parent.name) for path in trained().paths]
    assert again.accuracy == pytest.approx((every.argmax(1) == labels).mean())


def test_a_frozen_head_learns_from_views() -> None:
    plain = fit(trained().photos, RECIPE)
    run = fit(trained().photos, replace(RECIPE, augment="light", kept_views=2))
    assert run.recipe.augment == "light"
    assert plain.recipe.augment == "none"
    assert run.head["cv_images"] == 3 * plain.head["cv_images"]
    assert not np.array_equal(run.classifier.head.layers[0][0], plain.classifier.head.layers[0][0])


def test_kept_views_serve_another_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(RECIPE, augment="light", kept_views=1)
    first = fit(trained().photos, recipe)
    from headstart.prefix import Prefix

    monkeypatch.setattr(Prefix, "open", lambda *_: pytest.fail("an engine was started"))
    again = fit(trained().photos, recipe)
    assert again.evaluation.accuracy == first.evaluation.accuracy
