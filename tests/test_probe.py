"""Which depth there is time for, measured on the network `tiny`."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_run import RECIPE, fresh_cache, trained

from headstart.depth import Depth, find_depth
from headstart.features.extraction import Source
from headstart.finetune import probe
from headstart.finetune.kept import OutOfTime, Place, Wanted, find_place
from headstart.finetune.loop import Limits
from headstart.finetune.task import Task, checkpoint_of, chosen_views, new_learner
from headstart.tuning import Tuning


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


def task(seconds: float) -> Task:
    run = trained().run
    rows: dict[str, list[Source]] = {
        part: [path for path, _ in pairs] for part, pairs in run.files.items()
    }
    labels = {part: np.arange(len(paths)) % 3 for part, paths in rows.items()}
    tuning = Tuning(epochs=2, batch_size=16)
    recipe = replace(RECIPE, unfreeze="auto", kept_views=1, tuning=tuning)
    limits = Limits(until=time.monotonic() + seconds)
    network, head = run.classifier.prefix, run.classifier.head
    digests: dict[str, list[bytes]] = {part: [] for part in rows}
    return Task(rows, labels, digests, 3, network, head, "none", recipe, limits)


class Places:
    """Depths of the network by their names; `found` are those whose place was asked for."""

    def __init__(self, task: Task, *names: str) -> None:
        backbone = task.prefix.backbone
        assert backbone is not None
        self.task, self.found = task, list[str]()
        self.model = backbone.build(task.prefix.identity.image_size)
        self.depths = [find_depth(self.model, name) for name in names]

    def place_of(self, depth: Depth) -> Place:
        self.found.append(depth.name)
        wanted = Wanted(self.task.images, "squash", chosen_views(self.task.recipe))
        return find_place(self.task.prefix, self.model, depth, wanted)

    def begin(self) -> probe.Begun:
        return probe.begin_in_time(self.task, self.depths, self.place_of)


def test_the_first_where_there_is_no_end() -> None:
    given = task(math.inf)
    places = Places(given, "block2", "block3")
    begun = places.begin()
    assert (begun.depth.name, begun.learner) == ("block2", None)
    assert places.found == ["block2"]


@pytest.mark.parametrize("name", ["block2", "all"])
def test_what_fits_is_begun_with_what_was_made(name: str) -> None:
    given = task(60)
    begun = Places(given, name).begin()
    assert begun.learner is not None
    assert begun.learner.cut is begun.place.cut


def test_the_next_where_the_first_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    given, seconds = task(60), iter([61.0, 5.0])
    monkeypatch.setattr(probe, "_seconds", lambda *_: next(seconds))
    begun = Places(given, "block2", "block3").begin()
    assert begun.depth.name == "block3"


def test_none_where_all_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    given = task(0.01)
    with pytest.raises(OutOfTime, match="too little is left"):
        Places(given, "block2").begin()
    monkeypatch.setattr(probe, "STARTS", -math.inf)
    told = r"time limit: about \d+ seconds would be needed to unfreeze from block3, and 0 are left"
    with pytest.raises(OutOfTime, match=told):
        Places(given, "block2", "block3").begin()


def test_what_was_begun_goes_on() -> None:
    given = task(0.01)
    path = given.folder / "block3.safetensors"
    two = Places(given, "block2", "block3")
    learner = new_learner(given, two.place_of(two.depths[1]).cut)
    record = {"epochs": 2, "learning_rate": 0.1}
    checkpoint_of(given, "block3").write(record, learner.state(), learner.weights())
    assert path.exists()
    assert two.begin().depth.name == "block3"


def test_more_images_take_longer() -> None:
    given = task(60)
    places = Places(given, "block3")
    place = places.place_of(places.depths[0])
    learner = new_learner(given, place.cut)
    few = probe._seconds(given, place, learner)
    labels = {part: np.tile(one, 400) for part, one in given.labels.items()}
    assert probe._seconds(replace(given, labels=labels), place, learner) > 20 * few
