from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_network import SIZE, expected_features, matrix, own_cache, tiny

from headstart import progress, store
from headstart.engine import Engine, Vector, to_half
from headstart.errors import HeadstartError
from headstart.features import extract, record_key
from headstart.features import extraction as module
from headstart.images import Decoded, Pixels, decode
from headstart.prefix import Prefix

MakeFolder = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return own_cache(monkeypatch, tmp_path / "cache")


@pytest.fixture
def paths(image_folder: MakeFolder) -> list[Path]:
    """Twenty images in one folder."""
    return sorted(image_folder(classes=["a"], per_class=20).rglob("*.*"))


@pytest.mark.parametrize("renew", [4, 7, 4096])
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_features_are_what_the_engine_gives(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, renew: int, resize: str
) -> None:
    monkeypatch.setattr(module, "_RENEW", renew)
    found = extract(paths, tiny(), resize=resize)
    assert found.computed == 20
    assert found.width == 32
    assert np.array_equal(matrix(found), expected_features(paths, resize))
    assert found.digests == tuple(hashlib.sha256(path.read_bytes()).digest() for path in paths)
    thumbnails = [decode(path.read_bytes(), SIZE, resize).thumbnail for path in paths]
    assert np.array_equal(found.thumbnails, thumbnails)
    assert (found.bad, found.unreached) == ({}, ())


@pytest.mark.parametrize("renew", [4, 4096])
def test_kept_equals_fresh(paths: list[Path], monkeypatch: pytest.MonkeyPatch, renew: int) -> None:
    fresh = extract(paths, tiny())
    monkeypatch.setattr(module, "_RENEW", renew)
    monkeypatch.setattr(Prefix, "open", lambda _: pytest.fail("an engine was started"))
    kept = extract(paths, tiny())
    assert kept.computed == 0
    assert np.array_equal(matrix(kept), matrix(fresh))
    assert np.array_equal(kept.thumbnails, fresh.thumbnails)
    assert kept.digests == fresh.digests


def test_ten_new_images_among_a_hundred_cost_ten(image_folder: MakeFolder) -> None:
    old = sorted(image_folder("old", ["a"], 100, (16, 16)).rglob("*.*"))
    new = sorted(image_folder("new", ["a"], 10, (16, 16), seed=1).rglob("*.*"))
    assert extract(old, tiny()).computed == 100
    both = [*old[:50], *new, *old[50:]]
    found = extract(both, tiny())
    assert found.computed == 10
    assert np.array_equal(matrix(found), expected_features(both))


