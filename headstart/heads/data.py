"""What a head is fitted on and what comes out; checks.

They go row by row where the features do not fit in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from headstart.errors import HeadstartError
from headstart.heads.head import AnyFloats, Floats, Head, Layer, row_blocks
from headstart.recipe import CLASS_WEIGHTS

Rows: TypeAlias = npt.NDArray[np.int64]
ABSENT_BIAS = -20.0  # score of a class without training images: a probability of about 2e-9
_LARGEST = np.float32(1e15)  # of a feature
_UNBALANCED = 2.0  # largest class / smallest class from which "auto" counts classes alike
_FEW = 5  # images in the median class below which "auto" takes the prototype head


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Features with labels.

    Attributes:
        features: (n, width) of the training part, float16 or float32; may be a read-only memory
            map.
        labels: (n,) from 0 to `num_classes` - 1; a class may have no row.
        num_classes: How many classes the head tells apart, 2 or more.
        validation_features: (m, width), or None; used by the mlp alone, to stop in time.
        validation_labels: (m,), or None.
        groups: (n,) number of the group of copies that a row belongs to, or None; a group stays in
            one fold.
        fractions: Parts of the rows, 0 to 1, from which heads are learned as well, to see what more
            images would give; by the linear head.

    Raises:
        HeadstartError: Shapes or labels that do not fit.
    """

    features: AnyFloats
    labels: Rows
    num_classes: int
    validation_features: AnyFloats | None = None
    validation_labels: Rows | None = None
    groups: Rows | None = None
    fractions: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check shapes, types and labels."""
        if self.num_classes < 2:
            raise HeadstartError(
                f"A head needs 2 or more classes; received {self.num_classes}. Add another class."
            )
        _check_pair("training", self.features, self.labels, self.num_classes)
        if not len(self.labels):
            raise HeadstartError("There are no training images. Expected at least one. Add images.")
        if self.groups is not None and self.groups.shape != self.labels.shape:
            raise _mismatch("groups", self.labels.shape, self.groups.shape)
        if (self.validation_features is None) != (self.validation_labels is None):
            raise HeadstartError(
                "Validation features and labels come together. Received one. Give both, or neither."
            )
        if self.validation_features is not None and self.validation_labels is not None:
            _check_pair(
                "validation", self.validation_features, self.validation_labels, self.num_classes
            )
            if self.validation_features.shape[1] != self.width:
                raise _mismatch(
                    "validation features", ("m", self.width), self.validation_features.shape
                )

    @property
    def width(self) -> int:
        """How many features an image has."""
        return int(self.features.shape[1])

    @property
    def counts(self) -> Rows:
        """Training images of each class, (num_classes,)."""
        return np.bincount(self.labels, minlength=self.num_classes)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """How rows of the data were answered by heads that had not seen them, in cross-validation.

    Attributes:
        rows: (m,) which rows; none twice.
        losses: (m,) -log of the probability of the right class.
        right: (m,) whether the right class was the most probable.
        probabilities: (m, num_classes), or None where that would take too much memory.
    """

    rows: Rows
    losses: Floats
    right: npt.NDArray[np.bool_]
    probabilities: Floats | None = None


@dataclass(frozen=True, eq=False)
class Learnt:
    """How rows are answered by heads that learned from more and more of the other rows.

    Attributes:
        rows: (m,) which rows; none twice.
        images: How many rows the heads learned from, on average, the fewest first.
        right: bool (len(images), m), whether the right class was the most probable.
    """

    rows: Rows
    images: tuple[int, ...]
    right: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class HeadFit:
    """A fitted head, and what was found on the way (`details`: JSON values).

    `held_out` is there where the head cross-validates, `learnt` where `fractions` were given.
    """

    head: Head
    details: dict[str, Any]
    held_out: HeldOut | None = None
    learnt: Learnt | None = None


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and scale of each feature over the training rows, float32 (width,).

    scaled = (x - mean) / scale
    """

    mean: Floats
    scale: Floats

    def apply(self, features: AnyFloats) -> Floats:
        """Scale features (n, width) to float32."""
        values = features.astype(np.float32)
        values -= self.mean
        values /= self.scale
        return values

    def fold(self, weights: Floats, bias: Floats) -> Layer:
        """The layer on features as they come that equals the given one on scaled features.

        Args:
            weights: (width, out).
            bias: (out,).
        """
        plain = weights / self.scale[:, None]
        shift = self.mean.astype(np.float64) @ plain.astype(np.float64)
        return plain.astype(np.float32), (bias - shift).astype(np.float32)


