"""Split a network where everything passes through one tensor: prefix (frozen) and suffix (trained).

A Keras model with one input and one output goes in, a `Cut` comes out, whose parts share the layers
and weights of the model: `suffix(prefix(x))` is `model(x)`, exactly. Models inside the model are
unfolded first, so that a cut may lie within them.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, TypeAlias

from headstart.errors import HeadstartError
from headstart.frameworks import load_keras

Call: TypeAlias = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]


@dataclass(frozen=True)
class CutPoint:
    """A tensor that everything later passes through.

    Attributes:
        layer: Name of the layer that gives it; the input layer's for a cut before everything.
        shape: Of one image, without the batch dimension.
        layers_after: How many layers come after it.
        parameters_after: How many weights those have.
    """

    layer: str
    shape: tuple[int | None, ...]
    layers_after: int
    parameters_after: int


@dataclass(frozen=True, eq=False)
class Cut:
    """A split network.

    Attributes:
        point: Where it is split.
        prefix: Keras model from the network's input to the cut; stays frozen.
        suffix: Keras model from there to the network's output.
        learns: Names of the layers of the suffix that may learn, in order.
    """

    point: CutPoint
    prefix: Any
    suffix: Any
    learns: tuple[str, ...]


def cut_points(model: Any) -> tuple[CutPoint, ...]:
    """Every place where `model` can be split, from its input to its output.

    Args:
        model: A functional or sequential model with one input and one output.

    Raises:
        HeadstartError: A model of another kind.
    """
    return tuple(place.point for place in _Graph(flatten(model)).places)


def cut_at(model: Any, layer: str) -> Cut:
    """Split `model` behind a layer; all layers after it may learn.

    Args:
        model: A functional or sequential model with one input and one output.
        layer: The name of a layer, as `cut_points` gives it.

    Raises:
        HeadstartError: There is no such layer, or another path leads past it.
    """
    graph = _Graph(flatten(model))
    for place in graph.places:
        if place.point.layer == layer:
            return graph.split(place, place.after)
    raise _no_such_cut(graph, layer)


def cut_before_last(model: Any, layers: int) -> Cut:
    """Split `model` so that its last `layers` layers can learn and all before the cut stays frozen.

    The cut is the latest single tensor that all of those layers come after, so a few more layers
    may fall into the suffix; they stay frozen there.

    Args:
        model: A functional or sequential model with one input and one output.
        layers: How many layers, counted from the output, may learn; 0 leaves only the head.

    Raises:
        HeadstartError: `layers` is negative or more than the model has, or a model of another kind.
    """
    graph = _Graph(flatten(model))
    if not is_count(layers, len(graph.layers)):
        raise HeadstartError(
            f"The last {layers!r} layers of '{model.name}' cannot learn. Expected a number from 0 "
            f"to {len(graph.layers)}, as many as it has. Choose another number."
        )
    learns = graph.layers[len(graph.layers) - layers :]
    needed = set(map(id, learns))
    place = next(
        one for one in reversed(graph.places) if needed <= {id(layer) for layer in one.after}
    )
    return graph.split(place, learns)


def is_count(layers: object, most: int) -> bool:
    """Whether it is a number of layers, from 0 to `most`."""
    return isinstance(layers, Integral) and 0 <= int(layers) <= most


def flatten(model: Any) -> Any:
    """Unfold the models inside a model, to any depth; layers and weights are shared.

    Args:
        model: A functional or sequential model with one input and one output.

    Returns:
        `model` itself where there is nothing to unfold.

    Raises:
        HeadstartError: A model of another kind.
    """
    keras = load_keras()
    graph = _functional(model)
    if not any(isinstance(one, keras.Model) for one in graph.operations):
        return graph
    given = graph.inputs[0]
    x = keras.Input(batch_shape=given.shape, dtype=given.dtype, name=given.name)
    return keras.Model(x, _unfold(graph, x, {}), name=model.name)


def call_again(model: Any, x: Any, call: Call) -> Any:
    """Call the layers of a functional model anew, from `x` on.

    Args:
        model: With one input and one output.
        x: What takes the place of its input.
        call: Makes each call, of an operation with its arguments and keywords.
    """
    keras = load_keras()
    known = {id(model.inputs[0]): x}
    for node in nodes(model):
        if node.is_input:
            continue
        arguments, keywords = node.arguments.fill_in(known)
        outputs = call(node.operation, arguments, keywords)
        for old, new in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
            known[id(old)] = new
    return known[id(model.outputs[0])]


def call_with(model: Any, x: Any, substitutes: Mapping[str, Any]) -> Any:
    """Call a flat model on `x`, with other layers in place of those that `substitutes` names."""

    def call(operation: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        layer = substitutes.get(operation.name)
        return operation(*arguments, **keywords) if layer is None else layer(arguments[0])

    return call_again(model, x, call)


def nodes(model: Any) -> list[Any]:
    """The calls of layers in a functional model, each after those that it needs."""
    by_depth = model._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def _functional(model: Any) -> Any:
    """The graph of a functional or sequential model."""
    keras = load_keras()
    graph = model
    if isinstance(model, keras.Sequential):
        graph = getattr(model, "_functional", None)  # None where its input is not known
    good = graph is not None and hasattr(graph, "operations")
    if not good or len(graph.inputs) != 1 or len(graph.outputs) != 1:
        name = getattr(model, "name", type(model).__name__)
        raise HeadstartError(
            f"The model '{name}' cannot be split. Expected a functional or built sequential Keras "
            "model with one input and one output. Build it with keras.Model(inputs, outputs)."
        )
    return graph


def _unfold(graph: Any, x: Any, context: dict[str, Any]) -> Any:
    """Call every layer of `graph` anew from `x` on; a call with `training` holds for all inside."""
    keras = load_keras()

    def call(operation: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        fixed = context | {
            name: value
            for name, value in keywords.items()
            if name == "training" and value is not None
        }
        if isinstance(operation, keras.Model):
            return _unfold(_functional(operation), arguments[0], fixed)
        if fixed and getattr(operation, "_call_has_training_arg", False):
            keywords = keywords | fixed
        return operation(*arguments, **keywords)

    return call_again(graph, x, call)


@dataclass(frozen=True, eq=False)
class _Place:
    """A cut point, its tensor, and the layers after it, in Keras' order."""

    point: CutPoint
    tensor: Any
    after: list[Any]


