"""Suffix and head as one network: what learns, what stays, and that nothing depends on chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from tiny_tuning import CLASSES, SIZE, TUNING, learner, random_head, same, tiny_cut, tiny_model

from headstart.finetune.learner import Learner
from headstart.suffix import read_weights

UNFROZEN = {
    2: {"block3_bn"},
    3: {"block3_conv", "block3_bn"},
    "block2": {"block2_conv", "block2_bn", "block3_conv", "block3_bn"},
    "all": {f"block{number}_{kind}" for number in (1, 2, 3) for kind in ("conv", "bn")},
}


def some_inputs(made: Learner, count: int = 8) -> Any:
    shape = made.cut.suffix.inputs[0].shape[1:]
    values = np.random.default_rng(0).uniform(
        0, 255 if len(shape) == 3 and shape[-1] == 3 else 4, (count, *shape)
    )
    return values.astype(made.cut.suffix.inputs[0].dtype)


def take_steps(made: Learner, count: int = 2, rate: float = 1e-2) -> list[float]:
    inputs = some_inputs(made)
    targets = np.eye(CLASSES, dtype=np.float32)[np.arange(8) % CLASSES]
    return [made.step(inputs, targets, np.ones(8, np.float32), rate) for _ in range(count)]


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("unfreeze", list(UNFROZEN))
def test_before_training_it_answers_as_the_whole_network(unfreeze: int | str, kind: str) -> None:
    cut, model, head = tiny_cut(unfreeze), tiny_model(), random_head(kind)
    made = Learner(cut, head, TUNING, 0)
    images = np.random.default_rng(1).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8)
    features = np.asarray(model(images, training=False))
    assert np.array_equal(np.asarray(cut.suffix(cut.prefix(images))), features)
    got = made.probabilities(np.asarray(cut.prefix(images)))
    np.testing.assert_allclose(got, head.probabilities(features), atol=2e-6)
    assert all(map(np.array_equal, made.head().arrays().values(), head.arrays().values()))


@pytest.mark.parametrize("unfreeze", list(UNFROZEN))
def test_only_what_is_unfrozen_moves(unfreeze: int | str) -> None:
    made = learner(unfreeze=unfreeze)
    frozen = read_weights(made.cut.prefix)
    before = made.weights()
    take_steps(made)
    after = made.weights()
    moved = {
        name.rpartition("/")[0] for name in before if not np.array_equal(before[name], after[name])
    }
    assert set(made.learns) == UNFROZEN[unfreeze]
    assert {name for name in moved if "head" not in name} == UNFROZEN[unfreeze]
    assert any("head" in name for name in moved)
    assert same(read_weights(made.cut.prefix), frozen)
    statistics = [name for name in before if name.endswith(("_bn/2", "_bn/3"))]
    assert len(statistics) >= 2
    assert all(before[name].tobytes() == after[name].tobytes() for name in statistics)


def test_batch_norm_uses_what_it_knows_in_training_too() -> None:
    made = learner(replace(TUNING, dropout=0, label_smoothing=0))
    inputs = some_inputs(made)
    targets = made.probabilities(inputs)
    loss = made.step(inputs, targets, np.ones(8, np.float32), 0.0)
    assert loss == pytest.approx(float(-(targets * np.log(targets)).sum(axis=1).mean()), rel=1e-5)


def test_a_state_holds_all_that_the_next_step_depends_on() -> None:
    made = learner(replace(TUNING, dropout=0.5))
    take_steps(made)
    state = made.state()
    losses, weights = take_steps(made, 3), made.weights()
    other = learner(replace(TUNING, dropout=0.5))
    for one in (made, other):
        one.set_state(state)
        assert take_steps(one, 3) == losses
        assert same(one.weights(), weights)
    assert len(set(losses)) == 3


def test_a_state_does_not_change_with_the_network() -> None:
    made = learner()
    state = made.state()
    copies = [one.copy() for one in state]
    take_steps(made)
    assert all(map(np.array_equal, state, copies))


@pytest.mark.parametrize("change", ["shape", "fewer", "more"])
def test_a_state_of_another_network(change: str) -> None:
    made = learner()
    before = made.state()
    wrong = [one + 1 for one in before]
    if change == "shape":
        wrong[-1] = np.zeros((3, 3, 3))
    wrong = wrong[1:] if change == "fewer" else wrong * (2 if change == "more" else 1)
    with pytest.raises(ValueError, match="another network"):
        made.set_state(wrong)
    assert all(map(np.array_equal, made.state(), before))


def test_weights_go_back_and_forth() -> None:
    made = learner()
    start, inputs = made.weights(), some_inputs(made)
    first = made.probabilities(inputs)
    take_steps(made)
    assert not np.array_equal(made.probabilities(inputs), first)
    made.set_weights(start)
    assert same(made.weights(), start)
    assert np.array_equal(made.probabilities(inputs), first)


@pytest.mark.parametrize("decay", [1.0, 0.1])
def test_deeper_layers_make_smaller_steps(decay: float) -> None:
    tuning = replace(TUNING, layer_decay=decay, weight_decay=0, clip_norm=0)
    made = learner(tuning, unfreeze="all")
    before = made.weights()
    take_steps(made, 1, rate=1e-3)
    after = made.weights()
    steps = [
        float(np.abs(after[f"{name}/0"] - before[f"{name}/0"]).max())
        for name in ("block1_conv", "block2_conv", "block3_conv")
    ]
    # The first step of Adam is the learning rate; tiny's only end of a block is behind block1.
    assert steps == pytest.approx([1e-3 * decay, 1e-3, 1e-3], rel=0.02)


def test_the_optimisers() -> None:
    def after(**choices: Any) -> Any:
        made = learner(replace(TUNING, dropout=0, **choices))
        take_steps(made)
        return made.weights()

    adam = after(optimizer="adam")
    assert same(adam, after(optimizer="adam", weight_decay=1))
    assert same(adam, after(weight_decay=0))
    decayed = after(weight_decay=1)
    assert not same(adam, decayed)
    name = next(name for name in adam if "head" in name and name.endswith("/1"))
    untouched = learner(replace(TUNING, dropout=0, weight_decay=10))
    untouched_before = untouched.weights()[name]
    take_steps(untouched, 1, rate=1e-3)
    assert np.abs(untouched.weights()[name] - untouched_before).max() < 1.1e-3  # no decay of biases


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_gradients_are_clipped(layer_decay: float) -> None:
    made = learner(
        replace(TUNING, clip_norm=1e-12, weight_decay=0, layer_decay=layer_decay), unfreeze="all"
    )
    before = made.weights()
    take_steps(made, 1, rate=1e-3)
    moves = [np.abs(one - before[name]).max() for name, one in made.weights().items()]
    assert 0 < max(moves) < 1e-6  # epsilon of Adam outweighs such gradients


def test_dropout_is_for_training_alone() -> None:
    made = learner(replace(TUNING, dropout=0.9))
    inputs = some_inputs(made)
    assert np.array_equal(made.probabilities(inputs), made.probabilities(inputs))
    assert len(set(take_steps(made, 3, rate=0.0))) == 3
    assert len(set(take_steps(learner(replace(TUNING, dropout=0)), 3, rate=0.0))) == 1


def test_the_seed_fixes_dropout() -> None:
    made = [Learner(tiny_cut(), random_head(), TUNING, seed) for seed in (1, 1, 2)]
    losses = [take_steps(one, 2) for one in made]
    assert losses[0] == losses[1] != losses[2]


def test_an_mlp_head_learns_whole() -> None:
    made = learner(kind="mlp")
    before = made.head()
    take_steps(made)
    after = made.head()
    assert (after.kind, len(after.layers)) == ("mlp", 2)
    assert not any(map(np.array_equal, before.arrays().values(), after.arrays().values()))


@pytest.mark.parametrize("count", [1, 63, 64])
def test_the_number_of_images_does_not_matter(count: int) -> None:
    made = learner()
    inputs = some_inputs(made, 64)
    assert np.array_equal(made.probabilities(inputs[:count]), made.probabilities(inputs)[:count])


@pytest.fixture
def mixed() -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def test_float32_whatever_policy_the_caller_has(mixed: None) -> None:
    made = learner(replace(TUNING, layer_decay=0.5), unfreeze="all")
    losses = take_steps(made)
    state = [one.dtype for one in made.state()]
    assert np.float16 not in state
    keras.config.set_dtype_policy("float32")
    usual = learner(replace(TUNING, layer_decay=0.5), unfreeze="all")
    assert take_steps(usual) == losses
    assert same(usual.weights(), made.weights())
