from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest

from headstart.errors import HeadstartError
from headstart.split import Split, make_split

Rows = npt.NDArray[np.int64]


def split_of(
    labels: list[int] | Rows, *, parts: object = None, groups: object = None, **options: float
) -> Split:
    rows = np.asarray(labels, np.int64)
    given = np.full(len(rows), -1, np.int8) if parts is None else np.asarray(parts, np.int8)
    copies = np.arange(len(rows)) if groups is None else np.asarray(groups, np.int64)
    return make_split(rows, given, copies, **options)  # type: ignore[arg-type]


def sides(split: Split) -> Rows:
    count = sum(map(len, (split.train, split.validation, split.test)))
    side = np.full(count, -1, np.int64)
    for part, rows in enumerate((split.train, split.validation, split.test)):
        assert (np.diff(rows) > 0).all()
        side[rows] = part
    assert (side >= 0).all()
    return side


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, (1, 0, 0)),
        (2, (1, 0, 1)),
        (3, (1, 1, 1)),
        (4, (2, 1, 1)),
        (10, (7, 1, 2)),
        (100, (70, 10, 20)),
    ],
)
def test_sizes_of_one_class(count: int, expected: tuple[int, int, int]) -> None:
    split = split_of([0] * count)
    assert (len(split.train), len(split.validation), len(split.test)) == expected


def test_totals_fit_with_many_small_classes() -> None:
    split = split_of(np.repeat(np.arange(200), 13))  # 2.6 and 1.3 of each class
    assert (len(split.test), len(split.validation)) == (520, 260)
    tested = np.bincount(np.repeat(np.arange(200), 13)[split.test])
    assert set(tested) == {2, 3}


def test_each_class_keeps_its_share() -> None:
    labels = np.repeat([0, 1, 2], [1000, 100, 10])
    split = split_of(labels, seed=3)
    assert np.bincount(labels[split.test]).tolist() == [200, 20, 2]
    assert np.bincount(labels[split.validation]).tolist() == [100, 10, 1]


def test_the_seed_decides() -> None:
    labels = np.repeat([0, 1], 50)
    first = split_of(labels, seed=1)
    assert np.array_equal(first.test, split_of(labels, seed=1).test)
    assert not np.array_equal(first.test, split_of(labels, seed=2).test)


def test_the_same_split_on_every_platform() -> None:
    split = split_of(np.repeat([0, 1], 10), seed=0)
    assert (split.validation.tolist(), split.test.tolist()) == ([4, 11], [7, 9, 16, 17])


def random_case(seed: int) -> tuple[Rows, Rows]:
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 400))
    groups = random.integers(0, max(1, int(count * random.choice([0.1, 0.5, 1.0]))), count)
    labels = random.integers(0, random.integers(1, 30), count)
    if seed % 2:  # copies that agree on their class
        labels = labels[groups % count]
    return labels.astype(np.int64), groups.astype(np.int64)


@pytest.mark.parametrize("seed", range(60))
def test_groups_are_never_divided(seed: int) -> None:
    labels, groups = random_case(seed)
    split = split_of(labels, groups=groups, seed=seed)
    side = sides(split)
    for group in np.unique(groups):
        assert len(set(side[groups == group])) == 1
    assert set(labels[split.train]) == set(labels)
    assert split.leaks == ()


@pytest.mark.parametrize("seed", range(1, 61, 2))
def test_a_class_of_three_groups_is_everywhere(seed: int) -> None:
    labels, groups = random_case(seed)
    side = sides(split_of(labels, groups=groups, seed=seed))
    for label in np.unique(labels):
        count = len(np.unique(groups[labels == label]))
        expected = {1: {0}, 2: {0, 2}}.get(count, {0, 1, 2})
        assert set(side[labels == label]) == expected


@pytest.mark.parametrize("seed", range(60))
def test_given_parts_stay_and_leaks_are_told(seed: int) -> None:
    labels, groups = random_case(seed)
    parts = np.random.default_rng(seed).choice([-1, 0, 1, 2], len(labels)).astype(np.int8)
    split = split_of(labels, parts=parts, groups=groups)
    side = sides(split)
    assert np.array_equal(side[parts >= 0], parts[parts >= 0])
    told = {row for rows in split.leaks for row in rows}
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        divided = len(set(parts[rows]) - {-1}) > 1
        assert (set(rows) <= told) == divided or not len(rows)
        if not divided:
            assert len(set(side[rows])) == 1


def test_only_train_given() -> None:
    split = split_of(np.repeat([0, 1], 10), parts=[0] * 20)
    assert (len(split.train), len(split.validation), len(split.test)) == (14, 2, 4)


def test_train_and_test_given() -> None:
    labels = np.tile([0, 1], 15)
    split = split_of(labels, parts=[0] * 20 + [2] * 10)
    assert split.test.tolist() == list(range(20, 30))
    assert np.bincount(labels[split.validation]).tolist() == [1, 1]


def test_nothing_is_drawn_where_all_is_given() -> None:
    split = split_of([0, 0, 0, 0], parts=[0, 1, 2, -1])
    assert [rows.tolist() for rows in (split.train, split.validation, split.test)] == [
        [0, 3],
        [1],
        [2],
    ]


def test_a_copy_of_a_test_image_is_not_trained_on() -> None:
    split = split_of([0] * 20, parts=[2, *[-1] * 19], groups=[0, 0, *range(2, 20)])
    assert split.test.tolist() == [0, 1]
    assert split.leaks == ()


def test_a_big_group_trains() -> None:
    groups = [0] * 50 + list(range(1, 51))
    split = split_of([0] * 100, groups=groups)
    assert set(range(50)) <= set(split.train.tolist())
    assert (len(split.test), len(split.validation)) == (20, 10)


def test_fractions_of_zero() -> None:
    split = split_of([0] * 10, validation_fraction=0.0, test_fraction=0.0)
    assert len(split.train) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_fraction": 0.9, "validation_fraction": 0.1}, "0.9 .test. cannot be used"),
        ({"test_fraction": -0.1}, "-0.1 .test. cannot be used"),
        ({"test_fraction": float("nan")}, "nan .test. cannot be used"),
    ],
)
def test_bad_fractions(options: dict[str, float], message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        split_of([0, 1], **options)


def test_bad_lengths() -> None:
    with pytest.raises(HeadstartError, match="do not fit"):
        split_of([0, 1], parts=[0])


def test_no_images() -> None:
    assert len(split_of([]).train) == 0


def test_large() -> None:
    labels = np.random.default_rng(0).integers(0, 10_000, 500_000)
    groups = np.arange(500_000) // 2 * 2
    begin = time.perf_counter()
    split = split_of(labels, groups=groups)
    assert time.perf_counter() - begin < 10
    # Copies with two labels count for one of them, so the shares are not exact here.
    assert abs(len(split.test) - 100_000) < 5_000


def test_a_class_of_mixed_groups_only_is_trained() -> None:
    # Class 0 shares each of its groups with a rarer class, and may lose all of them to test.
    labels = [0, 1, 0, 2, 0, 3, 1, 1, 2, 2, 3, 3]
    groups = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    for seed in range(40):
        split = split_of(labels, groups=groups, seed=seed)
        assert set(np.asarray(labels)[split.train]) == {0, 1, 2, 3}


def test_a_copy_of_a_test_image_does_not_validate() -> None:
    for seed in range(100):
        split = split_of([0] * 11, parts=[0] * 10 + [2], groups=[*range(10), 0], seed=seed)
        assert 0 in split.train
        assert split.leaks == ((0, 10),)
