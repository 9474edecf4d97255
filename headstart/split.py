"""Which images to train on, to choose by and to test with: labels and groups in, rows out.

Stratified by class and seeded. A group of copies is never divided, a part that the user has given
is kept, and each class with three groups is in all three parts. Fractions hold for each class as
nearly as whole groups allow, and in total by the largest remainder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart.errors import HeadstartError

Rows = npt.NDArray[np.int64]
_TRAIN, _VALIDATION, _TEST = 0, 1, 2


@dataclass(frozen=True)
class Split:
    """Sorted rows of each part, int64; together each row once.

    `leaks` holds groups of copies that the user's own split divides, each as all rows of the group.
    """

    train: Rows
    validation: Rows
    test: Rows
    leaks: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class _Units:
    """Groups of images that are still free, sorted by class: (m,) their id, class and size."""

    group: Rows
    label: Rows
    size: Rows


def make_split(
    labels: Rows,
    parts: npt.NDArray[np.int8],
    groups: Rows,
    *,
    seed: int = 0,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
) -> Split:
    """Split images into train, validation and test.

    Parts that the user has given stay as they are. Where none is given for test or for validation,
    it is drawn from the training part and the images without a part; what is not drawn is trained
    on. A class with one free group is trained on, one with two gives the second to test, one with
    three or more is in every part.

    Args:
        labels: int64 (n,) class of each image.
        parts: int8 (n,) -1 not given, 0 train, 1 validation, 2 test.
        groups: int64 (n,) images with the same number are copies of each other.
        seed: The same seed gives the same split on every platform.
        validation_fraction: Share of the images to draw from, 0 to below 1.
        test_fraction: Likewise; both together below 1.

    Raises:
        HeadstartError: Arrays of different lengths, or fractions out of range.
    """
    _check(labels, parts, groups, (validation_fraction, test_fraction))
    sides = parts.astype(np.int64)
    leaks, sides = _given(sides, groups)
    wanted = [
        fraction if not (parts == part).any() else 0.0
        for part, fraction in ((_VALIDATION, validation_fraction), (_TEST, test_fraction))
    ]
    free = _free(sides, groups)
    units = _units(labels, groups, free)
    if len(units.group):
        drawn = _draw(units, wanted[0], wanted[1], seed)
        order = np.argsort(units.group)
        place = np.searchsorted(units.group[order], groups[free])
        sides[free] = drawn[order][place]
        _return_untrained(labels, sides, groups, free)
    rows = [np.flatnonzero(sides == part).astype(np.int64) for part in range(3)]
    return Split(rows[0], rows[1], rows[2], leaks)


def _check(
    labels: Rows, parts: npt.NDArray[np.int8], groups: Rows, fractions: tuple[float, float]
) -> None:
    if not labels.shape == parts.shape == groups.shape or labels.ndim != 1:
        raise HeadstartError(
            f"Labels {labels.shape}, parts {parts.shape} and groups {groups.shape} do not fit. "
            "Expected one of each for each image. Pass arrays of the same length."
        )
    if not (min(fractions) >= 0 and sum(fractions) < 1):
        raise HeadstartError(
            f"The fractions {fractions[0]} (validation) and {fractions[1]} (test) cannot be used. "
            "Expected two numbers from 0 that sum up to less than 1. Choose smaller ones."
        )


def _given(sides: Rows, groups: Rows) -> tuple[tuple[tuple[int, ...], ...], Rows]:
    """The groups on more than one given side; and the sides, with copies put beside given rows.

    A copy without a part goes to the test side where one of its group is there, then to validation.
    """
    _, inverse = np.unique(groups, return_inverse=True)
    group = inverse.reshape(-1)
    count = int(group.max(initial=-1)) + 1
    seen = np.zeros((count, 3), bool)
    given = sides >= 0
    seen[group[given], sides[given]] = True
    settled = np.where(seen.any(axis=1), 2 - np.argmax(seen[:, ::-1], axis=1), -1)
    placed = np.where(given, sides, settled[group])
    divided = np.flatnonzero(seen.sum(axis=1)[group] > 1)
    divided = divided[np.argsort(group[divided], kind="stable")]
    cuts = np.flatnonzero(np.diff(group[divided])) + 1
    leaks = sorted(tuple(map(int, rows)) for rows in np.split(divided, cuts) if len(rows))
    return tuple(leaks), placed


def _free(sides: Rows, groups: Rows) -> Rows:
    """Rows that may be drawn: without a part or in train, with no copy in a given held-out part."""
    held = np.unique(groups[sides > _TRAIN])
    return np.flatnonzero((sides <= _TRAIN) & ~np.isin(groups, held))


def _units(labels: Rows, groups: Rows, free: Rows) -> _Units:
    """The free groups; one with several labels counts for the rarest class in it."""
    pairs, sizes = np.unique(
        np.stack((groups[free], labels[free]), axis=1), axis=0, return_counts=True
    )
    group, label = pairs[:, 0], pairs[:, 1]
    frequency = np.bincount(label, minlength=int(label.max(initial=-1)) + 1)[label]
    order = np.lexsort((label, frequency, group))
    ids, first = np.unique(group[order], return_index=True)
    total = np.bincount(np.searchsorted(ids, group), weights=sizes, minlength=len(ids))
    chosen = label[order][first]
    by_class = np.argsort(chosen, kind="stable")
    return _Units(ids[by_class], chosen[by_class], total.astype(np.int64)[by_class])


def _draw(units: _Units, validation: float, test: float, seed: int) -> Rows:
    """The part of each unit (m,)."""
    random = np.random.Generator(np.random.PCG64(seed))
    _, start, counts = np.unique(units.label, return_index=True, return_counts=True)
    which = np.repeat(np.arange(len(start)), counts)  # (m,) class, without gaps
    images = np.bincount(which, weights=units.size).astype(np.int64)
    ties = random.random((2, len(start)))
    tests = _targets(images, (counts >= 2) & (test > 0), test, ties[0])
    validations = _targets(images, (counts >= 3) & (validation > 0), validation, ties[1])
    # Random order within each class, but groups too big for a held-out part come last: they train.
    both = np.stack((tests, validations))
    least = np.where(both > 0, both, images).min(axis=0)
    big = units.size * (units.size > np.maximum(1, least[which] // 2))
    order = np.lexsort((random.random(len(which)), big, which))
    size = units.size[order]
    before = np.cumsum(size) - size
    before -= before[start][which]  # images of the class that come earlier
    rank = np.arange(len(which)) - start[which]

    def count_until(images_wanted: Rows) -> Rows:
        # A unit is taken while at least half of it still fits.
        fits = 2 * before + size <= 2 * images_wanted[which]
        return np.bincount(which, weights=fits).astype(np.int64)

    needs = (validations > 0).astype(np.int64)
    tested = np.clip(count_until(tests), tests > 0, np.maximum(counts - 1 - needs, 0))
    used = np.bincount(which, weights=size * (rank < tested[which])).astype(np.int64)
    held = np.clip(count_until(used + validations), tested + needs, np.maximum(counts - 1, tested))
    held = np.where(needs, held, tested)
    drawn = np.full(len(which), _TRAIN, np.int64)
    drawn[order[rank < held[which]]] = _VALIDATION
    drawn[order[rank < tested[which]]] = _TEST
    return drawn


def _targets(
    images: Rows, able: npt.NDArray[np.bool_], fraction: float, ties: npt.NDArray[np.float64]
) -> Rows:
    """How many images of each class to hold out: by the largest remainder, 1 at least if able."""
    exact = np.where(able, images * fraction, 0.0)
    whole = np.floor(exact + 1e-9)
    missing = round(float(exact.sum())) - int(whole.sum())
    order = np.lexsort((ties, whole - exact))
    whole[order[: max(0, missing)]] += 1
    return np.where(able, np.maximum(whole, 1), 0).astype(np.int64)


def _return_untrained(labels: Rows, sides: Rows, groups: Rows, free: Rows) -> None:
    """Move a group back to train for each class that mixed groups left without, in place."""
    trained = np.unique(labels[sides == _TRAIN])
    lacking = free[~np.isin(labels[free], trained)]
    if len(lacking):
        _, first = np.unique(labels[lacking], return_index=True)
        sides[free[np.isin(groups[free], groups[lacking[first]])]] = _TRAIN
