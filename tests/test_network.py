"""What `fit` finds out before it trains: sizes to try, time that is planned, resize modes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from conftest import make_image, make_image_folder
from small_race import shrink_race
from test_ranking import judged
from tiny_run import fresh_cache, trained

from headstart import HeadstartError, fit, progress, rank
from headstart.backbones import find_backbone
from headstart.dataset import read_dataset
from headstart.ranking import network
from headstart.ranking.choice import new_race
from headstart.ranking.race import Choices, Judged, Race
from headstart.ranking.result import Ranked
from headstart.ranking.shapes import is_varied, shapes_of
from headstart.recipe import Recipe
from headstart.summary import run_summary

TINY = Recipe(backbone="tiny", precision="float32")


def sizes(recipe: Recipe) -> list[tuple[int, int]]:
    return [prefix.identity.image_size for prefix, _ in network.candidates_of(recipe, "cpu")]


def test_sizes_stand_in_proportion_to_the_backbones_own() -> None:
    assert network.sizes_of(find_backbone("efficientnet_lite0")) == [160, 224, 320, 512]
    assert network.sizes_of(find_backbone("efficientnet_lite2")) == [186, 260, 371, 594]
    assert network.sizes_of(find_backbone("efficientnetb7")) == [429, 600]
    assert network.sizes_of(replace(find_backbone("tiny"), any_size=False)) == []
    least = find_backbone("inception_v3").least_size
    assert min(network.sizes_of(replace(find_backbone("inception_v3"), image_size=76))) >= least


def test_what_is_fixed_stays_fixed() -> None:
    assert sizes(TINY) == [(46, 46), (64, 64), (91, 91), (146, 146)]
    assert sizes(replace(TINY, image_size=(32, 48))) == [(32, 48)]
    assert sizes(replace(TINY, image_size=None)) == [(64, 64)]
    for _, recipe in network.candidates_of(replace(TINY, resize="pad"), "cpu"):
        assert recipe.resize == "pad"


class _Key:
    """Stands for a prefix."""

    def __init__(self, name: str) -> None:
        size = {"small": 160, "own": 224, "large": 448}.get(name, 224)
        self.name = name
        self.identity = SimpleNamespace(precision="bfloat16", image_size=(size, size))
        self.backbone = SimpleNamespace(info=SimpleNamespace(image_size=224))


def even(loss: float) -> Judged:
    """Every image has this loss."""
    return judged(np.full(50, loss))


LOSSES = {"small": 0.40, "own": 0.36, "large": 0.33}
SPEEDS = {"small": 1400.0, "own": 700.0, "large": 175.0}


def recommended(
    losses: Mapping[str, float],
    *,
    seconds: float,
    train: int = 1700,
    unfreeze: int | str = "auto",
    speeds: Mapping[str, float] = SPEEDS,
) -> tuple[str, str]:
    """What is recommended of three networks, by their losses and the seconds left, and why."""
    race = Race(cast("Any", None), cast("Any", None))
    keys = {name: cast("Any", _Key(name)) for name in losses}
    race.rounds = [{keys[name]: even(loss) for name, loss in losses.items()}]
    rows = {
        keys[name]: Ranked(name, 224, "complete", accuracy=1 - loss, images_per_second=speeds[name])
        for name, loss in losses.items()
    }
    split = SimpleNamespace(train=range(train), validation=range(240))
    prepared = SimpleNamespace(dataset=SimpleNamespace(paths=range(2400)), split=split)
    plan = network._Planned(
        replace(TINY, unfreeze=unfreeze), cast("Any", prepared), time.monotonic() + seconds
    )
    best, reason = plan.recommend(race, rows)
    return cast("Any", best).name, reason


def test_without_time_to_fine_tune_the_best_frozen_one() -> None:
    assert recommended(LOSSES, seconds=20)[0] == "large"
    assert recommended(LOSSES, seconds=1000, unfreeze=0)[0] == "large"
    assert recommended(LOSSES, seconds=1000, train=250)[0] == "large"


def test_fine_tuning_is_expected_to_bring_more_than_size() -> None:
    name, reason = recommended(LOSSES, seconds=100)
    assert name == "own"
    assert "there is time to fine-tune it" in reason
    assert "25% of its loss, and none for large at 224" in reason


def test_with_much_time_the_best_is_fine_tuned() -> None:
    assert recommended(LOSSES, seconds=1000)[0] == "large"


def test_size_is_expected_to_bring_more_than_fine_tuning() -> None:
    assert recommended({"small": 0.9, "own": 0.7, "large": 0.33}, seconds=100)[0] == "large"


def test_no_size_smaller_than_the_own_is_fine_tuned() -> None:
    equal = dict.fromkeys(LOSSES, 0.4)
    speeds = {"small": 1400.0, "own": 10.0, "large": 5.0}
    assert recommended(equal | {"large": 0.39}, seconds=100, speeds=speeds)[0] != "small"


def test_a_little_gain_is_not_worth_it() -> None:
    assert recommended({"own": 0.40, "large": 0.33}, seconds=100)[0] == "own"
    assert recommended({"own": 0.43, "large": 0.33}, seconds=100)[0] == "large"


def test_losses_of_those_that_were_dropped() -> None:
    one, two, three = map(_Key, "abc")
    race = Race(cast("Any", None), cast("Any", None))
    keys = [cast("Any", key) for key in (one, two, three)]
    race.rounds = [
        dict(zip(keys, map(even, (0.8, 0.6, 1.2)), strict=True)),
        dict(zip(keys[:2], map(even, (0.3, 0.4)), strict=True)),
    ]
    assert race.losses() == pytest.approx({keys[0]: 0.3, keys[1]: 0.4, keys[2]: 0.45})


def wide_folder(folder: Path, shape: tuple[int, int]) -> Path:
    """Classes that differ at one edge alone, of images of a shape (height, width)."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("left", "right")):
        (folder / name).mkdir(parents=True)
        for index in range(30):
            image = make_image(rng, 0.3, shape)
            mark = make_image(rng, 0.9, (shape[0], 8))
            image.paste(mark, (0 if number else shape[1] - 8, 0))
            image.save(folder / name / f"{index:02}.png")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shrink_race(monkeypatch)
    return fresh_cache(monkeypatch, tmp_path / "cache")


