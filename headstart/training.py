"""From labelled images to a classifier and an honest result: the only module that knows the order.

read -> features (decode and frozen network, kept) -> split -> check-up -> head -> fine-tuning,
where it is asked for -> evaluation -> bundle.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart import bundle, progress
from headstart.card import model_card
from headstart.checkup import CheckUp, examine
from headstart.classifier import Classifier
from headstart.dataset import Dataset
from headstart.evaluation import Evaluation, evaluate
from headstart.fingerprints import fingerprint, seen_digests
from headstart.fixes import apply_fixes
from headstart.images import decode, read_bytes
from headstart.learning import Learned, learn
from headstart.plan import Times, times_of
from headstart.preparation import Prepared, data_warnings, prepare, read
from headstart.ranking.network import candidates_of, choose_network
from headstart.recipe import Recipe
from headstart.run import Run
from headstart.stopwatch import Stopwatch

Floats = npt.NDArray[np.float32]
_CHECK_UP = 0.1  # of the time that is left, at most


def fit(
    source: str | os.PathLike[str] | Dataset,
    recipe: Recipe | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    device: str = "auto",
    time_limit: float | None = None,
    fixes: str | os.PathLike[str] | None = None,
) -> Run:
    """Train a classifier from labelled images.

    Args:
        source: A folder with one folder a class, a folder with train/validation/test folders, a CSV
            file, a zip of any of these, or what `read_dataset` gave.
        recipe: The choices; `Recipe()` where it is left out.
        out: Where to save the bundle; None saves nothing.
        device: `auto`, `cpu` or `gpu`.
        time_limit: Seconds. What the recipe leaves open is chosen so that the run ends by then.
            Images not reached are left out, and listed; fine-tuning stops. Running again goes on
            from there. Without it, what is left open is planned for 60 seconds and 3 for every 100
            images, and nothing is left out.
        fixes: A list of fixes to apply first, as `CheckUp.write_fix_list` writes it.

    Raises:
        DatasetError: The data cannot be used.
        HeadstartError: A choice that does not exist, weights that are not here, a place that cannot
            be written.
    """
    recipe = recipe or Recipe()
    watch = Stopwatch()
    times_of(time_limit, watch.start)  # a wrong limit is told before any work
    if out is not None:
        bundle.check_target(Path(out))
    candidates, memory = candidates_of(recipe, device), None
    dataset = read(source, watch)
    if fixes is not None:
        dataset = apply_fixes(dataset, fixes)
    times = times_of(time_limit, watch.start, len(dataset.paths))
    if recipe.chooses:
        found = choose_network(dataset, recipe, candidates, times, watch)
        prefix, recipe, prepared = found.prefix, found.recipe, found.prepared
        choice, memory = found.details, found.memory
    else:
        ((prefix, recipe),) = candidates
        prepared, choice = prepare(dataset, recipe, prefix, times.deadline, watch), None
    checkup = _check_up(prepared, prefix.identity.image_size, recipe.seed, times, watch)
    learned = learn(prepared.material, prefix, recipe, times, watch)
    run = _finish(prepared, checkup, replace(learned, choice=choice), watch, out)
    if memory is not None and not run.interrupted:
        memory.remove()
    return run


def _check_up(
    prepared: Prepared, image_size: tuple[int, int], seed: int, times: Times, watch: Stopwatch
) -> CheckUp:
    """Look for what is wrong with the images, in a tenth of the time that is left."""
    with watch.stage("check-up"):
        now = time.monotonic()
        deadline = now + _CHECK_UP * max(0.0, times.until - now)
        return examine(prepared, min(image_size), Stopwatch(), seed=seed, deadline=deadline)


def _finish(
    prepared: Prepared,
    checkup: CheckUp,
    learned: Learned,
    watch: Stopwatch,
    out: str | os.PathLike[str] | None,
) -> Run:
    dataset, parts = prepared.dataset, learned.material.parts
    classifier = learned.classifier(dataset.class_names)
    with watch.stage("evaluate"), progress.stage("evaluate"):
        probabilities = {part: _answers(learned, classifier, part) for part in parts}
        evaluations = _evaluations(prepared, probabilities)
    run = Run(
        classifier=classifier,
        evaluation=evaluations["test"],
        validation=evaluations["validation"],
        train=evaluations["train"],
        recipe=learned.recipe,
        head=learned.fitted.details,
        choice=learned.choice,
        fine_tuning=None if learned.tuned is None else learned.tuned.details,
        files={part: _listed(dataset, rows) for part, rows in parts.items()},
        skipped=dataset.problems,
        warnings=data_warnings(prepared),
        checkup=checkup,
        seconds=watch.result(),
        bundle=None,
        computed=prepared.features.computed,
        contents=replace(
            _contents(prepared, learned, evaluations, probabilities["test"]),
            checkup=checkup.to_dict(),
        ),
    )
    if out is not None:
        with watch.stage("save"), progress.stage("save"):
            path = run.save(out)
        run = replace(run, bundle=path, seconds=watch.result())
    learned.remove_checkpoints()
    return run


def _evaluations(prepared: Prepared, probabilities: Mapping[str, Floats]) -> dict[str, Evaluation]:
    dataset, parts = prepared.dataset, prepared.material.parts
    return {
        part: evaluate(
            answers,
            dataset.labels[parts[part]],
            dataset.class_names,
            train_labels=dataset.labels[prepared.split.train],
        )
        for part, answers in probabilities.items()
    }


def _answers(learned: Learned, classifier: Classifier, part: str) -> Floats:
    """Class probabilities of a part, as the classifier will give them."""
    if learned.recipe.views == 1:
        return classifier.head.probabilities(learned.features(part))
    material = learned.material
    return classifier.predict_proba([material.images[row] for row in material.parts[part]])


def _listed(dataset: Dataset, rows: npt.NDArray[np.int64]) -> tuple[tuple[Path, str], ...]:
    return tuple((dataset.paths[row], dataset.class_names[dataset.labels[row]]) for row in rows)


def _contents(
    prepared: Prepared,
    learned: Learned,
    evaluations: dict[str, Evaluation],
    probabilities: Floats,
) -> bundle.Contents:
    dataset, split, digests = prepared.dataset, prepared.split, prepared.features.digests
    names = [dataset.class_names[label] for label in dataset.labels]
    size = learned.prefix.identity.image_size
    example = decode(read_bytes(dataset.paths[int(split.test[0])]), size, learned.recipe.resize)
    seen = np.concatenate([split.train, split.validation])
    data: dict[str, Any] = {
        "name": dataset.name,
        "fingerprint": fingerprint(digests, names),
        "images": {part: len(rows) for part, rows in learned.material.parts.items()},
        "skipped": len(dataset.problems),
    }
    backbone = learned.prefix.backbone
    info = None if backbone is None else backbone.info
    return bundle.Contents(
        recipe=learned.recipe,
        data=data,
        metrics={name: one.to_dict() for name, one in evaluations.items()},
        card=model_card(dataset, learned.recipe, evaluations["test"], data, info),
        example=example.pixels,
        expected={
            name: float(value)
            for name, value in zip(dataset.class_names, probabilities[0], strict=True)
        },
        seen=seen_digests([digests[index] for index in seen]),
        fine_tuning=None if learned.tuned is None else learned.tuned.details,
        choice=learned.choice,
    )
