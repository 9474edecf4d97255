"""The commands from end to end, in this process: what they print and their exit codes."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import run_command
from tiny_run import CLASSES, RECIPE, SIDE, fresh_cache, make_mixed_folder, trained

from headstart.answers import Prediction
from headstart.bundle import load
from headstart.evaluation import summary

OPTIONS = f"--recipe frozen --backbone tiny --image-size {SIDE} --precision float32".split()


class Command:
    """Runs `headstart` in a folder of its own; `code` is the last exit code."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        self.code: Any = None

    def __call__(self, *arguments: object) -> tuple[str, str]:
        self.code = run_command(self.monkeypatch, *arguments)
        told = self.capsys.readouterr()
        return told.out, told.err


@pytest.fixture
def headstart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    fresh_cache(monkeypatch, tmp_path / "cache")
    shutil.copytree(trained().photos, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)


def test_fit_as_json(headstart: Command, tmp_path: Path) -> None:
    (tmp_path / "photos" / "roses" / "notes.txt").write_text("some notes")
    printed, told = headstart("fit", "photos", *OPTIONS, "--json")
    values = json.loads(printed)
    assert (headstart.code, told) == (0, "")
    for part, images in (("train", 42), ("validation", 6), ("test", 12)):
        assert values[part]["images"] == images
    assert 0 < values["test"]["low"] < values["test"]["accuracy"] < values["test"]["high"] < 1
    assert values["bundle"] == "photos.headstart"
    assert (values["backbone"], values["head"]) == ("tiny", "linear")
    assert values["image_size"] == [SIDE, SIDE]
    assert values["classes"] == list(CLASSES)
    assert values["skipped"] == [{"path": "roses/notes.txt", "reason": "not an image"}]
    assert set(values["seconds"]) > {"total", "features", "head"}
    assert values["recipe"]["seed"] == 0
    assert load("photos.headstart").class_names == CLASSES


def test_fit_as_text(headstart: Command, tmp_path: Path) -> None:
    (tmp_path / "photos" / "roses" / "notes\n.txt").write_text("some notes")
    printed, told = headstart("fit", "photos", *OPTIONS, "--out", "result")
    assert (headstart.code, told) == (0, "")
    assert "3 classes; 42 images to train, 6 to validate, 12 to test; 1 files skipped." in printed
    assert f"tiny, frozen, at {SIDE} x {SIDE}, squash; linear head." in printed
    assert "  skipped roses/notes\\n.txt: not an image" in printed
    assert summary(trained().run.evaluation) in printed
    assert re.search(r"\d seconds \(.*\); features: 60 computed\.", printed)
    assert "  headstart predict result IMAGE_OR_FOLDER" in printed
    again, _ = headstart("fit", "photos", *OPTIONS, "--out", "result")
    assert "features: all kept from before." in again


def test_every_option_of_fit_arrives(headstart: Command) -> None:
    options = "--resize crop --head prototype --seed 7 --class-weight balanced --device cpu"
    printed, _ = headstart("fit", "photos", *OPTIONS, *options.split(), "--time-limit=99", "--json")
    recipe = json.loads(printed)["recipe"]
    assert recipe == {
        **RECIPE.to_dict(),
        "resize": "crop",
        "head": "prototype",
        "seed": 7,
        "class_weight": "balanced",
        "augment": "none",  # while all stays frozen
    }


@pytest.fixture
def files(headstart: Command, tmp_path: Path) -> list[Path]:
    """Three images, the second of which is broken."""
    names = ["daisies/00.png", "roses/00.png", "tulips/00.png"]
    (tmp_path / "photos" / names[1]).write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    return [Path("photos", name) for name in names]


def expected(files: list[Path]) -> list[Prediction]:
    return load(trained().bundle).predict([files[0], files[2]])


def test_predict_as_text(headstart: Command, files: list[Path]) -> None:
    printed, told = headstart("predict", trained().bundle, *files)
    assert headstart.code == 0
    doubts = ["; ".join(one.doubts()) for one in expected(files)]
    assert printed.splitlines() == [
        f"{one.source}: {one.label} {one.probability:.3f}{f' ({said})' if said else ''}"
        for one, said in zip(expected(files), doubts, strict=True)
    ]
    assert re.fullmatch(r"skipped photos/roses/00\.png: broken: .*\n", told)


def test_predict_as_json_equals_python(headstart: Command, files: list[Path]) -> None:
    printed, _ = headstart("predict", trained().bundle, *files, "--json", "--top", "2")
    first, broken, last = json.loads(printed)["predictions"]
    for found, one in zip((first, last), expected(files), strict=True):
        assert (found["path"], found["label"]) == (one.source, one.label)
        assert found["probability"] == pytest.approx(one.probability, abs=1e-6)
        top = [(each["label"], each["probability"]) for each in found["top"]]
        assert [label for label, _ in top] == [label for label, _ in one.top(2)]
        assert [value for _, value in top] == pytest.approx(
            [value for _, value in one.top(2)], abs=1e-6
        )
    assert set(broken) == {"path", "error"}


