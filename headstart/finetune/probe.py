"""Which depth there is time for: measured on a few images before anything long begins."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from headstart import progress
from headstart.depth import Depth
from headstart.finetune.inputs import ImageInputs, Inputs, KeptInputs
from headstart.finetune.kept import STAGE, OutOfTime, Place, keep_images
from headstart.finetune.learner import Learner
from headstart.finetune.problem import Examples, Problem
from headstart.finetune.rate import epoch_seconds, usual_epochs
from headstart.finetune.task import Task, checkpoint_of, new_learner
from headstart.plan import FEWEST_EPOCHS, STARTS

_FIRST, _TIMED = 8, 40  # images that a network is started with, and timed with


@dataclass(frozen=True, eq=False)
class Begun:
    """A depth that there is time for, and what learns at it where that was made already."""

    depth: Depth
    place: Place
    learner: Learner | None = None


def begin_in_time(task: Task, depths: Sequence[Depth], place_of: Callable[[Depth], Place]) -> Begun:
    """The first depth that there is time for, or that was begun before.

    Args:
        task: What is to be fine-tuned.
        depths: Those to choose from, the one that is wanted most first.
        place_of: Where the network is cut for a depth.

    Raises:
        OutOfTime: There is none; the text says how long the last would take.
    """
    reason = ""
    for depth in depths:
        begun = checkpoint_of(task, depth.name).read() is not None
        if begun or task.limits.until == math.inf:
            return Begun(depth, place_of(depth))
    if task.limits.until - time.monotonic() < STARTS:
        raise OutOfTime("time limit: too little is left to begin with another depth")
    for depth in depths:
        place = place_of(depth)
        learner = new_learner(task, place.cut)
        needed = _seconds(task, place, learner)
        left = task.limits.until - time.monotonic()
        if needed <= left:
            return Begun(depth, place, learner)
        reason = (
            f"time limit: about {needed:.0f} seconds would be needed to unfreeze from "
            f"{depth.name}, and {max(0.0, left):.0f} are left"
        )
        progress.remark(STAGE, reason)
    raise OutOfTime(reason)


def _seconds(task: Task, place: Place, learner: Learner) -> float:
    """How long features at a cut and the fewest epochs take that are worth it.

    Raises:
        OutOfTime: The time was over before this was known.
    """
    wanted = place.wanted
    images = wanted.parts["train"][: _FIRST + _TIMED]
    labels = task.labels["train"][: len(images)]
    inputs: Inputs
    if place.keeps:
        keep_images(place, images[:_FIRST], wanted.views, task.limits)
        start = time.monotonic()
        features = keep_images(place, images, wanted.views, task.limits)
        seconds = (time.monotonic() - start) / max(1, len(images) - _FIRST)  # of all its views
        making = seconds * wanted.records / (wanted.views.count + 1)
        inputs = KeptInputs(features, place.prefix.shape)
    else:
        making = 0.0
        augmentation = wanted.views.augmentation
        inputs = ImageInputs(images, place.image_size, wanted.resize, augmentation)
    few = Examples(inputs, labels, np.ones(len(labels), np.float32))
    problem = Problem(few, few, task.num_classes, task.recipe.seed)
    counts = len(task.labels["train"]), len(task.labels["validation"])
    tuning = task.recipe.tuning
    epochs = min(FEWEST_EPOCHS, usual_epochs(counts[0], tuning))
    return making + epochs * epoch_seconds(learner, problem, tuning, counts)
