"""Multinomial logistic regression, its strength by cross-validation: features in, one matrix out.

The strengths are tried from a middling one on, each beginning where the last ended; `held_out` has
the answers of the folds' models at the best one, for whoever wants to judge the labels by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import progress
from headstart.heads.data import (
    ABSENT_BIAS,
    HeadFit,
    HeldOut,
    Rows,
    TrainingData,
    choose_class_weight,
)
from headstart.heads.folds import assign_folds
from headstart.heads.head import Floats, Head, softmax
from headstart.heads.logistic import EXACT, ROUGH, Basis, Problem, make_basis, make_problem, solve

# The strengths that are tried, from 0.32 on. Best on trashnet, ants-bees and the textile set were
# 0.03 to 0.3.
STRENGTHS = (10.0, 3.2, 1.0, 0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001)
DEFAULT_STRENGTH = 0.1  # where there is nothing to validate on
_FIRST = STRENGTHS.index(0.32)
_FOLDS, _FOLDS_OF_MANY, _MANY = 5, 3, 1000  # from 1,000 rows on, three folds say as much
_BUDGET = 2e9  # rows x features x classes x folds; above it fewer of the folds are looked at


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
    problem, present = make_problem(data, weight)
    basis = make_basis(problem)
    found = _search(problem, basis, _folds(problem, data, seed))
    shares = problem.shares(np.ones((len(problem.labels), 1), bool))
    unknowns = solve(problem, basis, shares, found.l2, (found.start, EXACT))
    weights, bias = basis.layer(unknowns)
    layer = _with_absent(data, present, problem.scaling.fold(weights, bias))
    details = {"class_weight": weight, **found.details()}
    return HeadFit(Head("linear", (layer,)), details, found.held_out)


def answer_held_out(data: TrainingData, *, seed: int) -> tuple[Rows, Floats]:
    """How each row is answered by a head that was fitted on the other folds.

    Its strength is that of `fit_linear`; classes weigh alike where they differ much in size.

    Args:
        data: Features and labels.
        seed: Draws the folds.

    Returns:
        int64 (m,), the rows; all but those whose class is in no other fold. float32
        (m, num_classes), their probabilities.

    Raises:
        HeadstartError: Features that are not finite.
    """
    problem, present = make_problem(data, choose_class_weight("auto", data.counts))
    basis, folds = make_basis(problem), _folds(problem, data, seed)
    found = _search(problem, basis, folds)
    answers = np.zeros((len(folds), data.num_classes), np.float32)
    judged = np.zeros(len(folds), bool)
    for fold in range(int(folds.max()) + 1):
        train = folds != fold
        held = ~train & np.isin(problem.labels, problem.labels[train])
        if held.any():
            layer = basis.layer(_fold_model(problem, basis, found, fold, train))
            _answer(problem, layer, held, present, answers)
            judged |= held
    return np.flatnonzero(judged).astype(np.int64), answers[judged]


def _fold_model(
    problem: Problem, basis: Basis, found: _Found, fold: int, train: npt.NDArray[np.bool_]
) -> Floats:
    """The unknowns of the model that is fitted on the other folds, as the search left it."""
    if fold in found.folds:
        return found.models[:, found.folds.index(fold)]
    shares = problem.shares(train[:, None])
    return solve(problem, basis, shares, found.l2, (problem.zeros(1), ROUGH))


def _answer(
    problem: Problem,
    layer: tuple[Floats, Floats],
    held: npt.NDArray[np.bool_],
    present: Rows,
    answers: Floats,
) -> None:
    """Fill in the probabilities of the rows that are held out, class by class that is present."""
    weights, bias = layer
    for rows, block in problem.blocks():
        own = np.flatnonzero(held[rows])
        answers[np.ix_(own + rows.start, present)] = softmax(block[own] @ weights + bias)


def _folds(problem: Problem, data: TrainingData, seed: int) -> Rows:
    folds = _FOLDS_OF_MANY if len(problem.labels) >= _MANY else _FOLDS
    return assign_folds(problem.labels, data.groups, folds, seed)


def _with_absent(
    data: TrainingData, present: Rows, layer: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """Put the classes without training images back, as most improbable."""
    weights = np.zeros((data.width, data.num_classes), np.float32)
    bias = np.full(data.num_classes, ABSENT_BIAS, np.float32)
    weights[:, present], bias[present] = layer
    return weights, bias


@dataclass(frozen=True, eq=False)
class _Found:
    """What cross-validation found.

    `models` are the unknowns of each of `folds`, (width + 1, folds, classes), at the best strength.
    """

    l2: float
    tried: dict[float, tuple[float, float]]  # strength -> log loss, accuracy
    held_out: HeldOut | None
    models: Floats
    folds: tuple[int, ...]

    @property
    def start(self) -> Floats:
        """The mean of the folds' unknowns."""
        mean: Floats = self.models.mean(axis=1)
        return mean

    def details(self) -> dict[str, Any]:
        loss, accuracy = self.tried.get(self.l2, (None, None))
        return {
            "l2": self.l2,
            "cv_accuracy": accuracy,
            "cv_log_loss": loss,
            "cv_images": 0 if self.held_out is None else len(self.held_out.rows),
            "tried": [{"l2": l2, "cv_log_loss": one[0]} for l2, one in self.tried.items()],
        }


