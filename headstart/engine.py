"""Run a network: one `uint8 (height, width, 3)` after another in, `float32` features out.

`OpenVINOEngine` runs the converted prefix on the processor, one image a request and one thread a
request: that is the fastest way there, and it makes the answer independent of batch and timing.
`KerasEngine` runs the Keras model in batches, on a GPU or where OpenVINO is missing. Which one, and
in which precision, is part of the key under which features are kept, because the two agree closely
but not to the last bit. Both keep the order, and any number of streams may run at once, in one
thread or in several. A part of a network that begins in its middle runs the same way, on features.
"""

from __future__ import annotations

import functools
import glob
import importlib
import importlib.util
import platform
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from headstart.errors import HeadstartError
from headstart.frameworks import load_keras
from headstart.workers import cpu_count

Vector = npt.NDArray[np.float32]
Input = npt.NDArray[np.uint8] | npt.NDArray[np.float16] | npt.NDArray[np.float32]
DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("auto", "float32", "bfloat16")
KERAS_BATCH = 32
_LARGEST = float(np.finfo(np.float16).max)


class Engine(Protocol):
    """What runs a network."""

    def stream(self, images: Iterable[Input]) -> Generator[Vector]:
        """Give the features of each image, float32, in order; may be closed early."""
        ...


class Chain:
    """Two engines, one behind the other; what lies between is rounded as it is kept.

    So the second gets from an image what it gets from kept features.
    """

    def __init__(self, first: Engine, second: Engine) -> None:
        self._first, self._second = first, second

    def stream(self, images: Iterable[Input]) -> Generator[Vector]:
        """Give the features of each image, float32, in order."""
        with closing(self._first.stream(images)) as between:
            yield from self._second.stream(map(to_half, between))


def to_half(values: Vector) -> npt.NDArray[np.float16]:
    """Round features as they are kept: float16, clipped to what it can hold."""
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)


def choose_engine(device: str = "auto") -> str:
    """Say which engine this machine runs: `openvino` or `keras`.

    Args:
        device: `cpu`, `gpu`, or `auto` (a GPU where TensorFlow sees one).

    Raises:
        HeadstartError: `gpu` is asked for and TensorFlow sees none, or the name is unknown.
    """
    if device not in DEVICES:
        raise HeadstartError(f"Unknown device '{device}'. Expected one of: {', '.join(DEVICES)}.")
    if device == "gpu":
        if not _tensorflow_sees_gpu():
            raise HeadstartError(
                "TensorFlow sees no GPU here. --device gpu needs one, with its driver and the CUDA "
                'libraries (pip install "tensorflow[and-cuda]"). Use --device cpu to run on the '
                "processor."
            )
        return "keras"
    if device == "auto" and _gpu_is_present() and _tensorflow_sees_gpu():
        return "keras"
    return "openvino" if importlib.util.find_spec("openvino") else "keras"


def _gpu_is_present() -> bool:
    """A cheap look, so that a machine without a GPU never waits for TensorFlow's import."""
    return any(glob.glob(node) for node in ("/dev/nvidia[0-9]*", "/dev/kfd", "/dev/dxg"))


def _tensorflow_sees_gpu() -> bool:
    try:
        load_keras()  # which keeps TensorFlow quiet
        import tensorflow
    except ImportError:
        return False
    return bool(tensorflow.config.list_physical_devices("GPU"))


def resolve_precision(precision: str, engine: str) -> str:
    """Turn `auto` into what is fastest here: bfloat16 where the processor has it, else float32.

    Raises:
        HeadstartError: An unknown precision, or bfloat16 where it cannot be had.
    """
    if precision not in PRECISIONS:
        raise HeadstartError(
            f"Unknown precision '{precision}'. Expected one of: {', '.join(PRECISIONS)}."
        )
    has_bfloat16 = engine == "openvino" and _processor_has_bfloat16()
    if precision == "bfloat16" and not has_bfloat16:
        raise HeadstartError(
            "This machine does not compute in bfloat16: that takes OpenVINO and a processor with "
            "AVX512-BF16 or AMX. Use --precision float32."
        )
    if precision == "auto":
        return "bfloat16" if has_bfloat16 else "float32"
    return precision


def _processor_has_bfloat16() -> bool:
    if platform.system() == "Linux":  # asking OpenVINO costs its import, half a second
        try:
            flags = Path("/proc/cpuinfo").read_text(errors="replace")
        except OSError:
            return False
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _core() -> Any:
    return _core_of(load_openvino())


