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


def places(task: Task, *names: str) -> list[tuple[Depth, Place]]:
    backbone = task.prefix.backbone
    assert backbone is not None
    model = backbone.build(task.prefix.identity.image_size)
    wanted = Wanted(task.images, "squash", chosen_views(task.recipe))
    found = [find_depth(model, name) for name in names]
    return [(one, find_place(task.prefix, model, one, wanted)) for one in found]


def test_the_first_where_there_is_no_end() -> None:
    given = task(math.inf)
    begun = probe.begin_in_time(given, places(given, "block2", "block3"))
    assert (begun.depth.name, begun.learner) == ("block2", None)


@pytest.mark.parametrize("name", ["block2", "all"])
def test_what_fits_is_begun_with_what_was_made(name: str) -> None:
    given = task(60)
    begun = probe.begin_in_time(given, places(given, name))
    assert begun.learner is not None
    assert begun.learner.cut is begun.place.cut


def test_the_next_where_the_first_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    given, seconds = task(60), iter([61.0, 5.0])
    monkeypatch.setattr(probe, "_seconds", lambda *_: next(seconds))
    begun = probe.begin_in_time(given, places(given, "block2", "block3"))
    assert begun.depth.name == "block3"


def test_none_where_all_take_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    given = task(0.01)
    with pytest.raises(OutOfTime, match="too little is left"):
        probe.begin_in_time(given, places(given, "block2"))
    monkeypatch.setattr(probe, "STARTS", -math.inf)
    told = r"time limit: about \d+ seconds would be needed to unfreeze from block3, and 0 are left"
    with pytest.raises(OutOfTime, match=told):
        probe.begin_in_time(given, places(given, "block2", "block3"))


def test_what_was_begun_goes_on() -> None:
    given = task(0.01)
    path = given.folder / "block3.safetensors"
    two = places(given, "block2", "block3")
    learner = new_learner(given, two[1][1].cut)
    record = {"epochs": 2, "learning_rate": 0.1}
    checkpoint_of(given, "block3").write(record, learner.state(), learner.weights())
    assert path.exists()
    assert probe.begin_in_time(given, two).depth.name == "block3"


def test_more_images_take_longer() -> None:
    given = task(60)
    ((_, place),) = places(given, "block3")
    learner = new_learner(given, place.cut)
    few = probe._seconds(given, place, learner)
    labels = {part: np.tile(one, 400) for part, one in given.labels.items()}
    assert probe._seconds(replace(given, labels=labels), place, learner) > 20 * few
