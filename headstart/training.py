"""From labelled images to a classifier and an honest result: the only module that knows the order.

read -> features (decode and frozen network, kept) -> split -> head -> fine-tuning, where it is
asked for -> evaluation -> bundle.
"""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import bundle, progress
from headstart.backbones import load_backbone
from headstart.card import model_card
from headstart.classifier import Classifier, PixelChoices
from headstart.dataset import Dataset
from headstart.engine import choose_engine, resolve_precision
from headstart.errors import HeadstartError
from headstart.evaluation import Evaluation, evaluate
from headstart.finetune import Limits, Task, Tuned, fine_tune
from headstart.heads import HeadFit, TrainingData, choose_head, fit_head
from headstart.images import decode, read_bytes
from headstart.interruption import noticed
from headstart.prefix import Prefix, make_prefix
from headstart.preparation import Prepared, data_warnings, prepare
from headstart.recipe import Recipe
from headstart.run import Run
from headstart.stopwatch import Stopwatch

Floats = npt.NDArray[np.float32]
# Seconds of a time limit kept for head, evaluation and bundle, besides a tenth of it.
_RESERVE = 1.5


def fit(
    source: str | os.PathLike[str] | Dataset,
    recipe: Recipe | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    device: str = "auto",
    time_limit: float | None = None,
) -> Run:
    """Train a classifier from labelled images.

    Args:
        source: A folder with one folder a class, a folder with train/validation/test folders, a CSV
            file, a zip of any of these, or what `read_dataset` gave.
        recipe: The choices; `Recipe()` where it is left out.
        out: Where to save the bundle; None saves nothing.
        device: `auto`, `cpu` or `gpu`.
        time_limit: Seconds after which no more features are made and fine-tuning stops; images not
            reached are left out, and listed. Running again goes on where it stopped.

    Raises:
        DatasetError: The data cannot be used.
        HeadstartError: A choice that does not exist, weights that are not here, a place that cannot
            be written.
    """
    recipe = recipe or Recipe()
    if time_limit is not None and not time_limit > 0:
        raise HeadstartError(
            f"The time limit cannot be {time_limit}. Expected seconds, more than 0."
        )
    if out is not None:
        bundle.check_target(Path(out))
    watch = Stopwatch()
    deadline = math.inf if time_limit is None else watch.start + time_limit * 0.9 - _RESERVE
    prefix, recipe = _prefix(recipe, device)
    prepared = prepare(source, recipe, prefix, deadline, watch)
    with watch.stage("head"):
        fitted = _fit_head(prepared, recipe)
    recipe = replace(recipe, head=fitted.head.kind, class_weight=fitted.details["class_weight"])
    state = _State(prepared, prefix, recipe, fitted)
    if recipe.unfreeze == 0:
        return _finish(state, watch, out)
    return _finish(_tuned(state, deadline, watch), watch, out)


@dataclass(frozen=True, eq=False)
class _State:
    """What is there once a head is fitted, and after fine-tuning what that gave."""

    prepared: Prepared
    prefix: Prefix
    recipe: Recipe
    fitted: HeadFit
    task: Task | None = None
    tuned: Tuned | None = None

    def features(self, part: str) -> npt.NDArray[np.float16]:
        """What the head gets for a part."""
        if self.tuned is None or self.task is None or self.tuned.prefix.suffix is None:
            return self.prepared.features.matrix(self.prepared.parts[part])
        return self.tuned.features(part, self.task)


def _prefix(recipe: Recipe, device: str) -> tuple[Prefix, Recipe]:
    engine = choose_engine(device)
    precision = resolve_precision(recipe.precision, engine)
    backbone = load_backbone(
        recipe.backbone, weights=recipe.weights, preprocessing=recipe.preprocessing
    )
    info = backbone.info
    image_size = recipe.height_and_width or (info.image_size, info.image_size)
    recipe = replace(recipe, backbone=info.name, image_size=image_size, precision=precision)
    if info.source == "own":
        recipe = replace(recipe, preprocessing=info.preprocessing)
    return make_prefix(backbone, image_size, engine, precision), recipe


def _fit_head(prepared: Prepared, recipe: Recipe) -> HeadFit:
    dataset, split, features = prepared.dataset, prepared.split, prepared.features
    labels = dataset.labels
    counts = np.bincount(labels[split.train], minlength=len(dataset.class_names))
    kind = choose_head(counts) if recipe.head == "auto" else recipe.head
    data = TrainingData(
        features=features.matrix(split.train),
        labels=labels[split.train],
        num_classes=len(dataset.class_names),
        validation_features=features.matrix(split.validation),
        validation_labels=labels[split.validation],
        groups=prepared.groups[split.train],
    )
    return fit_head(
        kind,
        data,
        seed=recipe.seed,
        class_weight=recipe.class_weight,
        epochs=recipe.head_epochs,
    )


