from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_run import trained

from headstart.bundle import load
from headstart.dataset import Problem
from headstart.errors import HeadstartError


def test_images_of_each_part() -> None:
    assert trained().run.images == {"train": 42, "validation": 6, "test": 12}


def test_the_answers_to_the_test_images() -> None:
    run = trained().run
    assert run.probabilities is not None
    names = run.classifier.class_names
    answers = [names[row.argmax()] for row in run.probabilities]
    right = [name == answer for (_, name), answer in zip(run.files["test"], answers, strict=True)]
    assert sum(right) / len(right) == run.evaluation.accuracy


@pytest.mark.parametrize(
    ("bundle", "told"),
    [
        (None, None),
        (Path("some where"), "some where"),
        (Path("Küche"), "Küche"),
        (Path("bad \udcff"), "bad \\xff"),
    ],
)
def test_the_place_of_the_bundle_is_json(bundle: Path | None, told: str | None) -> None:
    values = replace(trained().run, bundle=bundle).to_dict()
    assert values["bundle"] == told
    json.dumps(values, ensure_ascii=False, allow_nan=False).encode()


def test_skipped_files_warnings_and_cost() -> None:
    problems = (Problem("a/b.jpg", "empty file"), Problem("c.txt", "not an image"))
    run = replace(trained().run, skipped=problems, warnings=("a note",), computed=3)
    values = run.to_dict()
    assert values["skipped"] == [
        {"path": "a/b.jpg", "reason": "empty file"},
        {"path": "c.txt", "reason": "not an image"},
    ]
    assert (values["warnings"], values["computed"]) == (["a note"], 3)


def test_metrics_of_every_part() -> None:
    run = trained().run
    metrics: dict[str, Any] = run.to_dict()["metrics"]
    assert metrics == {
        "train": run.train.to_dict(),
        "validation": run.validation.to_dict(),
        "test": run.evaluation.to_dict(),
        "trust": run.trust,
    }


def test_the_head_says_what_it_found() -> None:
    assert trained().run.to_dict()["head_fit"]["l2"] > 0


@pytest.mark.parametrize("kind", [str, Path])
def test_saving(tmp_path: Path, kind: Any) -> None:
    saved = trained().run.save(kind(tmp_path / "place"))
    assert saved == tmp_path / "place"
    assert load(saved).class_names == trained().run.classifier.class_names


def test_saving_over_something_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HeadstartError, match=r"file' exists and is no bundle\."):
        trained().run.save(tmp_path / "file")


def test_the_contents_are_not_shown() -> None:
    assert "contents=" not in repr(trained().run)
