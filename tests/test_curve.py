from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from headstart.curve import learning_curve
from headstart.heads import Learnt

NAMES = ("ants", "bees", "crabs")
SIZES = (100, 200, 400, 800)


def make_learnt(
    errors: list[float] | None = None, count: int = 1200, sizes: tuple[int, ...] = SIZES
) -> tuple[Learnt, Any]:
    """Answers that are wrong as often as `errors` says, by default 0.4, 0.28, 0.2, 0.14."""
    errors = errors or [0.4 * 2 ** (-0.5 * at) for at in range(len(sizes))]
    rng = np.random.default_rng(0)
    luck = rng.random(count)  # an image that is hard is hard for all
    right = np.stack([luck >= one for one in errors])
    return Learnt(np.arange(count), sizes, right), rng.integers(0, 3, count)


def curve(*arguments: Any, images: int = 1200) -> dict[str, Any]:
    learnt, labels = make_learnt(*arguments)
    found = learning_curve(learnt, labels, NAMES, images)
    assert found is not None
    return found


def test_points() -> None:
    found = curve()
    assert [one["images"] for one in found["points"]] == list(SIZES)
    for one, error in zip(found["points"], (0.4, 0.283, 0.2, 0.141), strict=True):
        assert one["accuracy"] == pytest.approx(1 - error, abs=0.03)
        assert one["low"] < one["accuracy"] < one["high"]
    json.dumps(found, allow_nan=False)


def test_what_twice_as_many_images_are_expected_to_give() -> None:
    expected = curve(images=1200)["expected"]
    assert expected["images"] == 2400
    assert expected["accuracy"] == pytest.approx(1 - 0.4 * (2400 / 100) ** -0.5, abs=0.02)
    assert expected["low"] < expected["accuracy"] < expected["high"]
    assert 0.01 < expected["high"] - expected["low"] < 0.1


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (None, "More images would help: with 2400"),
        ([0.3, 0.11, 0.105, 0.1], "More images would hardly help"),
        ([0.1, 0.1, 0.1, 0.1], "More images would hardly help"),
        (
            [0.1, 0.11, 0.12, 0.13],
            r"hardly help.* a linear head .* 0\.0 points more than such a head reaches now\.$",
        ),
        ([0.3, 0.1, 0.03, 0.0], "More images would hardly help"),
    ],
)
def test_the_verdict(errors: list[float] | None, said: str) -> None:
    assert re.search(said, curve(errors)["verdict"])


def test_few_images_make_the_verdict_less_sure() -> None:
    errors = [0.3, 0.25, 0.2, 0.18]
    assert "More images would help" in curve(errors, 6000)["verdict"]
    assert "More images would probably help" in curve(errors, 60)["verdict"]


def test_which_class_needs_images_most() -> None:
    learnt, labels = make_learnt()
    right = learnt.right.copy()
    right[:, labels == 2] = True  # crabs are easy
    hard = np.flatnonzero(labels == 1)  # bees are hard, but it becomes better
    for at, wrong in enumerate((0.9, 0.8, 0.7, 0.5)):
        right[at, hard[: int(wrong * len(hard))]] = False
    learnt = Learnt(learnt.rows, learnt.images, right)
    found = learning_curve(learnt, labels, NAMES, 1200)
    assert found is not None
    ants, bees, crabs = found["classes"]
    assert bees["advice"] == "needs more images most"
    assert crabs["advice"] == "good as it is"
    assert ants["advice"] == ""
    assert bees["low"] < bees["recall"] < bees["high"]
    right[2] = right[3]  # now it did not become better
    found = learning_curve(Learnt(learnt.rows, learnt.images, right), labels, NAMES, 1200)
    assert found is not None
    assert found["classes"][1]["advice"].startswith("look at its labels and confusions")


def test_a_class_without_images() -> None:
    learnt, labels = make_learnt()
    found = learning_curve(learnt, np.minimum(labels, 1), NAMES, 1200)
    assert found is not None
    assert (found["classes"][2]["recall"], found["classes"][2]["advice"]) == (None, "")


@pytest.mark.parametrize(("count", "sizes"), [(39, SIZES), (1200, (800,)), (1200, (1, 2, 4, 8))])
def test_too_few_to_tell(count: int, sizes: tuple[int, ...]) -> None:
    learnt, labels = make_learnt(None, count, sizes)
    assert learning_curve(learnt, labels, NAMES, 1200) is None
