"""What makes an image into features, ready to run: which it is (its key), and how to open it.

Mostly that is the frozen part of a network; after fine-tuning the trained part lies behind it.
The key comes from the catalogue, the weights' checksum, the cut, the image size, the engine and the
precision, never from a loaded model: where the features are kept already, no framework is imported
at all. The converted network is kept under `prefixes/` in the cache.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import shutil
import sys
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from headstart.backbones import Backbone, load_backbone
from headstart.conversion import FILES, keep_conversion, note_layers, noted_layers
from headstart.cut import CutPoint, cut_at, cut_points, flatten
from headstart.depth import block_ends
from headstart.engine import Chain, Engine, KerasEngine, OpenVINOEngine
from headstart.errors import HeadstartError
from headstart.suffix import Suffix, size_of

_FORMAT = 2  # raise it when the conversion, the decoder or the record changes its answer
_WEIGHTS = "backbone.safetensors"


@dataclass(frozen=True)
class PrefixIdentity:
    """Everything that the features of an image depend on, besides the image.

    `image_size` is (height, width); `runtime` is the engine's package and version; `cut` is the
    layer behind which the network ends, "" for all of it with global average pooling; `tuned` is
    the SHA-256 of the trained weights behind the cut, "" where there are none.
    """

    backbone: str
    weights_digest: str
    image_size: tuple[int, int]
    engine: str
    precision: str
    runtime: str
    format: int = _FORMAT
    cut: str = ""
    tuned: str = ""

    @property
    def key(self) -> str:
        """A name for the folder of features: readable, and different where anything differs."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        height, width = self.image_size
        what = "-".join(filter(None, (self.backbone, self.cut, "tuned" if self.tuned else "")))
        return f"{what}-{height}x{width}-{self.engine}-{self.precision}-{digest[:16]}"

    def here(self) -> PrefixIdentity:
        """The same network as this machine runs it: a bundle may come from another runtime."""
        return replace(self, runtime=_runtime(self.engine))


@dataclass(frozen=True)
class Prefix:
    """A network that gives features: `identity` says which, `width` how many, `open` runs it.

    `shape` is that of one image's features, (width,) for all of the network and (h, w, channels) at
    a cut. `folder` holds the converted network (`FILES`), or the weights for the Keras engine; it
    is None where they belong into the cache. `suffix` is the trained part, after fine-tuning.
    """

    identity: PrefixIdentity
    shape: tuple[int, ...]
    backbone: Backbone | None = field(default=None, compare=False)
    folder: Path | None = None
    suffix: Suffix | None = field(default=None, compare=False)

    @property
    def width(self) -> int:
        """How many features an image has."""
        return size_of(self.shape)

    def open(self, threads: int = 0) -> Engine:
        """Start the engine, converting the network first where that was not done yet.

        Raises:
            HeadstartError: The weights or the converted network cannot be used.
        """
        trained, identity = self.trained(), self.identity
        if trained is None:
            return self.open_frozen(threads)
        last = trained.open(identity.engine, identity.precision, threads)
        return last if trained.whole else Chain(self.open_frozen(threads), last)

    def trained(self) -> Suffix | None:
        """The trained part, ready for the engine; None where there is none."""
        suffix, identity = self.suffix, self.identity
        if suffix is not None and identity.engine == "keras" and suffix.cut is None:
            model = load_backbone(identity.backbone, weights=None).build(identity.image_size)
            suffix = replace(suffix, cut=cut_at(model, suffix.layer))
        return suffix

    def open_frozen(self, threads: int = 0) -> Engine:
        """Start the engine of the frozen part alone."""
        if self.identity.engine == "openvino":
            return OpenVINOEngine(self.converted() / FILES[0], self.identity.precision, threads)
        return KerasEngine(self.model())

    def model(self) -> Any:
        """The frozen part as a Keras model: uint8 (n, height, width, 3) -> float32 (n, *shape)."""
        if self.backbone is not None:
            return self._cut(self.backbone)
        assert self.folder is not None
        return _with_weights(
            self._cut(load_backbone(self.identity.backbone, weights=None)), self.folder / _WEIGHTS
        )

    def _cut(self, backbone: Backbone) -> Any:
        model = backbone.build(self.identity.image_size)
        return cut_at(model, self.identity.cut).prefix if self.identity.cut else model

    def converted(self) -> Path:
        """The folder with the frozen part, converted; made and kept where it is missing."""
        if self.folder is not None:
            return self.folder
        name = _conversion_name(self.identity)
        if self.backbone is None:
            raise HeadstartError(
                f"The converted network '{name}' is missing or damaged. Expected {FILES[0]} and "
                f"{FILES[1]} as they were written. Train again, or copy the bundle anew."
            )
        built: list[Any] = []

        def build() -> Any:
            built.append(self.model())
            return built[0]

        folder = keep_conversion(name, build)
        if built and not self.identity.cut:  # a Keras model is at hand: later none is needed
            note_layers(folder, layer_table(built[0]))
        return folder

    def layers(self) -> list[dict[str, Any]] | None:
        """Every layer of the backbone, as `layer_table` tells them, without loading a framework.

        None where that was not noted when the network was converted, and Keras is not loaded.
        """
        name = _conversion_name(replace(self.identity, cut=""))
        found = noted_layers(name)
        if found is None and self.backbone is not None and "keras" in sys.modules:
            found = layer_table(self.backbone.build(self.identity.image_size))
        return found


