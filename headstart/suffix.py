"""The part of a network behind a cut, after it was trained: its weights, and how to run it."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.conversion import FILES, convert_for_now
from headstart.cut import Cut
from headstart.engine import Engine, KerasEngine, OpenVINOEngine
from headstart.errors import HeadstartError

Arrays = Mapping[str, npt.NDArray[np.float32]]
SUFFIX_FILES = ("suffix.xml", "suffix.bin")
WEIGHTS = "suffix.safetensors"


@dataclass(frozen=True, eq=False)
class Suffix:
    """A trained suffix.

    Attributes:
        layer: The layer behind which the network was cut; the input layer's name where all of it
            was trained.
        shape: Of what it takes, for one image.
        width: How many features it gives.
        weights: All its weights, float32, by layer and number.
        whole: Whether it takes images, because the cut is before everything.
        folder: Where it lies converted, with `weights`; None where it was trained in this process.
        cut: The Keras models, where they were built in this process.
    """

    layer: str
    shape: tuple[int, ...]
    width: int
    weights: Arrays = field(repr=False)
    whole: bool = False
    folder: Path | None = None
    cut: Cut | None = field(default=None, repr=False)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the weights, hexadecimal."""
        total = hashlib.sha256()
        for name in sorted(self.weights):
            total.update(name.encode() + np.ascontiguousarray(self.weights[name]).tobytes())
        return total.hexdigest()

    def open(self, engine: str, precision: str, threads: int = 0) -> Engine:
        """Start it on the engine that ran the prefix; Keras needs `cut`.

        Raises:
            HeadstartError: The files cannot be used.
        """
        if engine == "openvino":
            return OpenVINOEngine(self.converted(), precision, threads)
        return KerasEngine(self.model())

    def model(self) -> Any:
        """The Keras model, float32 (n, *shape) -> float32 (n, width)."""
        assert self.cut is not None
        write_weights(self.cut.suffix, self.weights)
        return self.cut.suffix

    def write(self, folder: Path) -> None:
        """Write the weights, and the converted network, into a bundle."""
        from safetensors.numpy import save_file

        arrays = {name: np.asarray(value, order="C") for name, value in self.weights.items()}
        save_file(arrays, folder / WEIGHTS)
        if not importlib.util.find_spec("openvino"):
            return
        source = self.converted()
        for name, suffix in zip(SUFFIX_FILES, (".xml", ".bin"), strict=True):
            shutil.copyfile(source.with_suffix(suffix), folder / name)

    def converted(self) -> Path:
        """The converted network, an .xml file with a .bin file beside it."""
        if self.folder is not None:
            return self.folder / SUFFIX_FILES[0]
        return self._convert_once / FILES[0]

    @functools.cached_property
    def _convert_once(self) -> Path:
        return convert_for_now(self.model(), f"suffix-{self.digest[:16]}")


def read_weights(model: Any) -> dict[str, npt.NDArray[np.float32]]:
    """All weights of a Keras model, by layer and number: `block6_14_expand/0`."""
    return {
        f"{layer.name}/{number}": np.array(value, np.float32)
        for layer in model.layers
        for number, value in enumerate(layer.get_weights())
    }


def write_weights(model: Any, weights: Arrays) -> None:
    """Give a Keras model the weights that `read_weights` read.

    Raises:
        HeadstartError: They are those of another model.
    """
    for layer in model.layers:
        own = [f"{layer.name}/{number}" for number in range(len(layer.weights))]
        shapes = [tuple(one.shape) for one in layer.weights]
        if [name in weights and weights[name].shape for name in own] != shapes:
            raise HeadstartError(
                f"The trained weights do not fit the layer '{layer.name}'. Expected the shapes "
                f"{shapes}. Take all files from the same bundle."
            )
        layer.set_weights([weights[name] for name in own])


def size_of(shape: tuple[int | None, ...]) -> int:
    """How many values a tensor of one image has."""
    return math.prod(int(side or 0) for side in shape)
