"""Multinomial logistic regression, its strength by cross-validation: features in, one matrix out.

Minimises mean cross-entropy + l2 / 2 * |weights|^2 on scaled features (the bias is free) by L-BFGS.
The weights are a fixed matrix times the unknowns, such that the curvature in the unknowns is about
1 in every direction. It comes from Boehning's bound of the Hessian ("Multinomial logistic
regression algorithm", 1992) for the whole training part, factorised once for all strengths and
folds. The models of all folds are fitted side by side, as columns of one matrix: the features are
then read once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.optimize import minimize  # here, so that its BLAS is there when threads are limited

from headstart import progress
from headstart.heads.data import (
    ABSENT_BIAS,
    HeadFit,
    HeldOut,
    Rows,
    Scaling,
    TrainingData,
    choose_class_weight,
    measure_scaling,
    row_weights,
)
from headstart.heads.folds import assign_folds
from headstart.heads.head import AnyFloats, Floats, Head, row_blocks, softmax

# The strengths that are tried, from 0.32 on. Best on trashnet, ants-bees and the textile set were
# 0.03 to 0.3.
STRENGTHS = (10.0, 3.2, 1.0, 0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001)
DEFAULT_STRENGTH = 0.1  # where there is nothing to validate on
_FIRST = STRENGTHS.index(0.32)
# Added to the variance of each feature. Over 5 seeds of each of those sets, 1 was at least as
# accurate as 0.01, 0.1, 0.3, 10 and 1000, or within 0.001 of them.
_FLOOR = 1.0
_FOLDS, _FOLDS_OF_MANY, _MANY = 5, 3, 1000  # from 1,000 rows on, three folds say as much
_BUDGET = 2e9  # rows x features x classes x folds; above it fewer of the folds are looked at
_CURVATURE_AT = 0.05  # the strength at which the unknowns have curvature 1
_KEPT_VALUES = 8_000_000  # features held as float32; more are converted block by block each time
_ROUGH, _EXACT = 2e-3, 2e-6  # largest derivative at the end of a search


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
    )
    if data.features.size <= _KEPT_VALUES:
        problem.held.append(problem.scaling.apply(data.features))
    basis = _make_basis(problem)
    folds = _FOLDS_OF_MANY if len(labels) >= _MANY else _FOLDS
    found = _search(problem, basis, assign_folds(problem.labels, data.groups, folds, seed))
    shares = problem.shares(np.ones((len(labels), 1), bool))
    unknowns = _solve(problem, basis, shares, found.l2, (found.start, _EXACT))
    weights, bias = basis.layer(unknowns)
    layer = _with_absent(data, present, problem.scaling.fold(weights, bias))
    details = {"class_weight": weight, **found.details()}
    return HeadFit(Head("linear", (layer,)), details, found.held_out)


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
    """Rows to fit: features (n, width), labels (n,) below `classes`, weights (n,).

    `held` has the scaled features where they are few enough.
    """

    features: AnyFloats
    labels: Rows
    weights: Floats
    classes: int
    scaling: Scaling
    held: list[Floats] = field(default_factory=list)

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """The rows with their scaled features, a block at a time."""
        for rows in row_blocks(*self.features.shape):
            if self.held:
                yield rows, self.held[0][rows]
            else:
                yield rows, self.scaling.apply(self.features[rows])

    def shares(self, used: npt.NDArray[np.bool_]) -> Floats:
        """Weight of each row in the mean loss of each model, from which use it, (n, models)."""
        shares = self.weights[:, None] * used
        result: Floats = (shares / shares.sum(axis=0, dtype=np.float64)).astype(np.float32)
        return result

    def zeros(self, models: int) -> Floats:
        """Unknowns to start from, (width + 1, models x classes)."""
        return np.zeros((self.features.shape[1] + 1, models * self.classes), np.float32)


@dataclass(frozen=True, eq=False)
class _Basis:
    """From unknowns (width + 1, out) to weights and bias: weights = matrix @ unknowns[:-1]."""

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
    factor = np.linalg.cholesky(bound).astype(np.float32)
    inverse = solve_triangular(factor, np.eye(width, dtype=np.float32), lower=True)
    return _Basis(np.ascontiguousarray(inverse.T))


def _solve(
    problem: _Problem, basis: _Basis, shares: Floats, l2: float, begin: tuple[Floats, float]
) -> Floats:
    """Fit all models, whose losses add up; `begin` is where to start and how exact to be."""
    start, tolerance = begin
    shape = (-1, shares.shape[1], problem.classes)

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights, bias = basis.layer(flat.astype(np.float32).reshape(start.shape))
        value = l2 / 2 * float(np.vdot(weights, weights))
        by_weights, by_bias = np.float32(l2) * weights, np.zeros_like(bias)
        for rows, block in problem.blocks():
            error = softmax((block @ weights + bias).reshape(shape))  # (m, models, classes)
            own = np.arange(len(error)), slice(None), problem.labels[rows]
            logs = np.log(np.maximum(error[own], 1e-30))  # (m, models)
            value -= float(np.vdot(logs.astype(np.float64), shares[rows]))
            error[own] -= 1
            error *= shares[rows, :, None]
            flat_error = error.reshape(len(error), -1)
            by_weights += block.T @ flat_error
            by_bias += flat_error.sum(axis=0)
        return value, basis.back(by_weights, by_bias).astype(np.float64).ravel()

    options = {"gtol": tolerance, "ftol": tolerance / 100, "maxiter": 1000, "maxfun": 2000}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x, np.float32).reshape(start.shape)


@dataclass(frozen=True, eq=False)
class _Found:
    """What cross-validation found; `start` is the mean of the folds' unknowns."""

    l2: float
    tried: dict[float, tuple[float, float]]  # strength -> log loss, accuracy
    held_out: HeldOut | None
    start: Floats

    def details(self) -> dict[str, Any]:
        loss, accuracy = self.tried.get(self.l2, (None, None))
        return {
            "l2": self.l2,
            "cv_accuracy": accuracy,
            "cv_log_loss": loss,
            "cv_images": 0 if self.held_out is None else len(self.held_out.rows),
            "tried": [{"l2": l2, "cv_log_loss": one[0]} for l2, one in self.tried.items()],
        }