def layer_table(model: Any) -> list[dict[str, Any]]:
    """Every layer of a Keras model but its input, in order, as JSON values.

    `shape` is that of one image's output (of the first where it has several), `block` counts from 1
    on, `cut` says whether the network can be cut behind the layer.
    """

    def first(output: Any) -> Any:
        return output[0] if isinstance(output, list | tuple) else output

    flat = flatten(model)
    ends = [end.layers_after for end in block_ends(flat)]
    cuts = {point.layer for point in cut_points(flat)}
    layers = [layer for layer in flat.layers if type(layer).__name__ != "InputLayer"]
    return [
        {
            "name": layer.name,
            "kind": type(layer).__name__,
            "shape": list(first(layer.output).shape[1:]),
            "parameters": int(layer.count_params()),
            "block": 1 + sum(len(layers) - number <= after for after in ends),
            "cut": layer.name in cuts,
        }
        for number, layer in enumerate(layers)
    ]


def make_prefix(
    backbone: Backbone, image_size: tuple[int, int], engine: str, precision: str
) -> Prefix:
    """Describe the frozen `backbone` as `engine` runs it in `precision`.

    `image_size` is (height, width) in pixels.
    """
    identity = PrefixIdentity(
        backbone=backbone.info.name,
        weights_digest=backbone.weights_digest,
        image_size=image_size,
        engine=engine,
        precision=precision,
        runtime=_runtime(engine),
    )
    return Prefix(identity, (backbone.info.features,), backbone)


def cut_prefix(whole: Prefix, point: CutPoint) -> Prefix:
    """The part of a frozen network up to a cut.

    Args:
        whole: The network, as `make_prefix` gives it.
        point: A cut of it, with a shape that is known.
    """
    shape = tuple(int(side or 0) for side in point.shape)
    return replace(whole, identity=replace(whole.identity, cut=point.layer), shape=shape)


def tuned_prefix(frozen: Prefix, suffix: Suffix) -> Prefix:
    """The frozen part and the trained part behind it, as one network."""
    identity = replace(frozen.identity, tuned=suffix.digest)
    return replace(frozen, identity=identity, shape=(suffix.width,), suffix=suffix)


def _runtime(engine: str) -> str:
    package = {"openvino": "openvino", "keras": "tensorflow"}[engine]
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:  # installed under another name, or not at all
        found = importlib.util.find_spec(package)
        return f"{package} {importlib.import_module(package).__version__ if found else 'missing'}"


def _conversion_name(identity: PrefixIdentity) -> str:
    """One conversion serves every precision and version of the runtime."""
    size = list(identity.image_size)
    parts = [identity.backbone, identity.weights_digest, size, identity.format, identity.cut]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    height, width = identity.image_size
    what = "-".join(filter(None, (identity.backbone, identity.cut)))
    return f"{what}-{height}x{width}-{digest[:16]}"


def write_network(prefix: Prefix, folder: Path) -> PrefixIdentity:
    """Write the network into a bundle, and say how it is to be run from there.

    A network that ran on Keras is written for OpenVINO all the same where that is installed, so
    that predicting needs no TensorFlow; otherwise its weights are written alone.
    """
    identity = prefix.identity
    if prefix.suffix is not None:
        prefix.suffix.write(folder)
    if prefix.suffix is not None and prefix.suffix.whole:
        return replace(identity, engine="openvino", runtime=_runtime("openvino"))
    if identity.engine == "openvino" or importlib.util.find_spec("openvino"):
        converted = prefix.converted()
        for name in FILES:
            shutil.copyfile(converted / name, folder / name)
        if identity.engine == "openvino":
            return identity
        return replace(identity, engine="openvino", runtime=_runtime("openvino"))
    from safetensors.numpy import save_file

    arrays = {
        f"{index:05}": np.asarray(value) for index, value in enumerate(prefix.model().get_weights())
    }
    save_file(arrays, folder / _WEIGHTS)
    return identity


def _with_weights(model: Any, path: Path) -> Any:
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
        model.set_weights([arrays[name] for name in sorted(arrays)])
    except (OSError, ValueError, SafetensorError) as error:
        raise HeadstartError(
            f"The weights in '{path}' do not fit or cannot be read. Expected those that were "
            "written with the bundle. Copy the bundle anew."
        ) from error
    return model
