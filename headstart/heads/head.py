"""The head: one or more matrices on top of the features of a frozen network.

Features in, probabilities out: what every kind of head comes down to once it is fitted. Scaling of
the features is already in the first matrix, so a head is applied to features as they come and saved
as plain arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from headstart.errors import HeadstartError

Floats: TypeAlias = npt.NDArray[np.float32]
AnyFloats: TypeAlias = npt.NDArray[np.float16] | npt.NDArray[np.float32]
Layer: TypeAlias = tuple[Floats, Floats]

_BLOCK_VALUES = 4_000_000  # float32 values of a block of rows at its widest: 16 MB


@dataclass(frozen=True, eq=False)
class Head:
    """A classifier on features: matrices with relu between them, softmax at the end.

    Attributes:
        kind: `linear`, `prototype` or `mlp`.
        layers: Pairs of weights float32 (in, out) and bias float32 (out,), the first layer first.

    Raises:
        HeadstartError: The layers do not fit together.
    """

    kind: str
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        """Check that each layer takes what the one before it gives."""
        if not self.layers:
            raise _misfit("no layer")
        width = self.width
        for number, (weights, bias) in enumerate(self.layers):
            shapes = f"layer {number} with weights {weights.shape} and bias {bias.shape}"
            if weights.ndim != 2 or bias.shape != weights.shape[1:] or weights.shape[0] != width:
                raise _misfit(shapes)
            if weights.dtype != np.float32 or bias.dtype != np.float32:
                raise _misfit(f"{shapes} of type {weights.dtype} and {bias.dtype}")
            width = weights.shape[1]

    @property
    def width(self) -> int:
        """How many features it takes."""
        return int(self.layers[0][0].shape[0]) if self.layers[0][0].ndim else 0

    @property
    def num_classes(self) -> int:
        """How many classes it tells apart."""
        return int(self.layers[-1][1].shape[0])

    def logits(self, features: AnyFloats) -> Floats:
        """Scores before the softmax, float32 (n, classes), of features (n, width)."""
        result = np.empty((len(self._checked(features)), self.num_classes), np.float32)
        for rows in self._blocks(len(features)):
            result[rows] = self._apply(features[rows])
        return result

    def probabilities(self, features: AnyFloats) -> Floats:
        """Class probabilities, float32 (n, classes), of features (n, width); each row sums to 1."""
        result = np.empty((len(self._checked(features)), self.num_classes), np.float32)
        for rows in self._blocks(len(features)):
            result[rows] = softmax(self._apply(features[rows]))
        return result

    def energies(self, features: AnyFloats) -> Floats:
        """-log(sum(exp(logits))), (n,): high where no class is answered with much certainty.

        Liu et al. 2020, "Energy-based out-of-distribution detection",
        https://arxiv.org/abs/2010.03759.
        """
        logits = self.logits(features)
        most = logits.max(axis=1)
        energies: Floats = -most - np.log(np.exp(logits - most[:, None]).sum(axis=1))
        return energies

    def tempered(self, temperature: float) -> Head:
        """The same with all logits divided by a number above 0: as sure as it should be.

        Which class is the most probable stays the same; a class without training images, which has
        no weights, stays as improbable as it is.
        """
        weights, bias = self.layers[-1]
        divisor = np.where(weights.any(axis=0), np.float32(temperature), np.float32(1))
        last = (weights / divisor).astype(np.float32), (bias / divisor).astype(np.float32)
        return Head(self.kind, (*self.layers[:-1], last))

    def arrays(self) -> dict[str, Floats]:
        """The layers under flat names, as `head_from_arrays` reads them.

        The names are `0.weight`, `0.bias`, `1.weight`...
        """
        named: dict[str, Floats] = {}
        for number, (weights, bias) in enumerate(self.layers):
            named[f"{number}.weight"] = np.ascontiguousarray(weights)
            named[f"{number}.bias"] = np.ascontiguousarray(bias)
        return named

    def _checked(self, features: AnyFloats) -> AnyFloats:
        if features.ndim != 2 or features.shape[1] != self.width:
            raise HeadstartError(
                f"The features do not fit the head. Expected shape (n, {self.width}); received "
                f"{features.shape}. Make them with the backbone that the head was trained on."
            )
        return features

    def _blocks(self, rows: int) -> Iterator[slice]:
        widest = max(self.width, *(bias.shape[0] for _, bias in self.layers))
        return row_blocks(rows, widest)

    def _apply(self, features: AnyFloats) -> Floats:
        values = features.astype(np.float32, copy=False)
        for number, (weights, bias) in enumerate(self.layers):
            if number:
                values = np.maximum(values, np.float32(0))
            values = values @ weights + bias
        return values


def head_from_arrays(kind: str, arrays: Mapping[str, npt.NDArray[np.float32]]) -> Head:
    """Put a head together from what `Head.arrays` gave.

    Args:
        kind: `linear`, `prototype` or `mlp`.
        arrays: `0.weight` (in, out), `0.bias` (out,), and the same for further layers; float32.

    Raises:
        HeadstartError: A layer is missing, unknown, or does not fit.
    """
    count = len(arrays) // 2
    names = {f"{number}.{part}" for number in range(count) for part in ("weight", "bias")}
    if set(arrays) != names:
        raise _misfit(f"arrays named {', '.join(sorted(arrays)) or '(none)'}")
    return Head(kind, tuple((arrays[f"{at}.weight"], arrays[f"{at}.bias"]) for at in range(count)))


def softmax(logits: Floats) -> Floats:
    """Probabilities of scores, over the last axis; the scores may be of any size."""
    values = np.exp(logits - logits.max(axis=-1, keepdims=True))
    values /= values.sum(axis=-1, keepdims=True)
    return np.asarray(values, np.float32)


def row_blocks(rows: int, width: int, values: int = _BLOCK_VALUES) -> Iterator[slice]:
    """Cut `rows` rows of `width` values into slices of at most `values` values, or one row."""
    step = max(1, values // max(1, width))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _misfit(received: str) -> HeadstartError:
    return HeadstartError(
        "The layers of the head do not fit together. Expected float32 weights (in, out) and bias "
        f"(out,), each layer taking what the one before gives; received {received}. Take the file "
        "from an undamaged bundle."
    )