@pytest.mark.usefixtures("cache")
def test_all_resize_modes_are_tried_on_wide_images(tmp_path: Path) -> None:
    photos = wide_folder(tmp_path / "photos", (32, 96))
    run = fit(photos, replace(TINY, image_size=32, unfreeze=0))
    assert run.choice is not None
    told = run.choice["resize"]
    assert {one["resize"] for one in told["tried"]} == {"squash", "crop", "pad"}
    by_name = {one["resize"]: one["accuracy"] for one in told["tried"]}
    assert by_name["crop"] < by_name["squash"]  # the edges are cut off
    assert told["best"] == run.recipe.resize == run.classifier.resize != "crop"
    assert f"Resize: {told['best']}; " in run_summary(run)
    again = fit(photos, run.recipe)
    assert again.evaluation.to_dict() == run.evaluation.to_dict()
    assert not again.computed


@pytest.mark.usefixtures("cache")
def test_a_mode_that_is_better_beyond_chance_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = wide_folder(tmp_path / "photos", (32, 96))
    monkeypatch.setattr(network, "RESIZE_MODES", ("crop", "squash", "pad"))
    run = fit(photos, replace(TINY, image_size=32, unfreeze=0))
    assert run.choice is not None
    assert run.choice["resize"]["reason"] == "better than crop beyond chance"
    assert run.recipe.resize == run.classifier.resize != "crop"
    assert run.images == {"train": 42, "validation": 6, "test": 12}


@pytest.mark.usefixtures("cache")
def test_a_network_that_was_dropped_can_be_what_is_fine_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[str] = []

    def choose(plan: Any, race: Race, rows: Any) -> tuple[Any, str]:
        (prefix, *_) = [one for one in race.rounds[0] if one not in race.last]
        dropped.append(race.status(prefix))
        return prefix, "for the test"

    monkeypatch.setattr(network._Planned, "recommend", choose)
    run = fit(wide_folder(tmp_path / "photos", (32, 96)), replace(TINY, unfreeze=0))
    assert dropped == ["dropped"]
    assert run.choice is not None
    assert len(run.choice["resize"]["tried"]) == 3


