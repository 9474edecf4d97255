"""Fine-tuning from images to a bundle, with the backbone `tiny`."""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from tiny_run import RECIPE, fresh_cache, trained
from tiny_tuning import same

import headstart
from headstart import progress
from headstart.errors import HeadstartError
from headstart.evaluation import evaluate
from headstart.frameworks import without_retracing_remarks
from headstart.prefix import Prefix
from headstart.recipe import Recipe
from headstart.reference import unit_length
from headstart.run import Run
from headstart.training import fit
from headstart.tuning import Tuning

TUNED = replace(
    RECIPE,
    unfreeze="block3",
    kept_views=1,
    augment="light",
    tuning=Tuning(epochs=2, learning_rate=0.003, batch_size=16, label_smoothing=0, dropout=0),
)
LAYERS = [f"block{number}_{kind}" for number in (1, 2, 3) for kind in ("conv", "bn")]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return fresh_cache(monkeypatch, tmp_path / "cache")


@dataclass(frozen=True)
class Result:
    run: Run
    bundle: Path
    cache: Path


@functools.cache
def tuned(unfreeze: int | str) -> Result:
    """A fine-tuned classifier, made once in a cache of its own."""
    place = trained().cache.parent / f"tuned-{unfreeze}"
    with pytest.MonkeyPatch.context() as patch:
        fresh_cache(patch, place / "cache")
        run = fit(trained().photos, replace(TUNED, unfreeze=unfreeze), out=place / "bundle")
    return Result(run, place / "bundle", place / "cache")


def test_what_it_needs_to_be_worth_testing() -> None:
    details = tuned("block3").run.fine_tuning
    assert details is not None
    assert 0 < details["share"] <= 1
    assert details["after"]["accuracy"] >= details["before"]["accuracy"]
    assert not same(weights(tuned("block3").run), weights(tuned("all").run))


@pytest.mark.parametrize(
    ("unfreeze", "moved", "cut"),
    [
        ("block3", LAYERS[4:], "block2_relu"),
        (6, LAYERS[2:], "block1_relu"),
        ("block", LAYERS[2:], "block1_relu"),
        ("all", LAYERS, "image"),
    ],
)
def test_what_moved(unfreeze: int | str, moved: list[str], cut: str) -> None:
    run = tuned(unfreeze).run
    details = run.fine_tuning
    assert details is not None
    assert (details["depth"], details["cut"]) == (str(unfreeze), cut)
    assert details["moved"] == moved
    assert not set(moved) & set(details["frozen"])
    assert len(details["history"]) == details["epochs"] <= details["planned_epochs"] == 2
    assert run.recipe == replace(
        TUNED, unfreeze=unfreeze, image_size=(32, 32), head="linear", class_weight="none"
    )


@pytest.mark.parametrize("unfreeze", ["block3", "all"])
def test_evaluation_equals_prediction(unfreeze: str) -> None:
    result = tuned(unfreeze)
    run = result.run
    classifiers = [run.classifier, headstart.load(result.bundle)]
    paths = [path for path, _ in run.files["test"]]
    labels = np.array([run.classifier.class_names.index(name) for _, name in run.files["test"]])
    first, second = (one.predict_proba(paths) for one in classifiers)
    assert first.tobytes() == second.tobytes()
    again = evaluate(first, labels, run.classifier.class_names)
    assert again.accuracy == run.evaluation.accuracy
    assert again.log_loss == run.evaluation.log_loss


PREDICT = """
import sys, headstart
from pathlib import Path
paths = [Path(name) for name in sys.argv[2:]]
print(headstart.load(sys.argv[1]).predict_proba(paths).tobytes().hex())
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"keras", "tensorflow"}))
"""


@pytest.mark.parametrize("unfreeze", ["block3", "all"])
def test_the_bundle_predicts_without_keras(unfreeze: str) -> None:
    result = tuned(unfreeze)
    paths = trained().paths[::9]
    command = [sys.executable, "-c", PREDICT, str(result.bundle), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    printed, loaded = done.stdout.splitlines()
    assert bytes.fromhex(printed) == result.run.classifier.predict_proba(paths).tobytes()
    assert loaded == ""


def weights(run: Run) -> dict[str, np.ndarray]:
    suffix = run.classifier.prefix.suffix
    assert suffix is not None
    return {**suffix.weights, **run.classifier.head.arrays()}


def test_the_same_seed_gives_the_same_weights_from_kept_features(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tuned("block3").cache))
    monkeypatch.setattr(Prefix, "open", lambda *_: pytest.fail("an engine was started"))
    again = fit(trained().photos, TUNED)
    assert again.computed == 0
    assert same(weights(again), weights(tuned("block3").run))
    other = fit(trained().photos, replace(TUNED, tuning=replace(TUNED.tuning, learning_rate=0.002)))
    assert not same(weights(other), weights(again))


