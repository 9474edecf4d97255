"""One image answered by plain Keras in a new process: the yardstick of `speed.py predict`.

python plain_predict.py save BUNDLE MODEL.keras     the bundle's network and head as one model
python plain_predict.py predict MODEL.keras IMAGE   what a user's script would do
"""

from __future__ import annotations

import json
import sys


def save(bundle: str, target: str) -> None:
    """Put the bundle's frozen network and its linear head together as a Keras model."""
    import keras

    import headstart

    classifier = headstart.load(bundle)
    backbone = headstart.load_backbone(classifier.prefix.identity.backbone)
    frozen = backbone.build(classifier.image_size)
    ((weights, bias),) = classifier.head.layers
    dense = keras.layers.Dense(len(bias), activation="softmax")
    model = keras.Sequential([frozen, dense])
    dense.set_weights([weights, bias])
    model.save(target)
    print("{}")


def predict(model_file: str, image_file: str) -> None:
    """Load the model, read the image, answer."""
    import keras
    import numpy as np

    model = keras.saving.load_model(model_file)
    size = model.input_shape[1:3]
    image = keras.utils.img_to_array(keras.utils.load_img(image_file, target_size=size))
    probabilities = model.predict(image[None].astype("uint8"), verbose=0)[0]
    print(json.dumps({"predictions": [{"probability": float(np.max(probabilities))}]}))


if __name__ == "__main__":
    {"save": save, "predict": predict}[sys.argv[1]](*sys.argv[2:])
