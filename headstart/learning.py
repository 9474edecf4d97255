"""What learns, in its order: the head on frozen features, then what is unfrozen behind a cut."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import progress
from headstart.backbones import load_backbone
from headstart.calibration import fit_temperature
from headstart.classifier import Classifier, PixelChoices
from headstart.engine import choose_engine, resolve_precision
from headstart.errors import HeadstartError
from headstart.features import Features, extract
from headstart.features.extraction import Source
from headstart.finetune import Limits, Task, Tuned, chosen_views, fine_tune
from headstart.heads import Head, HeadFit, TrainingData, choose_head, fit_head
from headstart.interruption import noticed
from headstart.plan import Times, times_of
from headstart.prefix import Prefix, make_prefix
from headstart.preparation import Material, prepare_images
from headstart.recipe import Recipe
from headstart.stopwatch import Stopwatch
from headstart.unfreezing import with_depth

FRACTIONS = (1 / 4, 1 / 2)  # of the training images, for the learning curve
_FEW = 40  # validation images, too few to find a temperature by them alone
_NO_VIEWS = ("auto", "none")  # where the head learned from the images themselves


@dataclass(frozen=True, eq=False)
class Learned:
    """What is there once a head is fitted, and after fine-tuning what that gave.

    `recipe` is filled in: which head, which class weight, what was unfrozen in the end. `choice`
    is how the network was found, where it was not given. `temperature` is what the logits of the
    head are divided by.
    """

    material: Material
    prefix: Prefix
    recipe: Recipe
    fitted: HeadFit
    task: Task | None = None
    tuned: Tuned | None = None
    choice: dict[str, Any] | None = None
    temperature: float = 1.0

    @property
    def fine_tuned(self) -> bool:
        """Whether anything but the head has learned."""
        return self.tuned is not None and self.tuned.prefix.suffix is not None

    @property
    def head(self) -> Head:
        """The head that answers, its temperature in it."""
        if self.tuned is not None and self.fine_tuned:
            return self.tuned.head  # has its temperature already
        return self.fitted.head.tempered(self.temperature)

    @property
    def held_out(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]] | None:
        """Answers of cross-validation (m, classes) to training images, and their labels (m,).

        Those of heads on the frozen network, before any temperature; None where there are none, or
        where what was learned from are views.
        """
        held, train = self.fitted.held_out, self.material.split.train
        if held is None or held.probabilities is None or self.recipe.augment not in _NO_VIEWS:
            return None
        return held.probabilities, self.material.labels[train][held.rows]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended fine-tuning early."""
        return self.tuned is not None and self.tuned.details["stopped"] == "interrupted"

    def classifier(self, class_names: Sequence[str]) -> Classifier:
        """Head and network together."""
        recipe = self.recipe
        pixels = PixelChoices(recipe.resize, recipe.views, recipe.flip)
        return Classifier(class_names, self.prefix, self.head, pixels)

    def features(self, part: str) -> npt.NDArray[np.float16]:
        """What the head gets for a part."""
        if self.tuned is None or self.task is None or self.tuned.prefix.suffix is None:
            return self.material.features.matrix(self.material.parts[part])
        return self.tuned.features(part, self.task)

    def remove_checkpoints(self) -> None:
        """Remove what a killed run would go on from, unless this one was stopped by Ctrl-C."""
        if self.task is not None and not self.interrupted:
            shutil.rmtree(self.task.folder, ignore_errors=True)


def fit_images(
    images: Sequence[Source],
    labels: npt.NDArray[np.int64],
    recipe: Recipe,
    *,
    device: str = "auto",
    time_limit: float | None = None,
) -> Learned:
    """Learn from all of the images, (n,) labels from 0: no test part, no evaluation, no bundle.

    Raises:
        BadImage: An image that cannot be decoded.
        HeadstartError: As `fit`.
    """
    watch = Stopwatch()
    times = times_of(time_limit, watch.start, len(images))
    ((prefix, recipe),) = with_depth([choose_prefix(recipe, device)])
    return learn(prepare_images(images, labels, recipe, prefix), prefix, recipe, times, watch)


def learn(
    material: Material, prefix: Prefix, recipe: Recipe, times: Times, watch: Stopwatch
) -> Learned:
    """Fit the head, then fine-tune where the recipe asks for it."""
    with watch.stage("head"):
        fitted = _fit_head(material, recipe, _head_data(material, _views(material, prefix, recipe)))
    recipe = replace(recipe, head=fitted.head.kind, class_weight=fitted.details["class_weight"])
    learned = Learned(material, prefix, recipe, fitted)
    if recipe.unfreeze == 0:
        augment = "none" if recipe.augment in _NO_VIEWS else recipe.augment
        return _calibrated(replace(learned, recipe=replace(recipe, augment=augment)))
    learned = _tuned(learned, times, watch)
    if learned.recipe.unfreeze == 0 and learned.recipe.augment not in _NO_VIEWS:
        learned = _with_views(learned, times, watch)
    return _calibrated(learned)


def _with_views(learned: Learned, times: Times, watch: Stopwatch) -> Learned:
    """Fit the head anew, on the views that were asked for, where all stays frozen in the end.

    As where that is said at once. The head on the images themselves stays where there is no time.
    """
    material, recipe = learned.material, learned.recipe
    named = f"{recipe.augment} views"
    with watch.stage("head"):
        found = None
        if not learned.interrupted:
            found = _views(material, learned.prefix, recipe, times.deadline)
        if found is None or found.unreached:
            reason = "interrupted" if learned.interrupted else "time limit"
            progress.remark("head", f"{reason}: it learned from the images themselves, not {named}")
            return replace(learned, recipe=replace(recipe, augment="none"))
        progress.remark("head", f"all layers stay frozen: it learns from {named}, as you asked for")
        return replace(learned, fitted=_fit_head(material, recipe, _head_data(material, found)))


