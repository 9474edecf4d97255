"""Building blocks for a Keras training loop of one's own: freeze, unfreeze, and kept features.

    model = headstart.load_backbone("efficientnet_lite0").build((224, 224))
    headstart.unfreeze(model, last=20)

A frozen layer stays frozen, and batch normalization stays in inference mode, whatever `training` a
model is called with; what was compiled before cannot be trained without being compiled again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart.backbones import Backbone, load_backbone
from headstart.cache import make_room
from headstart.cut import CutPoint, cut_at, is_count
from headstart.engine import choose_engine, resolve_precision
from headstart.errors import HeadstartError
from headstart.features import extract as make_features
from headstart.features.extraction import Source
from headstart.frameworks import load_keras
from headstart.prefix import Prefix, cut_prefix, make_prefix
from headstart.recipe import Recipe
from headstart.scan import printable

_NAMED = 5  # bad files that an error names


def freeze(model: Any) -> Any:
    """Freeze a Keras model: nothing in it learns, and batch normalization is in inference mode.

    That holds where the model is called with `training=True` too, as a layer of another model as
    well. A model around it has to be compiled after this call, not before; `model` itself is not
    compiled any more, so that `fit` asks for it.

    Args:
        model: Any Keras model.

    Returns:
        The same model.

    Raises:
        HeadstartError: It is no Keras model.
    """
    _check_kind(model, load_keras().layers.Layer)
    model.trainable = False
    _forget_compiled(model)
    return model


def unfreeze(model: Any, last: int = 20) -> tuple[str, ...]:
    """Let exactly the last layers of a Keras model learn; all before them are frozen.

    As `for layer in base_model.layers[:-20]: layer.trainable = False` counts: every layer, those
    without weights too; those of models inside the model one by one. `BatchNormalization` among
    them stays frozen and in inference mode. Give the backbone, not the model that has the head.

    Compile after this call, not before: Keras trains what could be trained when `compile` was
    called. Where `model` was compiled it is not any more, so that `fit` asks for it. A model around
    it is not known here; Keras 3.15 warns there, older versions say nothing.

    Args:
        model: Any Keras model with layers inside.
        last: How many layers, counted from the output; 0 freezes all.

    Returns:
        The names of the layers that learn, in order.

    Raises:
        HeadstartError: It is no Keras model, there are not as many layers, or none of them has
            weights to learn. The model is left as it was.
    """
    keras = load_keras()
    _check_kind(model, keras.Model)
    layers = list(_leaves(model, keras))
    if not is_count(last, len(layers)):
        raise HeadstartError(
            f"The last {last!r} layers of '{model.name}' cannot be unfrozen. Expected a number "
            f"from 0 to {len(layers)}, as many as it has. Choose another number."
        )
    chosen = layers[len(layers) - last :]
    if last and not any(_can_learn(layer, keras) for layer in chosen):
        kinds = ", ".join(dict.fromkeys(type(layer).__name__ for layer in chosen))
        raise HeadstartError(
            f"The last {last} layers of '{model.name}' cannot learn: they are {kinds}. Expected "
            "at least one with weights, besides batch normalization. Choose a larger number."
        )
    model.trainable = True  # a frozen parent would freeze all inside
    for layer in layers:
        layer.trainable = False
    for layer in chosen:
        _let_learn(layer, keras)
    _forget_compiled(model)
    return tuple(layer.name for layer in chosen if layer.trainable_weights)


def _check_kind(model: Any, kind: Any) -> None:
    if not isinstance(model, kind):
        raise HeadstartError(
            f"model cannot be a {type(model).__name__}. Expected a Keras model. Build one, such as "
            "headstart.load_backbone('efficientnet_lite0').build((224, 224))."
        )


def _leaves(model: Any, keras: Any) -> Iterator[Any]:
    """The layers of a model and of the models inside it, in Keras' order; inputs are none."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer, keras)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer


def _let_learn(layer: Any, keras: Any) -> None:
    """Unfreeze a layer and what is inside, but for batch normalization."""
    layer.trainable = True
    for one in layer._flatten_layers():
        if isinstance(one, keras.layers.BatchNormalization):
            one.trainable = False


def _can_learn(layer: Any, keras: Any) -> bool:
    """Whether a layer has weights that were made to learn, besides those of batch norm."""
    norm = keras.layers.BatchNormalization
    inside = layer._flatten_layers()
    return any(one._trainable_variables for one in inside if not isinstance(one, norm))


def _forget_compiled(model: Any) -> None:
    """What was compiled trains what could learn then: make `fit` ask for a new `compile`."""
    for one in model._flatten_layers():
        if getattr(one, "compiled", False):
            one.compiled = False
            one.train_function = None


def extract(
    paths: Sequence[str | os.PathLike[str] | bytes],
    network: str | Backbone,
    *,
    image_size: tuple[int, int] | int | None = None,
    layer: str | None = None,
    resize: str = "squash",
    precision: str = "auto",
) -> npt.NDArray[np.float16]:
    """Features of images from a frozen backbone, kept, so that none is computed twice.

    The same engine and the same kept features as `headstart.fit`: what either has made, the other
    finds. `headstart.features.extract` is the step inside, for more than fits into memory.

    Args:
        paths: Image files, or the bytes of some.
        network: A name as `load_backbone` takes it, or a `Backbone`.
        image_size: (height, width) in pixels, one number for a square, or None for the backbone's
            own.
        layer: The layer behind which to cut, as `cut_points` names it; None for the pooled features
            at the end.
        resize: `squash`, `crop` or `pad`.
        precision: `float32`, `bfloat16`, or `auto` by the processor.

    Returns:
        float16 (n, features), or (n, h, w, channels) at a cut; in the order of `paths`.

    Raises:
        HeadstartError: Files that cannot be read, by name; a network, layer or choice that does not
            exist.
    """
    if isinstance(paths, str | bytes | os.PathLike):
        raise HeadstartError(
            "One image was given where several are expected. Expected a list of paths or bytes. "
            "Put it into a list: [image]."
        )
    images: list[Source] = [one if isinstance(one, bytes) else Path(one) for one in paths]
    prefix = _prefix(network, image_size, layer, precision)
    make_room(keep=prefix.identity.key)
    features = make_features(images, prefix, resize=resize)
    if features.bad:
        raise _unreadable(images, features.bad)
    return features.matrix(np.arange(len(images))).reshape(-1, *prefix.shape)


def _unreadable(images: Sequence[Source], bad: Mapping[int, str]) -> HeadstartError:
    told = []
    for row in sorted(bad)[:_NAMED]:
        image = images[row]
        name = str(image) if isinstance(image, Path) else f"bytes at {row}"
        told.append(f"{printable(name)} ({bad[row]})")
    if len(bad) > _NAMED:
        told.append(f"and {len(bad) - _NAMED} more")
    return HeadstartError(
        f"{len(bad)} of {len(images)} images cannot be used: {'; '.join(told)}. Expected images "
        "that open. Leave them out; the features of the others are kept."
    )


def _prefix(
    network: str | Backbone,
    image_size: tuple[int, int] | int | None,
    layer: str | None,
    precision: str,
) -> Prefix:
    backbone = network if isinstance(network, Backbone) else load_backbone(network)
    own = backbone.info.image_size
    size = Recipe(image_size=image_size).height_and_width or (own, own)
    engine = choose_engine("auto")
    whole = make_prefix(backbone, size, engine, resolve_precision(precision, engine))
    return whole if layer is None else cut_prefix(whole, _point(whole, backbone, layer))


def _point(whole: Prefix, backbone: Backbone, layer: str) -> CutPoint:
    """The cut behind a layer; where its shape was noted no model is built."""
    for row in whole.layers() or ():
        if row["name"] == layer and row["cut"]:
            return CutPoint(layer, tuple(row["shape"]), 0, 0)  # what lies after is not needed
    return cut_at(backbone.build(whole.identity.image_size), layer).point