@functools.cache
def _core_of(openvino: Any) -> Any:
    """One for the whole process.

    When the last one goes, OpenVINO unmaps a signal stack that it put in place of another one, and
    leaves it installed: the next Ctrl-C would end the process.
    """
    return openvino.Core()


def load_openvino() -> Any:
    """Import OpenVINO without its telemetry, which reports every import to its makers.

    OpenVINO has a stub of its own for where the package that reports is not installed.
    """
    reporter = "openvino_telemetry"
    before = sys.modules.get(reporter)
    sys.modules[reporter] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise HeadstartError(
            "OpenVINO is not installed here. Expected it, because the network was converted for "
            "it. Install it with: pip install openvino"
        ) from error
    finally:
        sys.modules.pop(reporter, None)
        if before is not None:
            sys.modules[reporter] = before


def read_network(path: Path) -> Any:
    """Read a converted network, to run it or to look into it.

    Raises:
        HeadstartError: OpenVINO is missing, or cannot load the file.
    """
    try:
        return _core().read_model(str(path))
    except RuntimeError as error:
        raise _unloadable(str(path), error) from error


def compile_network(model: Any, options: dict[str, Any]) -> Any:
    """Make a network ready to run on the processor.

    Args:
        model: As `read_network` gives it.
        options: OpenVINO's.

    Raises:
        HeadstartError: OpenVINO cannot run it.
    """
    try:
        return _core().compile_model(model, "CPU", options)
    except RuntimeError as error:
        raise _unloadable(model.get_friendly_name(), error) from error


def _unloadable(name: str, error: RuntimeError) -> HeadstartError:
    return HeadstartError(
        f"OpenVINO cannot load '{name}': {str(error).strip().splitlines()[-1]} Expected the "
        "converted network that headstart wrote. Make the bundle or the cache anew."
    )


class OpenVINOEngine:
    """A converted prefix on the processor.

    Args:
        model: The `.xml` file, or what `read_network` gives of one; one image in, uint8 or float32
            (1, ...), float32 (1, ...) out.
        precision: `float32` or `bfloat16`; OpenVINO is always told, else it picks by itself.
        threads: How many images are computed at once, each by one thread; 0 is all processors.

    Raises:
        HeadstartError: OpenVINO is missing, or cannot load the file.
    """

    def __init__(self, model: Path | Any, precision: str, threads: int = 0) -> None:
        threads = threads or cpu_count()
        options = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # decoding shares the processors
        }
        network = read_network(model) if isinstance(model, Path) else model
        self._compiled = compile_network(network, options)
        # Two for each thread: while one is computed the next is already filled.
        self._most = 2 * threads
        # Requests that no stream holds; a deque, because its ends may be used by any thread.
        self._free: deque[Any] = deque()

    def stream(self, images: Iterable[Input]) -> Generator[Vector]:
        """Give the features of each image, float32, in order."""
        running: deque[Any] = deque()
        try:
            for image in images:
                if len(running) == self._most:
                    yield self._collect(running)
                request = self._request()
                request.get_input_tensor().data[0] = image
                request.start_async()
                running.append(request)
            while running:
                yield self._collect(running)
        finally:
            for request in running:
                with suppress(RuntimeError):  # its answer is not wanted any more
                    request.wait()
                    self._free.append(request)

    def _request(self) -> Any:
        try:
            return self._free.pop()
        except IndexError:
            return self._compiled.create_infer_request()

    def _collect(self, running: deque[Any]) -> Vector:
        request = running.popleft()
        request.wait()
        vector: Vector = request.get_output_tensor().data[0].astype(np.float32)
        self._free.append(request)
        return vector


class KerasEngine:
    """A Keras model in batches of 32, float32; used on a GPU and where OpenVINO is missing.

    Args:
        model: Takes uint8 images or float32 features, gives float32 features.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._lock = threading.Lock()  # Keras compiles at the first call

    def stream(self, images: Iterable[Input]) -> Generator[Vector]:
        """Give the features of each image, float32, in order."""
        batch: list[Input] = []
        for image in images:
            batch.append(image)
            if len(batch) == KERAS_BATCH:
                yield from self._run(batch)
                batch = []
        if batch:
            yield from self._run(batch)

    def _run(self, batch: list[Input]) -> Iterator[Vector]:
        size = len(batch)
        full = np.stack(batch + [batch[-1]] * (KERAS_BATCH - size))  # one shape: compiled once
        with self._lock:
            vectors = np.asarray(self._model.predict_on_batch(full), dtype=np.float32)
        yield from vectors[:size]
