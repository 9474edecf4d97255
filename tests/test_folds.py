from __future__ import annotations

import numpy as np
import pytest

from headstart.heads.folds import assign_folds, draw_part

LABELS = np.random.default_rng(0).choice(4, 203, p=[0.6, 0.25, 0.1, 0.05])


@pytest.mark.parametrize("folds", [2, 5, 10])
@pytest.mark.parametrize("seed", range(3))
def test_classes_are_spread_evenly(folds: int, seed: int) -> None:
    found = assign_folds(LABELS, None, folds, seed)
    assert found.shape == LABELS.shape
    assert set(found) == set(range(folds))
    for label in range(4):
        counts = np.bincount(found[label == LABELS], minlength=folds)
        assert counts.max() - counts.min() <= 1
    total = np.bincount(found, minlength=folds)
    assert total.max() - total.min() <= 1


@pytest.mark.parametrize("seed", range(3))
def test_a_group_stays_in_one_fold(seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, 60, len(LABELS)) * 1_000_003
    found = assign_folds(LABELS, groups, 5, seed)
    for group in np.unique(groups):
        assert len(set(found[groups == group])) == 1
    assert len(set(found)) == 5


def test_groups_of_one_are_as_no_groups() -> None:
    alone = np.random.default_rng(1).permutation(len(LABELS))
    sorted_alone = np.arange(len(LABELS)) + 5
    assert np.array_equal(
        assign_folds(LABELS, sorted_alone, 5, 3), assign_folds(LABELS, None, 5, 3)
    )
    assert set(np.bincount(assign_folds(LABELS, alone, 5, 3))) == {40, 41}


def test_the_seed_decides() -> None:
    one, same, other = (assign_folds(LABELS, None, 5, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_same_on_every_platform() -> None:
    found = assign_folds(np.repeat([0, 1], 6), None, 3, 42)
    assert found.tolist() == [0, 1, 1, 2, 0, 2, 0, 1, 0, 2, 1, 2]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_rows(count: int) -> None:
    assert sorted(assign_folds(np.zeros(count, np.int64), None, 5, 0)) == list(range(count))


def test_a_part_of_the_rows_holds_each_class_in_proportion() -> None:
    used = np.arange(len(LABELS)) % 3 > 0
    half, eighth = (draw_part(LABELS, used, one, 0) for one in (1 / 2, 1 / 8))
    assert (used | ~half).all()
    assert (half | ~eighth).all()  # the smaller part lies in the larger
    for label in range(4):
        counts = [int((drawn & (label == LABELS)).sum()) for drawn in (used, half, eighth)]
        assert counts[1] == -(-counts[0] // 2)
        assert counts[2] == -(-counts[0] // 8) > 0
    assert np.array_equal(draw_part(LABELS, used, 1.0, 0), used)
    assert not np.array_equal(draw_part(LABELS, used, 1 / 2, 1), half)
