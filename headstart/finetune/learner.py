"""The network that learns: the suffix of a cut with dropout and head behind it, as a Keras model.

Batch norm of the backbone stays in inference mode: scale and shift learn where it is unfrozen, mean
and variance never change. Logits come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.backbones.settings import own_settings
from headstart.cut import Cut, call_with
from headstart.depth import block_ends
from headstart.finetune.norm import inference_norm
from headstart.frameworks import load_keras
from headstart.heads import Head
from headstart.heads.head import Floats, softmax
from headstart.suffix import read_weights, write_weights
from headstart.tuning import Tuning

BATCH = 64  # images that are judged at once
HEAD = "headstart_head_"  # how the names of its layers begin; no backbone has such
Arrays = dict[str, npt.NDArray[np.float32]]


class Learner:
    """Suffix and head, trained together.

    Args:
        cut: Where the backbone is split, and which of the layers behind it learn.
        head: What the head starts from.
        tuning: Optimiser, dropout and losses.
        seed: Fixes the dropout.

    Attributes:
        learns: The layers of the suffix that have weights which learn.
        stays: Those of the suffix that have weights which do not.
        fixed: The weights of layers that learn which do not: the statistics of batch norm.
    """

    def __init__(self, cut: Cut, head: Head, tuning: Tuning, seed: int) -> None:
        self.cut, self.kind = cut, head.kind
        self.learns, self.stays = freeze_but(cut.suffix, cut.learns)
        self.fixed = _fixed(cut.suffix, self.learns)
        self._dense: list[Any] = []
        with own_settings():
            self._model = self._built(head, tuning, seed)
            self._optimizers = _compile(self._model, tuning, _groups(cut.suffix, self.learns))

    def _built(self, head: Head, tuning: Tuning, seed: int) -> Any:
        keras = load_keras()
        given = self.cut.suffix.inputs[0]
        inputs = keras.Input(given.shape[1:], dtype=given.dtype, name=f"{HEAD}input")
        norms = _learning_norms(self.cut.suffix)
        x = call_with(self.cut.suffix, inputs, {one.name: inference_norm(one) for one in norms})
        for number, (_, bias) in enumerate(head.layers):
            last = number == len(head.layers) - 1
            if last:
                x = keras.layers.Dropout(tuning.dropout, seed=seed, name=f"{HEAD}dropout")(x)
            activation = None if last else "relu"
            dense = keras.layers.Dense(
                len(bias), activation, dtype="float32", name=f"{HEAD}{number}"
            )
            x = dense(x)
            self._dense.append(dense)
        for dense, layer in zip(self._dense, head.layers, strict=True):
            dense.set_weights(layer)
        return keras.Model(inputs, x)

    def step(self, inputs: Any, targets: Floats, weights: Floats, learning_rate: float) -> float:
        """Learn from one batch; gives its loss.

        Args:
            inputs: What the suffix takes, (n, ...).
            targets: Probabilities wanted, (n, classes).
            weights: Of each image in the loss, (n,).
            learning_rate: Of this step.
        """
        for optimizer, factor in self._optimizers:
            optimizer.learning_rate = learning_rate * factor
        loss = self._model.train_on_batch(inputs, targets, sample_weight=weights)
        return float(np.ravel(loss)[0])

    def probabilities(self, inputs: Any) -> Floats:
        """Class probabilities (n, classes) of at most 64 images."""
        count = len(inputs)
        if count < BATCH:  # one shape, compiled once
            padding = np.repeat(inputs[-1:], BATCH - count, axis=0)
            inputs = np.concatenate([inputs, padding])
        return softmax(np.asarray(self._model.predict_on_batch(inputs), np.float32)[:count])

    def weights(self) -> Arrays:
        """Everything that may have changed: suffix and head, by name."""
        return read_weights(self.cut.suffix) | {
            f"{dense.name}/{number}": np.array(value, np.float32)
            for dense in self._dense
            for number, value in enumerate(dense.get_weights())
        }

    def set_weights(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Go to weights that `weights` gave."""
        write_weights(self.cut.suffix, weights)
        for dense in self._dense:
            dense.set_weights([weights[f"{dense.name}/{number}"] for number in (0, 1)])

    def divide_logits(self, temperature: float) -> None:
        """Make the answers as sure as they should be; which class is first stays the same."""
        weights, bias = self._dense[-1].get_weights()
        self._dense[-1].set_weights([weights / temperature, bias / temperature])

    def head(self) -> Head:
        """The head as it is now."""
        layers = [tuple(np.array(one, np.float32) for one in d.get_weights()) for d in self._dense]
        kind = "linear" if self.kind == "prototype" else self.kind  # no class means any more
        return Head(kind, tuple((weights, bias) for weights, bias in layers))

    def state(self) -> list[npt.NDArray[Any]]:
        """All that the next step depends on: weights, optimiser, and the dropout's random state."""
        return [np.asarray(value) for value in self._variables()]

    def set_state(self, values: Sequence[npt.NDArray[Any]]) -> None:
        """Go to a state that `state` gave.

        Raises:
            ValueError: It is that of another network; nothing has changed.
        """
        variables = self._variables()
        if [one.shape for one in values] != [tuple(one.shape) for one in variables]:
            raise ValueError("the state of another network")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._model.optimizer.variables]


