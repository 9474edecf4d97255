"""What mistakes of the plain tutorial cost, with EfficientNet-Lite0 at 224 on ants and bees.

    python benchmarks/tutorial_mistakes.py FOLDER

Pixels: test accuracy of a linear head on frozen features by what the pixels are scaled to. Batch
norm: from a fitted head, the last 20 layers learn for 3 epochs in plain Keras (Adam, constant rate,
kept features), as Keras does it (training mode) or by `headstart.unfreeze` (inference mode); test
accuracy and log loss, mean over seeds. Recompile: arrays that move in a second `fit`.
2026-11, two cores, shared: about 3 minutes. 245 images to learn from, 153 to test on. Pixels:
(x - 127) / 128 0.954, 0..1 0.928, 0..255 0.752. Batch norm: before 0.954 (log loss 0.165); training
and inference mode, batch 32 at 1e-5 0.941 (0.176) and 0.951 (0.184), batch 4 at 1e-5 0.889 (0.238)
and 0.931 (0.216), batch 32 at 1e-3 0.931 (0.384) and 0.804 (0.807). Recompile: 0 and 7 of 7 arrays.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

import headstart
from headstart.frameworks import load_keras
from headstart.heads import TrainingData, fit_head
from headstart.heads.head import softmax
from headstart.images import decode, read_bytes

SIZE, BACKBONE = (224, 224), "efficientnet_lite0"
PIXELS = {"(x - 127) / 128": (1 / 128, -127 / 128), "0..1": (1 / 255, 0), "0..255": (1, 0)}
SETTINGS, SEEDS = ((32, 1e-5), (4, 1e-5), (32, 1e-3)), range(2)  # batch size, learning rate


def fit_linear(features: Any, labels: Any) -> Any:
    """A linear head for two classes."""
    return fit_head("linear", TrainingData(features, labels, 2), seed=0).head


def pixels(network: Any, paths: Any, labels: Any, test: Any) -> dict[str, float]:
    """Test accuracy by what is done to the pixels."""
    behind = headstart.cut_at(network, "preprocess").suffix
    images = np.stack([decode(read_bytes(one), SIZE, "squash").pixels for one in paths])
    found = {}
    for name, (scale, shift) in PIXELS.items():
        scaled = images * np.float32(scale) + np.float32(shift)
        features = behind.predict(scaled, batch_size=64, verbose=0)
        answers = fit_linear(features[~test], labels[~test]).logits(features[test]).argmax(axis=1)
        found[name] = float((answers == labels[test]).mean())
    return found


class Loop:
    """The suffix with a fitted head, as a plain Keras model on kept features."""

    def __init__(self, network: Any, paths: Any, labels: Any, test: Any) -> None:
        cut = headstart.cut_before_last(network, 21)  # the pooling counts
        self.suffix, self.learns, self.labels, self.test = cut.suffix, cut.learns, labels, test
        self.x = headstart.extract(paths, BACKBONE, layer=cut.point.layer).astype(np.float32)
        self.head = fit_linear(headstart.extract(paths, BACKBONE)[~test], labels[~test]).layers[0]
        self.start = self.suffix.get_weights()
        self.dense = load_keras().layers.Dense(2)
        inputs = load_keras().Input(self.x.shape[1:])
        self.model = load_keras().Model(inputs, self.dense(self.suffix(inputs)))

    def reset(self, seed: int, plain: bool) -> None:
        """The start; the last 20 layers learn as in the tutorial or by `headstart.unfreeze`."""
        load_keras().utils.set_random_seed(seed)
        self.suffix.set_weights(self.start)
        self.dense.set_weights(self.head)
        headstart.unfreeze(self.suffix, len(self.learns))
        for layer in self.suffix.layers if plain else ():
            layer.trainable = layer.name in self.learns

    def fit(self, rate: float | None, epochs: int, batch: int = 32) -> None:
        """Train on all but the test part; with the rate None as it was compiled before."""
        if rate is not None:
            loss = load_keras().losses.SparseCategoricalCrossentropy(from_logits=True)
            self.model.compile(load_keras().optimizers.Adam(rate), loss)
        x, y = self.x[~self.test], self.labels[~self.test]
        self.model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)

    def judge(self) -> tuple[float, float]:
        """Accuracy and log loss on the test part."""
        labels = self.labels[self.test]
        answers = softmax(np.asarray(self.model(self.x[self.test], training=False)))
        loss = -np.log(answers[np.arange(len(labels)), labels]).mean()
        return float((answers.argmax(axis=1) == labels).mean()), float(loss)

    def moved(self, rate: float | None) -> int:
        """How many arrays move in a second fit, compiled again with `rate` or not."""
        headstart.freeze(self.suffix)
        self.fit(1e-3, 1)
        self.reset(0, plain=False)
        self.fit(rate, 1)
        pairs = zip(self.start, self.suffix.get_weights(), strict=True)
        return sum(not np.array_equal(old, new) for old, new in pairs)


def main() -> None:
    """Run all three and print one JSON object."""
    dataset = headstart.read_dataset(sys.argv[1])
    network = headstart.load_backbone(BACKBONE).build(SIZE)
    given = dataset.paths, dataset.labels, dataset.parts == dataset.parts.max()
    print(json.dumps({"pixels": pixels(network, *given)}))
    loop = Loop(network, *given)
    loop.reset(0, plain=False)
    print(json.dumps({"before": loop.judge()}))
    for batch, rate in SETTINGS:
        for plain, name in ((True, "training mode"), (False, "inference mode")):
            told = []
            for seed in SEEDS:
                loop.reset(seed, plain)
                loop.fit(rate, 3, batch)
                told.append(loop.judge())
            print(json.dumps({"batch": batch, "rate": rate, name: np.mean(told, 0).tolist()}))
    print(json.dumps({"moved without compile": loop.moved(None), "with": loop.moved(1e-3)}))


if __name__ == "__main__":
    main()
