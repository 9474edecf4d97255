"""A fine-tuning that was stopped goes on from its checkpoint as if nothing had happened."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tiny_tuning import (
    TUNING,
    AskedAfter,
    fresh_training,
    run,
    same,
    training,
    without_seconds,
)

from headstart import progress
from headstart.finetune.checkpoint import Checkpoint
from headstart.finetune.learner import Arrays
from headstart.finetune.loop import Limits, Record

MIXED = replace(TUNING, mixup=0.3)


@functools.cache
def uninterrupted() -> tuple[Record, Arrays, Arrays]:
    made = fresh_training(tuning=MIXED)
    record = run(made)
    return without_seconds(record), made.learner.weights(), made.best


def stopped_after(batches: int, path: Path) -> Record:
    return run(fresh_training(path, MIXED), limits=Limits(asked=AskedAfter(batches)))


@functools.cache
def checkpoint() -> bytes:
    """The file after the second epoch of three; stopped in the middle of the third."""
    folder = Path(tempfile.mkdtemp())
    stopped_after(7, folder / "here.safetensors")
    data = (folder / "here.safetensors").read_bytes()
    (folder / "here.safetensors").unlink()
    folder.rmdir()
    return data


def gone_on(path: Path) -> tuple[list[str], int]:
    """Run to the end; what was told, and the epochs that were trained. It ends as it should."""
    messages: list[str] = []
    made = fresh_training(path, MIXED)
    asked = AskedAfter()
    with progress.listen(lambda event: messages.append(event.message)):
        record = run(made, limits=Limits(asked=asked))
    expected, weights, best = uninterrupted()
    assert without_seconds(record) == expected
    assert same(made.learner.weights(), weights)
    assert same(made.best, best)
    return [one for one in messages if one], asked.looks // made.steps


def test_stopped_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "block3.safetensors"
    path.parent.mkdir()
    path.write_bytes(checkpoint())
    assert gone_on(path) == (["going on after epoch 2"], 1)


@pytest.mark.parametrize("batches", [4, pytest.param(2, marks=pytest.mark.slow)])
def test_stopped_earlier(batches: int, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "block3.safetensors"
    record = stopped_after(batches, path)
    assert record.stopped == "interrupted"
    assert path.exists() == (batches > 3)  # the first epoch has three
    done = batches // 3
    told = ["going on after epoch 1"] if done else []
    assert gone_on(path) == (told, 3 - done)


def test_a_run_that_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    path = tmp_path / "ended.safetensors"
    run(fresh_training(path, MIXED))
    assert gone_on(path)[1] == 0


def flipped(place: float) -> Callable[[bytes], bytes]:
    """One bit is another at a part of the file's length."""

    def flip(data: bytes) -> bytes:
        at = int(place * len(data))
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return flip


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[:-4],
        lambda data: b"\xff" * len(data),
        lambda data: data.replace(b"epochs", b"epoche"),
        lambda data: data.replace(b"__metadata__", b"__metadate__"),
        flipped(0.3),
        flipped(0.6),
        flipped(0.95),
    ],
)
def test_a_damaged_checkpoint_is_as_good_as_none(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(checkpoint())
    assert Checkpoint(path).read() is not None
    path.write_bytes(damage(checkpoint()))
    assert Checkpoint(path).read() is None


def test_and_training_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(checkpoint()[:-4])
    assert gone_on(path) == ([], 3)


@pytest.mark.parametrize("what", ["state", "longer", "best", "missing", "record"])
def test_a_checkpoint_of_another_network(what: str, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(checkpoint())
    saved = Checkpoint(path).read()
    assert saved is not None
    name = next(iter(saved.best))
    if what == "state":
        saved.state[-1] = np.zeros((2, 9), np.float32)
    elif what == "longer":
        saved.state.append(saved.state[-1])
    elif what == "best":
        saved.best[name] = saved.best[name][:1]
    elif what == "missing":
        del saved.best[name]
    else:
        saved.record["more"] = 1
    Checkpoint(path).write(saved.record, saved.state, saved.best)
    made = training()
    made.checkpoint = Checkpoint(path)
    before = made.learner.state()
    assert made._resumed() is None
    assert all(map(np.array_equal, made.learner.state(), before))
    assert same(made.best, made.start)


def test_one_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    messages, epochs = gone_on(tmp_path / "runs" / "block3.safetensors")
    assert epochs == 3
    assert len(messages) == 3
    assert messages[0].startswith("this epoch cannot be kept to go on from: ")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    place = Checkpoint(tmp_path / "some" / "where.safetensors")
    state: list[npt.NDArray[Any]] = [
        np.array(1.5, np.float32),
        np.arange(3, dtype=np.int64),
        np.ones((2, 3), np.float32).T,
    ]
    best = {"a/0": np.arange(4, dtype=np.float32)[::2]}
    place.write({"epochs": 3}, state, best)
    saved = place.read()
    assert saved is not None
    assert saved.record == {"epochs": 3}
    assert all(map(np.array_equal, saved.state, state))
    assert saved.state[1].dtype == np.int64
    assert np.array_equal(saved.best["a/0"], [0, 2])
    place.remove()
    assert place.read() is None
    place.remove()


def test_without_a_place_nothing_is_kept() -> None:
    place = Checkpoint(None)
    place.write({}, [], {})
    assert place.read() is None
    place.remove()
