"""Candidates side by side on the training images: all on few, the leaders on more.

Successive halving (Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943) with a third
going on each time. What is compared is the log loss of the linear head in cross-validation; the
folds of a round are the same for all, so two candidates are compared image by image.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from headstart import progress
from headstart.cache import make_room
from headstart.features import extract
from headstart.features.extraction import Source
from headstart.heads import HeldOut, TrainingData, fit_head
from headstart.metrics import lower_beyond_chance
from headstart.prefix import Prefix
from headstart.preparation import check_decoded
from headstart.ranking.shapes import Shapes, shapes_of
from headstart.transferability import h_score, log_me

Rows = npt.NDArray[np.int64]
STAGE = "rank"
_PART = 3  # one of so many goes on, with as many times the images
_FINALISTS = 2  # at least
_MOST = 5000  # images of the last round
_LEAST, _LEAST_OF_CLASS = 150, 10  # images of the first


@dataclass(frozen=True, eq=False)
class Examples:
    """Images to train on, so mixed that every beginning holds all classes in their proportions.

    `groups` has the same number for copies of one image.
    """

    images: Sequence[Source]
    labels: Rows
    groups: Rows
    num_classes: int

    @cached_property
    def shapes(self) -> Shapes:
        """As `shapes_of` gives them; the files are opened once."""
        return shapes_of(self.images)


@dataclass(frozen=True, eq=False)
class Judged:
    """A candidate after a round: how the images were answered by heads that had not seen them."""

    held_out: HeldOut
    log_loss: float
    images: int
    h_score: float | None = None
    log_me: float | None = None

    def beats(self, other: Judged) -> bool:
        """Whether its loss is lower by more than one standard error of the difference, by image."""
        mine, its = self.held_out, other.held_out
        _, here, there = np.intersect1d(mine.rows, its.rows, return_indices=True)
        return lower_beyond_chance(mine.losses[here].astype(np.float64), its.losses[there])


@dataclass(frozen=True)
class Choices:
    """What is the same for all candidates; `most` is the number of images of the last round.

    With `scores` H-score, LogME and memory are found as well: they decide nothing.
    """

    resize: str
    class_weight: str
    seed: int
    deadline: float
    most: int = _MOST
    scores: bool = False


@dataclass(eq=False)
class Race:
    """One race.

    Attributes:
        ready: The candidate whose features of all images are there already, which goes first.
        rounds: Each with those who finished it.
        alive: Those of the last round that has begun.
        planned: How many rounds there are in all.
        ended: Whether time ran out.
        few: Whether there are too few images to judge by.
    """

    examples: Examples
    choices: Choices
    ready: Prefix | None = None
    rounds: list[dict[Prefix, Judged]] = field(default_factory=list)
    alive: list[Prefix] = field(default_factory=list)
    planned: int = 0
    ended: bool = False
    few: bool = False

    def run(self, candidates: Sequence[Prefix]) -> None:
        """Go through all rounds, or as many as there is time for."""
        images, classes = len(self.examples.labels), self.examples.num_classes
        counts = round_sizes(images, classes, len(candidates), self.choices.most)
        self.planned, self.alive = len(counts), self._in_order(candidates)
        with progress.stage(STAGE, _work(counts, self.alive)) as stage:
            for number, count in enumerate(counts):
                if number:
                    self.alive = self._in_order(leaders(self.rounds[-1]))
                self._round(count, stage)
                if self.ended:
                    return

    @property
    def last(self) -> dict[Prefix, Judged]:
        """The last round that all of its candidates finished, or what there is of the first."""
        whole = self.rounds[:-1] if self.ended else self.rounds
        return (whole or self.rounds or [{}])[-1]

    def losses(self) -> dict[Prefix, float]:
        """The loss of each that was judged, as in the last round.

        Those that were dropped before stand as far behind the best as they did on fewer images.
        """
        last = self.last
        found = {one: judged.log_loss for one, judged in last.items()}
        best = min(found, key=lambda one: found[one])
        for judged in reversed(self.rounds):
            for one, its in judged.items():
                if best in judged:
                    there = found[best] / judged[best].log_loss
                    found.setdefault(one, its.log_loss * there)
        return found

    def status(self, candidate: Prefix) -> str:
        """`complete`, `dropped` or `unfinished`."""
        if candidate not in self.alive:
            return "dropped"
        final = len(self.rounds) == self.planned and candidate in self.rounds[-1]
        return "complete" if final else "unfinished"

    def _in_order(self, candidates: Sequence[Prefix]) -> list[Prefix]:
        """The cheapest first: where time runs out, most are done."""
        return sorted(candidates, key=lambda one: 0 if one is self.ready else _cost(one))

    def _round(self, count: int, stage: progress.Stage) -> None:
        found: dict[Prefix, Judged] = {}
        self.rounds.append(found)
        for one in self.alive:
            judged = self.judge(one, count)
            if judged is None:
                self.ended = True
                return
            found[one] = judged
            stage.advance(count * _cost(one))

    def judge(self, candidate: Prefix, count: int) -> Judged | None:
        """Make features of the first images and cross-validate.

        None where time is over, or where the images are too few, which `few` says then.
        """
        examples, choices = self.examples, self.choices
        if time.monotonic() >= choices.deadline:
            return None
        make_room(keep=candidate.identity.key)
        images, labels = examples.images[:count], examples.labels[:count]
        found = extract(images, candidate, resize=choices.resize, deadline=choices.deadline)
        if found.unreached:
            return None
        check_decoded(found, images)
        matrix = found.matrix(np.arange(count))
        data = TrainingData(matrix, labels, examples.num_classes, groups=examples.groups[:count])
        fitted = fit_head("linear", data, seed=choices.seed, class_weight=choices.class_weight)
        if fitted.held_out is None:
            self.few = True
            return None
        scored = choices.scores and not self.rounds[1:]
        scores = (h_score(matrix, labels), log_me(matrix, labels)) if scored else ()
        return Judged(fitted.held_out, fitted.details["cv_log_loss"], count, *scores)


def round_sizes(train: int, classes: int, candidates: int, most: int = _MOST) -> list[int]:
    """How many images each round has, the first one first."""
    last = min(train, most)
    least = min(last, max(_LEAST, _LEAST_OF_CLASS * classes))
    counts = [last]
    while candidates > _FINALISTS:
        candidates = _going_on(candidates)
        counts.append(max(least, counts[-1] // _PART))
    return sorted(set(counts))  # a round with the same images would tell nothing new


def leaders(found: dict[Prefix, Judged]) -> list[Prefix]:
    """Those that go on, best first."""
    ordered = sorted(found, key=lambda one: found[one].log_loss)
    return ordered[: _going_on(len(ordered))]


def _going_on(candidates: int) -> int:
    return min(candidates, max(_FINALISTS, -(-candidates // _PART)))


def _work(counts: Sequence[int], candidates: Sequence[Prefix]) -> int:
    """About what all rounds cost; the dearest are taken to go on."""
    costs = sorted(map(_cost, candidates), reverse=True)
    total = 0
    for count in counts:
        total += count * sum(costs)
        costs = costs[: _going_on(len(costs))]
    return total


def _cost(prefix: Prefix) -> int:
    """About proportional to the seconds of an image."""
    height, width = prefix.identity.image_size
    backbone = prefix.backbone
    return height * width * (1 if backbone is None else backbone.info.parameters) // 10**9 + 1
