"""The nearest other images, outliers, and findings from copies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from headstart.checkup import neighbours as module
from headstart.checkup.duplicates import alike_findings, copy_findings
from headstart.checkup.neighbours import find_neighbours, outliers


def some_features(count: int = 60, width: int = 16, seed: int = 0) -> npt.NDArray[np.float16]:
    return np.random.default_rng(seed).normal(0, 1, (count, width)).astype(np.float16)


@pytest.mark.parametrize("block", [7, 512])
def test_the_nearest_against_all_pairs(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    features = some_features()
    groups = np.arange(60) // 2
    found = find_neighbours(features, groups, seed=0)
    unit = features.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    alike = unit @ unit.T
    alike[groups[:, None] == groups[None]] = -2
    expected = np.argsort(-alike, axis=1)[:, :6]
    np.testing.assert_array_equal(found.rows, expected)
    np.testing.assert_allclose(found.cosines, np.take_along_axis(alike, expected, 1), atol=1e-5)
    assert found.complete


def test_more_images_than_are_compared() -> None:
    found = find_neighbours(some_features(), np.arange(60), seed=0, most=20)
    assert len(np.unique(found.rows)) <= 20
    assert not found.complete
    assert list(alike_findings([""] * 60, ["a"] * 60, [-1] * 60, np.arange(60), found)) == []


def test_few_images_have_few_neighbours() -> None:
    found = find_neighbours(some_features(3), np.array([0, 0, 1]), seed=0)
    assert (found.rows[:2] >= 0).sum(axis=1).tolist() == [1, 1]
    assert not len(outliers(found)[0])


def test_what_is_far_from_all_is_an_outlier() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1, (3, 32))
    features = centres[np.arange(90) % 3] + rng.normal(0, 0.2, (90, 32))
    features[17] = rng.normal(0, 2, 32)
    far, distance = outliers(find_neighbours(features.astype(np.float16), np.arange(90), seed=0))
    assert far.tolist() == [17]
    assert distance.argmax() == 17


def findings(
    groups: list[int], labels: str, digests: str, leaks: list[list[int]]
) -> list[tuple[str, list[int]]]:
    names = [f"{label}/{row}" for row, label in enumerate(labels)]
    found = copy_findings(
        names, list(labels), [one.encode() for one in digests], np.array(groups), leaks
    )
    return [(one.kind, [int(file[2:]) for file in one.files]) for one in found]


@pytest.mark.parametrize(
    ("groups", "labels", "digests", "leaks", "expected"),
    [
        ([0, 1, 2], "aab", "123", [], []),
        ([0, 0, 1], "aab", "112", [], [("copy", [0, 1])]),
        ([0, 0, 1], "aab", "123", [], [("near_copy", [0, 1])]),
        ([0, 0, 0], "aab", "112", [], [("two_labels", [0, 1, 2])]),
        ([0, 0, 1], "aab", "112", [[0, 1]], [("leak", [0, 1])]),
        ([0, 1, 0], "aab", "112", [[0, 2]], [("leak", [0, 2]), ("two_labels", [0, 2])]),
    ],
)
def test_copies(
    groups: list[int],
    labels: str,
    digests: str,
    leaks: list[list[int]],
    expected: list[tuple[str, list[int]]],
) -> None:
    assert findings(groups, labels, digests, leaks) == expected


def test_equal_features_are_near_copies() -> None:
    features = some_features()
    features[7] = features[3] * np.float16(1.01)
    features[20], features[40] = features[11], features[30]
    near = find_neighbours(features, np.arange(60), seed=0)
    classes, parts = ["a"] * 20 + ["b"] * 40, [0] * 35 + [2] * 25
    names = [str(row) for row in range(60)]
    found = list(alike_findings(names, classes, parts, np.arange(60), near))
    assert [(one.kind, one.files) for one in found] == [
        ("near_copy", ("3", "7")),
        ("two_labels", ("11", "20")),
        ("leak", ("30", "40")),
    ]
    assert "labelled a and b" in found[1].evidence
    free = alike_findings(names, classes, [-1] * 60, np.arange(60), near)
    assert [one.kind for one in free] == ["near_copy", "two_labels", "near_copy"]


def test_images_that_are_all_alike_are_no_copies() -> None:
    """A network to which all look nearly the same: what counts is what is usual here."""
    features = (1 + 0.01 * some_features()).astype(np.float16)
    near = find_neighbours(features, np.arange(60), seed=0)
    assert near.cosines.min() > 0.99
    names = [str(row) for row in range(60)]
    assert list(alike_findings(names, ["a"] * 60, [-1] * 60, np.arange(60), near)) == []


def test_not_more_than_one_in_a_hundred_is_an_outlier() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.05, (900, 32)) + rng.normal(0, 1, 32)
    features[:60] = rng.normal(0, 2, (60, 32))
    far, distance = outliers(find_neighbours(features.astype(np.float16), np.arange(900), seed=0))
    assert len(far) == 9
    assert (distance[far] >= np.sort(distance)[-9]).all()


@pytest.mark.parametrize("seed", range(20))
def test_equal_images_are_no_more_than_equal(seed: int) -> None:
    one = np.random.default_rng(seed).normal(size=40).astype(np.float16)
    found = find_neighbours(np.tile(one, (6, 1)), np.arange(6), seed=0)
    assert found.cosines.max() <= 1  # not 1.0000001, whose distance is below 0