def test_predict_as_csv_equals_python(headstart: Command, files: list[Path]) -> None:
    printed, _ = headstart("predict", trained().bundle, *files, "--csv", "-")
    first, broken, last = csv.DictReader(io.StringIO(printed))
    for found, one in zip((first, last), expected(files), strict=True):
        assert (found["path"], found["label"], found["error"]) == (one.source, one.label, "")
        assert float(found["probability"]) == pytest.approx(one.probability, abs=1e-6)
    assert broken["label"] == broken["probability"] == ""
    assert broken["error"].startswith("broken: ")


def test_predict_into_a_table_and_folders(headstart: Command, files: list[Path]) -> None:
    options = ["--csv", "out.csv", "--sort-into", "sorted", "--copy", "--sure", "0"]
    printed, told = headstart("predict", trained().bundle, *files, *options)
    assert (printed, told) == ("out.csv: 2 images classified, 1 could not be read.\n", "")
    first, broken, last = csv.DictReader(Path("out.csv").read_text(encoding="utf-8").splitlines())
    assert broken["error"].startswith("broken: ")
    assert [first["label"], last["label"]] == [one.label for one in expected(files)]
    places = {path.parent.name for path in Path("sorted").rglob("*.png")}
    assert places <= {first["label"], last["label"], "unsure"}
    assert not any(path.is_symlink() for path in Path("sorted").rglob("*"))


def test_predict_a_folder(headstart: Command) -> None:
    printed, _ = headstart("predict", trained().bundle, "photos", "photos/roses/00.png")
    paths = [line.partition(": ")[0] for line in printed.splitlines()]
    assert len(paths) == 61
    assert paths[:60] == sorted(paths[:60])
    assert paths[60] == "photos/roses/00.png"


def test_evaluate(headstart: Command, tmp_path: Path) -> None:
    make_mixed_folder(tmp_path / "new", CLASSES, seed=9)
    printed, told = headstart("evaluate", trained().bundle, "new", "--json")
    assert (headstart.code, told) == (0, "")
    values = json.loads(printed)
    assert values["all"]["images"] == 60
    assert values["seen_in_training"] == 0
    text, _ = headstart("evaluate", trained().bundle, "new")
    assert f"Test accuracy {values['all']['accuracy']:.3f}" in text
    warned, _ = headstart("evaluate", trained().bundle, "photos")
    assert "trained on 48 of these images" in warned


def test_cache(headstart: Command) -> None:
    headstart("cache", "--clear", "all")  # networks of other tests may be among those that are kept
    headstart("fit", "photos", *OPTIONS)
    printed, _ = headstart("cache", "--json")
    kept = {one["kind"]: one for one in json.loads(printed)["kept"]}
    assert kept["features"]["images"] == 60
    assert kept["prefixes"]["name"].startswith(f"tiny-{SIDE}x{SIDE}-")
    text, _ = headstart("cache", "--clear", "tiny")
    assert "Removed" in text
    left, _ = headstart("cache", "--json")
    assert sorted(one["name"] for one in json.loads(left)["kept"]) == [
        "checkups-1",
        "looks-1",
        "origins-1",
    ]
    headstart("cache", "--clear", "all")
    assert headstart("cache")[0] == "Nothing is kept.\n"
    assert headstart.code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fit missing", r"There is no '.*missing'\. Expected a folder of images"),
        ("fit photos --backbone resnet51", r".*resnet51.*"),
        ("fit photos --backbone tiny --image-size 0", r"The image size cannot be 0\. Expected"),
        ("fit photos --backbone tiny --seed -1", r"The seed cannot be -1\. Expected"),
        ("fit photos --out photos/sub", r"The bundle 'photos/sub' would lie among the images\."),
        ("fit photos --backbone tiny --out cache", r"'cache' exists and is no bundle\."),
        ("fit photos --backbone tiny --time-limit 0.1", r"The time limit is over before the first"),
        ("fit photos/roses", r".*two.*classes.*"),
        ("predict missing photos", r"'missing' is no bundle: "),
        ("predict photos photos", r"'photos' is no bundle: "),
        ("evaluate missing photos", r"'missing' is no bundle: "),
        ("cache --clear nothing", r"Nothing in the cache begins with 'nothing'\."),
    ],
)
def test_bad_input_is_one_line(headstart: Command, arguments: str, message: str) -> None:
    printed, told = headstart(*arguments.split())
    assert headstart.code == 2
    assert printed == ""
    assert re.fullmatch(rf"Error: {message}[^\n]*\n", told)


def test_a_damaged_bundle(headstart: Command, tmp_path: Path) -> None:
    shutil.copytree(trained().bundle, tmp_path / "damaged")
    (tmp_path / "damaged" / "prefix.bin").write_bytes(b"")
    for command in ("predict", "evaluate"):
        printed, told = headstart(command, "damaged", "photos")
        assert (headstart.code, printed) == (2, "")
        assert told.startswith("Error: The bundle 'damaged' is damaged: prefix.bin is missing or ")


def test_a_failed_run_leaves_the_old_bundle(headstart: Command, tmp_path: Path) -> None:
    headstart("fit", "photos", *OPTIONS, "--out", "result")
    before = {path.name: path.read_bytes() for path in (tmp_path / "result").iterdir()}
    for path in (tmp_path / "photos").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:100])
    headstart("fit", "photos", *OPTIONS, "--out", "result")
    assert headstart.code == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "result").iterdir()} == before