def _search(problem: Problem, basis: Basis, folds: Rows) -> _Found:
    """Try strengths downwards from the first while it helps, else upwards.

    Each begins where the last ended.
    """
    judge = _make_judge(problem, folds)
    if judge is None:
        return _Found(DEFAULT_STRENGTH, {}, None, problem.zeros(1)[:, None], ())
    models = judge.shares.shape[1]
    tried: dict[float, tuple[float, float]] = {}
    best, best_held = problem.zeros(models), None
    with progress.stage("linear head", len(STRENGTHS)) as stage:
        for order in (STRENGTHS[_FIRST:], STRENGTHS[:_FIRST][::-1]):
            unknowns = problem.zeros(models) if not tried else best
            for l2 in order:
                unknowns = solve(problem, basis, judge.shares, l2, (unknowns, ROUGH))
                held = judge.answers(problem, basis.layer(unknowns))
                tried[l2] = judge.score(problem, held)
                stage.advance()
                if tried[l2] != min(tried.values()):
                    break
                best, best_held = unknowns, held
            if min(tried, key=tried.__getitem__) != STRENGTHS[_FIRST]:
                break
    l2 = min(tried, key=tried.__getitem__)
    return _Found(l2, tried, best_held, best.reshape(len(best), models, -1), judge.folds)


@dataclass(frozen=True, eq=False)
class _Judge:
    """Which rows each model is fitted on (`shares`), and on which (`rows`) which one is judged."""

    shares: Floats  # (n, models)
    rows: Rows  # (m,)
    model: Rows  # (m,)
    folds: tuple[int, ...]  # that each model is held from

    def answers(self, problem: Problem, layer: tuple[Floats, Floats]) -> HeldOut:
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

    def score(self, problem: Problem, held: HeldOut) -> tuple[float, float]:
        """Mean log loss (weighted) and accuracy."""
        share = problem.weights[held.rows].astype(np.float64)
        return float(held.losses @ share / share.sum()), float(held.right.mean())


def _make_judge(problem: Problem, folds: Rows) -> _Judge | None:
    """None where there is no row whose class is also among the rows of other folds."""
    cost = problem.features.size * problem.classes
    used: list[npt.NDArray[np.bool_]] = []
    rows, models, folds_used = [], [], []
    for fold in range(int(np.clip(_BUDGET / max(1, cost), 1, folds.max() + 1))):
        train = folds != fold
        known = np.isin(problem.labels, np.unique(problem.labels[train]))
        held = np.flatnonzero(~train & known)
        if len(held):
            rows.append(held)
            models.append(np.full(len(held), len(used)))
            used.append(train)
            folds_used.append(fold)
    if not used:
        return None
    shares = problem.shares(np.stack(used, axis=1))
    return _Judge(shares, np.concatenate(rows), np.concatenate(models), tuple(folds_used))
