"""Training on data of all sorts: broken, copied, split, unbalanced, oddly named, too few."""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_image_folder
from feature_rows import head_digest
from PIL import Image
from tiny_run import CLASSES, RECIPE, fresh_cache, trained

from headstart.errors import DatasetError
from headstart.heads import TrainingData, fit_head
from headstart.run import Run
from headstart.training import fit


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The images of `trained`, the test's own."""
    return shutil.copytree(trained().photos, tmp_path / "photos")


def used(run: Run) -> list[Path]:
    return [path for files in run.files.values() for path, _ in files]


def bomb(png: bytes) -> bytes:
    """The image with a header that claims 900 megapixels."""
    header = b"IHDR" + (30_000).to_bytes(4, "big") * 2 + png[24:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]


def test_every_file_is_used_or_listed(photos: Path) -> None:
    png = (photos / "roses" / "00.png").read_bytes()
    spoilt = bytearray(png)
    spoilt[200:300] = bytes(100)
    for name, content in {
        "roses/cut.png": png[:400],
        "roses/spoilt.png": bytes(spoilt),
        "roses/empty.jpg": b"",
        "roses/notes.txt": b"some notes",
        "roses/page.jpg": b"<html>",
        "tulips/.hidden.png": png,
        "tulips/bomb.png": bomb(png),
        "stray.png": png,
    }.items():
        (photos / name).write_bytes(content)
    (photos / "empty").mkdir()
    run = fit(photos, RECIPE)
    skipped = {one.path: one.reason for one in run.skipped}
    assert len(skipped) == len(run.skipped) == 8
    assert {str(photos / path) for path in skipped}.isdisjoint(map(str, used(run)))
    assert len(used(run)) + len(skipped) == sum(path.is_file() for path in photos.rglob("*"))
    assert skipped["roses/cut.png"].startswith("broken: ")
    assert skipped["tulips/bomb.png"].startswith("too large: ")
    assert skipped["roses/empty.jpg"] == "empty file"
    assert head_digest(run.classifier.head) == head_digest(trained().run.classifier.head)
    assert any("empty" in text for text in run.warnings)


def test_a_ready_made_split_is_respected(photos: Path, tmp_path: Path) -> None:
    parts = {"train": range(10), "val": range(10, 14), "test": range(14, 20)}
    for part, rows in parts.items():
        for name in CLASSES:
            (tmp_path / "split" / part / name).mkdir(parents=True)
            for row in rows:
                shutil.copy(photos / name / f"{row:02}.png", tmp_path / "split" / part / name)
    run = fit(tmp_path / "split", RECIPE)
    for part, folder in (("train", "train"), ("validation", "val"), ("test", "test")):
        paths = [path for path, _ in run.files[part]]
        assert len(paths) == 3 * len(parts[folder])
        assert {path.parts[-3] for path in paths} == {folder}


def test_the_baseline_is_the_most_frequent_class_in_training(photos: Path, tmp_path: Path) -> None:
    counts = {"train": (10, 6, 6), "test": (2, 6, 4)}
    for part, numbers in counts.items():
        for name, number in zip(CLASSES, numbers, strict=True):
            (tmp_path / "split" / part / name).mkdir(parents=True)
            for path in sorted((photos / name).iterdir())[:number]:
                path.rename(tmp_path / "split" / part / name / path.name)
    run = fit(tmp_path / "split", RECIPE)
    assert run.evaluation.baseline_class == "daisies"
    assert run.evaluation.baseline == pytest.approx(2 / 12)


def test_a_copy_across_a_ready_made_split_is_told(photos: Path, tmp_path: Path) -> None:
    for name in CLASSES:
        for part, rows in (("train", range(10)), ("test", range(10, 20))):
            (tmp_path / "split" / part / name).mkdir(parents=True)
            for row in rows:
                shutil.copy(photos / name / f"{row:02}.png", tmp_path / "split" / part / name)
    shutil.copy(photos / "roses/03.png", tmp_path / "split/test/roses/copy.png")
    run = fit(tmp_path / "split", RECIPE)
    assert any(
        text.startswith("2 images have a copy on another side of the given split")
        and text.endswith(": test/roses/copy.png = train/roses/03.png")
        for text in run.warnings
    )


