"""The last feature map of a network, before the global pooling that its features come from.

The network is opened a second time with another output: OpenVINO's graph, or Keras' where OpenVINO
is missing, is followed back from the features to the mean (or the maximum) over rows and columns,
and what goes in there is taken out. That holds for the network of any bundle, whole or behind a
cut, and for transformers whose features are the mean of a grid of patches. Neither Keras nor
TensorFlow is needed for a bundle that runs on OpenVINO.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.conversion import FILES
from headstart.engine import Chain, Engine, KerasEngine, OpenVINOEngine, load_openvino, read_network
from headstart.images import Pixels
from headstart.prefix import Prefix

Floats = npt.NDArray[np.float32]
# What may stand between the pooling and the features: it moves no value.
_PASSIVE = {"Reshape", "Squeeze", "Unsqueeze", "Transpose", "Convert"}
_PASSIVE_LAYERS = {"Flatten", "Reshape", "Identity", "Squeeze"}
_POOLING = {"ReduceMean": "mean", "ReduceMax": "max"}
_POOLING_LAYERS = {
    "GlobalAveragePooling2D": "mean",
    "GlobalAveragePooling1D": "mean",
    "Mean": "mean",
    "GlobalMaxPooling2D": "max",
    "Max": "max",
}


@dataclass(frozen=True)
class _End:
    """A network up to what is pooled: how, the shape for one image, and the axis of channels."""

    network: Any
    pooling: str
    shape: tuple[int, ...]
    channels: int

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int] | None:
        """Rows and columns; None where its places are no grid over the image, or but one line."""
        sides = [side for axis, side in enumerate(self.shape) if axis != self.channels]
        if len(sides) == 1:  # of a transformer: square patches, in rows
            height, width = image_size
            side = max(1, round((height * width / sides[0]) ** 0.5))
            rows, columns = height // side, width // side
            fits = rows * columns == sides[0] and (rows * side, columns * side) == image_size
            sides = [rows, columns] if fits else [1, 1]
        return (sides[0], sides[1]) if min(sides) > 1 else None


class FeatureMaps:
    """What gives the last feature map of images.

    Attributes:
        pooling: `mean` or `max`: how the features come from the map.
    """

    def __init__(self, engine: Engine, end: _End, grid: tuple[int, int]) -> None:
        self.pooling = end.pooling
        self._engine, self._channels, self._grid = engine, end.channels, grid

    def stream(self, images: Iterable[Pixels]) -> Iterator[Floats]:
        """Give the map of each image, float32 (rows, columns, features), in order."""
        with closing(self._engine.stream(images)) as values:
            for one in values:
                yield np.moveaxis(one, self._channels, -1).reshape(*self._grid, -1)

    def pool(self, values: Floats) -> Floats:
        """The features (features,) that come from a map."""
        pooled = values.mean(axis=(0, 1)) if self.pooling == "mean" else values.max(axis=(0, 1))
        return np.asarray(pooled, np.float32)


def open_feature_maps(prefix: Prefix) -> FeatureMaps | None:
    """Open a network up to its last feature map; None where it has none that is pooled.

    Raises:
        HeadstartError: The network's files cannot be used.
    """
    identity, trained = prefix.identity, prefix.trained()
    if identity.engine == "openvino":
        network = prefix.converted() / FILES[0] if trained is None else trained.converted()
        end = _find_in_graph(read_network(network), prefix.width)
    else:
        end = _find_in_layers(prefix.model() if trained is None else trained.model())
    grid = None if end is None else end.grid(identity.image_size)
    if end is None or grid is None:
        return None
    engine: Engine
    if identity.engine == "openvino":
        engine = OpenVINOEngine(end.network, identity.precision)
    else:
        engine = KerasEngine(end.network)
    if trained is not None and not trained.whole:
        engine = Chain(prefix.open_frozen(), engine)
    return FeatureMaps(engine, end, grid)


def _find_in_graph(network: Any, width: int) -> _End | None:
    """Follow OpenVINO's graph back from its output."""
    output = network.outputs[0].get_node().input_value(0)
    while output.get_node().get_type_name() in _PASSIVE and _is_vector(output, width):
        output = output.get_node().input_value(0)
    node = output.get_node()
    pooling = _POOLING.get(node.get_type_name())
    if pooling is None or not _is_vector(output, width):
        return None
    before, axes = (node.input_value(at) for at in range(2))
    if axes.get_node().get_type_name() != "Constant":
        return None
    shape = tuple(before.get_shape())
    channels = _channels(len(shape), axes.get_node().get_data().ravel().tolist())
    if channels is None:
        return None
    end = load_openvino().Model([before], network.get_parameters(), network.get_friendly_name())
    return _End(end, pooling, shape[1:], channels - 1)


def _is_vector(output: Any, width: int) -> bool:
    """Whether one axis alone has more than one value, so that they keep their order."""
    shape = output.get_partial_shape()
    return bool(shape.is_static) and sorted(shape.to_shape()) == [1] * (len(shape) - 1) + [width]


def _channels(rank: int, pooled: list[int]) -> int | None:
    """The axis that is left of 4 (or 3, of tokens) with the batch first; None where others are."""
    left = set(range(rank)) - {axis % rank for axis in pooled}
    if rank not in (3, 4) or len(left) != 2 or 0 not in left:
        return None
    return max(left)


def _find_in_layers(model: Any) -> _End | None:
    """Follow the layers of a Keras model back from its output."""
    from headstart.frameworks import load_keras

    keras = load_keras()
    operation, inputs = _origin(model.outputs[0])
    while type(operation).__name__ in _PASSIVE_LAYERS and len(inputs) == 1:
        operation, inputs = _origin(inputs[0])
    pooling = _POOLING_LAYERS.get(type(operation).__name__)
    if pooling is None or len(inputs) != 1:
        return None
    shape = tuple(inputs[0].shape)
    channels = _channels(len(shape), _pooled_axes(operation, len(shape)))
    if channels is None or None in shape[1:]:
        return None
    same = keras.layers.Identity(dtype=inputs[0].dtype)(inputs[0])
    return _End(keras.Model(model.inputs[0], same), pooling, shape[1:], channels - 1)


def _pooled_axes(operation: Any, rank: int) -> list[int]:
    if hasattr(operation, "axis"):  # an operation of keras.ops
        axis = operation.axis
        return [] if axis is None else list(np.ravel(axis))
    first = 2 if getattr(operation, "data_format", "") == "channels_first" else 1
    return list(range(first, first + rank - 2))


def _origin(tensor: Any) -> tuple[Any, list[Any]]:
    """The operation that gives `tensor`, and what it was called on there."""
    operation, node, _ = tensor._keras_history
    return operation, operation._inbound_nodes[node].input_tensors
