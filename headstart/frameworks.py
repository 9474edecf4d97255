"""Import Keras on TensorFlow without the remarks that TensorFlow's native code writes to stderr.

`TF_CPP_MIN_LOG_LEVEL` does not silence what TensorFlow 2.21 logs before its logging is set up (its
use of oneDNN, the missing CUDA driver), so stderr leads nowhere while it starts.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


def load_keras() -> Any:
    """Import Keras, and TensorFlow where it is Keras' backend; quick from the second call on.

    Raises:
        ImportError: Keras, or the backend that it is set to, is not installed.
    """
    if "keras" in sys.modules:
        return sys.modules["keras"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with without_stderr():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow

            with suppress(RuntimeError):  # looks for GPUs, which logs where there is none
                tensorflow.config.list_physical_devices("GPU")
    return keras


@contextmanager
def without_stderr() -> Iterator[None]:
    """Lead the process's stderr, native code's too, nowhere."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed already
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def without_retracing_remarks() -> Iterator[None]:
    """Keep TensorFlow from warning that a function is compiled anew, as each new network is.

    All else that it logs comes through, and the logger is afterwards as it was.
    """

    def is_other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