@pytest.mark.usefixtures("cache")
def test_nothing_is_tried_on_images_of_the_right_shape(tmp_path: Path) -> None:
    photos = wide_folder(tmp_path / "photos", (32, 32))
    run = fit(photos, replace(TINY, image_size=32, unfreeze=0))
    assert run.choice is not None
    assert run.choice["resize"]["tried"] == []
    assert run.recipe.resize == "squash"


def test_shapes(tmp_path: Path) -> None:
    square, wide = (wide_folder(tmp_path / str(width), (32, width)) for width in (32, 96))
    shapes = {name: shapes_of(read_dataset(name).paths) for name in (square, wide)}
    assert not is_varied(shapes[square], 1.0)
    assert is_varied(shapes[wide], 1.0)
    assert not is_varied(shapes[wide], 3.0)
    data = [path.read_bytes() for path in read_dataset(square).paths]
    assert is_varied(shapes_of(data), 3.0)
    assert not is_varied([], 1.0)


@pytest.mark.usefixtures("cache")
def test_no_time_to_try_another_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained().run
    prefix = run.classifier.prefix
    prepared = SimpleNamespace(
        dataset=read_dataset(trained().photos),
        split=SimpleNamespace(train=np.arange(60)),
        groups=np.arange(60),
    )
    choices = Choices("squash", "none", 0, math.inf)
    race = new_race(cast("Any", prepared), choices)
    race.choices = replace(choices, deadline=0.0)
    told = network.choose_resize(race, prefix, 60)
    assert (told["best"], told["reason"]) == ("squash", "no time to try others")


@pytest.mark.usefixtures("cache")
def test_without_time_to_compare_the_own_size_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Race, "judge", lambda *_: None)
    run = fit(trained().photos, TINY)
    assert run.recipe.image_size == (64, 64)
    assert run.recipe.resize == "squash"
    assert run.choice is not None
    assert run.choice["reason"] == "tiny at 64: no time to compare others."
    assert run.choice["resize"]["reason"] == "no time to compare others"
    assert "tiny at 64: no time to compare others." in run_summary(run)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("per_class", [2, 3])
def test_with_few_images_the_own_size_is_taken(tmp_path: Path, per_class: int) -> None:
    photos = make_image_folder(tmp_path / "few", per_class=per_class)
    run = fit(photos, TINY, out=tmp_path / "bundle")
    assert run.recipe.image_size == (64, 64)
    assert run.choice is not None
    assert run.choice["reason"] == "tiny at 64: too few images to compare others by."
    assert "too few images to compare others by" in (tmp_path / "bundle/report.html").read_text()
    with pytest.raises(HeadstartError, match=r"Too few images to rank by: 3 to train on"):
        rank(photos, replace(TINY, resize="squash"), backbones=["tiny"], sizes=[32])


@pytest.mark.usefixtures("cache")
def test_a_size_that_is_given_is_taken_however_small_the_images() -> None:
    run = fit(trained().photos, replace(TINY, image_size=192, unfreeze=0))
    assert run.recipe.image_size == (192, 192)


@pytest.mark.usefixtures("cache")
def test_without_any_choice_all_is_found() -> None:
    messages: list[str] = []
    with progress.listen(lambda event: messages.append(event.message)):
        run = fit(trained().photos, TINY)
    assert run.recipe.image_size in {(46, 46), (64, 64), (91, 91), (146, 146)}
    assert run.choice is not None
    assert {one["h_score"] for one in run.choice["candidates"]} == {None}  # only `rank` tells
    assert not run.recipe.chooses
    assert run.recipe.unfreeze == 0
    assert run.fine_tuning is not None
    assert run.fine_tuning["stopped"].startswith("too few validation images to judge it by: 6")
    text = run_summary(run)
    assert "Chosen in " in text
    assert "All layers stay frozen: too few validation images" in text
