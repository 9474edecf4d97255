from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_run import CLASSES, fresh_cache, make_mixed_folder, trained

from headstart.bundle import load
from headstart.errors import DatasetError, HeadstartError
from headstart.evaluation import evaluate
from headstart.retest import Retest, evaluate_bundle


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Images that the classifier has not seen."""
    return make_mixed_folder(tmp_path / "new", CLASSES, seed=9)


def retest(folder: Path) -> Retest:
    return evaluate_bundle(trained().bundle, folder)


def test_new_images(new: Path) -> None:
    result = retest(new)
    paths = sorted(new.rglob("*.png"))
    probabilities = load(trained().bundle).predict_proba(paths)
    labels = np.array([CLASSES.index(path.parent.name) for path in paths])
    expected = evaluate(probabilities, labels, CLASSES)
    assert np.array_equal(result.evaluation.pairs, expected.pairs)
    assert result.evaluation.log_loss == pytest.approx(expected.log_loss, abs=1e-6)
    assert (result.unseen, result.seen, result.skipped) == (None, 0, ())
    assert result.summary().startswith(f"{result.evaluation}\n\nCalibration error ")


def test_the_training_images_are_told_apart() -> None:
    result = retest(trained().photos)
    run = trained().run
    assert result.seen == 48
    assert result.evaluation.images == 60
    assert result.unseen is not None
    assert np.array_equal(result.unseen.pairs, run.evaluation.pairs)
    assert result.unseen.log_loss == pytest.approx(run.evaluation.log_loss, abs=1e-6)
    text = result.summary()
    assert "Warning: the classifier was trained on 48 of these images, so the figures above" in text
    assert f"Without them:\n{result.unseen}\n" in text


def test_nothing_but_training_images(tmp_path: Path) -> None:
    for path, name in trained().run.files["train"]:
        (tmp_path / "again" / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "again" / name / f"renamed {path.name}")
    result = retest(tmp_path / "again")
    assert (result.seen, result.unseen) == (42, None)
    assert result.evaluation.accuracy == trained().run.train.accuracy
    assert "trained on 42 of these images" in result.summary()
    assert "Without them" not in result.summary()


def test_some_of_the_classes(new: Path) -> None:
    shutil.rmtree(new / "daisies")
    result = retest(new)
    assert [one.images for one in result.evaluation.classes] == [0, 20, 20]
    assert result.evaluation.classes[0].recall is None


def test_unknown_classes(new: Path) -> None:
    (new / "roses").rename(new / "peonies")
    (new / "tulips").rename(new / "lilies")
    known = r"Expected some of: daisies, roses, tulips\. Rename the folders, or train"
    with pytest.raises(DatasetError, match=rf"not know these classes: lilies, peonies\. {known}"):
        retest(new)


def test_the_test_part_of_a_split(new: Path, tmp_path: Path) -> None:
    for part, rows in (("train", range(5)), ("test", range(5, 20))):
        for name in CLASSES:
            (tmp_path / "split" / part / name).mkdir(parents=True)
            for row in rows:
                (new / name / f"{row:02}.png").rename(
                    tmp_path / "split" / part / name / f"{row:02}.png"
                )
    assert retest(tmp_path / "split").evaluation.images == 45


def test_one_class_in_the_test_part_and_a_broken_file(new: Path, tmp_path: Path) -> None:
    for part, name in (("train", "daisies"), ("train", "roses"), ("test", "daisies")):
        shutil.copytree(new / name, tmp_path / "split" / part / name)
    (tmp_path / "split/test/daisies/00.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    result = retest(tmp_path / "split")
    assert [one.images for one in result.evaluation.classes] == [19, 0, 0]
    assert [one.path for one in result.skipped] == ["test/daisies/00.png"]


def test_broken_files_are_listed(new: Path) -> None:
    for name in ("roses/00.png", "tulips/07.png"):
        (new / name).write_bytes((new / name).read_bytes()[:300])
    (new / "tulips" / "notes.txt").write_text("some notes")
    result = retest(new)
    assert result.evaluation.images == 58
    assert [one.path for one in result.skipped] == [
        "roses/00.png",
        "tulips/07.png",
        "tulips/notes.txt",
    ]
    assert result.summary().endswith("3 files skipped; --json lists them.")
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert values["skipped"][2] == {"path": "tulips/notes.txt", "reason": "not an image"}
    assert values["all"]["images"] == 58
    assert (values["unseen"], values["seen_in_training"]) == (None, 0)


def test_nothing_that_can_be_read(new: Path) -> None:
    for path in new.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        DatasetError, match=r"None of the 60 images of 'new' can .* 'daisies/00\.png'"
    ):
        retest(new)


@pytest.mark.parametrize("bundle", ["missing", "new"])
def test_no_bundle(new: Path, bundle: str) -> None:
    place = re.escape(str(new.parent / bundle))
    with pytest.raises(HeadstartError, match=rf"'{place}' is no bundle"):
        evaluate_bundle(new.parent / bundle, new)


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"There is no '.*missing'"):
        evaluate_bundle(trained().bundle, tmp_path / "missing")
