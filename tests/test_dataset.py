from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from headstart import formats
from headstart.dataset import Dataset, drop, read_dataset
from headstart.errors import DatasetError

JPEG = b"\xff\xd8\xff\xe0 the beginning of an image"
PNG = b"\x89PNG\r\n\x1a\n and so on"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def build(root: Path, *names: str, data: bytes = JPEG) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def shown(dataset: Dataset) -> dict[str, str]:
    """Path below the source -> class."""
    return {
        path.relative_to(dataset.root).as_posix(): dataset.class_names[label]
        for path, label in zip(dataset.paths, dataset.labels, strict=True)
    }


def reasons(dataset: Dataset) -> dict[str, str]:
    return {problem.path: problem.reason for problem in dataset.problems}


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    build(tmp_path / "pets", "dog/1.jpg", "cat/1.jpg", "cat/more/2.jpg", "cat/.x", "note.txt")
    build(tmp_path / "pets", "loose.png", data=PNG)
    dataset = read_dataset(tmp_path / "pets")
    assert dataset.name == "pets"
    assert dataset.class_names == ("cat", "dog")
    assert shown(dataset) == {"cat/1.jpg": "cat", "cat/more/2.jpg": "cat", "dog/1.jpg": "dog"}
    assert dataset.labels.dtype == np.int64
    assert dataset.parts.tolist() == [-1, -1, -1]
    assert reasons(dataset) == {
        "cat/.x": "hidden file",
        "loose.png": "not in a class folder",
        "note.txt": "not in a class folder",
    }
    assert dataset.found == 6
    assert dataset.notes == ("1 class with one image, which only trains: dog",)


@pytest.mark.parametrize(
    "codes",
    [
        {"train": 0, "val": 1, "test": 2},
        {"Train": 0, "Validation": 1, "TEST": 2},
        {"training": 0, "valid": 1, "testing": 2},
        {"train": 0, "val": 2},  # where there is no test folder
        {"train": 0, "test": 2},
        {"train": 0},
    ],
)
def test_ready_made_parts(tmp_path: Path, codes: dict[str, int]) -> None:
    for folder in codes:
        build(tmp_path, f"{folder}/a/1.jpg", f"{folder}/b/1.jpg")
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ("a", "b")
    assert dataset.parts.tolist() == [codes[path.parts[-3]] for path in dataset.paths]
    assert dataset.parts.dtype == np.int8


