"""Multinomial logistic regression, its strength by cross-validation: features in, one matrix out.

Minimises mean cross-entropy + l2 / 2 * |weights|^2 on scaled features (the bias is free) by L-BFGS.
The weights are a fixed matrix times the unknowns, such that the curvature in the unknowns is about
1 in every direction. It comes from Boehning's bound of the Hessian ("Multinomial logistic
regression algorithm", 1992) for the whole training part, factorised once for all strengths and
folds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import progress
from headstart.heads.data import (
    ABSENT_BIAS,
    HeadFit,
    Rows,
    Scaling,
    TrainingData,
    choose_class_weight,
    measure_scaling,
    row_weights,
)
from headstart.heads.folds import assign_folds
from headstart.heads.head import AnyFloats, Floats, Head, row_blocks, softmax

# The strengths that are tried, from 10 to 0.0001, beginning with 1. Best on trashnet, ants-bees and
# the textile set were 0.03 to 0.3.
STRENGTHS = (10.0, 3.2, 1.0, 0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001)
DEFAULT_STRENGTH = 0.1  # where there is nothing to validate on
_FIRST = STRENGTHS.index(0.32)
_PATIENCE = 1  # strengths in a row that are worse, after which the search ends
# Added to the variance of each feature. Over 5 seeds of each of those sets, 1 was at least as
# accurate as 0.01, 0.1, 0.3, 10 and 1000, or within 0.001 of them.
_FLOOR = 1.0
_FOLDS = 5
_BUDGET = 2e9  # rows x features x classes x folds; above it fewer of the folds are looked at
_CURVATURE_AT = 0.05  # the strength at which the unknowns have curvature 1
_KEPT_VALUES = 8_000_000  # features held as float32; more are converted block by block each time
_ROUGH, _EXACT = 1e-3, 1e-5  # largest derivative at the end of a search


def fit_linear(data: TrainingData, *, seed: int, class_weight: str) -> HeadFit:
    """Fit the head; the same data and seed give the same head, bit for bit.

    Args:
        data: Features and labels; the validation part is not looked at.
        seed: Draws the folds.
        class_weight: `auto`, `balanced` or `none`.

    Returns:
        The head, and in `details`: `l2`, the strength found; `class_weight`; `cv_accuracy` and
        `cv_log_loss` of that strength and `cv_images`, how many images they are of (None and 0
        where each class is one group of copies); `tried`, the log loss of each strength.

    Raises:
        HeadstartError: Features that are not finite, or an unknown class weight.
    """
    weight = choose_class_weight(class_weight, data.counts)
    present, labels = np.unique(data.labels, return_inverse=True)
    problem = _Problem(
        features=data.features,
        labels=labels.reshape(-1).astype(np.int64),
        weights=row_weights(data.labels, data.counts, weight),
        classes=len(present),
        scaling=measure_scaling(data.features, _FLOOR),
    ).held()
    basis = _make_basis(problem)
    found = _search(problem, basis, assign_folds(problem.labels, data.groups, _FOLDS, seed))
    start = found.unknowns if found.unknowns is not None else _zeros(problem)
    weights, bias = basis.layer(_solve(problem, basis, found.l2, start, _EXACT))
    layer = _with_absent(data, present, problem.scaling.fold(weights, bias))
    return HeadFit(Head("linear", (layer,)), {"class_weight": weight, **found.details()})


def _with_absent(
    data: TrainingData, present: Rows, layer: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """Put the classes without training images back, as most improbable."""
    weights = np.zeros((data.width, data.num_classes), np.float32)
    bias = np.full(data.num_classes, ABSENT_BIAS, np.float32)
    weights[:, present], bias[present] = layer
    return weights, bias


@dataclass(frozen=True, eq=False)
class _Problem:
    """Rows to fit: features (n, width), labels (n,) below `classes`, weights (n,)."""

    features: AnyFloats
    labels: Rows
    weights: Floats
    classes: int
    scaling: Scaling
    scaled: bool = False

    def held(self) -> _Problem:
        """The same with its features scaled already, where they are few enough."""
        if self.features.size > _KEPT_VALUES:
            return self
        return replace(self, features=self.scaling.apply(self.features), scaled=True)

    def take(self, rows: Rows) -> _Problem:
        """Some of the rows."""
        features = self.features[rows]
        return replace(
            self, features=features, labels=self.labels[rows], weights=self.weights[rows]
        )

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """The rows with their scaled features, a block at a time."""
        for rows in row_blocks(*self.features.shape):
            block = self.features[rows]
            yield (
                rows,
                block.astype(np.float32, copy=False) if self.scaled else self.scaling.apply(block),
            )


@dataclass(frozen=True, eq=False)
class _Basis:
    """From unknowns (width + 1, classes) to weights and bias: weights = matrix @ unknowns[:-1]."""

    matrix: Floats  # (width, width)
    bias: float = 2.0  # its curvature is at most 1/4

    def layer(self, unknowns: Floats) -> tuple[Floats, Floats]:
        return self.matrix @ unknowns[:-1], np.float32(self.bias) * unknowns[-1]

    def back(self, weights: Floats, bias: Floats) -> Floats:
        """Derivatives by weights and bias -> derivatives by the unknowns."""
        return np.vstack([self.matrix.T @ weights, self.bias * bias[None]])


def _make_basis(problem: _Problem) -> _Basis:
    width = problem.features.shape[1]
    second = np.zeros((width, width), np.float64)
    for rows, block in problem.blocks():
        second += block.T @ (block * problem.weights[rows, None])
    bound = second / (4 * len(problem.labels)) + _CURVATURE_AT * np.eye(width)
    factor = np.linalg.cholesky(bound)
    return _Basis(np.ascontiguousarray(np.linalg.inv(factor).T, np.float32))


def _zeros(problem: _Problem) -> Floats:
    return np.zeros((problem.features.shape[1] + 1, problem.classes), np.float32)


def _solve(problem: _Problem, basis: _Basis, l2: float, start: Floats, tolerance: float) -> Floats:
    from scipy.optimize import minimize

    total = float(problem.weights.sum())

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        unknowns = flat.astype(np.float32).reshape(start.shape)
        weights, bias = basis.layer(unknowns)
        value = l2 / 2 * float(np.vdot(weights, weights))
        by_weights, by_bias = np.float32(l2) * weights, np.zeros_like(bias)
        for rows, block in problem.blocks():
            error = softmax(block @ weights + bias)  # (m, classes)
            own = np.arange(len(error)), problem.labels[rows]
            share = problem.weights[rows] / np.float32(total)
            value -= float(np.log(np.maximum(error[own], 1e-30)) @ share.astype(np.float64))
            error[own] -= 1
            error *= share[:, None]
            by_weights += block.T @ error
            by_bias += error.sum(axis=0)
        return value, basis.back(by_weights, by_bias).astype(np.float64).ravel()

    options = {"gtol": tolerance, "ftol": tolerance / 100, "maxiter": 1000, "maxfun": 2000}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x, np.float32).reshape(start.shape)


@dataclass(frozen=True, eq=False)
class _Found:
    """What cross-validation found; `unknowns` is the mean of the folds', to start from."""

    l2: float
    tried: dict[float, tuple[float, float]]  # strength -> log loss, accuracy
    images: int
    unknowns: Floats | None

    def details(self) -> dict[str, Any]:
        loss, accuracy = self.tried.get(self.l2, (None, None))
        return {
            "l2": self.l2,
            "cv_accuracy": accuracy,
            "cv_log_loss": loss,
            "cv_images": self.images,
            "tried": [{"l2": l2, "cv_log_loss": one[0]} for l2, one in self.tried.items()],
        }


