"""Settings of Keras while a backbone is built: the usual ones, whatever the caller has set."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from headstart.frameworks import load_keras

_COUNTS = "object_name_uids"


@contextmanager
def own_settings() -> Iterator[None]:
    """Usual settings, the same random weights and names each time; then the caller's settings.

    Initialisers of Keras draw their seeds from Python's `random`. A layer without a name gets one
    with a number that counts all such layers of the process: a cut is found by its layer's name, so
    here the count begins anew.
    """
    keras = load_keras()
    from keras.src.backend.common import global_state

    policy, data_format = keras.config.dtype_policy(), keras.config.image_data_format()
    state = random.getstate()
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    random.seed(0)
    counts = global_state.get_global_attribute(_COUNTS)
    global_state.set_global_attribute(_COUNTS, None)
    try:
        yield
    finally:
        global_state.set_global_attribute(_COUNTS, counts)
        random.setstate(state)
        keras.config.set_image_data_format(data_format)
        keras.config.set_dtype_policy(policy)