def _calibrated(learned: Learned) -> Learned:
    """Find the temperature on the validation part, or see which one fine-tuning has found.

    Where that part is small, the answers of cross-validation to the training part count as well.
    """
    if learned.tuned is not None and learned.fine_tuned:
        after = learned.tuned.details["after"]
        return replace(learned, temperature=1.0 if after is None else after["temperature"])
    labels = learned.material.labels[learned.material.split.validation]
    answers = learned.fitted.head.probabilities(learned.features("validation"))
    if len(labels) < _FEW and (held := learned.held_out) is not None:
        answers = np.concatenate([answers, held[0]])
        labels = np.concatenate([labels, held[1]])
    return replace(learned, temperature=fit_temperature(answers, labels))


def choose_prefix(recipe: Recipe, device: str) -> tuple[Prefix, Recipe]:
    """The frozen network of a recipe, and the recipe with what it left open filled in.

    Raises:
        HeadstartError: Something of it is still to be found out, by `fit` or `rank`.
    """
    if recipe.chooses:
        raise HeadstartError(
            "Backbone, image size and resize mode cannot be 'auto' here. Expected a name, a size "
            "and a mode. headstart.rank finds which suit the images."
        )
    engine = choose_engine(device)
    precision = resolve_precision(recipe.precision, engine)
    backbone = load_backbone(
        recipe.backbone, weights=recipe.weights, preprocessing=recipe.preprocessing
    )
    info = backbone.info
    image_size = recipe.height_and_width or (info.image_size, info.image_size)
    recipe = replace(recipe, backbone=backbone.name, image_size=image_size, precision=precision)
    if info.source == "own":
        recipe = replace(recipe, preprocessing=info.preprocessing)
    return make_prefix(backbone, image_size, engine, precision), recipe


def _views(
    material: Material, prefix: Prefix, recipe: Recipe, deadline: float = math.inf
) -> Features | None:
    """Features of views of the training images, where all stays frozen and the user wants them."""
    if recipe.unfreeze != 0 or recipe.augment in _NO_VIEWS:
        return None
    images = [material.images[row] for row in material.split.train]
    views = chosen_views(recipe)
    return extract(images, prefix, resize=recipe.resize, deadline=deadline, views=views)


def _head_data(material: Material, views: Features | None) -> TrainingData:
    """Features of the training images, or of views of them."""
    labels, split, features = material.labels, material.split, material.features
    train, count, rows = features, 1, split.train
    if views is not None:
        train, count, rows = views, views.views.count + 1, np.arange(len(split.train))
    which = np.tile(np.arange(count), len(rows))
    return TrainingData(
        features=train.matrix(np.repeat(rows, count), which),
        labels=np.repeat(labels[split.train], count),
        num_classes=material.num_classes,
        validation_features=features.matrix(split.validation),
        validation_labels=labels[split.validation],
        groups=np.repeat(material.groups[split.train], count),
        fractions=() if views is not None or not len(split.test) else FRACTIONS,
    )


def _fit_head(material: Material, recipe: Recipe, data: TrainingData) -> HeadFit:
    counts = np.bincount(material.labels[material.split.train], minlength=material.num_classes)
    kind = choose_head(counts) if recipe.head == "auto" else recipe.head
    return fit_head(
        kind,
        data,
        seed=recipe.seed,
        class_weight=recipe.class_weight,
        epochs=recipe.head_epochs,
    )


def _tuned(learned: Learned, times: Times, watch: Stopwatch) -> Learned:
    """Fine-tune; Ctrl-C ends that soon, with the best so far."""
    material, parts = learned.material, learned.material.parts
    images, digests = material.images, material.features.digests
    with watch.stage("fine-tune"), noticed() as asked:
        task = Task(
            images={name: [images[row] for row in rows] for name, rows in parts.items()},
            labels={name: material.labels[rows] for name, rows in parts.items()},
            digests={name: [digests[row] for row in rows] for name, rows in parts.items()},
            num_classes=material.num_classes,
            prefix=learned.prefix,
            head=learned.fitted.head,
            class_weight=learned.recipe.class_weight,
            recipe=learned.recipe,
            limits=Limits(times.deadline, asked, until=times.until),
        )
        tuned = fine_tune(task)
    recipe = replace(learned.recipe, **_found(learned.recipe, tuned))
    return replace(learned, prefix=tuned.prefix, recipe=recipe, task=task, tuned=tuned)


def _found(recipe: Recipe, tuned: Tuned) -> dict[str, Any]:
    """What fine-tuning found out; the recipe with it in gives the same again, on any machine."""
    if tuned.unfreeze == 0:  # an augmentation that was asked for is the head's
        augment = "none" if recipe.augment in _NO_VIEWS else recipe.augment
        return {"unfreeze": 0, "augment": augment}
    details = tuned.details
    tuning = replace(
        recipe.tuning, epochs=details["planned_epochs"], learning_rate=details["learning_rate"]
    )
    return {
        "unfreeze": tuned.unfreeze,
        "tuning": tuning,
        "augment": details["augment"],
        "kept_views": details["views"] or recipe.kept_views,
    }