def freeze_but(model: Any, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Let the layers with these names learn, and no other.

    Batch norm among them must be called as `inference_norm`, or its statistics would learn too.
    Batch norm inside another layer stays frozen altogether.

    Returns:
        The names of the layers that learn, and of those that do not, of all that have weights.
    """
    norm = load_keras().layers.BatchNormalization
    model.trainable = True  # a frozen parent would freeze all inside
    learns: list[str] = []
    stays: list[str] = []
    for layer in model.layers:
        layer.trainable = layer.name in names
        for inner in layer._flatten_layers(include_self=False):
            if isinstance(inner, norm):
                inner.trainable = False
        if layer.weights:
            (learns if layer.trainable_weights else stays).append(layer.name)
    return tuple(learns), tuple(stays)


def _learning_norms(suffix: Any) -> list[Any]:
    norm = load_keras().layers.BatchNormalization
    return [one for one in suffix.layers if isinstance(one, norm) and one.trainable]


def _fixed(suffix: Any, learns: Sequence[str]) -> frozenset[str]:
    """Names of the weights that do not learn, of layers that do."""
    return frozenset(
        f"{layer.name}/{number}"
        for layer in suffix.layers
        if layer.name in learns
        for number, weight in enumerate(layer.weights)
        if not any(weight is one for one in layer.trainable_weights)
    )


def _groups(suffix: Any, learns: Sequence[str]) -> dict[int, int]:
    """How many blocks lie between each weight that learns, by its id, and the output."""
    ends = [end.layers_after for end in block_ends(suffix)]
    total = len(suffix.layers)
    return {
        id(weight): sum(total - number > after for after in ends)
        for number, layer in enumerate(suffix.layers)
        if layer.name in learns
        for weight in layer.trainable_weights
    }


def _compile(model: Any, tuning: Tuning, groups: dict[int, int]) -> list[tuple[Any, float]]:
    """Compile the model; gives its optimisers, each with its factor on the learning rate."""
    keras = load_keras()
    if tuning.layer_decay == 1 or not groups or max(groups.values()) == 0:
        optimizer = _optimizer(tuning)
        parts = [(optimizer, 1.0)]
    else:
        by_depth = {depth: _optimizer(tuning) for depth in range(max(groups.values()) + 1)}

        def choose(variable: Any) -> Any:
            return by_depth[groups.get(id(variable), 0)]

        optimizer = keras.optimizers.MultiOptimizer(choose)
        parts = [(one, tuning.layer_decay**depth) for depth, one in by_depth.items()]
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=tuning.label_smoothing
    )
    model.compile(optimizer, loss, jit_compile=False)
    optimizer.build(model.trainable_variables)
    return parts


def _optimizer(tuning: Tuning) -> Any:
    optimizers = load_keras().optimizers
    if tuning.optimizer == "adam":
        return optimizers.Adam(1e-3, global_clipnorm=tuning.clip_norm or None)
    made = optimizers.AdamW(
        1e-3, weight_decay=tuning.weight_decay, global_clipnorm=tuning.clip_norm or None
    )
    made.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return made
