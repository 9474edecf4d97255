"""Two classifiers on the same labelled images: which is better, and is that more than chance?

By the images that only one of them answers rightly (McNemar 1947, exact), and the difference of
their accuracies with its interval (Bonett and Price 2012, doi:10.3102/1076998611411915).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.dataset import Dataset, Problem
from headstart.errors import DatasetError
from headstart.metrics import Z95, wilson_interval
from headstart.retest import Answered, answer_images, labelled_images
from headstart.scan import display, encodable

_CHANCE = 0.05
_MOST = 10  # images named in the text
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        bundle: Where it is.
        right: How many images it answers rightly.
        accuracy: Their share.
        low: Lower end of its 95% interval (Wilson).
        high: Upper end.
        seen: How many of the images it was trained on.
        alone: The images that it alone answers rightly, below the data's folder.
    """

    bundle: str
    right: int
    accuracy: float
    low: float
    high: float
    seen: int
    alone: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Two bundles on the same images.

    Attributes:
        images: How many.
        a: The first.
        b: The second.
        difference: Accuracy of the second minus that of the first.
        low: Lower end of its 95% interval.
        high: Upper end.
        p_value: How probable it is that two equally good classifiers differ as much (McNemar).
        neither: The images that both answer wrongly.
        unseen: The same comparison on the images that neither was trained on; None where that is
            all or none of them.
        skipped: Files that were not used.
    """

    images: int
    a: Side
    b: Side
    difference: float
    low: float
    high: float
    p_value: float
    neither: tuple[str, ...]
    unseen: Comparison | None
    skipped: tuple[Problem, ...]

    @property
    def beyond_chance(self) -> bool:
        """Whether the difference is hardly one of chance: the p-value is below 0.05."""
        return self.p_value < _CHANCE

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        sides = {
            name: {**vars(side), "bundle": encodable(side.bundle), "alone": list(side.alone)}
            for name, side in (("a", self.a), ("b", self.b))
        }
        return {
            "images": self.images,
            **sides,
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
            "p_value": self.p_value,
            "beyond_chance": self.beyond_chance,
            "neither": list(self.neither),
            "unseen": None if self.unseen is None else self.unseen.to_dict(),
            "skipped": [{"path": one.path, "reason": one.reason} for one in self.skipped],
        }

    def summary(self) -> str:
        """The result as text."""
        lines = list(self._lines())
        if self.unseen is not None:
            lines += [
                "",
                f"On the {self.unseen.images} images that neither was trained on:",
                *self.unseen._lines(),
            ]
        if self.skipped:
            lines.append(f"{len(self.skipped)} files skipped; --json lists them.")
        return "\n".join(lines)

    def _lines(self) -> Iterator[str]:
        for letter, side in (("A", self.a), ("B", self.b)):
            yield (
                f"{letter} {display(side.bundle)}: {side.accuracy:.3f} (95% interval "
                f"{side.low:.3f} to {side.high:.3f}), {side.right} of {self.images} images right."
            )
        points, low, high = (100 * one for one in (self.difference, self.low, self.high))
        said = "more than chance would give" if self.beyond_chance else "no more than chance gives"
        yield (
            f"B - A: {points:+.1f} points (95% interval {low:+.1f} to {high:+.1f}), {said} "
            f"(McNemar's test, p = {self.p_value:.2g})."
        )
        for letter, files in (("Only A", self.a.alone), ("Only B", self.b.alone)):
            yield f"{letter} is right for {len(files)} images{_named(files)}"
        yield f"Neither is right for {len(self.neither)} images{_named(self.neither)}"
        for letter, side in (("A", self.a), ("B", self.b)):
            if side.seen:
                yield (
                    f"Warning: {letter} was trained on {side.seen} of these images, so it looks "
                    "better here than it is."
                )


def _named(files: tuple[str, ...]) -> str:
    if not files:
        return "."
    more = f" and {len(files) - _MOST} more" if len(files) > _MOST else ""
    return f": {', '.join(files[:_MOST])}{more}."


def compare(
    a: str | os.PathLike[str], b: str | os.PathLike[str], data: str | os.PathLike[str] | Dataset
) -> Comparison:
    """Test two bundles on the same labelled images.

    Args:
        a: A folder that `headstart fit` wrote.
        b: Another one.
        data: Images as `headstart.fit` takes them, of classes that both know; where they are split
            already, the test part is used.

    Raises:
        HeadstartError: No bundle, or a damaged one.
        DatasetError: No usable images, or classes that one of the classifiers does not know.
    """
    dataset = labelled_images(data)
    first, second = (answer_images(Path(place), dataset) for place in (a, b))
    return compare_answers((os.fspath(a), os.fspath(b)), (first, second), dataset.name)


def compare_answers(
    places: tuple[str, str], answered: tuple[Answered, Answered], name: str
) -> Comparison:
    """`compare` of what two bundles have answered, whatever each calls the classes.

    Args:
        places: The bundles.
        answered: Their answers, by `answer_images`.
        name: Of the data set.

    Raises:
        DatasetError: There is no image that both can read.
    """
    first, second = answered
    _, here, there = np.intersect1d(first.rows, second.rows, return_indices=True)
    if not len(here):
        raise DatasetError(
            f"There is no image of '{name}' that both classifiers can read. Expected "
            "images that open. Replace them."
        )
    return _compared(places, answered, (here, there))


def _compared(
    places: tuple[str, str],
    answered: tuple[Answered, Answered],
    rows: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
) -> Comparison:
    right, seen = [], []
    for one, its in zip(answered, rows, strict=True):
        right.append(one.probabilities[its].argmax(axis=1) == one.labels[its])
        seen.append(one.seen[its])
    files = [answered[0].files[row] for row in rows[0]]
    new = ~(seen[0] | seen[1])
    unseen = None
    if new.any() and not new.all():
        unseen = _compared(places, answered, (rows[0][new], rows[1][new]))
    count = len(files)
    low, high = difference_interval(right[0], right[1])
    return Comparison(
        images=count,
        a=_side(places[0], right[0], seen[0], _where(files, right[0] & ~right[1])),
        b=_side(places[1], right[1], seen[1], _where(files, right[1] & ~right[0])),
        difference=float(right[1].mean() - right[0].mean()),
        low=low,
        high=high,
        p_value=mcnemar(right[0], right[1]),
        neither=_where(files, ~right[0] & ~right[1]),
        unseen=unseen,
        skipped=answered[0].skipped,
    )


def _where(files: list[str], marks: Marks) -> tuple[str, ...]:
    return tuple(files[row] for row in np.flatnonzero(marks))


def _side(bundle: str, right: Marks, seen: Marks, alone: tuple[str, ...]) -> Side:
    count, total = int(right.sum()), len(right)
    low, high = wilson_interval(count, total)
    return Side(bundle, count, count / total, low, high, int(seen.sum()), alone)


def mcnemar(first: Marks, second: Marks) -> float:
    """The exact p-value of McNemar's test: whether images were answered rightly, (n,) each."""
    from scipy.stats import binomtest

    alone = int((first & ~second).sum())
    either = int((first != second).sum())
    return float(binomtest(alone, either).pvalue) if either else 1.0


def difference_interval(first: Marks, second: Marks) -> tuple[float, float]:
    """95% interval of the second's accuracy minus the first's, on the same images, (n,) each."""
    count = len(first) + 2
    less = (int((first & ~second).sum()) + 1) / count
    more = (int((second & ~first).sum()) + 1) / count
    half = Z95 * float(np.sqrt((less + more - (more - less) ** 2) / count))
    return max(-1.0, more - less - half), min(1.0, more - less + half)
