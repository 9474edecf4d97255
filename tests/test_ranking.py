"""Backbones and image sizes side by side: rounds, statuses, the recommendation, its faces."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from command_line import run_command
from conftest import make_image_folder
from small_race import note_images, shrink_race
from tiny_run import fresh_cache, trained

from headstart import HeadstartError, MissingExtra, Ranked, Ranking, fit, rank
from headstart.heads import HeldOut
from headstart.preparation import prepare
from headstart.ranking import choice
from headstart.ranking import race as module
from headstart.ranking.race import Judged, leaders, round_sizes
from headstart.recipe import Recipe

RECIPE = Recipe(precision="float32")
SIZES = (16, 24, 32, 48)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fresh_cache(monkeypatch, tmp_path / "cache")
    shrink_race(monkeypatch)
    return tmp_path


def ranked(sizes: Sequence[int] = SIZES, **options: Any) -> Ranking:
    return rank(trained().photos, RECIPE, backbones=["tiny"], sizes=sizes, **options)


@pytest.mark.parametrize(
    ("train", "classes", "candidates", "sizes"),
    [
        (1800, 3, 12, [200, 600, 1800]),
        (1800, 3, 2, [1800]),
        (1800, 3, 5, [600, 1800]),
        (90_000, 3, 12, [555, 1666, 5000]),
        (200, 7, 12, [28, 66, 200]),
        (20, 7, 4, [20]),
        (221, 12, 12, [48, 73, 221]),
        (100, 12, 12, [48, 100]),
    ],
)
def test_round_sizes(train: int, classes: int, candidates: int, sizes: list[int]) -> None:
    assert round_sizes(train, classes, candidates) == sizes


def judged(losses: npt.ArrayLike, rows: Sequence[int] | None = None) -> Judged:
    values = np.asarray(losses, np.float32)
    where = np.arange(len(values)) if rows is None else np.array(rows)
    return Judged(HeldOut(where, values, values < 0.7), float(values.mean()), len(values))


def test_beats_is_about_the_same_images() -> None:
    rng = np.random.default_rng(0)
    hard = rng.exponential(1.0, 200)
    better = judged(hard * 0.9)
    assert better.beats(judged(hard))
    assert not judged(hard).beats(better)
    assert not judged(hard).beats(judged(hard))
    order = rng.permutation(200)
    assert better.beats(judged(hard[order], order.tolist()))
    noisy = judged(np.maximum(0, hard * 0.99 + rng.normal(0, 1, 200)))
    assert not noisy.beats(judged(hard))


@pytest.mark.parametrize(("candidates", "kept"), [(12, 4), (7, 3), (5, 2), (3, 2), (2, 2), (1, 1)])
def test_a_third_goes_on(candidates: int, kept: int) -> None:
    found: dict[Any, Judged] = {one: judged([one, one + 1]) for one in range(candidates)}
    expected: list[Any] = list(range(kept))
    assert leaders(found) == expected


def test_every_candidate_is_told() -> None:
    found = ranked()
    assert sorted(one.image_size for one in found.rows) == list(SIZES)
    assert [one.status for one in found.rows] == ["complete"] * 2 + ["dropped"] * 2
    complete, dropped = found.rows[0], found.rows[-1]
    assert complete.images == found.images > dropped.images
    losses = [one.log_loss for one in found.rows[:2]]
    assert losses == sorted(losses, key=lambda one: math.inf if one is None else one)
    for one in found.rows:
        assert one.low is not None
        assert one.accuracy is not None
        assert one.high is not None
        assert 0 <= one.low <= one.accuracy <= one.high <= 1
        assert one.images_per_second
        assert one.model_bytes
        assert one.h_score is not None
        assert one.log_me is not None
        assert (one.memory_bytes is not None) == (one.status == "complete")
    assert 20e6 < (complete.memory_bytes or 0) < 1e9
    assert found.best in found.rows[:2]
    assert found.best.name in found.reason


def test_it_is_what_fit_finds(folder: Path) -> None:
    (row,) = ranked([32]).rows
    run = fit(trained().photos, replace(RECIPE, backbone="tiny", image_size=32))
    assert row.accuracy == pytest.approx(run.head["cv_accuracy"], abs=0.1)  # other order, folds
    assert row.images == run.images["train"]
    assert not run.computed


def test_only_the_training_part_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = note_images(monkeypatch)
    ranked([24, 32], device="cpu")
    run = fit(trained().photos, replace(RECIPE, backbone="tiny", image_size=32))
    assert seen == {path for path, _ in run.files["train"]}


@pytest.mark.parametrize(
    ("calls", "statuses"),
    [
        (6, ["complete", "complete", "dropped", "dropped"]),
        (5, ["unfinished", "dropped", "dropped", "complete"]),
        (4, ["dropped", "dropped", "unfinished", "unfinished"]),
        (2, ["unfinished"] * 4),
    ],
)
def test_the_time_limit(monkeypatch: pytest.MonkeyPatch, calls: int, statuses: list[str]) -> None:
    whole, made = module.Race.judge, list[int]()

    def limited(race: Any, candidate: Any, count: int) -> Any:
        made.append(count)
        return whole(race, candidate, count) if len(made) <= calls else None

    monkeypatch.setattr(module.Race, "judge", limited)
    found = ranked()
    assert sorted(one.status for one in found.rows) == sorted(statuses)
    assert found.best.accuracy is not None
    assert found.best.name in found.reason


def test_features_of_all_take_half_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = list[float]()

    def listening(source: Any, recipe: Any, prefix: Any, deadline: float, watch: Any) -> Any:
        ends.append(deadline - watch.start)
        return prepare(source, recipe, prefix, math.inf, watch)

    monkeypatch.setattr(choice, "prepare", listening)
    ranked([32], time_limit=1000)
    ranked([32])
    assert 400 < ends[0] < 500
    assert ends[1] == math.inf


def test_no_time_for_one() -> None:
    with pytest.raises(HeadstartError, match="time limit is over before"):
        ranked(time_limit=0.5)


@pytest.mark.parametrize(
    ("backbones", "sizes", "message"),
    [
        (["no_such"], [32], "no_such"),
        (["tiny"], [0], "image size cannot be 0"),
        (["tiny"], [4096], "image size cannot be 4096"),
        (["vgg16"], [16], "None of vgg16 takes images of 16 pixels"),
        (["vgg16"], [64], "vgg16"),
    ],
)
def test_what_cannot_be_ranked(backbones: list[str], sizes: list[int], message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        rank(trained().photos, RECIPE, backbones=backbones, sizes=sizes)


def test_too_few_images(folder: Path) -> None:
    photos = make_image_folder(folder / "few", per_class=2)
    with pytest.raises(HeadstartError, match="Too few images"):
        rank(photos, RECIPE, backbones=["tiny"], sizes=[32])


def row(size: int, accuracy: float | None, speed: float | None) -> Ranked:
    end = None if accuracy is None else accuracy + 0.05
    low = None if accuracy is None else accuracy - 0.05
    return Ranked("tiny", size, "complete", 9, accuracy, low, end, images_per_second=speed)


def ranking() -> Ranking:
    rows = (row(1, 0.9, 10.0), row(2, 0.8, 20.0), row(3, 0.85, 9.0), row(4, None, None))
    return Ranking((*rows, row(5, 0.8, 15.0)), rows[0], "why", 9, {"total": 1.0})


def test_the_front() -> None:
    assert [one.image_size for one in ranking().front()] == [2, 1]


@pytest.mark.parametrize("name", ["plot.svg", "plot.png", "plot.pdf"])
def test_plots(folder: Path, name: str) -> None:
    path = ranking().plot(folder / name)
    assert path.stat().st_size > 2000
    before = path.read_bytes()
    if name != "plot.pdf":  # it holds its time
        assert ranking().plot(path).read_bytes() == before


@pytest.mark.parametrize("name", ["plot.jpg", "plot", "no_such/plot.svg"])
def test_plots_that_cannot_be(folder: Path, name: str) -> None:
    with pytest.raises(HeadstartError, match="Expected"):
        ranking().plot(folder / name)


def test_without_matplotlib(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"headstart\[plot\]"):
        ranking().plot(folder / "plot.svg")


def test_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("rank", trained().photos, "--backbones", "tiny", "--sizes", "24, 32")
    plot = folder / "plot.svg"
    assert run_command(monkeypatch, *command, "--json", "--plot", plot) == 0
    values = json.loads(capsys.readouterr().out)
    assert {one["image_size"] for one in values["candidates"]} == {24, 32}
    assert plot.exists()
    assert run_command(monkeypatch, *command) == 0
    printed = capsys.readouterr().out
    assert "Recommended: tiny at " in printed
    assert "--backbone tiny --image-size " in printed
    assert values["best"]["backbone"] == "tiny"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sizes", "224,big"), "--sizes cannot be 'big'"),
        (("--sizes", ","), "nothing in the list"),
        (("--backbones", " "), "nothing in the list"),
        (("--plot", "x.gif"), "cannot be written as 'x.gif'"),
        (("--time-limit", "-1"), "time limit cannot be"),
        (("--seed", "-1"), "seed"),
    ],
)
def test_options_that_cannot_be(
    options: tuple[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command(monkeypatch, "rank", trained().photos, *options) == 2
    printed, told = capsys.readouterr()
    assert not printed
    assert message in told
    assert told.count("\n") == 1
