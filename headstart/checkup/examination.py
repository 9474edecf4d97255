"""All parts of the check-up, one after the other: prepared data in, `CheckUp` out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from headstart import progress
from headstart.checkup.appearance import remarks
from headstart.checkup.duplicates import alike_findings, copy_findings
from headstart.checkup.finding import Finding, in_order
from headstart.checkup.labels import Doubts, doubts
from headstart.checkup.looks import measure
from headstart.checkup.memory import place_of, recall, remember
from headstart.checkup.neighbours import MOST, find_neighbours, outliers
from headstart.checkup.result import CheckUp
from headstart.checkup.shortcuts import shortcut_findings
from headstart.dataset import Dataset
from headstart.heads import TrainingData, answer_held_out
from headstart.metrics import Rows
from headstart.preparation import Prepared
from headstart.stopwatch import Stopwatch

_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic")
# Reasons for which a file is not used that are no fault of the file.
_NO_FAULT = ("hidden", "in a hidden", "left out by", "not reached", "no image of its class")
# Seconds for a multiplication on two cores, and how many of them judging a label takes, for each
# feature and class: measured on trashnet and the textile set.
_SECONDS, _LABELS = 1.5e-11, 3500
_FEW_IMAGES, _FEW_SHARE = 10, 1 / 3  # of a class: in numbers, and beside the median class


def examine(
    prepared: Prepared, side: int, watch: Stopwatch, *, seed: int = 0, deadline: float = math.inf
) -> CheckUp:
    """Look for what is wrong with labelled images.

    Args:
        prepared: The data with features of the frozen network, split, and groups of copies.
        side: Height and width at which the network sees the images.
        watch: Gets a stage for each part.
        seed: Draws folds.
        deadline: `time.monotonic()` at which no more images are measured.
    """
    place = place_of(prepared, side, seed)
    found = recall(place, prepared)
    if found is not None:
        return replace(found, seconds={**watch.result(), **found.seconds})
    found = _Examination(prepared, side, seed, watch).run(deadline)
    remember(place, found)
    return found


class _Examination:
    """The data in the shape that the parts need."""

    def __init__(self, prepared: Prepared, side: int, seed: int, watch: Stopwatch) -> None:
        dataset = prepared.dataset
        self.prepared, self.dataset = prepared, dataset
        self.side, self.seed, self.watch = side, seed, watch
        self.names = [dataset.shown(row) for row in range(len(dataset.paths))]
        self.classes = [dataset.class_names[label] for label in dataset.labels]
        self.ranking: tuple[str, ...] = ()
        self.left_out: list[str] = []

    def run(self, deadline: float) -> CheckUp:
        features = self.prepared.features.matrix(np.arange(len(self.names)))
        found = [*_broken(self.dataset), *_imbalance(self.dataset), *self._copies()]
        if self._fits(features.size, deadline):
            with self.watch.stage("labels"):
                found += self._labels(features)
            with self.watch.stage("neighbours"):
                found += self._neighbours(features)
        with self.watch.stage("looks"):
            found += self._looks(deadline)
        return CheckUp(
            findings=in_order(found),
            images=len(self.names),
            class_names=self.dataset.class_names,
            root=self.dataset.root,
            label_ranking=self.ranking,
            seconds=self.watch.result(),
            left_out=tuple(self.left_out),
        )

    def _fits(self, values: int, deadline: float) -> bool:
        """Whether there is time to judge labels and to compare the features with each other."""
        steps = values * (_LABELS * len(self.dataset.class_names) + min(len(self.names), MOST))
        if time.monotonic() + steps * _SECONDS <= deadline:
            return True
        progress.remark("check-up", "no time to judge the labels; headstart check does it")
        self.left_out += ["labels", "neighbours"]
        return False

    def _copies(self) -> Iterator[Finding]:
        digests, split = self.prepared.features.digests, self.prepared.split
        groups = self.prepared.groups
        return copy_findings(self.names, self.classes, digests, groups, split.leaks)

    def _labels(self, features: npt.NDArray[np.float16]) -> Iterator[Finding]:
        data = TrainingData(
            features=features,
            labels=self.dataset.labels,
            num_classes=len(self.dataset.class_names),
            groups=self.prepared.groups,
        )
        rows, probabilities = answer_held_out(data, seed=self.seed)
        if not len(rows):
            return
        judged = doubts(probabilities, self.dataset.labels[rows])
        self.ranking = tuple(self.names[rows[place]] for place in judged.ranking)
        yield from self._doubtful(judged, rows, probabilities)

    def _doubtful(
        self, judged: Doubts, rows: Rows, probabilities: npt.NDArray[np.float32]
    ) -> Iterator[Finding]:
        for place in judged.flagged:
            row, other = int(rows[place]), int(judged.suggested[place])
            own = float(probabilities[place, self.dataset.labels[row]])
            suggested = self.dataset.class_names[other]
            text = (
                f"labelled {self.classes[row]} ({own:.0%}), and a classifier that had not seen it "
                f"says {suggested} ({float(probabilities[place, other]):.0%})"
            )
            score = -float(judged.margin[place])
            yield Finding("label", (self.names[row],), (self.classes[row],), text, score, suggested)

    def _neighbours(self, features: npt.NDArray[np.float16]) -> Iterator[Finding]:
        near = find_neighbours(features, self.prepared.groups, self.seed)
        parts, groups = self.dataset.parts.tolist(), self.prepared.groups
        yield from alike_findings(self.names, self.classes, parts, groups, near)
        far, distance = outliers(near)
        usual = float(np.median(distance)) if len(distance) else 0.0
        for row in far:
            text = f"distance to its nearest images {distance[row]:.2f}; {usual:.2f} is usual"
            yield Finding(
                "outlier", (self.names[row],), (self.classes[row],), text, float(distance[row])
            )

    def _looks(self, deadline: float) -> Iterator[Finding]:
        paths, digests = self.dataset.paths, self.prepared.features.digests
        looks = measure(paths, digests, deadline=deadline)
        if time.monotonic() >= deadline and np.isnan(looks).any():
            self.left_out.append("looks")
        for one in remarks(looks, self.names, self.side):
            own = (self.names[one.row],), (self.classes[one.row],)
            yield Finding(one.kind, *own, one.evidence, one.score)
        labels, groups = self.dataset.labels, self.prepared.groups
        yield from shortcut_findings(looks, labels, groups, self.dataset.class_names, self.seed)


def _broken(dataset: Dataset) -> Iterator[Finding]:
    """Files that are not used and should have been."""
    for one in dataset.problems:
        text_file = one.reason == "not an image" and not one.path.lower().endswith(_IMAGE_ENDINGS)
        if not text_file and not one.reason.startswith(_NO_FAULT):
            yield Finding("broken", (one.path,), (), one.reason)


def _imbalance(dataset: Dataset) -> Iterator[Finding]:
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    usual = float(np.median(counts))
    for name, count in zip(dataset.class_names, counts, strict=True):
        if count < _FEW_IMAGES or count < _FEW_SHARE * usual:
            text = f"{name} has {count} images; the median class has {usual:.0f}"
            yield Finding("imbalance", (), (name,), text, -float(count))
