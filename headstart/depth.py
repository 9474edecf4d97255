"""How deep to unfreeze: a number, a name or `block` in, the layers that learn and the cut out.

Blocks are found from the graph. Where paths join, a block ends at the place where everything passes
through one tensor again that is not wider than the one before: in the middle of a block the network
is wider. In a plain chain of layers a block ends where the image becomes smaller. In a transformer
whose blocks are one layer each, a block ends behind each.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headstart.cut import Cut, CutPoint, cut_at, cut_points, flatten
from headstart.errors import HeadstartError
from headstart.frameworks import load_keras
from headstart.suffix import size_of

_WIDER = 1.45  # times the tensor before; from there on a cut lies in the middle of a block
_SMALLER = 0.6  # of the size of a cut, at which an earlier one is worth some more frozen layers
_LEAST = 5  # layers that a block has
_FEW = 6  # layers that may be computed again for that
_MEASURED = "Normalization"  # a layer whose numbers were measured, not learned


@dataclass(frozen=True)
class Depth:
    """What is to learn.

    Attributes:
        name: What was asked for, or found: `20`, `block6`, `all`, or the first layer's name.
        learns: The layers that learn, in order.
        places: Where the network can be cut for it, the latest first.
    """

    name: str
    learns: tuple[str, ...]
    places: tuple[CutPoint, ...]


def find_depth(model: Any, unfreeze: int | str) -> Depth:
    """Find the layers that `unfreeze` asks for.

    Args:
        model: A backbone as `Backbone.build` makes it, with its pooling at the end.
        unfreeze: How many layers before the pooling; `block`; `all`; a layer's name; or how the
            names of some layers begin.

    Raises:
        HeadstartError: There are not as many layers, no such name, or nothing among them that can
            learn.
    """
    points = cut_points(model)
    layers = _layers(model)
    ends = block_ends(model)
    last = len(layers) - (ends[-1].layers_after - 1) if ends else 0  # the pooling is none
    learns = layers[_first(_Outline(model.name, layers, _can_learn(model), last), unfreeze) :]
    needed = len(learns) + 1
    places = tuple(point for point in reversed(points) if point.layers_after >= needed)
    return Depth(str(unfreeze), tuple(learns), places)


def check_depth(name: str, table: Sequence[Mapping[str, Any]], unfreeze: int | str) -> None:
    """See whether a network has the layers that `unfreeze` asks for, without building it.

    Args:
        name: Of the network.
        table: Its layers, as `headstart.prefix.layer_table` tells them.
        unfreeze: As for `find_depth`.

    Raises:
        HeadstartError: As `find_depth`.
    """
    rows = table[:-1]  # the pooling is none
    layers = [str(row["name"]) for row in rows]
    can = frozenset(
        str(row["name"]) for row in rows if row["parameters"] and row["kind"] != _MEASURED
    )
    blocks = [int(row["block"]) for row in rows]
    _first(_Outline(name, layers, can, blocks.index(blocks[-1]) if blocks else 0), unfreeze)


def block_ends(model: Any) -> tuple[CutPoint, ...]:
    """The cuts between blocks, the first block's end first; none is behind the last block."""
    points = cut_points(model)
    if blocks := tuple(_ends_of_tokens(points)):
        return blocks
    find = _ends_of_joined if _has_joins(model) else _ends_of_chain
    found: list[CutPoint] = []
    for point in find(points):
        if found and found[-1].layers_after - point.layers_after <= 2:
            found.pop()  # a convolution and the batch norm behind it
        if point.layers_after >= _LEAST and point.parameters_after < points[0].parameters_after:
            found.append(point)
    return tuple(found)


def _ends_of_joined(points: Sequence[CutPoint]) -> Iterator[CutPoint]:
    last = points[0]
    for point in points[1:]:
        small = size_of(point.shape) <= _WIDER * size_of(last.shape)
        if small or last is points[0]:
            last = point
            yield point


def _ends_of_chain(points: Sequence[CutPoint]) -> Iterator[CutPoint]:
    for before, point in itertools.pairwise(points):
        if len(point.shape) == 3 and (point.shape[0] or 0) < (before.shape[0] or 0):
            pooled = before.parameters_after == point.parameters_after
            yield point if pooled else before


def _ends_of_tokens(points: Sequence[CutPoint]) -> Iterator[CutPoint]:
    """Before each block of a chain that leads from tokens to tokens of the same shape."""
    steps = [
        (before, before.parameters_after - point.parameters_after)
        for before, point in itertools.pairwise(points)
        if len(point.shape) == 2 and before.shape == point.shape
    ]
    most = max((size for _, size in steps), default=0)
    yield from (before for before, size in steps if most and size >= most / 2)


