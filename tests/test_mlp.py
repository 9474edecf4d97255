from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from feature_rows import make_data, make_rows
from test_heads import digest

from headstart.errors import HeadstartError
from headstart.heads import Head, HeadFit, TrainingData, fit_head
from headstart.heads import mlp as module
from headstart.heads.data import row_weights
from headstart.metrics import log_loss


def fit(data: TrainingData, **options: Any) -> HeadFit:
    return fit_head("mlp", data, **options)


def model_of(head: Head) -> Any:
    """The tutorial's network in Keras with the weights of the head."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((head.width,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(head.num_classes, activation="softmax"),
        ]
    )
    model.set_weights([array for layer in head.layers for array in layer])
    return model


def validation_loss(head: Head, data: TrainingData) -> float | None:
    assert data.validation_features is not None
    assert data.validation_labels is not None
    return log_loss(head.probabilities(data.validation_features), data.validation_labels)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return make_data([30, 30, 30], 20, noise=2.0, validation=10)


@pytest.fixture(scope="module")
def fitted(data: TrainingData) -> HeadFit:
    return fit(data, seed=4)


def test_bit_for_bit(data: TrainingData, fitted: HeadFit) -> None:
    again = fit(data, seed=4)
    assert digest(again) == digest(fitted)
    assert again.details == fitted.details
    assert digest(fit(data, seed=5)) != digest(fitted)


def test_the_same_as_keras(fitted: HeadFit) -> None:
    features, _ = make_rows([20] * 3, 20, seed=8, kind=np.float32)
    expected = model_of(fitted.head).predict_on_batch(features)
    np.testing.assert_allclose(fitted.head.probabilities(features), expected, atol=1e-5)
    assert (fitted.head.kind, len(fitted.head.layers)) == ("mlp", 2)


def test_it_stops_when_the_loss_no_longer_falls(data: TrainingData, fitted: HeadFit) -> None:
    details = fitted.details
    losses = details["validation_loss"]
    assert details["epochs"] == details["best_epoch"] + module.PATIENCE < module.EPOCHS
    assert len(losses) == len(details["train_loss"]) == details["epochs"]
    assert details["best_epoch"] == 1 + losses.index(min(losses))
    assert validation_loss(fitted.head, data) == pytest.approx(min(losses), rel=1e-5)
    assert details["train_loss"][-1] < details["train_loss"][0]


def test_the_best_epoch_is_kept_where_it_does_not_stop_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "EPOCHS", 6)
    monkeypatch.setattr(module, "PATIENCE", 6)
    monkeypatch.setattr(module, "LEARNING_RATE", 0.01)
    data = make_data([30, 30, 30], 20, noise=5.0, validation=10)  # so that it soon gets worse
    found = fit(data)
    losses = found.details["validation_loss"]
    assert found.details["epochs"] == 6
    assert losses[-1] > 1.01 * min(losses)
    assert validation_loss(found.head, data) == pytest.approx(min(losses), rel=1e-5)


def test_without_a_validation_part(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EPOCHS_UNWATCHED", 3)
    alone = replace(data, validation_features=None, validation_labels=None)
    details = fit(alone).details
    assert (details["epochs"], details["best_epoch"], details["validation_loss"]) == (3, 3, [])
    empty = replace(
        data, validation_features=np.empty((0, 20), np.float16), validation_labels=data.labels[:0]
    )
    assert fit(empty).details == details


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch in which nothing is learnt."""
    monkeypatch.setattr(module, "LEARNING_RATE", 0.0)
    monkeypatch.setattr(module, "EPOCHS_UNWATCHED", 1)


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_class_weights_reach_the_loss(class_weight: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DROPOUT", 0.0)
    unbalanced = make_data([50, 10], 10)
    found = fit(unbalanced, class_weight=class_weight)
    answers = found.head.probabilities(unbalanced.features)
    losses = -np.log(answers[np.arange(60), unbalanced.labels])
    weights = row_weights(unbalanced.labels, unbalanced.counts, class_weight)
    (loss,) = found.details["train_loss"]
    assert loss == pytest.approx(float((losses * weights).mean()), rel=1e-4)
    assert found.details["class_weight"] == class_weight


@pytest.mark.usefixtures("still")
def test_dropout_is_at_work_in_training(data: TrainingData) -> None:
    alone = replace(data, validation_features=None, validation_labels=None)
    found = fit(alone)
    loss = log_loss(found.head.probabilities(data.features), data.labels)
    (with_dropout,) = found.details["train_loss"]
    assert loss is not None
    assert abs(with_dropout - loss) > 0.01 * loss


def test_every_epoch_sees_each_image_once_in_another_order(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[list[int]] = []
    step = module._Training._step

    def watched(self: Any, rows: Any) -> float:
        batches.append(rows.tolist())
        return step(self, rows)

    monkeypatch.setattr(module._Training, "_step", watched)
    monkeypatch.setattr(module, "EPOCHS", 2)
    fit(data)
    assert [len(batch) for batch in batches] == [32, 32, 26, 32, 32, 26]
    for epoch in (batches[:3], batches[3:]):
        assert sorted(row for batch in epoch for row in batch) == list(range(90))
        assert epoch[0] != list(range(32))
    assert batches[0] != batches[3]


def test_no_random_state_is_disturbed(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    monkeypatch.setattr(module, "EPOCHS", 1)

    def draw() -> list[float]:
        drawn = [random.random(), np.random.random()]
        return [*drawn, float(keras.random.uniform(())), float(keras.random.normal(()))]

    keras.utils.set_random_seed(1)
    expected = draw()
    keras.utils.set_random_seed(1)
    fit(data)
    assert draw() == expected


def test_the_users_random_state_has_no_say(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    monkeypatch.setattr(module, "EPOCHS", 1)
    found = []
    for seed, policy in ((1, "float32"), (2, "mixed_bfloat16")):
        keras.utils.set_random_seed(seed)
        keras.config.set_dtype_policy(policy)
        try:
            found.append(digest(fit(data)))
        finally:
            keras.config.set_dtype_policy("float32")
    assert found[0] == found[1]


@pytest.mark.parametrize("part", ["features", "validation_features"])
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_features_that_are_not_finite(data: TrainingData, part: str, bad: float) -> None:
    broken: Any = getattr(data, part).copy()
    broken[3] = bad
    with pytest.raises(HeadstartError, match=r"Features of 1 images are not finite numbers"):
        fit(replace(data, **{part: broken}))


def test_a_loss_that_is_not_finite(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEARNING_RATE", 1e30)
    with pytest.raises(HeadstartError, match=r"loss of the mlp head is not finite\. Expected it"):
        fit(data)


def test_it_generalises(fitted: HeadFit) -> None:
    features, labels = make_rows([100] * 3, 20, noise=2.0, seed=9)
    assert (fitted.head.probabilities(features).argmax(axis=1) == labels).mean() > 0.65