class _Graph:
    """A flat model: `layers` that are not inputs, in Keras' order, and `places` to cut."""

    def __init__(self, model: Any) -> None:
        keras = load_keras()
        self.model = model
        self.nodes = nodes(model)
        self.layers = [one for one in model.layers if not isinstance(one, keras.layers.InputLayer)]
        self.places = list(self._find_places())

    def _find_places(self) -> Iterator[_Place]:
        """Go through the calls in order: where one tensor alone is still wanted, a cut can be.

        Not between two calls of one layer: it would have to learn and to stay frozen.
        """
        wanted = Counter(id(tensor) for node in self.nodes for tensor in node.input_tensors)
        wanted[id(self.model.outputs[0])] += 1
        last = {id(node.operation): index for index, node in enumerate(self.nodes)}
        alive: dict[int, Any] = {}
        called: set[int] = set()
        busy = 0  # until this call, a layer called already will be called again
        for index, node in enumerate(self.nodes):
            wanted.subtract(id(tensor) for tensor in node.input_tensors)
            alive |= {id(tensor): tensor for tensor in node.outputs}
            alive = {key: tensor for key, tensor in alive.items() if wanted[key] > 0}
            if not node.is_input:
                called.add(id(node.operation))
                busy = max(busy, last[id(node.operation)])
            if len(alive) == 1 and busy <= index:
                (tensor,) = alive.values()
                after = [layer for layer in self.layers if id(layer) not in called]
                point = CutPoint(
                    layer=tensor._keras_history.operation.name,
                    shape=tuple(tensor.shape[1:]),
                    layers_after=len(after),
                    parameters_after=sum(int(layer.count_params()) for layer in after),
                )
                yield _Place(point, tensor, after)

    def split(self, place: _Place, learns: Sequence[Any]) -> Cut:
        """The two parts of the model."""
        name = self.model.name
        return Cut(
            point=place.point,
            prefix=_model(self.model.inputs[0], place.tensor, f"{name}_prefix"),
            suffix=_model(place.tensor, self.model.outputs[0], f"{name}_suffix"),
            learns=tuple(layer.name for layer in learns),
        )


def _model(start: Any, end: Any, name: str) -> Any:
    """What lies between two tensors; the identity where they are the same."""
    keras = load_keras()
    if start is end:
        start = keras.Input(batch_shape=start.shape, dtype=start.dtype, name="features")
        end = keras.layers.Identity(name="identity", dtype=start.dtype)(start)
    return keras.Model(start, end, name=name)


def _no_such_cut(graph: _Graph, layer: str) -> HeadstartError:
    names = [place.point.layer for place in graph.places]
    near = difflib.get_close_matches(layer, names, n=3, cutoff=0.5) or names[-3:]
    if any(one.name == layer for one in graph.layers):
        what = f"'{graph.model.name}' cannot be split behind '{layer}': another path leads past it"
    else:
        what = f"'{graph.model.name}' has no layer '{layer}'"
    return HeadstartError(
        f"{what}. Expected a layer that everything passes through, such as {', '.join(near)}. "
        "cut_points(model) lists all of them."
    )
