"""The tutorial's recipe in plain Keras, as one process: the yardstick of `speed.py head`.

Frozen backbone (with the right preprocessing, which the tutorial leaves out), global average
pooling, Dense 128 relu, dropout 0.3, softmax; Adam, sparse categorical cross-entropy, batch 32;
images from `tf.data`. Reads a JSON file with the split, prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
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


def build(backbone_name: str, size: int, num_classes: int) -> Any:
    """The frozen backbone with the tutorial's head, compiled."""
    import keras

    from headstart.backbones import load_backbone

    backbone = load_backbone(backbone_name).build((size, size), pooling=False)
    model = keras.Sequential(
        [
            backbone,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(num_classes, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Train the head for some epochs and test it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("split", type=Path)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import keras

    split = json.loads(options.split.read_text(encoding="utf-8"))
    keras.utils.set_random_seed(options.seed)
    size = options.image_size
    model = build(options.backbone, size, len(split["class_names"]))
    train = dataset(split["train"], size, shuffle=True)
    validation = dataset(split["validation"], size, shuffle=False)
    model.fit(train, validation_data=validation, epochs=options.epochs, verbose=0)
    _, accuracy = model.evaluate(dataset(split["test"], size, shuffle=False), verbose=0)
    print(json.dumps({"accuracy": float(accuracy)}))


if __name__ == "__main__":
    main()
