"""Depth by itself: which depths are tried, which is kept, and when the search ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_trial import judged
from tiny_run import RECIPE, fresh_cache, trained
from tiny_tuning import tiny_cut, tiny_model

from headstart.backbones import load_backbone
from headstart.depth import Depth
from headstart.features import PLAIN
from headstart.finetune import auto
from headstart.finetune.kept import Kept, OutOfTime, Wanted
from headstart.finetune.loop import Limits, Record
from headstart.finetune.problem import Judgement
from headstart.finetune.stage import Stage
from headstart.finetune.task import Task, Tuned
from headstart.heads.head import Head
from headstart.suffix import Suffix
from headstart.training import fit
from headstart.tuning import Tuning

FROZEN = judged(1.0)


def test_depths_of_a_network_with_sixteen_blocks() -> None:
    model = load_backbone("efficientnet_lite0", weights=None).build((64, 64))
    names = [depth.name for depth in auto.depths(model)]
    assert names == ["block6_11_expand", "block4_6_expand"]


def test_depths_of_a_small_network() -> None:
    found = auto.depths(tiny_model())
    assert [depth.name for depth in found] == ["block2_conv"]
    assert found[0].learns[0] == "block2_conv"


def stage(after: Judgement, share: float = 1.0, stopped: str = "epochs") -> Stage:
    suffix = Suffix("block2_relu", (4, 4, 16), 32, {})
    head = Head("linear", ((np.zeros((32, 3), np.float32), np.zeros(3, np.float32)),))
    record = Record(2, 0.1, history=[{"train_loss": 1.0}], best_epoch=1, stopped=stopped)
    return Stage(suffix, head, share, FROZEN, after, record, ("block3_conv",), ())


def task(limits: Limits | None = None) -> Task:
    run = trained().run
    network, head = run.classifier.prefix, run.classifier.head
    recipe = replace(RECIPE, unfreeze="auto")
    return Task({}, {}, {}, 3, network, head, "none", recipe, limits or Limits())


def search(
    monkeypatch: pytest.MonkeyPatch,
    results: Sequence[Stage | type[Exception]],
    given: Task | None = None,
) -> Tuned:
    """Search over depths `a`, `b`, `c` whose stages end as given."""
    inputs: Any = None
    kept = Kept(tiny_cut(), trained().run.classifier.prefix, {}, inputs, inputs, 0)
    waiting = iter(results)
    depths = [Depth(name, ("block3_conv",), ()) for name in "abc"]

    def play(*_: Any) -> Stage:
        result = next(waiting)
        if isinstance(result, Stage):
            return result
        raise result

    monkeypatch.setattr(auto, "depths", lambda model: depths)
    monkeypatch.setattr(auto, "keep", lambda *_: kept)
    monkeypatch.setattr(auto, "tune", play)
    return auto.find_best_depth(given or task(), None, Wanted({"train": []}, "squash", PLAIN))


@pytest.mark.parametrize(
    ("losses", "kept", "tried"),
    [
        ([0.9, 0.8, 0.7], "c", 4),
        ([0.9, 0.8, 0.8], "b", 4),
        ([0.9, 0.9], "a", 3),
        ([1.0], 0, 2),
        ([1.1], 0, 2),
    ],
)
def test_a_deeper_cut_is_kept_where_it_is_better(
    monkeypatch: pytest.MonkeyPatch, losses: list[float], kept: str | int, tried: int
) -> None:
    found = search(monkeypatch, [stage(judged(loss)) for loss in losses])
    assert found.unfreeze == kept
    table = found.details["tried"]
    assert len(table) == tried
    assert [row["unfrozen from"] for row in table if row["kept"]] == [kept or "frozen"]


def test_better_within_chance_is_not_better(monkeypatch: pytest.MonkeyPatch) -> None:
    found = search(monkeypatch, [stage(judged(0.9)), stage(judged(0.85, spread=2.0))])
    assert found.unfreeze == "a"


def test_where_the_start_was_best_all_stays_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    found = search(monkeypatch, [stage(judged(0.5), share=0.0)])
    assert (found.unfreeze, found.details["stopped"]) == (0, "not better than frozen")


@pytest.mark.parametrize(("asked", "stopped"), [(False, "time limit"), (True, "interrupted")])
def test_no_time_for_a_deeper_one(
    monkeypatch: pytest.MonkeyPatch, asked: bool, stopped: str
) -> None:
    given = task(Limits(asked=lambda: asked))
    found = search(monkeypatch, [stage(judged(0.9)), OutOfTime], given)
    assert (found.unfreeze, found.details["stopped"]) == ("a", stopped)
    found = search(monkeypatch, [OutOfTime], given)
    assert (found.unfreeze, found.details["stopped"]) == (0, stopped)


def test_stopped_in_a_stage_no_deeper_one_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    found = search(monkeypatch, [stage(judged(0.9), stopped="interrupted")])
    assert (found.unfreeze, found.details["stopped"]) == ("a", "interrupted")


def test_from_images_to_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_cache(monkeypatch, tmp_path / "cache")
    tuning = Tuning(epochs=2, learning_rate=0.003, batch_size=16)
    run = fit(trained().photos, replace(RECIPE, unfreeze="auto", kept_views=1, tuning=tuning))
    assert run.fine_tuning is not None
    table = run.fine_tuning["tried"]
    assert [row["unfrozen from"] for row in table] == ["frozen", "block2_conv"]
    assert [row["kept"] for row in table].count(True) == 1
    kept = next(row["unfrozen from"] for row in table if row["kept"])
    assert run.recipe.unfreeze == (0 if kept == "frozen" else kept)
