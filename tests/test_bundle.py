from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_run import CLASSES, trained

from headstart.bundle import check_target, load, read_about, save_bundle
from headstart.errors import HeadstartError
from headstart.seen import was_seen

FILES = {
    "README.md",
    "recipe.toml",
    "reference.json",
    "reference.safetensors",
    "report.html",
    "report.json",
    "bundle.json",
    "checkup.json",
    "decision.json",
    "example.json",
    "example.png",
    "head.safetensors",
    "metrics.json",
    "prefix.bin",
    "prefix.xml",
    "seen.bin",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A bundle of the test's own."""
    return shutil.copytree(trained().bundle, tmp_path / "flowers")


def probabilities(folder: Path) -> Any:
    return load(folder).predict_proba(trained().paths)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_round_trip_gives_the_same(tmp_path: Path) -> None:
    run = trained().run
    saved = run.save(tmp_path / "new" / "place")
    assert saved == tmp_path / "new" / "place"
    found = load(saved)
    assert np.array_equal(
        found.predict_proba(trained().paths), run.classifier.predict_proba(trained().paths)
    )
    assert found.class_names == CLASSES
    assert (found.resize, found.image_size) == ("squash", (32, 32))
    assert found.head.kind == "linear"


def test_a_bundle_may_be_moved_and_saved_again(place: Path, tmp_path: Path) -> None:
    expected = probabilities(place)
    moved = place.rename(tmp_path / "moved")
    assert np.array_equal(probabilities(moved), expected)
    save_bundle(tmp_path / "again", load(moved), trained().run.contents)
    shutil.rmtree(moved)
    assert np.array_equal(probabilities(tmp_path / "again"), expected)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_place_may_be_text(place: Path, kind: Callable[[Path], Any]) -> None:
    assert load(kind(place)).class_names == CLASSES


def test_nothing_in_it_is_pickled(place: Path) -> None:
    contents = tree(place)
    assert set(contents) == FILES
    for name in ("bundle.json", "metrics.json", "example.json"):
        assert isinstance(json.loads(contents[name]), dict)
    assert contents["example.png"].startswith(b"\x89PNG\r\n\x1a\n")
    assert contents["prefix.xml"].startswith(b"<?xml")
    header = contents["head.safetensors"]
    assert json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["0.weight"]["shape"]
    assert contents["README.md"].startswith(b"# Image classifier: photos\n")
    pickled = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
    for content in contents.values():
        assert not content.startswith((*pickled, b"PK", b"\x93NUMPY", b"\x89HDF"))


def test_checksums_cover_every_file(place: Path) -> None:
    about = read_about(place)
    assert set(about["files"]) == FILES - {"bundle.json"}
    for name, digest in about["files"].items():
        assert digest == hashlib.sha256((place / name).read_bytes()).hexdigest()


def test_what_it_says_of_itself(place: Path) -> None:
    about = read_about(place)
    assert about["format"] == 1
    assert about["class_names"] == list(CLASSES)
    assert about["recipe"]["backbone"] == about["prefix"]["backbone"] == "tiny"
    assert about["recipe"]["head"] == about["head"] == "linear"
    assert about["data"]["name"] == "photos"
    assert about["data"]["images"] == trained().run.images
    assert {"python", "headstart", "numpy", "openvino", "pillow"} <= set(about["versions"])
    metrics = json.loads((place / "metrics.json").read_text())
    assert metrics["test"] == trained().run.evaluation.to_dict()
    assert set(metrics) == {"train", "validation", "test", "trust"}


def test_the_example_is_answered_as_expected(place: Path) -> None:
    expected = json.loads((place / "example.json").read_text())
    found = load(place).predict(place / expected["file"])
    assert dict(found.probabilities) == pytest.approx(expected["probabilities"], abs=1e-6)
    assert np.asarray(Image.open(place / "example.png")).shape == (32, 32, 3)


def test_the_example_is_a_test_image(place: Path) -> None:
    path, _ = trained().run.files["test"][0]
    expected = load(place).predict(path)
    assert load(place).predict(place / "example.png").probabilities == pytest.approx(
        expected.probabilities, abs=1e-6
    )


def test_it_knows_what_it_was_trained_on(place: Path) -> None:
    files = trained().run.files
    for part, seen in (("train", True), ("validation", True), ("test", False)):
        digests = [hashlib.sha256(path.read_bytes()).digest() for path, _ in files[part]]
        assert was_seen(place, tuple(digests)).tolist() == [seen] * len(digests)
    (place / "seen.bin").unlink()
    assert was_seen(place, (b"x" * 32,)).tolist() == [False]


def test_without_an_example(tmp_path: Path) -> None:
    run = trained().run
    save_bundle(tmp_path / "a", run.classifier, replace(run.contents, example=None))
    assert set(tree(tmp_path / "a")) == FILES - {"example.png", "example.json"}
    assert load(tmp_path / "a").class_names == CLASSES


@pytest.mark.parametrize("make", [Path.touch, lambda path: (path / "photos").mkdir(parents=True)])
def test_what_is_no_bundle_is_not_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    target = tmp_path / "target"
    make(target)
    for act in (check_target, trained().run.save):
        with pytest.raises(HeadstartError, match=rf"'{target}' exists and is no bundle\. Expected"):
            act(target)
    assert os.listdir(tmp_path) == ["target"]


def test_a_bundle_an_empty_folder_and_a_link_to_one_are_replaced(
    place: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(place, target_is_directory=True)
    (place / "README.md").write_text("an old one")
    for name in ("empty", "link"):
        trained().run.save(tmp_path / name)
        assert np.array_equal(probabilities(tmp_path / name), probabilities(trained().bundle))
    assert (tmp_path / "link").is_symlink()
    assert (place / "README.md").read_text() != "an old one"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file/bundle", r"file' cannot be written\. Expected a place where the folder of the"),
        ("x" * 300, r"cannot be written: File name too long\. Expected"),
        ("fixed", r"fixed' cannot be written\. Expected"),
        ("locked/new", r"locked' cannot be written\. Expected"),
        ("locked/bundle", r"locked' cannot be written\. Expected"),
    ],
)
def test_a_place_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    (tmp_path / "file").touch()
    for folder in ("fixed", "locked"):
        (tmp_path / folder).mkdir()
    shutil.copytree(trained().bundle, tmp_path / "locked" / "bundle")
    access, ismount = os.access, os.path.ismount
    monkeypatch.setattr(
        "os.access", lambda path, mode: Path(path).name != "locked" and access(path, mode)
    )
    monkeypatch.setattr("os.path.ismount", lambda path: Path(path).name == "fixed" or ismount(path))
    with pytest.raises(HeadstartError, match=message):
        check_target(tmp_path / name)


@pytest.mark.parametrize("failing", ["head.safetensors", "bundle.json", "example.png"])
def test_a_full_disk_leaves_the_old_one(
    place: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    before = tree(place)
    opened = Path.open

    def full(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        if self.name == failing and "r" not in mode:
            raise OSError(28, "No space left on device")
        return opened(self, mode, *args, **options)

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr(
        Image.Image, "save", lambda self, path: path.open("wb") if failing in str(path) else None
    )
    with pytest.raises(HeadstartError, match=r"cannot be written: No space left .* Make room, or"):
        trained().run.save(place)
    monkeypatch.undo()
    assert tree(place) == before
    assert os.listdir(place.parent) == [place.name]
