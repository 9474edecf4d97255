"""`fit` with the network left open: `auto` for the image size or the backbone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_command
from small_race import note_images, shrink_race
from tiny_run import fresh_cache, trained

from headstart import HeadstartError, ImageClassifier, fit
from headstart.learning import choose_prefix
from headstart.preparation import prepare, prepare_again
from headstart.ranking import choice as module
from headstart.ranking import network
from headstart.ranking.memory import Memory
from headstart.ranking.race import Race
from headstart.recipe import Recipe, recipe_from_dict
from headstart.stopwatch import Stopwatch
from headstart.summary import run_summary

AUTO = Recipe(backbone="tiny", resize="squash", unfreeze=0, precision="float32")
SIZES = (16, 32, 48)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fresh_cache(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr(network, "_SCALES", [size / 64 for size in SIZES])
    shrink_race(monkeypatch)
    return tmp_path


def test_the_size_is_found_and_told(folder: Path) -> None:
    run = fit(trained().photos, AUTO, out=folder / "bundle")
    assert run.choice is not None
    size = run.choice["best"]["image_size"]
    assert size in SIZES
    assert run.recipe.image_size == (size, size)
    assert run.classifier.image_size == (size, size)
    assert run.to_dict()["choice"] == run.choice
    assert json.loads((folder / "bundle" / "bundle.json").read_text())["choice"] == run.choice
    text = run_summary(run)
    assert f"Chosen in 0 seconds: {run.choice['reason']}" in text or "Chosen in " in text
    assert "Next: tiny at " in text


def test_the_backbones_own_size_is_sure_to_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_SCALES", (0.5, 1, 1.25))
    order: list[int] = []
    whole = Race.judge

    def listening(race: Race, candidate: Any, count: int) -> Any:
        order.append(candidate.identity.image_size[0])
        return whole(race, candidate, count)

    monkeypatch.setattr(Race, "judge", listening)
    fit(trained().photos, AUTO)
    assert order[:3] == [64, 32, 80]


def test_after_a_kill_the_same_is_chosen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("headstart.training.learn", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(trained().photos, AUTO)
    (kept,) = (folder / "cache" / "runs").glob("*.json")
    said = json.loads(kept.read_text())
    with monkeypatch.context() as patch:
        patch.setattr(Race, "run", killed)  # no second race
        with pytest.raises(KeyboardInterrupt):
            fit(trained().photos, AUTO, time_limit=500)  # another command
        other = next(one for one in said["candidates"] if one != said["best"])
        kept.write_text(json.dumps({**said, "best": other}))
        run = fit(trained().photos, AUTO)
    assert run.recipe.image_size == (other["image_size"], other["image_size"])
    assert run.choice is not None
    assert run.choice["seconds"] == said["seconds"]
    assert not kept.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"best": {"backbone": "x", "image_size": 1}}'])
def test_a_memory_that_is_damaged_is_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = folder / "damaged.json"
    path.write_text(text)
    monkeypatch.setattr(network, "memory_of", lambda *_: Memory(path))
    run = fit(trained().photos, AUTO)
    assert run.choice is not None
    assert run.choice["best"]["backbone"] == "tiny"


def test_it_is_the_same_as_with_that_size() -> None:
    found = fit(trained().photos, AUTO)
    given = fit(trained().photos, found.recipe)
    assert given.choice is None
    assert not given.computed
    assert given.files == found.files
    assert given.evaluation.to_dict() == found.evaluation.to_dict()


def test_the_test_part_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = note_images(monkeypatch)
    run = fit(trained().photos, AUTO)
    assert seen == {path for path, _ in run.files["train"]}


def test_the_backbone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    whole = module.find_candidates

    def listening(recipe: Recipe, names: Any, sizes: Any, device: str) -> Any:
        asked.append((names, sizes))
        return whole(recipe, ["tiny"], sizes, device)

    monkeypatch.setattr(module, "find_candidates", listening)
    run = fit(trained().photos, replace(AUTO, backbone="auto", image_size=32))
    assert asked == [(None, [32])]
    assert (run.recipe.backbone, run.recipe.image_size) == ("tiny", (32, 32))
    assert run.choice is not None
    assert run.choice["reason"].endswith("no other came as far.")


def test_those_whose_weights_are_here_are_tried() -> None:
    found = module.find_candidates(AUTO, None, [224], "auto")
    names = [prefix.identity.backbone for prefix, _ in found]
    assert {"efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"} <= set(names)
    assert "tiny" not in names


@pytest.mark.parametrize(("image_size", "told"), [(None, "'own'"), ((32, 48), r"\(32, 48\)")])
def test_one_square_for_all_backbones(image_size: Any, told: str) -> None:
    with pytest.raises(HeadstartError, match=rf"image size {told}\. Expected a square for all"):
        fit(trained().photos, Recipe(backbone="auto", image_size=image_size))


def test_no_time() -> None:
    with pytest.raises(HeadstartError, match="time limit is over before"):
        fit(trained().photos, AUTO, time_limit=0.5)


def test_auto_is_for_fit_alone() -> None:
    auto: Any = "auto"
    with pytest.raises(HeadstartError, match=r"cannot be 'auto' here.*headstart\.rank"):
        choose_prefix(AUTO, "auto")
    with pytest.raises(HeadstartError, match="cannot be 'auto' here"):
        ImageClassifier(image_size=auto).fit(
            [str(path) for path in trained().paths], ["a", "b"] * (len(trained().paths) // 2)
        )


def test_the_recipe() -> None:
    assert AUTO.chooses
    assert Recipe(backbone="auto").chooses
    assert Recipe(image_size=64).chooses
    assert not Recipe(image_size=64, resize="pad").chooses
    assert recipe_from_dict(AUTO.to_dict()) == AUTO
    with pytest.raises(HeadstartError, match="or 'auto'"):
        Recipe(image_size="largest")


def test_images_that_are_not_reached_leave_their_part(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(backbone="tiny", image_size=32, resize="squash", precision="float32")
    prefix, recipe = choose_prefix(recipe, "cpu")
    before = prepare(trained().photos, recipe, prefix, math.inf, Stopwatch())
    gone = {int(before.split.train[0]), int(before.split.test[-1])}
    lost = {before.dataset.paths[row] for row in gone}

    def without(dataset: Any, *_: Any) -> Any:
        from headstart.dataset import drop

        kept = np.array([row for row in range(len(dataset.paths)) if row not in gone])
        return drop(dataset, dict.fromkeys(gone, "late")), before.features.take(kept)

    monkeypatch.setattr("headstart.preparation._features", without)
    after = prepare_again(before, recipe, prefix, math.inf, Stopwatch())
    for part in ("train", "validation", "test"):
        old = [before.dataset.paths[row] for row in getattr(before.split, part)]
        new = [after.dataset.paths[row] for row in getattr(after.split, part)]
        assert new == [path for path in old if path not in lost]
    assert len(after.groups) == len(before.groups) - 2 == len(after.features.digests)


def test_the_command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("fit", trained().photos, "--backbone", "tiny", "--out", folder / "bundle")
    assert run_command(monkeypatch, *command, "--image-size", "auto", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["choice"]["best"]["image_size"] == values["image_size"][0]
    for wrong in ("big", "22.5", "-3"):
        assert run_command(monkeypatch, *command, "--image-size", wrong) == 2
        assert "--image-size cannot be" in capsys.readouterr().err
