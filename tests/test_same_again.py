"""The recipe of a run that fine-tuned, or wanted to, gives the same bits and tries nothing out."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from test_finetune import weights
from tiny_run import RECIPE, fresh_cache, trained
from tiny_tuning import Weights, same

from headstart import progress
from headstart.features import extract
from headstart.finetune import Tuned, stage, task
from headstart.finetune.trial import Trials
from headstart.learning import _found
from headstart.recipe import Recipe, read_recipe
from headstart.training import fit
from headstart.tuning import Tuning

OPEN = replace(RECIPE, kept_views=2, tuning=Tuning(epochs=4, batch_size=16, label_smoothing=0))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


@pytest.mark.parametrize(
    ("unfreeze", "fitting", "epochs"), [(4, math.inf, 4), ("block", 3.5, 3), ("all", math.inf, 4)]
)
def test_any_depth_gives_the_same_again(
    unfreeze: int | str,
    fitting: float,
    epochs: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage, "_best", lambda found: found[-1])
    with monkeypatch.context() as patch:
        patch.setattr(task, "epochs_in_time", lambda *_: fitting)
        run = fit(trained().photos, replace(OPEN, unfreeze=unfreeze), out=tmp_path / "bundle")
    assert run.fine_tuning is not None
    found = read_recipe(tmp_path / "bundle" / "recipe.toml")
    assert (found.unfreeze, found.tuning.epochs) == (unfreeze, epochs)
    assert found.tuning.learning_rate == run.fine_tuning["learning_rate"]
    assert found.augment == run.fine_tuning["augment"] != "auto"
    monkeypatch.setattr(Trials, "_try", lambda *_: pytest.fail("something is tried out"))
    again = fit(trained().photos, found)
    assert same(weights(again), weights(run))
    assert again.recipe == found


@pytest.mark.parametrize(
    ("kept", "recipe"),
    [
        ({"augment": "light", "views": 1}, Recipe(augment="light", kept_views=1)),
        ({"augment": "none", "views": 0}, Recipe(augment="none")),
    ],
)
def test_fewer_views_for_want_of_room_are_noted(kept: dict[str, object], recipe: Recipe) -> None:
    prefix, head = trained().run.classifier.prefix, trained().run.classifier.head
    details = {"planned_epochs": 5, "learning_rate": 0.5, **kept}
    found = replace(Recipe(), **_found(Recipe(), Tuned(prefix, head, 4, details)))
    assert found == replace(recipe, unfreeze=4, tuning=Tuning(epochs=5, learning_rate=0.5))


def head_of(recipe: Recipe) -> tuple[Weights, Recipe, list[str]]:
    messages: list[str] = []
    with progress.listen(lambda event: messages.append(event.message)):
        run = fit(trained().photos, recipe)
    return run.classifier.head.arrays(), run.recipe, messages


@pytest.mark.parametrize("unfreeze", ["auto", "block3"])
def test_views_that_were_asked_for_are_the_heads_where_all_stays_frozen(
    unfreeze: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_best", lambda found: found[0])  # not better
    tuning = replace(OPEN.tuning, epochs=1)
    asked = replace(OPEN, unfreeze=unfreeze, augment="strong", tuning=tuning)
    head, found, messages = head_of(asked)
    assert (found.unfreeze, found.augment) == (0, "strong")
    assert any("it learns from strong views" in one for one in messages)
    for recipe in (replace(asked, unfreeze=0), found):
        assert same(head_of(recipe)[0], head)
    assert not same(trained().run.classifier.head.arrays(), head)


def test_without_time_for_views_the_head_is_of_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    late = replace(OPEN, unfreeze="auto", augment="light")
    monkeypatch.setattr("headstart.learning.extract", lambda *one, deadline, **rest: extract(
        *one, deadline=0.0, **rest))  # fmt: skip
    head, found, messages = head_of(late)
    assert found.augment == "none"
    assert "time limit: it learned from the images themselves, not light views" in messages
    assert same(trained().run.classifier.head.arrays(), head)
