"""What enters the part that learns: kept features of views, or views made anew."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import fresh_cache, trained

from headstart import progress
from headstart.augment import Augmentation, make_views
from headstart.backbones import load_backbone
from headstart.cut import cut_at
from headstart.depth import find_depth
from headstart.errors import HeadstartError
from headstart.features import PLAIN, Views
from headstart.finetune.inputs import ImageInputs, KeptInputs, batches, mix
from headstart.finetune.kept import Kept, OutOfTime, Wanted, find_place, keep
from headstart.finetune.loop import Limits
from headstart.images import BadImage, decode
from headstart.prefix import make_prefix

SIZE = (32, 32)
LIGHT = Augmentation("light")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


def wanted(views: int = 2) -> Wanted:
    paths = list(trained().paths)
    parts = {"train": paths[:7], "validation": paths[7:10], "test": paths[10:12]}
    return Wanted(parts, "squash", Views(LIGHT, views) if views else PLAIN)  # type: ignore[arg-type]


def kept(
    views: int = 2, unfreeze: int | str = "block3", deadline: float = math.inf, name: str = "tiny"
) -> tuple[Kept, list[str]]:
    backbone = load_backbone(name, weights="imagenet" if name == "tiny" else None)
    model = backbone.build(SIZE)
    messages: list[str] = []
    with progress.listen(lambda event: messages.append(event.message)):
        whole = make_prefix(backbone, SIZE, "openvino", "float32")
        place = find_place(whole, model, find_depth(model, unfreeze), wanted(views))
        found = keep(place, Limits(deadline))
    told = [one for one in messages if one and "removed" not in one]
    return found, told


def views_of(path: Path, numbers: list[int]) -> Any:
    return np.stack(make_views(path.read_bytes(), SIZE, "squash", LIGHT, numbers))


def test_kept_features_are_those_of_the_views() -> None:
    found, told = kept()
    assert told == ["features at block2_relu (8 x 8 x 16): 0 MB for 26"]
    assert isinstance(found.train, KeptInputs)
    rows, views = np.array([3, 0, 3, 6]), np.array([0, 1, 2, 1])
    got = found.train.read(rows, views)
    assert (got.shape, got.dtype) == ((4, 8, 8, 16), np.float32)
    prefix = cut_at(load_backbone("tiny").build(SIZE), "block2_relu").prefix
    paths = wanted().parts["train"]
    images = [
        views_of(Path(str(paths[row])), [int(view)])[0]
        for row, view in zip(rows, views, strict=True)
    ]
    expected = np.asarray(prefix(np.stack(images)))
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3)  # kept as float16
    assert found.size == 26 * 4096
    assert {part: one.views.count for part, one in found.features.items()} == {
        "train": 2, "validation": 0, "test": 0,
    }  # fmt: skip


def test_a_second_time_nothing_is_computed() -> None:
    first, second = kept()[0], kept()[0]
    assert [one.computed for one in first.features.values()] == [7, 3, 2]
    assert [one.computed for one in second.features.values()] == [0, 0, 0]
    rows = np.arange(7)
    assert np.array_equal(first.train.read(rows, rows % 3), second.train.read(rows, rows % 3))


def test_the_views_that_are_drawn() -> None:
    train, validation = kept()[0].train, kept()[0].validation
    draws = [train.draw(3000, epoch, np.random.default_rng(epoch)) for epoch in (1, 2, 2)]
    counts = np.bincount(draws[0])
    assert len(counts) == 3
    assert counts.min() > 900
    assert not np.array_equal(draws[0], draws[1])
    assert np.array_equal(draws[1], draws[2])
    assert not validation.draw(50, 1, np.random.default_rng(0)).any()


def test_images_anew_where_nothing_frozen_lies_before() -> None:
    found, told = kept(unfreeze="all")
    assert (told, found.features, found.size) == ([], {}, 0)
    assert isinstance(found.train, ImageInputs)
    views = found.train.draw(7, 4, np.random.default_rng(0))
    assert views.tolist() == [4] * 7
    got = found.train.read(np.array([5, 1]), np.array([4, 0]))
    first, second = (Path(str(wanted().parts["train"][row])) for row in (5, 1))
    assert got.dtype == np.uint8
    assert np.array_equal(got[0], views_of(first, [4])[0])
    assert np.array_equal(got[1], decode(second.read_bytes(), SIZE, "squash").pixels)
    assert not np.array_equal(got[0], views_of(first, [5])[0])
    plain = found.validation.read(np.array([2]), np.array([9]))[0]
    assert np.array_equal(plain, decode(trained().paths[9].read_bytes(), SIZE, "squash").pixels)


@pytest.mark.parametrize(
    ("records", "count", "message"),
    [
        (26, 2, None),
        (25, 1, "room for 1 of 2 views of each image within the cache limit"),
        (19, 1, "room for 1 of 2"),
        (18, 0, "room for 0 of 2"),
        (12, 0, "room for 0 of 2"),
    ],
)
def test_less_room_gives_fewer_views(
    records: int, count: int, message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart.finetune.kept.room", lambda: records * 4096)
    found, told = kept()
    assert found.features["train"].views.count == count
    assert len(told) == (1 if message is None else 2)
    assert message is None or message in told[0]
    assert told[-1].endswith(f" for {12 + 7 * count}")


def test_no_room_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.finetune.kept.room", lambda: 11 * 4096)
    found, told = kept()
    assert told == ["no room to keep features: images go through the whole network anew"]
    assert isinstance(found.train, ImageInputs)
    assert found.train.augmentation == LIGHT
    assert (found.cut.point.layer, found.cut.learns[0]) == ("image", "block3_conv")


def test_what_is_kept_already_needs_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    kept()
    monkeypatch.setattr("headstart.finetune.kept.room", lambda: 0)
    found, _ = kept()
    assert [one.computed for one in found.features.values()] == [0, 0, 0]
    monkeypatch.setattr("headstart.finetune.kept.limit", lambda: 0)
    assert kept()[1] == ["no room to keep features: images go through the whole network anew"]


def test_the_time_limit() -> None:
    with pytest.raises(OutOfTime):
        kept(deadline=time.monotonic())


def test_an_image_that_goes_meanwhile(tmp_path: Path) -> None:
    gone = ImageInputs([tmp_path / "gone.jpg"], SIZE, "squash", LIGHT)
    with pytest.raises(
        BadImage, match=r"gone\.jpg could be read a moment ago and cannot be read any"
    ):
        gone.read(np.array([0]), np.array([1]))
    broken = ImageInputs([b"no image"], SIZE, "squash", LIGHT)
    with pytest.raises(HeadstartError, match=r"^image 1 could be read a moment ago"):
        broken.read(np.array([0]), np.array([1]))


class Numbers:
    """Gives row * 10 + view, later ones sooner."""

    def draw(self, count: int, epoch: int, generator: np.random.Generator) -> Any:
        return np.zeros(count, np.int64)

    def read(self, rows: Any, views: Any) -> Any:
        time.sleep(0.02 / (1 + rows[0]))
        return rows * 10 + views


@pytest.mark.parametrize(("count", "sizes"), [(7, [3, 3, 1]), (6, [3, 3]), (1, [1]), (0, [])])
def test_batches_come_in_order(count: int, sizes: list[int]) -> None:
    rows = np.arange(count)
    found = list(batches(Numbers(), rows, rows % 2, 3))
    assert [len(values) for _, values in found] == sizes
    for part, values in found:
        assert np.array_equal(values, rows[part] * 10 + rows[part] % 2)


def test_mixing_two_images_mixes_their_labels_alike() -> None:
    inputs = np.arange(8, dtype=np.float32).reshape(8, 1, 1, 1) * np.ones((1, 2, 2, 3), np.float32)
    targets = np.eye(8, dtype=np.float32)
    mixed, wanted_of = mix(inputs, targets, 0.5, np.random.default_rng(0))
    assert (mixed.dtype, wanted_of.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(wanted_of.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(mixed[:, 0, 0, 0], wanted_of @ np.arange(8), atol=1e-4)
    assert (np.ptp(mixed, axis=(1, 2, 3)) == 0).all()
    assert (wanted_of.max(axis=1) < 0.999).any()
    pixels, _ = mix(inputs.astype(np.uint8), targets, 0.5, np.random.default_rng(0))
    assert pixels.dtype == np.uint8