def measure_scaling(features: AnyFloats, floor: float) -> Scaling:
    """Mean and scale of each feature, in one pass over blocks of rows.

    Args:
        features: (n, width).
        floor: What to add to the variance of each feature before it is divided by, as a fraction of
            the mean variance: nearly constant features are noise and must not be blown up. 0 gives
            each feature the same weight, a large number leaves their weights nearly as they are.

    Raises:
        HeadstartError: A value is not finite, or above 1e15.
    """
    rows, width = features.shape
    with np.errstate(invalid="ignore"):
        shift = features[: min(rows, 256)].mean(axis=0, dtype=np.float64).astype(np.float32)
    first, second = np.zeros(width), np.zeros(width)
    for block in _shifted(features, shift):
        first += block.sum(axis=0, dtype=np.float64)
        second += np.einsum("nd,nd->d", block, block)
    if not np.isfinite(second).all():
        check_finite(features)
    mean = first / rows
    variance = np.maximum(second / rows - mean**2, 0)
    scale = np.sqrt(variance + floor * variance.mean())
    constant = scale <= 1e-7 * (1 + np.abs(shift + mean))
    scale[constant] = 1  # zero after the mean is taken away
    size = np.sqrt(np.mean(variance / scale**2))
    scale *= size if size > 0 else 1  # a scaled feature has a mean square of 1 on average
    return Scaling((shift + mean).astype(np.float32), scale.astype(np.float32))


def _shifted(features: AnyFloats, shift: Floats) -> Iterator[Floats]:
    with np.errstate(invalid="ignore", over="ignore"):
        count, width = features.shape
        for rows in row_blocks(count, width, 1_000_000):
            block = features[rows].astype(np.float32)
            block -= shift
            yield block


def check_finite(features: AnyFloats) -> None:
    """Raise HeadstartError where a value is not finite, or too large to be squared and added up."""
    bad = 0
    for rows in row_blocks(*features.shape):
        bad += int((~(np.abs(features[rows]) <= _LARGEST).all(axis=1)).sum())
    if bad:
        raise HeadstartError(
            f"Features of {bad} images are not finite numbers, or above {_LARGEST:.0e}. Expected "
            "finite values from the backbone. Check its weights, or use precision float32."
        )


def choose_head(counts: npt.NDArray[np.integer[Any]]) -> str:
    """The head for the sizes of the training classes.

    `prototype` where the median class has fewer than 5 images, else `linear`.

    Args:
        counts: Images of each class, (num_classes,); classes without images do not count.
    """
    present = counts[counts > 0]
    return "prototype" if len(present) and np.median(present) < _FEW else "linear"


def choose_class_weight(asked: str, counts: npt.NDArray[np.integer[Any]]) -> str:
    """`balanced` or `none`; `auto` is `balanced` where one class is over twice another.

    Args:
        asked: `auto`, `balanced` or `none`.
        counts: Images of each class, (num_classes,); classes without images do not count.

    Raises:
        HeadstartError: Another name was asked for.
    """
    if asked not in CLASS_WEIGHTS:
        raise HeadstartError(
            f"There is no class weight {asked!r}. Expected one of: {', '.join(CLASS_WEIGHTS)}. "
            "Choose one of these."
        )
    present = counts[counts > 0]
    if asked != "auto":
        return asked
    return "balanced" if len(present) and present.max() > _UNBALANCED * present.min() else "none"


def row_weights(labels: Rows, counts: npt.NDArray[np.integer[Any]], class_weight: str) -> Floats:
    """The weight of each row, (n,), 1 on average; with `balanced` each class weighs the same."""
    if class_weight == "none":
        return np.ones(len(labels), np.float32)
    present = max(1, int((counts > 0).sum()))
    weights = len(labels) / (present * np.maximum(counts, 1).astype(np.float64))
    return np.asarray(weights[labels], np.float32)


def _check_pair(part: str, features: AnyFloats, labels: Rows, num_classes: int) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise _mismatch(
            f"{part} features and labels", ("(n, width)", "(n,)"), (features.shape, labels.shape)
        )
    if features.dtype not in (np.float16, np.float32):
        raise _mismatch(f"type of the {part} features", "float16 or float32", features.dtype)
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise _mismatch(
            f"{part} labels", f"0 to {num_classes - 1}", f"{labels.min()} to {labels.max()}"
        )


def _mismatch(what: str, expected: object, received: object) -> HeadstartError:
    return HeadstartError(
        f"The {what} do not fit. Expected {expected}; received {received}. Give one label for each "
        "row of features."
    )
