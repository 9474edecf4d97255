"""Settings of Keras while a backbone is built: the usual ones, whatever the caller has set."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from headstart.frameworks import load_keras


@contextmanager
def own_settings() -> Iterator[None]:
    """Usual settings and the same random weights each time, then the caller's settings again.

    Initialisers of Keras draw their seeds from Python's `random`.
    """
    keras = load_keras()

    policy, data_format = keras.config.dtype_policy(), keras.config.image_data_format()
    state = random.getstate()
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(state)
        keras.config.set_image_data_format(data_format)
        keras.config.set_dtype_policy(policy)
