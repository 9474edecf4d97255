"""Depth by itself: which depths are tried, which is kept, and when the search ends."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

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
from headstart.finetune.probe import Begun
from headstart.finetune.problem import Judgement
from headstart.finetune.stage import Stage
from headstart.finetune.task import Task, Tuned
from headstart.heads.head import Head
from headstart.plan import AMPLE, FEWEST_JUDGED, STARTS
from headstart.suffix import Suffix
from headstart.training import fit
from headstart.tuning import Tuning

FROZEN = judged(1.0)


def test_depths_of_a_network_with_sixteen_blocks() -> None:
    model = load_backbone("efficientnet_lite0", weights=None).build((64, 64))

    def names(seconds: float) -> list[list[str]]:
        return [[depth.name for depth in turn] for turn in auto.turns(model, seconds)]

    middle, deep, short = "block6_11_expand", "block4_6_expand", "block6_14_expand"
    assert names(math.inf) == names(AMPLE) == [[middle, short], [deep]]
    assert names(AMPLE - 1) == [[short], [middle], [deep]]


def test_depths_of_a_small_network() -> None:
    for seconds in (0.0, math.inf):
        ((depth,),) = auto.turns(tiny_model(), seconds)
        assert depth.name == depth.learns[0] == "block2_conv"


def stage(after: Judgement, share: float = 1.0, stopped: str = "epochs") -> Stage:
    suffix = Suffix("block2_relu", (4, 4, 16), 32, {})
    head = Head("linear", ((np.zeros((32, 3), np.float32), np.zeros(3, np.float32)),))
    record = Record(2, 0.1, history=[{"train_loss": 1.0}], best_epoch=1, stopped=stopped)
    return Stage(suffix, head, share, FROZEN, after, record, ("block3_conv",), ())


def task(limits: Limits | None = None) -> Task:
    run = trained().run
    network, head = run.classifier.prefix, run.classifier.head
    recipe = replace(RECIPE, unfreeze="auto")
    labels = {"validation": np.zeros(FEWEST_JUDGED, np.int64)}
    return Task({}, labels, {}, 3, network, head, "none", recipe, limits or Limits())


def search(
    monkeypatch: pytest.MonkeyPatch,
    results: Sequence[Stage | type[Exception]],
    given: Task | None = None,
) -> Tuned:
    """Search over depths `a`, `b`, `c` whose stages end as given."""
    inputs: Any = None
    kept = Kept(tiny_cut(), trained().run.classifier.prefix, {}, inputs, inputs, 0)
    waiting = iter(results)
    depths = [[Depth(name, ("block3_conv",), ())] for name in "abc"]

    def play(task: Task, kept: Kept, name: str, learner: None, rival: Record | None) -> Stage:
        assert (rival is None) == (name == "a")
        result = next(waiting)
        if isinstance(result, Stage):
            return result
        raise result

    monkeypatch.setattr(auto, "turns", lambda *_: depths)
    monkeypatch.setattr(auto, "begin_in_time", lambda _, depths, __: Begun(depths[0], inputs))
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


def test_what_was_behind_half_way_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = search(monkeypatch, [stage(judged(0.9)), stage(judged(0.5), stopped="behind")])
    assert (found.unfreeze, found.details["stopped"]) == ("a", "epochs")


def test_a_depth_that_diverged_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    diverged = stage(FROZEN, share=0.0, stopped="diverged")
    reason = "training diverged with every learning rate, down to 0.1"
    found = search(monkeypatch, [diverged])
    assert (found.unfreeze, found.details["stopped"]) == (0, f"unfrozen from a, {reason}")
    found = search(monkeypatch, [stage(judged(0.9)), diverged])
    assert (found.unfreeze, found.details["search_ended"]) == ("a", f"unfrozen from b, {reason}")
    assert found.details["stopped"] == "epochs"


@pytest.mark.parametrize(("asked", "stopped"), [(False, "time limit"), (True, "interrupted")])
def test_no_time_for_a_deeper_one(
    monkeypatch: pytest.MonkeyPatch, asked: bool, stopped: str
) -> None:
    given = task(Limits(asked=lambda: asked))
    found = search(monkeypatch, [stage(judged(0.9)), OutOfTime], given)
    assert (found.unfreeze, found.details["search_ended"]) == ("a", stopped)
    assert found.details["stopped"] == ("interrupted" if asked else "epochs")
    found = search(monkeypatch, [OutOfTime], given)
    assert (found.unfreeze, found.details["stopped"]) == (0, stopped)


def test_stopped_in_a_stage_no_deeper_one_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    found = search(monkeypatch, [stage(judged(0.9), stopped="interrupted")])
    assert (found.unfreeze, found.details["stopped"]) == ("a", "interrupted")


def test_from_images_to_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_cache(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr(auto, "FEWEST_JUDGED", 1)
    tuning = Tuning(epochs=2, learning_rate=0.003, batch_size=16)
    run = fit(trained().photos, replace(RECIPE, unfreeze="auto", kept_views=1, tuning=tuning))
    assert run.fine_tuning is not None
    table = run.fine_tuning["tried"]
    assert [row["unfrozen from"] for row in table] == ["frozen", "block2_conv"]
    assert [row["kept"] for row in table].count(True) == 1
    kept = next(row["unfrozen from"] for row in table if row["kept"])
    assert run.recipe.unfreeze == (0 if kept == "frozen" else kept)


def test_what_was_found_gives_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_cache(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr(auto, "FEWEST_JUDGED", 1)
    monkeypatch.setattr(auto, "_is_better", lambda stage, best: best is None)
    tuning = Tuning(epochs=5, learning_rate=0.003, batch_size=16)
    run = fit(trained().photos, replace(RECIPE, unfreeze="auto", kept_views=1, tuning=tuning))
    assert run.fine_tuning is not None
    assert run.recipe.unfreeze == run.fine_tuning["tried"][1]["unfrozen from"]
    assert (run.recipe.tuning.epochs, run.recipe.augment) == (5, "light")
    again = fit(trained().photos, run.recipe)
    assert again.evaluation.to_dict() == run.evaluation.to_dict()


def test_too_few_to_judge_by() -> None:
    assert not auto.reason_not_to(task())
    few = replace(task(), labels={"validation": np.zeros(FEWEST_JUDGED - 1, np.int64)})
    assert auto.reason_not_to(few) == (
        f"too few validation images to judge it by: {FEWEST_JUDGED - 1}, and {FEWEST_JUDGED} "
        "are needed"
    )


def test_no_time_even_to_begin() -> None:
    def reason(seconds: float) -> str:
        limits, labels = Limits(until=time.monotonic() + seconds), task().labels
        new: Any = {"folder": Path("none"), "out_of_time": "time limit"}
        return auto.reason_not_to(
            cast("Task", SimpleNamespace(limits=limits, labels=labels, **new))
        )

    assert reason(STARTS - 1) == "time limit"
    assert not reason(STARTS + 9)
