"""What is in a bundle and how it came to be: layers, what learned, the cut, training and figures.

The folder of a bundle goes in, a `Description` comes out: Keras' `model.summary()`, but telling
what happened. Reads what was written when the bundle was saved; needs neither Keras nor TensorFlow.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart.bundle import classifier_of, read_about
from headstart.console import displayable
from headstart.dataset import PART_NAMES
from headstart.errors import HeadstartError
from headstart.heads import Head
from headstart.summary import table, training_lines

FROZEN = "frozen"
BEFORE = "frozen before the cut"
BEHIND = "frozen behind the cut"
LEARNED = "learned"
NORM = "batch norm in inference mode"
SCALED = "scale and shift learned"  # batch norm whose statistics stayed
NO_LAYERS = (
    "The backbone's layers are not known: the bundle, or the converted network that it was made "
    "from, is of an older headstart. To see them, headstart cache --clear all, and train again."
)


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        name: In the Keras model.
        kind: Its class.
        shape: Of its output, for one image.
        parameters: How many weights it has.
        state: Whether it learned; "" where it has no weights.
        block: Which block of the backbone it belongs to, from 1 on; 0 for the head.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]
    parameters: int
    state: str
    block: int = 0


@dataclass(frozen=True)
class Description:
    """What is in a bundle; `str()` shows it block by block, `text(layers=True)` every layer.

    Attributes:
        name: Name of the bundle's folder.
        class_names: The classes.
        backbone: Identity of the network: name, image size, engine, precision and so on.
        layers: Of the backbone, in order; None where they are not known.
        cut: Where it was split for fine-tuning: layer, shape, `whole` (before everything); None
            where all of it is frozen.
        head: The head's layers.
        head_kind: `linear`, `mlp` or `prototype`.
        resize: `squash`, `crop` or `pad`.
        fine_tuning: What `Run.fine_tuning` said, or None.
        data: Name, fingerprint and numbers of images.
        metrics: Accuracy of each part.
    """

    name: str
    class_names: tuple[str, ...]
    backbone: dict[str, Any]
    layers: tuple[Layer, ...] | None
    cut: dict[str, Any] | None
    head: tuple[Layer, ...]
    head_kind: str
    resize: str
    fine_tuning: dict[str, Any] | None
    data: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def parameters(self) -> dict[str, int] | None:
        """How many weights there are in `all`, `learned` and `frozen`; None where not known."""
        if self.layers is None:
            return None
        every = (*self.layers, *self.head)
        learned = sum(one.parameters for one in every if one.state in (LEARNED, SCALED))
        learned -= sum(2 * int(one.shape[-1] or 0) for one in every if one.state == SCALED)
        total = sum(one.parameters for one in every)
        return {"all": total, "learned": learned, "frozen": total - learned}

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values: the object that `headstart describe --json` prints."""
        return {**asdict(self), "parameters": self.parameters}

    def text(self, *, layers: bool = False) -> str:
        """All of it for people; with `layers`, each layer of the backbone has a line."""
        return "\n".join(_lines(self, layers))

    def __str__(self) -> str:
        """A line for each block."""
        return self.text()


def describe(path: str | os.PathLike[str]) -> Description:
    """Read what a bundle consists of and what happened when it was trained.

    Args:
        path: The folder that `headstart fit` wrote.

    Raises:
        HeadstartError: Not a bundle, from a newer headstart, damaged or incomplete.
    """
    folder = Path(path)
    about = read_about(folder)
    classifier = classifier_of(folder, about)
    try:
        return Description(
            name=folder.resolve().name,
            class_names=classifier.class_names,
            backbone=dict(about["prefix"]),
            layers=_backbone_layers(about),
            cut=about.get("suffix"),
            head=_head_layers(classifier.head),
            head_kind=classifier.head.kind,
            resize=classifier.resize,
            fine_tuning=about.get("fine_tuning"),
            data=dict(about["data"]),
            metrics={
                part: {name: values[name] for name in ("accuracy", "low", "high")}
                for part, values in json.loads((folder / "metrics.json").read_bytes()).items()
                if part in PART_NAMES
            },
        )
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        raise HeadstartError(
            f"The bundle '{folder}' is incomplete: {error}. Expected what headstart fit writes. "
            "Train again."
        ) from error