def test_the_validation_folder_is_the_test_part(tmp_path: Path) -> None:
    build(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/a/2.jpg")
    dataset = read_dataset(tmp_path)
    assert dataset.parts.tolist() == [0, 0, 2]
    assert "no test part: the validation part is the test part" in dataset.notes


def test_what_has_no_place_in_ready_made_parts(tmp_path: Path) -> None:
    build(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/new/1.jpg")
    build(tmp_path, "train/loose.jpg", "extra/a/1.jpg", "top.jpg")
    dataset = read_dataset(tmp_path)
    assert reasons(dataset) == {
        "extra/a/1.jpg": "outside the train, validation and test folders",
        "test/new/1.jpg": "no image of its class to train on",
        "top.jpg": "not in a class folder",
        "train/loose.jpg": "not in a class folder",
    }
    assert dataset.class_names == ("a", "b")
    assert dataset.found == 7


@pytest.mark.parametrize("inner", ["", "old/"])
def test_a_train_may_be_a_class(tmp_path: Path, inner: str) -> None:
    build(tmp_path, "bus/1.jpg", f"train/{inner}1.jpg", "car/1.jpg")
    assert read_dataset(tmp_path).class_names == ("bus", "car", "train")


def test_empty_classes_are_noted(tmp_path: Path) -> None:
    build(tmp_path, "a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "c/x.txt")
    (tmp_path / "c" / "x.txt").write_text("text")
    (tmp_path / "d").mkdir()
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ("a", "b")
    assert dataset.notes == ("2 classes without an image: c, d",)
    assert dataset.found == 5


@pytest.mark.parametrize(
    ("files", "data", "message"),
    [
        ((), JPEG, "No usable class folders in 'x'.*found nothing. Put the images of each class"),
        (("1.jpg", "2.JPG", "c.png"), JPEG, "found 2 .jpg files and 1 .png file. Put the images"),
        (
            ("cat/1.jpg",),
            JPEG,
            "Only one class, 'cat'.*found 1 folder with 1 .jpg file. Add a folder",
        ),
        (("cat/1.heic", "dog/1.heic"), HEIC, "2 .heic files. Convert .*install headstart.heic."),
        (("pets/cat/1.jpg", "pets/dog/1.jpg"), JPEG, "the folders in 'pets', give that folder"),
        (("cat/1", "dog/1"), b"text", "No usable class folders.*2 folders with 2 files"),
        (("labels.csv",), b"path,label\n", "If 'labels.csv' lists the images, give that file"),
    ],
)
def test_too_few_classes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: tuple[str, ...],
    data: bytes,
    message: str,
) -> None:
    monkeypatch.setattr(formats, "can_read_heic", lambda: False)
    (tmp_path / "x").mkdir()
    build(tmp_path / "x", *files, data=data)
    with pytest.raises(DatasetError, match=message):
        read_dataset(tmp_path / "x")


def test_an_empty_class_folder_in_the_message(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    with pytest.raises(DatasetError, match="found 1 folder with nothing in them"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.jpg", JPEG, "cannot be used: one image. Expected a folder"),
        ("x.txt", b"text", "cannot be used: neither a zip file nor a CSV file"),
        ("x.csv", b"", "cannot be used: empty file"),
    ],
)
def test_a_source_of_the_wrong_kind(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    build(tmp_path, name, data=data)
    with pytest.raises(DatasetError, match=message):
        read_dataset(tmp_path / name)


def test_a_missing_source(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"There is no '.*nothing'. Expected a folder"):
        read_dataset(tmp_path / "nothing")


@pytest.mark.skipif(sys.platform == "win32", reason="no such files there")
def test_a_pipe_as_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(DatasetError, match="cannot be used: not a regular file"):
        read_dataset(tmp_path / "pipe.zip")


def test_odd_names(tmp_path: Path) -> None:
    names = ["a b", "ünï", "猫", " lead", "quote'\"", "#%&"]
    if sys.platform != "win32":
        names += ["two\nlines", "two\\nlines", "back\\slash"]
    else:
        names = [name.replace('"', "") for name in names]
    build(tmp_path, *(f"{name}/{name}.jpg" for name in names))
    dataset = read_dataset(tmp_path)
    assert len(dataset.class_names) == len(set(dataset.class_names)) == len(names)
    assert all(name.isprintable() for name in dataset.class_names)
    assert {path.read_bytes() for path in dataset.paths} == {JPEG}


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    try:
        for name in (b"caf\xe9", b"th\xe9"):
            os.mkdir(os.fsencode(tmp_path) + b"/" + name)
            with open(os.fsencode(tmp_path) + b"/" + name + b"/\xff.jpg", "wb") as file:
                file.write(JPEG)
    except OSError:
        pytest.skip("this file system refuses such names")
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ("caf\\xe9", "th\\xe9")
    dropped = drop(read_dataset(build(tmp_path, "x/1.jpg")), {0: "broken"})
    assert dropped.problems[0].path == "caf\\xe9/\\xff.jpg"


def test_composed_and_decomposed_accents_are_one_class(tmp_path: Path) -> None:
    build(tmp_path, "train/caf\u00e9/1.jpg", "train/x/1.jpg", "test/cafe\u0301/2.jpg")
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ("café", "x")
    assert dataset.problems == ()


def test_ten_thousand_classes(tmp_path: Path) -> None:
    build(tmp_path, "0/x.jpg")
    for number in range(10_000):
        (tmp_path / str(number)).mkdir(exist_ok=True)
        os.link(tmp_path / "0" / "x.jpg", tmp_path / str(number) / "y.jpg")
    begin = time.perf_counter()
    dataset = read_dataset(tmp_path)
    assert time.perf_counter() - begin < 5
    assert len(dataset.class_names) == 10_000
    assert len(dataset.paths) == 10_001


def test_drop(tmp_path: Path) -> None:
    build(tmp_path, "a/1.jpg", "a/2.jpg", "b/1.jpg", "c/1.jpg")
    dataset = drop(read_dataset(tmp_path), {0: "broken: x", 2: "too large: y"})
    assert shown(dataset) == {"a/2.jpg": "a", "c/1.jpg": "c"}
    assert dataset.class_names == ("a", "c")
    assert reasons(dataset) == {"a/1.jpg": "broken: x", "b/1.jpg": "too large: y"}
    assert dataset.found == 4
    assert "1 class left without a usable image: b" in dataset.notes


def test_drop_nothing(tmp_path: Path) -> None:
    dataset = read_dataset(build(tmp_path, "a/1.jpg", "b/1.jpg"))
    assert drop(dataset, {}) is dataset


def test_drop_takes_the_test_images_of_an_untrained_class(tmp_path: Path) -> None:
    build(tmp_path, *(f"{part}/{name}/1.jpg" for part in ("train", "test") for name in "abc"))
    dataset = read_dataset(tmp_path)
    row = [path.as_posix().endswith("train/b/1.jpg") for path in dataset.paths].index(True)
    left = drop(dataset, {row: "broken"})
    assert left.class_names == ("a", "c")
    assert reasons(left) == {
        "test/b/1.jpg": "no image of its class to train on",
        "train/b/1.jpg": "broken",
    }


def test_drop_leaves_too_few(tmp_path: Path) -> None:
    dataset = read_dataset(build(tmp_path, "a/1.jpg", "b/1.jpg"))
    with pytest.raises(
        DatasetError, match=r"Fewer than two classes.*1 of 2.*'a/1.jpg' .broken: x."
    ):
        drop(dataset, {0: "broken: x"})


@pytest.mark.parametrize("seed", range(40))
def test_used_and_skipped_are_all_that_is_found(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    tops = choose.choice([["a", "b", "c d"], ["train", "val", "test"], ["train", "bus"]])
    middles = ["", "x/", "y/", ".hidden/", "x/deep/", "__MACOSX/"]
    ends = ["1.jpg", "2.JPG", ".DS_Store", "Thumbs.db", "3.txt", "é.png"]
    for _ in range(choose.randint(5, 60)):
        top = choose.choice([*(f"{one}/" for one in tops), "", ".git/"])
        name = top + choose.choice(middles) + choose.choice(ends)
        build(tmp_path, name, data=choose.choice([JPEG, JPEG, PNG, b"", b"text"]))
    build(tmp_path, *(f"{top}/{name}/always.jpg" for top in tops for name in "xy"))
    files = {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    }
    dataset = read_dataset(tmp_path)
    assert set(shown(dataset)) | set(reasons(dataset)) == files
    assert dataset.found == len(files)


def test_real_images() -> None:
    folder = os.environ.get("HEADSTART_TEST_DATA")
    if not folder:
        pytest.skip("HEADSTART_TEST_DATA is not set")
    dataset = read_dataset(Path(folder) / "trashnet")
    assert dataset.class_names == ("cardboard", "glass", "metal", "paper", "plastic")
    ready = read_dataset(Path(folder) / "ants-bees")
    assert ready.class_names == ("ants", "bees")
    assert set(ready.parts.tolist()) == {0, 2}
    assert ready.found == sum(len(files) for _, _, files in os.walk(Path(folder) / "ants-bees"))