def _tuned(state: _State, deadline: float, watch: Stopwatch) -> _State:
    """Fine-tune; Ctrl-C ends that soon, with the best so far."""
    prepared = state.prepared
    paths, digests = prepared.dataset.paths, prepared.features.digests
    with watch.stage("fine-tune"), noticed() as asked:
        task = Task(
            images={name: [paths[row] for row in rows] for name, rows in prepared.parts.items()},
            labels={name: prepared.dataset.labels[rows] for name, rows in prepared.parts.items()},
            digests={name: [digests[row] for row in rows] for name, rows in prepared.parts.items()},
            num_classes=len(prepared.dataset.class_names),
            prefix=state.prefix,
            head=state.fitted.head,
            class_weight=state.recipe.class_weight,
            recipe=state.recipe,
            limits=Limits(deadline, asked),
        )
        tuned = fine_tune(task)
    recipe = replace(state.recipe, unfreeze=tuned.unfreeze)
    return replace(state, prefix=tuned.prefix, recipe=recipe, task=task, tuned=tuned)


def _finish(state: _State, watch: Stopwatch, out: str | os.PathLike[str] | None) -> Run:
    prepared, tuned = state.prepared, state.tuned
    dataset, split = prepared.dataset, prepared.split
    head = state.fitted.head if tuned is None else tuned.head
    recipe = state.recipe
    pixels = PixelChoices(recipe.resize, recipe.views, recipe.flip)
    classifier = Classifier(dataset.class_names, state.prefix, head, pixels)
    with watch.stage("evaluate"), progress.stage("evaluate"):
        probabilities = {part: _answers(state, classifier, part) for part in prepared.parts}
        train_labels = dataset.labels[split.train]
        evaluations = {
            part: evaluate(
                probabilities[part],
                dataset.labels[rows],
                dataset.class_names,
                train_labels=train_labels,
            )
            for part, rows in prepared.parts.items()
        }
    run = Run(
        classifier=classifier,
        evaluation=evaluations["test"],
        validation=evaluations["validation"],
        train=evaluations["train"],
        recipe=recipe,
        head=state.fitted.details,
        fine_tuning=None if tuned is None else tuned.details,
        files={part: _listed(dataset, rows) for part, rows in prepared.parts.items()},
        skipped=dataset.problems,
        warnings=data_warnings(prepared),
        seconds=watch.result(),
        bundle=None,
        computed=prepared.features.computed,
        contents=_contents(state, evaluations, probabilities["test"]),
    )
    if out is not None:
        with watch.stage("save"), progress.stage("save"):
            path = run.save(out)
        run = replace(run, bundle=path, seconds=watch.result())
    if state.task is not None and not run.interrupted:
        shutil.rmtree(state.task.folder, ignore_errors=True)
    return run


def _answers(state: _State, classifier: Classifier, part: str) -> Floats:
    """Class probabilities of a part, as the classifier will give them."""
    if state.recipe.views == 1:
        return classifier.head.probabilities(state.features(part))
    paths = state.prepared.dataset.paths
    return classifier.predict_proba([paths[row] for row in state.prepared.parts[part]])


def _listed(dataset: Dataset, rows: npt.NDArray[np.int64]) -> tuple[tuple[Path, str], ...]:
    return tuple((dataset.paths[row], dataset.class_names[dataset.labels[row]]) for row in rows)


def _contents(
    state: _State, evaluations: dict[str, Evaluation], probabilities: Floats
) -> bundle.Contents:
    prepared = state.prepared
    dataset, split, digests = prepared.dataset, prepared.split, prepared.features.digests
    names = [dataset.class_names[label] for label in dataset.labels]
    size = state.prefix.identity.image_size
    example = decode(read_bytes(dataset.paths[int(split.test[0])]), size, state.recipe.resize)
    seen = np.concatenate([split.train, split.validation])
    data: dict[str, Any] = {
        "name": dataset.name,
        "fingerprint": bundle.fingerprint(list(digests), names),
        "images": {part: len(rows) for part, rows in prepared.parts.items()},
        "skipped": len(dataset.problems),
    }
    backbone = state.prefix.backbone
    info = None if backbone is None else backbone.info
    return bundle.Contents(
        recipe=state.recipe,
        data=data,
        metrics={name: one.to_dict() for name, one in evaluations.items()},
        card=model_card(dataset, state.recipe, evaluations["test"], data, info),
        example=example.pixels,
        expected={
            name: float(value)
            for name, value in zip(dataset.class_names, probabilities[0], strict=True)
        },
        seen=bundle.seen_digests([digests[index] for index in seen]),
        fine_tuning=None if state.tuned is None else state.tuned.details,
    )