def _backbone_layers(about: Mapping[str, Any]) -> tuple[Layer, ...] | None:
    rows = about.get("layers")  # bundles of 0.1 had none
    if rows is None:
        return None
    cut, place, moved = about.get("suffix"), len(rows), set()
    if cut is not None:
        names = [row["name"] for row in rows]
        place = names.index(cut["layer"]) if cut["layer"] in names else -1  # -1: the input
        moved = set(about["fine_tuning"]["moved"])
    layers = []
    for number, row in enumerate(rows):
        state = FROZEN if cut is None else BEHIND if number > place else BEFORE
        learned = LEARNED if row["name"] in moved else ""
        if state == BEHIND and row["kind"] == "BatchNormalization":
            state = SCALED if learned else NORM
        elif learned or not row["parameters"]:
            state = learned
        shape, size = tuple(row["shape"]), row["parameters"]
        layers.append(Layer(row["name"], row["kind"], shape, size, state, row["block"]))
    return tuple(layers)


def _head_layers(head: Head) -> tuple[Layer, ...]:
    last = len(head.layers) - 1
    return tuple(
        Layer(
            name=f"head_{number}",
            kind=f"Dense, {'softmax' if number == last else 'relu'}",
            shape=bias.shape,
            parameters=weights.size + bias.size,
            state=LEARNED,
        )
        for number, (weights, bias) in enumerate(head.layers)
    )


def _lines(one: Description, every_layer: bool) -> Iterator[str]:
    height, width = one.backbone["image_size"]
    yield displayable(
        f"{one.name}: {one.backbone['backbone']} at {height} x {width}, {one.resize}, "
        f"{one.backbone['precision']} on {one.backbone['engine']}; {one.head_kind} head; "
        f"{len(one.class_names)} classes: {_some(one.class_names)}"
    )
    yield ""
    if one.layers is None:
        yield NO_LAYERS
        rows = _rows(one.head)
    elif every_layer:
        rows = _rows((*one.layers, *one.head))
    else:
        rows = [*_block_rows(one.layers), *_rows(one.head, "block")]
    yield table(rows)
    yield ""
    yield _cut_line(one)
    if (total := one.parameters) is not None:
        yield "Parameters: {all:,}; {learned:,} learned, {frozen:,} frozen.".format(**total)
    yield from training_lines(one.fine_tuning)
    counts = ", ".join(f"{part} {count:,}" for part, count in one.data["images"].items())
    yield displayable(f"Data: {one.data['name']}; images: {counts}.")
    test = "test {accuracy:.3f} ({low:.3f} to {high:.3f})".format(**one.metrics["test"])
    others = {part: one.metrics[part]["accuracy"] for part in ("validation", "train")}
    told = [f"{part} {value:.3f}" for part, value in others.items() if one.data["images"][part]]
    yield f"Accuracy: {', '.join([test, *told])}."


def _cut_line(one: Description) -> str:
    cut = one.cut
    if cut is None:
        return "Not cut: all of the backbone is frozen, and ran once for each image."
    if cut["whole"]:
        return "Cut before everything: images went through the whole backbone in each epoch."
    return (
        f"Cut behind {displayable(cut['layer'])} ({_shape(cut['shape'])}): what lies before ran "
        "once for each image and was kept, what lies behind was trained on that."
    )


def _rows(layers: Sequence[Layer], first: str = "layer") -> list[dict[str, Any]]:
    """A line for each layer, or for a block of one layer."""
    return [
        {
            first: layer.name,
            **({"kind": layer.kind} if first == "layer" else {"layers": 1}),
            "output": _shape(layer.shape),
            "parameters": layer.parameters,
            "state": layer.state or "-",
        }
        for layer in layers
    ]


def _block_rows(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    rows = []
    for _, group in itertools.groupby(layers, key=lambda layer: layer.block):
        block = list(group)
        rows.append(
            {
                "block": _block_name(block, layers),
                "layers": len(block),
                "output": _shape(block[-1].shape),
                "parameters": sum(layer.parameters for layer in block),
                "state": _block_state(block),
            }
        )
    return rows


def _block_name(block: Sequence[Layer], layers: Sequence[Layer]) -> str:
    """What the names in it begin with, where no other name does; else from where to where."""
    names = [layer.name for layer in block]
    tokens = zip(*(name.split("_") for name in names), strict=False)
    shared = "_".join(one[0] for one in itertools.takewhile(lambda one: len({*one}) == 1, tokens))
    outside = {layer.name for layer in layers} - set(names)
    if len(names) > 1 and shared and not any(name.startswith(f"{shared}_") for name in outside):
        return shared
    return names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]}"


def _block_state(block: Sequence[Layer]) -> str:
    """The state of all its layers, or how many have which."""
    counts = Counter(layer.state for layer in block if layer.state)
    if len(counts) < 2:
        return next(iter(counts), "-")
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def _shape(shape: Sequence[int | None]) -> str:
    return " x ".join("any" if side is None else str(side) for side in shape)


def _some(names: Sequence[str], most: int = 8) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
