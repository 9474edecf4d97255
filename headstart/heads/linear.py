"""Multinomial logistic regression, its strength by cross-validation: features in, one matrix out.

The models of all folds are fitted side by side, and each strength begins where the last one ended.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import progress
from headstart.heads.data import (
    ABSENT_BIAS,
    HeadFit,
    HeldOut,
    Learnt,
    Rows,
    TrainingData,
    choose_class_weight,
)
from headstart.heads.folds import assign_folds, draw_part
from headstart.heads.head import Floats, Head, softmax
from headstart.heads.logistic import EXACT, ROUGH, Basis, Problem, make_basis, make_problem, solve

# The strengths that are tried, from 0.32 on. Best on trashnet, ants-bees and the textile set were
# 0.03 to 0.3.
STRENGTHS = (10.0, 3.2, 1.0, 0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001)
DEFAULT_STRENGTH = 0.1  # where there is nothing to validate on
_FIRST = STRENGTHS.index(0.32)
_FOLDS, _FOLDS_OF_MANY, _MANY = 5, 3, 1000  # from 1,000 rows on, three folds say as much
_BUDGET = 2e9  # rows x features x classes x folds; above it fewer of the folds are looked at
_KEPT_ANSWERS = 20_000_000  # of cross-validation, rows x classes


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
    basis, judge = make_basis(problem), _make_judge(problem, _folds(problem, data, seed))
    found = _search(problem, basis, judge)
    shares = problem.shares(np.ones((len(problem.labels), 1), bool))
    unknowns = solve(problem, basis, shares, found.l2, (found.start, EXACT))
    weights, bias = basis.layer(unknowns)
    layer = _with_absent(data, present, problem.scaling.fold(weights, bias))
    details = {"class_weight": weight, **found.details()}
    held = None if found.held_out is None else _widened(found.held_out, present, data.num_classes)
    learnt = _learn_parts(problem, basis, judge, found, (data.fractions, seed))
    return HeadFit(Head("linear", (layer,)), details, held, learnt)


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
    found = _search(problem, basis, _make_judge(problem, folds))
    answers = np.zeros((len(folds), problem.classes), np.float32)
    judged = np.zeros(len(folds), bool)
    if found.held_out is not None and found.held_out.probabilities is not None:
        answers[found.held_out.rows] = found.held_out.probabilities
        judged[found.held_out.rows] = True
    for fold in np.unique(folds[~judged]):  # those that the search left out
        train = folds != fold
        held = ~train & np.isin(problem.labels, problem.labels[train])
        if held.any() and not judged[held].any():
            shares = problem.shares(train[:, None])
            unknowns = solve(problem, basis, shares, found.l2, (problem.zeros(1), ROUGH))
            weights, bias = basis.layer(unknowns)
            for rows, block in problem.blocks():
                own = np.flatnonzero(held[rows])
                answers[own + rows.start] = softmax(block[own] @ weights + bias)
            judged |= held
    wide = np.zeros((int(judged.sum()), data.num_classes), np.float32)
    wide[:, present] = answers[judged]
    return np.flatnonzero(judged).astype(np.int64), wide


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


def _widened(held: HeldOut, present: Rows, num_classes: int) -> HeldOut:
    """The same, with a column for each class."""
    if held.probabilities is None or len(present) == num_classes:
        return held
    wide = np.zeros((len(held.rows), num_classes), np.float32)
    wide[:, present] = held.probabilities
    return replace(held, probabilities=wide)


@dataclass(frozen=True, eq=False)
class _Found:
    """What cross-validation found; `unknowns` are those of each fold's model."""

    l2: float
    tried: dict[float, tuple[float, float]]  # strength -> log loss, accuracy
    held_out: HeldOut | None
    unknowns: Floats
    models: int

    @property
    def start(self) -> Floats:
        """Where to begin with all rows: the mean over the folds."""
        mean: Floats = self.unknowns.reshape(len(self.unknowns), self.models, -1).mean(axis=1)
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


def _search(problem: Problem, basis: Basis, judge: _Judge | None) -> _Found:
    """Try strengths downwards from the first while it helps, else upwards.

    Each begins where the last ended.
    """
    if judge is None:
        return _Found(DEFAULT_STRENGTH, {}, None, problem.zeros(1), 1)
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
    return _Found(min(tried, key=tried.__getitem__), tried, best_held, best, models)


def _learn_parts(
    problem: Problem,
    basis: Basis,
    judge: _Judge | None,
    found: _Found,
    asked: tuple[tuple[float, ...], int],
) -> Learnt | None:
    """Learn from parts of what each fold's model learned from, with the strength that was found."""
    (fractions, seed), held = asked, found.held_out
    if judge is None or held is None or not fractions:
        return None
    unknowns, used = found.unknowns, judge.shares > 0
    results = {int(used.sum(axis=0).mean()): held.right}
    for fraction in sorted(fractions, reverse=True):
        parts = [draw_part(problem.labels, one, fraction, seed) for one in used.T]
        part = replace(judge, shares=problem.shares(np.stack(parts, axis=1)))
        unknowns = solve(problem, basis, part.shares, found.l2, (unknowns, ROUGH))
        count = int(np.mean([one.sum() for one in parts]))
        results[count] = part.answers(problem, basis.layer(unknowns)).right
    counts = sorted(results)
    return Learnt(held.rows, tuple(counts), np.stack([results[count] for count in counts]))


@dataclass(frozen=True, eq=False)
class _Judge:
    """Which rows each model is fitted on (`shares`), and on which (`rows`) which one is judged."""

    shares: Floats  # (n, models)
    rows: Rows  # (m,)
    model: Rows  # (m,)

    def answers(self, problem: Problem, layer: tuple[Floats, Floats]) -> HeldOut:
        """How each row is answered by the model that has not seen it."""
        weights, bias = layer
        models = self.shares.shape[1]
        count = len(problem.labels)
        mine = np.zeros(count, np.int64)
        mine[self.rows] = self.model
        own, right = np.empty(count, np.float32), np.empty(count, bool)
        small = count * problem.classes <= _KEPT_ANSWERS
        whole = np.empty((count, problem.classes), np.float32) if small else None
        for rows, block in problem.blocks():
            scores = (block @ weights + bias).reshape(len(block), models, -1)
            answers = softmax(scores[np.arange(len(block)), mine[rows]])
            labels = problem.labels[rows]
            own[rows] = answers[np.arange(len(block)), labels]
            right[rows] = answers.argmax(axis=1) == labels
            if whole is not None:
                whole[rows] = answers
        losses = -np.log(np.maximum(own[self.rows], 1e-30))
        return HeldOut(
            self.rows, losses, right[self.rows], None if whole is None else whole[self.rows]
        )

    def score(self, problem: Problem, held: HeldOut) -> tuple[float, float]:
        """Mean log loss (weighted) and accuracy."""
        share = problem.weights[held.rows].astype(np.float64)
        return float(held.losses @ share / share.sum()), float(held.right.mean())


def _make_judge(problem: Problem, folds: Rows) -> _Judge | None:
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