def test_nothing_is_left_of_a_run_that_has_ended() -> None:
    assert list((tuned("block3").cache / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("unfreeze", "message"),
    [
        (1, r"Nothing in the last 1 layers of 'tiny' can learn: block3_relu\. Expected a layer"),
        ("block3_relu", r"Nothing in 'block3_relu' .* at least 2 layers, from 'block3_bn' on"),
        (11, r"The last 11 layers of 'tiny' cannot be unfrozen"),
        ("block4", r"no layer whose name begins with 'block4'"),
    ],
)
def test_what_cannot_be_unfrozen(
    unfreeze: int | str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart.training.read", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(HeadstartError, match=message):
        fit(trained().photos, replace(TUNED, unfreeze=unfreeze))


def at_rate(rate: float, epochs: int) -> Recipe:
    tuning = replace(TUNED.tuning, learning_rate=rate, epochs=epochs)
    return replace(TUNED, augment="none", tuning=tuning)


def test_what_is_not_better_is_not_kept() -> None:
    messages: list[str] = []
    with progress.listen(lambda event: messages.append(event.message)):
        run = fit(trained().photos, at_rate(0.03, 2))
    assert run.recipe.unfreeze == 0
    assert run.fine_tuning is not None
    assert run.fine_tuning["share"] == 0
    assert run.classifier.prefix.suffix is None
    frozen = trained().run
    assert run.evaluation.log_loss == frozen.evaluation.log_loss
    assert same(run.classifier.head.arrays(), frozen.classifier.head.arrays())
    assert any("not better on validation than frozen features" in one for one in messages)


def test_a_learning_rate_that_never_works_keeps_the_frozen_network() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.finetune.loop._RETRIES", 1)
        run = fit(trained().photos, at_rate(1.0, 2))
    details = run.fine_tuning
    assert details is not None
    assert (details["stopped"], details["share"], details["moved"]) == ("diverged", 0, [])
    assert (run.recipe.unfreeze, run.classifier.prefix.suffix) == (0, None)
    assert details["after"] == details["before"]


FIT = """
import json, sys
from headstart import training
from headstart.recipe import recipe_from_dict
run = training.fit(sys.argv[1], recipe_from_dict(json.loads(sys.argv[2])), out=sys.argv[3])
print("interrupted" if run.interrupted else "ended")
"""
SLOW = """
import time
from headstart.finetune.learner import Learner
step = Learner.step
def slow(*given):
    time.sleep(0.05)
    return step(*given)
Learner.step = slow
"""


def start(recipe: Recipe, bundle: Path, code: str) -> subprocess.Popen[str]:
    arguments = [str(trained().photos), json.dumps(recipe.to_dict()), str(bundle)]
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_checkpoint(cache: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(6000):
        if process.poll() is not None or list((cache / "runs").glob("*/*.safetensors")):
            break
        time.sleep(0.01)
    assert process.poll() is None


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again(cache: Path, tmp_path: Path) -> None:
    with start(TUNED, tmp_path / "bundle", SLOW + FIT) as process:
        wait_for_checkpoint(cache, process)
        process.kill()
    assert not (tmp_path / "bundle").exists()
    messages: list[str] = []
    with progress.listen(lambda event: messages.append(event.message)):
        run = fit(trained().photos, TUNED, out=tmp_path / "bundle")
    assert any(one.startswith("going on after epoch ") for one in messages)
    assert same(weights(run), weights(tuned("block3").run))
    assert list((cache / "runs").iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_interrupted_in_the_middle(cache: Path, tmp_path: Path) -> None:
    with start(TUNED, tmp_path / "bundle", SLOW + FIT) as process:
        wait_for_checkpoint(cache, process)
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate(timeout=120)
    assert (printed, process.returncode) == ("interrupted\n", 0), told
    answer = headstart.load(tmp_path / "bundle").predict_proba(trained().paths[:3])
    assert answer.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    run = fit(trained().photos, TUNED, out=tmp_path / "bundle")
    assert not run.interrupted
    assert same(weights(run), weights(tuned("block3").run))


def test_remarks_on_retracing_are_kept_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("tensorflow")
    before = list(logger.filters)
    monkeypatch.setattr(logger, "propagate", True)
    with caplog.at_level(logging.WARNING, "tensorflow"):
        with without_retracing_remarks():
            logger.warning("5 out of the last 5 calls to %s triggered tf.function retracing.", "x")
            logger.warning("something else")
        logger.warning("6 out of 6 triggered tf.function retracing.")
    assert logger.filters == before
    assert [one.message for one in caplog.records] == [
        "something else",
        "6 out of 6 triggered tf.function retracing.",
    ]


def test_what_a_fine_tuned_network_knows_of_its_answers() -> None:
    run = tuned("block3").run
    assert run.fine_tuning is not None
    assert run.trust["calibration"]["temperature"] == run.fine_tuning["after"]["temperature"]
    decision, reference = run.classifier.decision, run.classifier.reference
    assert decision is not None
    assert (decision.source, decision.images) == ("validation", (2, 2, 2))
    assert (decision.by_energy, decision.unknown_beyond) == (0.0, None)  # of six images
    assert reference is not None
    paths = [trained().photos / name for name in reference.names]
    assert set(paths) == {path for path, _ in run.files["train"]}
    expected = unit_length(run.classifier.embed(paths))
    np.testing.assert_allclose(reference.features, expected, atol=2e-3)
    frozen = trained().run.classifier.reference
    assert frozen is not None
    assert not np.allclose(reference.features, frozen.features, atol=2e-3)
