"""The tutorial's recipe in plain Keras, as one process: the yardstick of `speed.py`.

Frozen backbone (with the right preprocessing, which the tutorial leaves out), global average
pooling, Dense 128 relu, dropout 0.3, softmax; Adam, sparse categorical cross-entropy, batch 32;
images from `tf.data`. With `--fine-tune-epochs` its second stage follows: the last 20 layers of the
backbone unfrozen, but for BatchNorm, which the tutorial trains by mistake, compiled anew with Adam
at 1e-5. `--scratch` trains all of the same network from random weights instead. Reads a JSON file
with the split, prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any


def dataset(part: dict[str, Any], size: int, *, shuffle: bool) -> Any:
    """Images and labels in batches of 32, decoded and resized by TensorFlow in parallel."""
    import tensorflow as tf

    def load(path: Any, label: Any) -> tuple[Any, Any]:
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.cast(tf.image.resize(image, (size, size)), tf.uint8), label

    pairs = tf.data.Dataset.from_tensor_slices((part["paths"], part["labels"]))
    if shuffle:
        pairs = pairs.shuffle(len(part["paths"]), seed=0)
    return pairs.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(tf.data.AUTOTUNE)


def build(backbone_name: str, size: int, num_classes: int, *, scratch: bool = False) -> Any:
    """The backbone, frozen unless it is trained from scratch, and the model with its head."""
    import keras

    from headstart.backbones import load_backbone

    weights = None if scratch else "imagenet"
    backbone = load_backbone(backbone_name, weights=weights).build((size, size), pooling=False)
    backbone.trainable = scratch
    if scratch:  # a few hundred steps: statistics that remember 100 steps would stay behind
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.9
    model = keras.Sequential(
        [
            backbone,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(num_classes, activation="softmax"),
        ]
    )
    compile_with(model, keras.optimizers.Adam())
    return backbone, model


def compile_with(model: Any, optimizer: Any) -> None:
    """Compile as the tutorial does."""
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])


def unfreeze(backbone: Any, layers: int) -> None:
    """Let the last layers learn; BatchNorm stays in inference mode."""
    import keras

    backbone.trainable = True
    for number, layer in enumerate(reversed(backbone.layers)):
        batch_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = number < layers and not batch_norm


def main() -> None:
    """Train the head for some epochs and test it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("split", type=Path)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--fine-tune-epochs", type=int, default=0)
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import keras

    split = json.loads(options.split.read_text(encoding="utf-8"))
    keras.utils.set_random_seed(options.seed)
    size = options.image_size
    classes = len(split["class_names"])
    backbone, model = build(options.backbone, size, classes, scratch=options.scratch)
    train = dataset(split["train"], size, shuffle=True)
    parts = {name: dataset(split[name], size, shuffle=False) for name in ("validation", "test")}
    answer: dict[str, Any] = {}
    begin = time.monotonic()
    model.fit(train, validation_data=parts["validation"], epochs=options.epochs, verbose=0)
    answer["seconds_frozen"] = time.monotonic() - begin
    _, answer["accuracy"] = model.evaluate(parts["test"], verbose=0)
    if options.fine_tune_epochs:
        answer["accuracy_frozen"] = answer["accuracy"]
        unfreeze(backbone, 20)
        compile_with(model, keras.optimizers.Adam(1e-5))
        begin = time.monotonic()
        tuning = {"epochs": options.fine_tune_epochs, "verbose": 0}
        model.fit(train, validation_data=parts["validation"], **tuning)
        answer["seconds_fine_tuning"] = time.monotonic() - begin
        _, answer["accuracy"] = model.evaluate(parts["test"], verbose=0)
    print(json.dumps({name: float(value) for name, value in answer.items()}))


if __name__ == "__main__":
    main()