def test_copies_stay_on_one_side(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[Any] = []

    def watched(kind: str, data: TrainingData, **options: Any) -> Any:
        groups.append(data.groups)
        return fit_head(kind, data, **options)

    monkeypatch.setattr("headstart.learning.fit_head", watched)
    for path in trained().paths[::4]:
        with Image.open(path) as image:
            image.resize((64, 48)).save(photos / path.parent.name / f"{path.stem}.jpg", quality=90)
        shutil.copy(path, photos / path.parent.name / f"{path.stem} again.png")
    run = fit(photos, RECIPE)
    sides: dict[str, set[str]] = {}
    for part, files in run.files.items():
        for path, name in files:
            sides.setdefault(f"{name}/{path.stem.split()[0]}", set()).add(part)
    assert len(sides) == 60
    assert all(len(one) == 1 for one in sides.values())
    # Three images of each that was copied, one of each that was not.
    _, sizes = np.unique(groups[0], return_counts=True)
    assert set(sizes) == {1, 3}
    assert any("45 images are copies or near-copies of another" in text for text in run.warnings)


def test_unbalanced_classes_count_alike(photos: Path) -> None:
    for path in sorted((photos / "roses").iterdir())[8:]:
        path.unlink()
    run = fit(photos, RECIPE)
    assert run.recipe.class_weight == run.head["class_weight"] == "balanced"


def test_a_class_with_one_image_only_trains(photos: Path) -> None:
    (photos / "orchids").mkdir()
    shutil.copy(make_image_folder(photos.parent / "x", ["a"], 1) / "a/000.jpg", photos / "orchids")
    run = fit(photos, RECIPE)
    assert [
        part for part, files in run.files.items() for _, name in files if name == "orchids"
    ] == ["train"]
    assert run.evaluation.classes[1].recall is None
    assert any("orchids" in text for text in run.warnings)


def test_names_of_all_sorts(photos: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "a\nb {x} $(y)"
    photos.rename(hostile)
    (hostile / "roses").rename(hostile / "ro\nses; <b>")
    (hostile / "tulips" / "00.png").rename(hostile / "tulips" / "\udcff '\".png")
    (hostile / "tulips" / "01.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    run = fit(hostile, RECIPE, out=tmp_path / "bundle \udcff\n")
    assert run.classifier.class_names == ("daisies", "ro\\nses; <b>", "tulips")
    assert json.dumps(run.to_dict(), allow_nan=False).isascii()
    json.dumps(run.to_dict(), ensure_ascii=False).encode()
    assert "ro\\nses" in str(run.evaluation)
    assert len(used(run)) == 59


def test_a_zip_of_the_same_images_is_the_same_data(photos: Path, tmp_path: Path) -> None:
    fit(photos, RECIPE)
    with zipfile.ZipFile(tmp_path / "flowers.zip", "w") as file:
        for path in sorted(photos.rglob("*.png")):
            file.write(path, path.relative_to(photos))
    run = fit(tmp_path / "flowers.zip", RECIPE)
    assert run.computed == 0
    assert head_digest(run.classifier.head) == head_digest(trained().run.classifier.head)
    assert run.contents.data["fingerprint"] == trained().run.contents.data["fingerprint"]


@pytest.mark.parametrize(("classes", "per_class"), [(2, 1), (5, 1)])
def test_too_few_images(tmp_path: Path, classes: int, per_class: int) -> None:
    names = [f"class {number}" for number in range(classes)]
    photos = make_image_folder(tmp_path / "few", names, per_class, (24, 32))
    with pytest.raises(DatasetError, match=rf"Too few images: {classes} to train on and 0 to test"):
        fit(photos, RECIPE)


def test_nothing_but_broken_images(photos: Path) -> None:
    for path in photos.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetError, match=r"Fewer than two classes of 'photos' have images"):
        fit(photos, RECIPE)


def test_two_images_a_class_are_enough(tmp_path: Path) -> None:
    photos = make_image_folder(tmp_path / "few", CLASSES, 2, (24, 32))
    run = fit(photos, RECIPE, out=tmp_path / "bundle")
    assert run.images == {"train": 3, "validation": 0, "test": 3}
    assert run.validation.accuracy is None
    json.dumps(run.to_dict(), allow_nan=False)


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"There is no '.*missing'\. Expected a folder of images"
    ):
        fit(tmp_path / "missing", RECIPE)
