"""The check-up as a whole: planted faults are found, with the command and within `fit`."""

from __future__ import annotations

import functools
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import run_command
from conftest import make_image
from PIL import Image
from tiny_run import RECIPE, SIDE, fresh_cache, make_mixed_folder, trained

import headstart
from headstart.checkup import CheckUp, check
from headstart.checkup.finding import KINDS, Finding, in_order
from headstart.training import fit

HUES = {"daisies": 0.0, "roses": 0.33, "tulips": 0.66}
PLANTED = {
    "copy": ["daisies/00.png", "daisies/copy.png"],
    "two_labels": ["roses/01.png", "tulips/copy.png"],
    "near_copy": ["roses/02.png", "roses/small.png"],
    "label": ["tulips/wrong.png"],
    "dark": ["tulips/dark.png"],
    "blank": ["roses/blank.png"],
    "broken": ["daisies/broken.png"],
    "tiny": ["roses/tiny.png"],
}


def plant(folder: Path) -> Path:
    """Images of three colours, with one fault of each kind in `PLANTED`."""
    rng = np.random.default_rng(5)
    for name, hue in HUES.items():
        (folder / name).mkdir(parents=True)
        for index in range(25):
            make_image(rng, hue + rng.normal(0, 0.02), (96, 128)).save(
                folder / name / f"{index:02}.png"
            )
    shutil.copy(folder / "daisies/00.png", folder / "daisies/copy.png")
    shutil.copy(folder / "roses/01.png", folder / "tulips/copy.png")
    Image.open(folder / "roses/02.png").resize((90, 70)).save(folder / "roses/small.png")
    make_image(rng, HUES["daisies"], (96, 128)).save(folder / "tulips/wrong.png")
    dark = make_image(rng, HUES["tulips"], (96, 128)).point(lambda value: value // 4)
    dark.save(folder / "tulips/dark.png")
    Image.new("RGB", (128, 96), (60, 160, 60)).save(folder / "roses/blank.png")
    (folder / "daisies/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    make_image(rng, HUES["roses"], (14, 14)).save(folder / "roses/tiny.png")
    (folder / "notes.txt").write_text("not a fault")
    return folder


@functools.cache
def planted() -> tuple[Path, CheckUp]:
    """The folder, and what is found in it."""
    folder = plant(Path(os.environ["HEADSTART_CACHE"]) / "planted")
    return folder, check(folder, RECIPE)


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_faults_are_found(kind: str) -> None:
    _, found = planted()
    assert any(set(PLANTED[kind]) <= set(one.files) for one in found.of(kind))


def test_a_wrong_label_is_explained() -> None:
    _, found = planted()
    one = next(one for one in found.of("label") if one.files == ("tulips/wrong.png",))
    assert one.suggested == "daisies"
    assert one.classes == ("tulips",)
    assert one.evidence.startswith("labelled tulips (")
    assert "tulips/wrong.png" in found.label_ranking[:8]


def test_files_that_are_no_images_are_no_fault() -> None:
    _, found = planted()
    assert "notes.txt" not in {file for one in found.findings for file in one.files}


def test_the_result_in_words_and_values() -> None:
    folder, found = planted()
    text = found.summary()
    assert text.startswith(f"{found.images} images of 3 classes looked at in ")
    assert "The same file twice: 2 images. Keep one of them.\n" in text
    assert "  daisies/00.png = daisies/copy.png: the very same file" in text
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["counts"] == found.counts
    assert {"kind", "files", "classes", "evidence", "advice", "score"} <= set(values["findings"][0])
    assert found.root == folder


def test_all_is_in_order() -> None:
    places = {one.name: place for place, one in enumerate(KINDS)}
    _, found = planted()
    order = [(places[one.kind], -(one.score or 0.0)) for one in found.findings]
    assert order == sorted(order)
    late = Finding("odd", ("a",), ("b",), "")
    early = Finding("broken", ("z",), (), "")
    assert in_order([late, early]) == (early, late)


def test_nothing_to_say() -> None:
    empty = CheckUp((), 10, ("a", "b"), Path(), (), {"total": 1.0})
    assert empty.summary().endswith("Nothing was found that is worth a look.")
    assert empty.counts == {}


def test_leaks_across_a_given_split(tmp_path: Path) -> None:
    for part, seed in (("train", 1), ("test", 2)):
        make_mixed_folder(tmp_path / "photos" / part, seed=seed)
    shutil.copy(tmp_path / "photos/train/roses/03.png", tmp_path / "photos/test/roses/leak.png")
    found = check(tmp_path / "photos", RECIPE)
    leak = found.of("leak")[0]
    assert set(leak.files) == {"train/roses/03.png", "test/roses/leak.png"}


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = planted()
    fixes = tmp_path / "fixes.csv"
    options = ("--backbone", "tiny", "--image-size", SIDE, "--precision", "float32")
    assert run_command(monkeypatch, "check", folder, *options, "--fix-list", fixes) == 0
    out = capsys.readouterr().out
    assert "The same file twice: 2 images." in out
    assert f"headstart fit {folder} --fixes {fixes}" in out
    lines = fixes.read_text().splitlines()
    assert any(line.startswith("daisies/copy.png,drop,") for line in lines)
    assert run_command(monkeypatch, "check", folder, *options, "--fixes", fixes, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert "copy" not in values["counts"]
    assert values["counts"]["two_labels"] >= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fixes", "none.csv"), "'none.csv' cannot be read"),
        (("--fix-list", "none/fixes.csv"), "cannot be written"),
        (("--fix-list", "own.jpg"), "Expected a name that ends in .csv; received '.jpg'"),
        (("--fix-list", "a.csv", "--fixes", "a.csv"), "'a.csv' is the list that is applied"),
        (("--image-size", "large"), "--image-size cannot be 'large'"),
        (("--backbone", "auto"), "cannot be 'auto' here"),
        (("--backbone", "no_net"), "no_net"),
    ],
)
def test_what_the_command_refuses(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    folder, _ = planted()
    given = ("--backbone", "tiny") if arguments[0] != "--backbone" else ()
    assert run_command(monkeypatch, "check", folder, *given, *arguments) == 2
    assert message in capsys.readouterr().err


def test_within_fit() -> None:
    run, bundle = trained().run, trained().bundle
    assert isinstance(run.checkup, headstart.CheckUp)
    kept = json.loads((bundle / "checkup.json").read_text())
    assert kept["findings"] == run.to_dict()["checkup"]["findings"]
    assert run.seconds["check-up"] > 0


def test_fit_applies_fixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_cache(monkeypatch, tmp_path / "cache")
    folder, found = planted()
    fixes = found.write_fix_list(tmp_path / "fixes.csv")
    run = fit(headstart.apply_fixes(headstart.read_dataset(folder), fixes), RECIPE)
    assert "daisies/copy.png" in {one.path for one in run.skipped}
    assert any("fixes.csv: 1 images left out" in note for note in run.warnings)


def test_the_command_fit_applies_fixes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh_cache(monkeypatch, tmp_path / "cache")
    folder, found = planted()
    fixes = found.write_fix_list(tmp_path / "fixes.csv")
    options = ("--backbone", "tiny", "--image-size", SIDE, "--unfreeze", 0, "--out", tmp_path / "b")
    assert run_command(monkeypatch, "fit", folder, *options, "--fixes", tmp_path / "no.csv") == 2
    assert "'no.csv' cannot be read" in capsys.readouterr().err.replace(f"{tmp_path}/", "")
    assert run_command(monkeypatch, "fit", folder, *options, "--fixes", fixes) == 0
    assert "fixes.csv: 1 images left out" in capsys.readouterr().out


def test_labels_are_not_judged_without_time() -> None:
    folder, _ = planted()
    run = fit(folder, RECIPE, time_limit=1e-9 + 60)
    assert run.checkup.of("copy")
    from headstart import progress
    from headstart.checkup import examine
    from headstart.learning import choose_prefix
    from headstart.preparation import prepare, read
    from headstart.stopwatch import Stopwatch

    prefix, recipe = choose_prefix(RECIPE, "auto")
    prepared = prepare(read(folder, Stopwatch()), recipe, prefix, float("inf"), Stopwatch())
    told: list[str] = []
    with progress.listen(lambda event: told.append(event.message)):
        found = examine(prepared, SIDE, Stopwatch(), seed=9, deadline=0.0)
    assert any("no time to judge the labels" in text for text in told)
    assert found.left_out == ("labels", "neighbours", "looks")
    assert "No time was left for: labels, neighbours, looks." in found.summary()
    assert planted()[1].left_out == ()
    assert found.of("copy")
    assert not found.of("label")
    assert not found.of("dark")


@pytest.fixture
def own_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fresh_cache(monkeypatch, tmp_path / "cache")
    return Path(shutil.copytree(planted()[0], tmp_path / "photos"))


def test_the_same_images_are_looked_over_once(
    own_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = check(own_copy, RECIPE)
    with monkeypatch.context() as patch:
        patch.setattr("headstart.checkup.examination._Examination", None)
        again = check(own_copy, RECIPE)
    assert again.findings == first.findings
    assert again.label_ranking == first.label_ranking
    assert again.seconds["labels"] == 0


@pytest.mark.parametrize("change", ["rename", "relabel", "add", "seed", "damage"])
def test_they_are_looked_over_anew_where_something_changed(own_copy: Path, change: str) -> None:
    check(own_copy, RECIPE)
    recipe, photo = RECIPE, own_copy / "roses/05.png"
    if change == "rename":
        photo.rename(photo.with_name("new.png"))
    elif change == "relabel":
        photo.rename(own_copy / "tulips/five.png")
    elif change == "add":
        (own_copy / "roses/empty.png").write_bytes(b"")
    elif change == "seed":
        recipe = replace(RECIPE, seed=3)
    else:
        (note,) = (Path(os.environ["HEADSTART_CACHE"]) / "images/checkups-1").iterdir()
        note.write_text('{"findings": [{"kind": "label"}], "ranking": []}')
    found = check(own_copy, recipe)
    assert found.seconds["labels"] > 0
    assert found.of("copy")
