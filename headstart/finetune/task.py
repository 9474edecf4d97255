"""What is to be fine-tuned, one stage of it, and what comes out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import progress
from headstart.augment import Augmentation
from headstart.cut import Cut
from headstart.engine import to_half
from headstart.features import PLAIN, Features, Views, extract
from headstart.features.extraction import Source
from headstart.finetune.checkpoint import Checkpoint
from headstart.finetune.kept import STAGE, Kept, OutOfTime
from headstart.finetune.learner import Learner
from headstart.finetune.loop import Limits, Record
from headstart.finetune.problem import Examples, Problem
from headstart.finetune.rate import epochs_in_time, usual_epochs, usual_rate
from headstart.finetune.stage import Plan, Stage, run_stage
from headstart.finetune.trial import Trials, without_views
from headstart.heads import Head
from headstart.heads.data import row_weights
from headstart.locations import cache_root
from headstart.notes import read_note, write_note
from headstart.prefix import Prefix, tuned_prefix
from headstart.recipe import AUTO, Recipe

Rows = npt.NDArray[np.int64]
_FORMAT = 5  # raise it when the same run would train otherwise
_AMPLE = 2  # times the epochs that are wanted: time enough to try things out before


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be fine-tuned, and on what.

    Attributes:
        images: Of each part (train, validation, test), in the order of its labels.
        labels: Of the same parts, (n,).
        digests: SHA-256 of the images of the same parts.
        num_classes: How many classes there are.
        prefix: The frozen network, whole.
        head: Fitted on its features.
        class_weight: `balanced` or `none`.
        recipe: Every choice; `unfreeze` is not 0.
        limits: When to stop.
    """

    images: dict[str, list[Source]]
    labels: dict[str, Rows]
    digests: dict[str, list[bytes]]
    num_classes: int
    prefix: Prefix
    head: Head
    class_weight: str
    recipe: Recipe
    limits: Limits = field(default_factory=Limits)

    @property
    def out_of_time(self) -> str:
        """Why there is no time left."""
        return self.limits.reached() or "time limit"

    @property
    def views(self) -> Views:
        """The views of a training image that the recipe asks for."""
        return chosen_views(self.recipe)

    @property
    def until(self) -> float:
        """What a training is planned for; only where the depth is found out, that may be sooner."""
        limits = self.limits
        return limits.until if self.recipe.unfreeze == AUTO else limits.deadline

    @property
    def folder(self) -> Path:
        """Where the checkpoints of this very run are."""
        recipe = self.recipe.to_dict()
        said = [_FORMAT, recipe, asdict(self.prefix.identity), _versions(), self.class_weight]
        total = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        for part in ("train", "validation"):
            total.update(part.encode() + self.labels[part].tobytes())
            total.update(b"".join(self.digests[part]))
        for _, array in sorted(self.head.arrays().items()):
            total.update(array.tobytes())
        return cache_root() / "runs" / total.hexdigest()[:32]


def chosen_views(recipe: Recipe) -> Views:
    """The views of a training image that a recipe asks for; `auto` tries light ones."""
    preset = "light" if recipe.augment == "auto" else recipe.augment
    if preset == "none":
        return PLAIN
    return Views(Augmentation(preset, recipe.flip), recipe.kept_views)


@dataclass(frozen=True, eq=False)
class Tuned:
    """What fine-tuning gives.

    Attributes:
        prefix: The whole network, trained part included.
        head: The head that belongs to it.
        unfreeze: What was unfrozen in the end; 0 where the frozen network is kept.
        details: What happened, as JSON values.
        kept: Features at the cut, by part.
    """

    prefix: Prefix
    head: Head
    unfreeze: int | str
    details: dict[str, Any]
    kept: Kept | None = None

    def features(self, part: str, task: Task) -> npt.NDArray[np.float16]:
        """Features of the trained network for a part, float16 (n, features)."""
        suffix, kept = self.prefix.suffix, self.kept
        images = task.images[part]
        if suffix is None or kept is None or not kept.features:
            found = extract(images, self.prefix, resize=task.recipe.resize)
            return found.matrix(np.arange(len(images)))
        identity = self.prefix.identity
        engine = suffix.open(identity.engine, identity.precision)
        result = np.empty((len(images), suffix.width), np.float16)
        boundary = _one_by_one(kept.features[part], kept.prefix.shape)
        for row, vector in enumerate(engine.stream(boundary)):
            result[row] = to_half(vector)
        return result


