"""Run an exported file by its own runtime: a path in, a function from images to answers out.

Every function takes uint8 (n, height, width, 3) and gives float32 (n, classes).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart.engine import compile_network, read_network
from headstart.exporting.result import INPUT, OUTPUT
from headstart.extras import require
from headstart.frameworks import load_keras, without_retracing_remarks, without_stderr
from headstart.images import Pixels
from headstart.workers import cpu_count

Answers = npt.NDArray[np.float32]
Run = Callable[[Pixels], Answers]


def open_keras(path: Path) -> Run:
    """By plain Keras, in safe mode."""
    model = load_keras().saving.load_model(path, compile=False, safe_mode=True)

    def run(images: Pixels) -> Answers:
        with without_retracing_remarks():
            return np.asarray(model.predict_on_batch(images), np.float32)

    return run


def open_saved_model(path: Path) -> Run:
    """By TensorFlow."""
    load_keras()  # which keeps TensorFlow quiet
    import tensorflow

    loaded = tensorflow.saved_model.load(str(path))

    def run(images: Pixels) -> Answers:
        serve = loaded.signatures["serving_default"]  # `loaded` has to stay alive meanwhile
        found = serve(**{INPUT: tensorflow.constant(images)})
        return np.asarray(found[OUTPUT], np.float32)

    return run


def open_litert(path: Path) -> Run:
    """By ai-edge-litert."""
    litert = require("ai_edge_litert.interpreter", "export", "checking LiteRT files")
    with without_stderr():
        interpreter = litert.Interpreter(model_path=str(path), num_threads=cpu_count())
        runner = interpreter.get_signature_runner()

    def run(images: Pixels) -> Answers:
        with without_stderr():  # it tells which delegate it takes
            return np.asarray(runner(**{INPUT: images})[OUTPUT], np.float32)

    return run


def open_onnx(path: Path) -> Run:
    """By ONNX Runtime, on the processor."""
    onnxruntime = require("onnxruntime", "export", "checking ONNX files")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run([OUTPUT], {INPUT: images})[0], np.float32)


def open_openvino(path: Path) -> Run:
    """By OpenVINO, on the processor in float32: by itself it may take bfloat16."""
    compiled = compile_network(read_network(path), {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: np.array(compiled({INPUT: images})[OUTPUT], np.float32)


OPEN: dict[str, Callable[[Path], Run]] = {
    "keras": open_keras,
    "onnx": open_onnx,
    "openvino": open_openvino,
    "litert": open_litert,
    "saved_model": open_saved_model,
}