def _search(problem: _Problem, basis: _Basis, folds: Rows) -> _Found:
    """Try strengths downwards from the first while it helps, else upwards.

    Each begins where the last ended.
    """
    judge = _make_judge(problem, folds)
    if judge is None:
        return _Found(DEFAULT_STRENGTH, {}, None, problem.zeros(1))
    models = judge.shares.shape[1]
    tried: dict[float, tuple[float, float]] = {}
    best, best_held = problem.zeros(models), None
    with progress.stage("linear head", len(STRENGTHS)) as stage:
        for order in (STRENGTHS[_FIRST:], STRENGTHS[:_FIRST][::-1]):
            unknowns = problem.zeros(models) if not tried else best
            for l2 in order:
                unknowns = _solve(problem, basis, judge.shares, l2, (unknowns, _ROUGH))
                held = judge.answers(problem, basis.layer(unknowns))
                tried[l2] = judge.score(problem, held)
                stage.advance()
                if tried[l2] != min(tried.values()):
                    break
                best, best_held = unknowns, held
            if min(tried, key=tried.__getitem__) != STRENGTHS[_FIRST]:
                break
    start = best.reshape(len(best), models, -1).mean(axis=1)
    return _Found(min(tried, key=tried.__getitem__), tried, best_held, start)


@dataclass(frozen=True, eq=False)
class _Judge:
    """Which rows each model is fitted on (`shares`), and on which (`rows`) which one is judged."""

    shares: Floats  # (n, models)
    rows: Rows  # (m,)
    model: Rows  # (m,)

    def answers(self, problem: _Problem, layer: tuple[Floats, Floats]) -> HeldOut:
        """How each row is answered by the model that has not seen it."""
        weights, bias = layer
        models = self.shares.shape[1]
        own = np.empty((len(problem.labels), models), np.float32)
        right = np.empty((len(problem.labels), models), bool)
        for rows, block in problem.blocks():
            answers = softmax((block @ weights + bias).reshape(len(block), models, -1))
            labels = problem.labels[rows]
            own[rows] = answers[np.arange(len(block)), :, labels]
            right[rows] = answers.argmax(axis=2) == labels[:, None]
        losses = -np.log(np.maximum(own[self.rows, self.model], 1e-30))
        return HeldOut(self.rows, losses, right[self.rows, self.model])

    def score(self, problem: _Problem, held: HeldOut) -> tuple[float, float]:
        """Mean log loss (weighted) and accuracy."""
        share = problem.weights[held.rows].astype(np.float64)
        return float(held.losses @ share / share.sum()), float(held.right.mean())


def _make_judge(problem: _Problem, folds: Rows) -> _Judge | None:
    """None where there is no row whose class is also among the rows of other folds."""
    cost = problem.features.size * problem.classes
    used: list[npt.NDArray[np.bool_]] = []
    rows, models = [], []
    for fold in range(int(np.clip(_BUDGET / max(1, cost), 1, folds.max() + 1))):
        train = folds != fold
        known = np.isin(problem.labels, np.unique(problem.labels[train]))
        held = np.flatnonzero(~train & known)
        if len(held):
            rows.append(held)
            models.append(np.full(len(held), len(used)))
            used.append(train)
    if not used:
        return None
    shares = problem.shares(np.stack(used, axis=1))
    return _Judge(shares, np.concatenate(rows), np.concatenate(models))