def _one_by_one(features: Features, shape: Sequence[int]) -> Iterator[npt.NDArray[np.float16]]:
    rows = np.arange(len(features.digests))
    for start in range(0, len(rows), 64):
        yield from features.matrix(rows[start : start + 64]).reshape(-1, *shape)


def frozen(task: Task, details: dict[str, Any]) -> Tuned:
    """The network and head as they were, and why."""
    return Tuned(task.prefix, task.head, 0, details)


def finish(task: Task, kept: Kept, stage: Stage, details: dict[str, Any]) -> Tuned:
    """Put the trained part behind the frozen one, or go back where that is better."""
    details["kept_bytes"] = kept.size
    details["views"] = 0 if not kept.features else kept.features["train"].views.count
    augmented = stage.augmented and (not kept.features or details["views"])
    details["augment"] = task.views.augmentation.preset if augmented else "none"
    if stage.share == 0:
        progress.remark(STAGE, "not better on validation than frozen features, which are kept")
        return Tuned(task.prefix, task.head, 0, details)
    prefix = tuned_prefix(kept.prefix, stage.suffix)
    asked = task.recipe.unfreeze
    unfreeze = details["depth"] if asked == "auto" else asked
    return Tuned(prefix, stage.head, unfreeze, details, kept)


def new_learner(task: Task, cut: Cut) -> Learner:
    """What learns behind a cut, starting from the fitted head."""
    return Learner(cut, task.head, task.recipe.tuning, task.recipe.seed)


def checkpoint_of(task: Task, name: str) -> Checkpoint:
    """Where the training of a depth goes on from."""
    return Checkpoint(task.folder / f"{name}.safetensors")


def tune(
    task: Task,
    kept: Kept,
    name: str,
    learner: Learner | None = None,
    rival: Record | None = None,
) -> Stage:
    """Run one stage on kept inputs.

    Args:
        task: What is to be fine-tuned.
        kept: The inputs.
        name: Of the depth.
        learner: What learns, where it is there already.
        rival: The training of another depth; half way it has to be ahead of that.

    Raises:
        OutOfTime: Not one epoch fits into the time that is left.
    """
    counts = np.bincount(task.labels["train"], minlength=task.num_classes)
    parts = {
        part: Examples(
            inputs, task.labels[part], row_weights(task.labels[part], counts, task.class_weight)
        )
        for part, inputs in (("train", kept.train), ("validation", kept.validation))
    }
    problem = Problem(parts["train"], parts["validation"], task.num_classes, task.recipe.seed)
    checkpoint = checkpoint_of(task, name)
    tuning = task.recipe.tuning
    learner = learner or new_learner(task, kept.cut)
    epochs, fitting = usual_epochs(len(problem.train.labels), tuning), math.inf
    if checkpoint.read() is None:
        fitting = epochs_in_time(learner, problem, tuning, task.until)
        if fitting < 1:
            raise OutOfTime
    chosen = _chosen(task, learner, problem, _Trying(epochs, fitting > _AMPLE * epochs))
    if not chosen["views"]:
        problem = without_views(problem)
    plan = Plan(int(min(epochs, fitting)), chosen["learning_rate"], task.limits, rival)
    stage = run_stage(learner, problem, tuning, plan, checkpoint)
    return replace(stage, augmented=chosen["views"])


@dataclass(frozen=True)
class _Trying:
    """How many epochs a training will have, and whether there is time for trials."""

    epochs: int
    ample: bool


def _chosen(task: Task, learner: Learner, problem: Problem, trying: _Trying) -> dict[str, Any]:
    """Learning rate, and whether views are used: tried once in a run, and remembered."""
    path = task.folder / "chosen.json"
    with suppress(ValueError, TypeError, KeyError):
        found = read_note(path)
        return {"learning_rate": float(found["learning_rate"]), "views": bool(found["views"])}
    tuning = task.recipe.tuning
    rate = tuning.learning_rate or usual_rate(len(problem.train.labels))
    chosen: dict[str, Any] = {"learning_rate": rate, "views": True}
    if len(problem.validation.labels) and trying.ample:
        trials = Trials(learner, tuning, trying.epochs, task.limits)
        if tuning.learning_rate is None:
            chosen["learning_rate"] = trials.steady_rate(problem, rate)
        if task.recipe.augment == "auto":
            chosen["views"] = trials.views_help(problem, chosen["learning_rate"])
    if not task.limits.asked():
        write_note(path, chosen)
    return chosen


def _versions() -> list[str]:
    found = []
    for name in ("keras", "tensorflow", "numpy"):
        with suppress(metadata.PackageNotFoundError):  # it may have another name
            found.append(f"{name} {metadata.version(name)}")
    return found
