"""Multinomial logistic regression on scaled features: several models fitted side by side.

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

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.optimize import minimize  # here, so that its BLAS is there when threads are limited

from headstart.heads.data import Rows, Scaling, TrainingData, measure_scaling, row_weights
from headstart.heads.head import AnyFloats, Floats, row_blocks, softmax

# Added to the variance of each feature. Over 5 seeds of trashnet, ants-bees and the textile set,
# 1 was at least as accurate as 0.01, 0.1, 0.3, 10 and 1000, or within 0.001 of them.
FLOOR = 1.0
_CURVATURE_AT = 0.05  # the strength at which the unknowns have curvature 1
_KEPT_VALUES = 8_000_000  # features held as float32; more are converted block by block each time
ROUGH, EXACT = 2e-3, 2e-6  # largest derivative at the end of a search


@dataclass(frozen=True, eq=False)
class Problem:
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


def make_problem(data: TrainingData, class_weight: str) -> tuple[Problem, Rows]:
    """The rows of `data` as a problem, and which classes have any: its labels count those.

    Args:
        data: Features and labels; the validation part is not looked at.
        class_weight: `balanced` or `none`.

    Raises:
        HeadstartError: Features that are not finite.
    """
    present, labels = np.unique(data.labels, return_inverse=True)
    problem = Problem(
        features=data.features,
        labels=labels.reshape(-1).astype(np.int64),
        weights=row_weights(data.labels, data.counts, class_weight),
        classes=len(present),
        scaling=measure_scaling(data.features, FLOOR),
    )
    if data.features.size <= _KEPT_VALUES:
        problem.held.append(problem.scaling.apply(data.features))
    return problem, present


@dataclass(frozen=True, eq=False)
class Basis:
    """From unknowns (width + 1, out) to weights and bias: weights = matrix @ unknowns[:-1]."""

    matrix: Floats  # (width, width)
    bias: float = 2.0  # its curvature is at most 1/4

    def layer(self, unknowns: Floats) -> tuple[Floats, Floats]:
        """Weights (width, out) and bias (out,) on scaled features."""
        return self.matrix @ unknowns[:-1], np.float32(self.bias) * unknowns[-1]

    def back(self, weights: Floats, bias: Floats) -> Floats:
        """Derivatives by weights and bias -> derivatives by the unknowns."""
        return np.vstack([self.matrix.T @ weights, self.bias * bias[None]])


def make_basis(problem: Problem) -> Basis:
    """The matrix that makes the problem of about the same curvature in every direction."""
    width = problem.features.shape[1]
    second = np.zeros((width, width), np.float64)
    for rows, block in problem.blocks():
        second += block.T @ (block * problem.weights[rows, None])
    bound = second / (4 * len(problem.labels)) + _CURVATURE_AT * np.eye(width)
    factor = np.linalg.cholesky(bound).astype(np.float32)
    inverse = solve_triangular(factor, np.eye(width, dtype=np.float32), lower=True)
    return Basis(np.ascontiguousarray(inverse.T))


def solve(
    problem: Problem, basis: Basis, shares: Floats, l2: float, begin: tuple[Floats, float]
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