class Counting:
    """An engine that keeps the images it got."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.seen: list[Pixels] = []

    def stream(self, images: Iterable[Pixels]) -> Generator[Vector]:
        for image in images:
            self.seen.append(image)
            yield from self.engine.stream([image])


def test_copied_and_renamed_images_are_computed_once(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = [Path(shutil.copy(path, tmp_path / f"copy-{path.name}")) for path in paths]
    engine = Counting(tiny().open())
    monkeypatch.setattr(Prefix, "open", lambda _: engine)
    found = extract([*copies[:10], *paths, *paths], tiny())
    assert found.computed == len(engine.seen) == 20
    assert np.array_equal(matrix(found)[10:30], expected_features(paths))
    assert np.array_equal(matrix(found)[:10], matrix(found)[10:20])
    assert np.array_equal(found.thumbnails[30:], found.thumbnails[10:30])
    moved = [path.rename(tmp_path / f"moved-{path.name}") for path in copies]
    assert extract(moved, tiny()).computed == 0


def test_edited_image_is_computed_again(paths: list[Path]) -> None:
    before = matrix(extract(paths, tiny()))
    Image.new("RGB", (30, 30), "red").save(paths[7])
    found = extract(paths, tiny())
    assert found.computed == 1
    changed = (matrix(found) != before).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [7]
    assert np.array_equal(matrix(found), expected_features(paths))


def test_rows_follow_the_order_given(paths: list[Path]) -> None:
    all_rows = matrix(extract(paths, tiny()))
    order = np.random.default_rng(3).permutation(20)
    found = extract([paths[row] for row in order], tiny())
    assert np.array_equal(matrix(found), all_rows[order])


@pytest.fixture
def some_bad(paths: list[Path], tmp_path: Path) -> list[Path]:
    """Eight images; row 1 is text, row 4 is not there, row 5 is cut short."""
    (tmp_path / "text.jpg").write_text("no image at all")
    (tmp_path / "cut.jpg").write_bytes(paths[0].read_bytes()[:300])
    text, cut = tmp_path / "text.jpg", tmp_path / "cut.jpg"
    return [paths[0], text, paths[1], paths[2], tmp_path / "none.jpg", cut, *paths[3:5]]


@pytest.mark.parametrize("run", [1, 2])
def test_bad_files_are_told(some_bad: list[Path], run: int) -> None:
    for _ in range(run):
        found = extract(some_bad, tiny())
    assert sorted(found.bad) == [1, 4, 5]
    assert found.bad[1] == "not an image"
    assert found.bad[4].startswith("cannot be read: No such file")
    assert found.bad[5].startswith("broken: ")
    assert found.unreached == ()
    good = [0, 2, 3, 6, 7]
    assert [row for row, digest in enumerate(found.digests) if digest] == good
    expected = expected_features([some_bad[row] for row in good])
    assert np.array_equal(found.matrix(np.array(good)), expected)


def test_take(some_bad: list[Path]) -> None:
    found = extract(some_bad, tiny())
    taken = found.take(np.array([7, 0, 3]))
    assert taken.digests == (found.digests[7], found.digests[0], found.digests[3])
    assert np.array_equal(taken.thumbnails, found.thumbnails[[7, 0, 3]])
    assert np.array_equal(matrix(taken), found.matrix(np.array([7, 0, 3])))
    assert (taken.bad, taken.unreached) == ({}, ())


def test_matrix_takes_rows_in_any_order_and_twice(paths: list[Path]) -> None:
    found = extract(paths, tiny())
    rows = np.array([19, 3, 3, 0])
    assert np.array_equal(found.matrix(rows), matrix(found)[rows])
    assert found.matrix(np.array([], np.int64)).shape == (0, 32)


def test_no_images() -> None:
    found = extract([], tiny())
    assert (found.computed, found.digests, matrix(found).shape) == (0, (), (0, 32))


def slow_decode(data: bytes, size: tuple[int, int], resize: str) -> Decoded:
    time.sleep(0.02)
    return decode(data, size, resize)


def test_deadline_leaves_the_rest_unreached(
    image_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(image_folder(classes=["a"], per_class=200, size=(8, 8)).rglob("*.*"))
    with monkeypatch.context() as patch:
        patch.setattr(module, "decode", slow_decode)
        patch.setattr("headstart.workers.cpu_count", lambda: 2)
        found = extract(paths, tiny(), deadline=time.monotonic() + 0.5)
    assert 0 < found.computed < 200
    assert found.unreached == tuple(range(found.computed, 200))
    reached = np.arange(found.computed)
    assert np.array_equal(found.matrix(reached), expected_features(paths[: found.computed]))
    assert extract(paths, tiny()).computed == 200 - found.computed


def test_deadline_in_the_past(paths: list[Path]) -> None:
    found = extract(paths, tiny(), deadline=time.monotonic())
    assert (found.computed, found.unreached) == (0, tuple(range(20)))


@pytest.mark.parametrize("resize", ["stretch", "", "SQUASH"])
def test_unknown_resize(paths: list[Path], resize: str) -> None:
    extract(paths, tiny())
    with pytest.raises(HeadstartError, match=r"Unknown resize .* Expected one of: squash, crop"):
        extract(paths, tiny(), resize=resize)


def test_record_keys_differ() -> None:
    keys = {
        record_key(digest, resize, view)
        for digest in (b"a" * 32, b"b" * 32)
        for resize in ("squash", "crop", "pad")
        for view in (bytes(8), b"1" * 8, b"2" * 8)
    }
    assert len(keys) == 18


@pytest.mark.parametrize(
    "change", [{"weights_digest": "other"}, {"precision": "bfloat16"}, {"format": 99}]
)
def test_features_of_another_network_are_not_used(
    paths: list[Path], cache: Path, change: dict[str, object]
) -> None:
    prefix = tiny()
    extract(paths, prefix)
    shutil.rmtree(cache / "prefixes")
    other = replace(prefix, identity=replace(prefix.identity, **change))  # type: ignore[arg-type]
    assert extract(paths, other).computed == 20
    assert extract(paths, prefix).computed == 0


def test_features_are_kept_for_the_runtime_that_made_them(paths: list[Path], cache: Path) -> None:
    """A bundle may name an OpenVINO that is not the one here."""
    prefix = tiny()
    old = replace(prefix, identity=replace(prefix.identity, runtime="openvino 1.0"))
    extract(paths, old)
    assert [path.name for path in (cache / "features").iterdir()] == [prefix.identity.key]


def test_keras_as_engine(paths: list[Path]) -> None:
    found = extract(paths, tiny("keras"))
    assert found.computed == 20
    assert np.abs(matrix(found).astype(float) - expected_features(paths)).max() < 0.01
    assert extract(paths, tiny()).computed == 20


class Broken:
    """An engine that gives one value that is not finite."""

    def stream(self, images: Iterable[Pixels]) -> Generator[Vector]:
        for number, _ in enumerate(images):
            yield np.array([0.0] * 31 + [np.nan if number == 9 else 1.0], np.float32)


def test_values_that_are_not_finite(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Prefix, "open", lambda _: Broken())
        with pytest.raises(HeadstartError, match=r"'tiny' gave values that are not finite"):
            extract(paths, tiny())
    assert store._open == {}


def test_to_half_clips() -> None:
    values = np.array([1e6, -1e6, 65504, 0.1, 1e-9], np.float32)
    assert to_half(values).tolist() == [65504, -65504, 65504, np.float16(0.1), 0]


def test_progress_counts_every_image(some_bad: list[Path]) -> None:
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        extract([*some_bad, *some_bad], tiny())
    last = [event for event in heard if event.stage == module.STAGE][-1]
    assert (last.done, last.total, last.finished) == (16, 16, True)