def place_for(depth: Depth, most: float) -> CutPoint | None:
    """Where the depth wants the cut, or earlier where that makes the kept features smaller.

    Where no weights lie before the cut, it is before everything: nothing frozen would be kept.

    Args:
        depth: What is to learn.
        most: Bytes that the kept features of one image may take.

    Returns:
        None where no cut is small enough.
    """
    start = depth.places[-1]
    useful = [one for one in depth.places if one.parameters_after < start.parameters_after]
    if not useful:
        return start
    chosen = useful[0]
    for place in useful[1:]:
        near = place.layers_after - chosen.layers_after <= _FEW
        if size_of(place.shape) <= _SMALLER * size_of(chosen.shape) and near:
            chosen = place
    if kept_bytes(chosen) <= most:
        return chosen
    return next((place for place in useful if kept_bytes(place) <= most), None)


def cut_for(model: Any, depth: Depth, most: float) -> Cut | None:
    """Cut a model, for which the depth was found, at `place_for`; None where there is none."""
    place = place_for(depth, most)
    return None if place is None else split_at(model, depth, place)


def split_at(model: Any, depth: Depth, place: CutPoint) -> Cut:
    """Cut a model at one of the places of a depth that was found for it."""
    return replace(cut_at(model, place.layer), learns=depth.learns)


def takes_images(cut: Cut) -> bool:
    """Whether a backbone is cut before everything, so that images enter the suffix."""
    return bool(cut.suffix.inputs[0].dtype == "uint8")


def kept_bytes(point: CutPoint) -> int:
    """What the features of one view at a cut take on the disk."""
    return -(-(2 * size_of(point.shape) + 512) // 4096) * 4096


def _layers(model: Any) -> list[str]:
    """The layers of a backbone that may learn: all but its input and its pooling."""
    keras = load_keras()
    flat = flatten(model)
    names = [one.name for one in flat.layers if not isinstance(one, keras.layers.InputLayer)]
    return names[:-1]


def _can_learn(model: Any) -> frozenset[str]:
    """The names of the layers with weights that can learn."""
    never = getattr(load_keras().layers, _MEASURED)
    every = flatten(model).layers
    return frozenset(one.name for one in every if one.weights and not isinstance(one, never))


@dataclass(frozen=True)
class _Outline:
    """What a depth is found by: layers that may learn, those that can, where the last block is."""

    name: str
    layers: Sequence[str]
    can: frozenset[str]
    last_block: int


def _first(network: _Outline, unfreeze: int | str) -> int:
    """The number of the first layer that learns.

    Raises:
        HeadstartError: As `find_depth`.
    """
    layers = network.layers
    if unfreeze == "all":
        first = 0
    elif unfreeze == "block":
        first = network.last_block
    elif isinstance(unfreeze, int):
        first = _first_of_last(network.name, layers, unfreeze)
    else:
        first = _first_named(network.name, layers, unfreeze)
    _check_learns(network, first, unfreeze)
    return first


def _check_learns(network: _Outline, first: int, unfreeze: int | str) -> None:
    """Make sure that a layer from `first` on has weights that can learn."""
    layers, can = network.layers, network.can
    if can.intersection(layers[first:]):
        return
    what = f"the last {unfreeze} layers" if isinstance(unfreeze, int) else f"'{unfreeze}'"
    last = max((number for number, name in enumerate(layers) if name in can), default=None)
    if last is None:
        advice = "It has none: leave it frozen."
    else:
        advice = f"Unfreeze at least {len(layers) - last} layers, from '{layers[last]}' on."
    raise HeadstartError(
        f"Nothing in {what} of '{network.name}' can learn: {', '.join(layers[first:][:8])}. "
        f"Expected a layer with weights. {advice}"
    )


def _first_of_last(network: str, layers: Sequence[str], count: int) -> int:
    if not 1 <= count <= len(layers):
        raise HeadstartError(
            f"The last {count} layers of '{network}' cannot be unfrozen. Expected a number from "
            f"1 to {len(layers)}, as many as it has. Choose another number, or 'all'."
        )
    return len(layers) - count


def _first_named(network: str, layers: Sequence[str], name: str) -> int:
    if name in layers:
        return layers.index(name)
    for index, layer in enumerate(layers):
        rest = layer.removeprefix(name)
        if rest != layer and not rest[:1].isdigit():
            return index
    near = difflib.get_close_matches(name, layers, n=3, cutoff=0.4) or layers[-3:]
    raise HeadstartError(
        f"'{network}' has no layer whose name begins with '{name}'. Expected a number of "
        f"layers, 'block', 'all', 'auto', or a name such as {', '.join(near)}. "
        "cut_points(model) lists them."
    )


def _has_joins(model: Any) -> bool:
    keras = load_keras()
    joins = (keras.layers.Add, keras.layers.Concatenate, keras.layers.Multiply)
    return any(isinstance(layer, joins) for layer in flatten(model).layers)