def _search(problem: _Problem, basis: _Basis, folds: Rows) -> _Found:
    """Try strengths downwards from the first while it helps, else upwards.

    Each begins where the last ended.
    """
    runs = _make_folds(problem, folds)
    images = sum(len(run.labels) for run in runs)
    tried: dict[float, tuple[float, float]] = {}
    best: list[Floats] | None = None
    with progress.stage("linear head", len(STRENGTHS) * len(runs)) as stage:
        for order in (STRENGTHS[_FIRST:], STRENGTHS[:_FIRST][::-1]):
            worse, starts = 0, [_zeros(problem)] * len(runs)
            for l2 in order if runs else ():
                starts = [
                    _solve(run.train, basis, l2, at, _ROUGH)
                    for run, at in zip(runs, starts, strict=True)
                ]
                stage.advance(len(runs))
                tried[l2] = _score(runs, basis, starts)
                if tried[l2] == min(tried.values()):
                    best, worse = starts, 0
                elif (worse := worse + 1) == _PATIENCE:
                    break
            if min(tried, key=tried.__getitem__, default=None) != STRENGTHS[_FIRST]:
                break
    if best is None:
        return _Found(DEFAULT_STRENGTH, {}, 0, None)
    return _Found(min(tried, key=tried.__getitem__), tried, images, np.mean(best, axis=0))


@dataclass(frozen=True, eq=False)
class _Fold:
    """The rows to fit, and the others, whose class is among them: features as in the problem."""

    train: _Problem
    held: _Problem

    @property
    def labels(self) -> Rows:
        return self.held.labels


def _make_folds(problem: _Problem, folds: Rows) -> list[_Fold]:
    count = int(np.clip(_BUDGET / (problem.features.size * problem.classes), 1, _FOLDS))
    runs = []
    for fold in range(count):
        train = np.flatnonzero(folds != fold)
        known = np.isin(problem.labels, np.unique(problem.labels[train]))
        held = np.flatnonzero((folds == fold) & known)
        if len(held) and len(train):
            runs.append(_Fold(problem.take(train), problem.take(held)))
    return runs


def _score(runs: list[_Fold], basis: _Basis, unknowns: list[Floats]) -> tuple[float, float]:
    """Mean log loss (weighted) and accuracy on the rows held out."""
    loss, right, total, count = 0.0, 0, 0.0, 0
    for run, one in zip(runs, unknowns, strict=True):
        weights, bias = basis.layer(one)
        for rows, block in run.held.blocks():
            probabilities = softmax(block @ weights + bias)
            labels, share = run.labels[rows], run.held.weights[rows]
            own = probabilities[np.arange(len(labels)), labels]
            loss -= float(np.log(np.maximum(own, 1e-30)) @ share.astype(np.float64))
            right += int((probabilities.argmax(axis=1) == labels).sum())
            total, count = total + float(share.sum()), count + len(labels)
    return loss / total, right / count
