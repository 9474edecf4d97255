"""The frozen part of a network, ready to run: which it is (its key), and how to open an engine for it.

The key comes from the catalogue, the weights' checksum, the image size, the engine and the precision, never
from a loaded model: where the features are kept already, no framework is imported at all. The converted network
is kept under `prefixes/` in the cache and checked against its checksum each time it is opened.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from headstart import atomic, progress
from headstart.backbones import Backbone, load_backbone
from headstart.engine import Engine, KerasEngine, OpenVINOEngine, convert
from headstart.errors import HeadstartError
from headstart.locations import cache_root

_FORMAT = 1  # raise it when the conversion, the decoder or the record changes its answer
FILES = ("prefix.xml", "prefix.bin")
_WEIGHTS = "backbone.safetensors"


@dataclass(frozen=True)
class PrefixIdentity:
    """Everything that the features of an image depend on, besides the image.

    `image_size` is (height, width); `runtime` is the engine's package and version.
    """

    backbone: str
    weights_digest: str
    image_size: tuple[int, int]
    engine: str
    precision: str
    runtime: str
    format: int = _FORMAT

    @property
    def key(self) -> str:
        """A name for the folder of features: readable, and different where anything differs."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        height, width = self.image_size
        return f"{self.backbone}-{height}x{width}-{self.engine}-{self.precision}-{digest[:16]}"


@dataclass(frozen=True)
class Prefix:
    """A frozen network: `identity` says which, `width` how many features, `open` runs it.

    `folder` holds the converted network (`FILES`); it is None until `open` made it, and for the Keras engine.
    """

    identity: PrefixIdentity
    width: int
    backbone: Backbone | None = field(default=None, compare=False)
    folder: Path | None = None

    def open(self, threads: int = 0) -> Engine:
        """Start the engine, converting the network first where that was not done yet.

        Raises:
            HeadstartError: The weights or the converted network cannot be used.
        """
        if self.identity.engine == "openvino":
            return OpenVINOEngine(self.converted() / FILES[0], self.identity.precision, threads)
        return KerasEngine(self.model())

    def model(self) -> Any:
        """The network as a Keras model, uint8 (n, height, width, 3) -> float32 (n, features)."""
        if self.backbone is not None:
            return self.backbone.build(self.identity.image_size)
        assert self.folder is not None
        model = load_backbone(self.identity.backbone, weights=None).build(self.identity.image_size)
        return _with_weights(model, self.folder / _WEIGHTS)

    def converted(self) -> Path:
        """The folder with the converted network, made and kept where it is missing or damaged."""
        if self.folder is not None:
            return self.folder
        folder = _place(self.identity)
        if not is_intact(folder):
            self._convert(folder)
        return folder

    def _convert(self, folder: Path) -> None:
        if self.backbone is None:
            raise HeadstartError(
                f"The converted network is missing or damaged in '{folder}'. Expected {' and '.join(FILES)} "
                "as they were written. Train again, or copy the bundle anew."
            )
        with progress.stage("prepare backbone"), atomic.new_folder(folder) as aside:
            convert(self.backbone.build(self.identity.image_size), aside / FILES[0])
            digests = {name: file_digest(aside / name) for name in FILES}
            (aside / "prefix.json").write_text(json.dumps(digests))


def make_prefix(
    backbone: Backbone, image_size: tuple[int, int], engine: str, precision: str
) -> Prefix:
    """Describe the frozen `backbone` at `image_size` (height, width) as `engine` runs it in `precision`."""
    package = {"openvino": "openvino", "keras": "tensorflow"}[engine]
    identity = PrefixIdentity(
        backbone=backbone.info.name,
        weights_digest=backbone.weights_digest,
        image_size=image_size,
        engine=engine,
        precision=precision,
        runtime=f"{package} {metadata.version(package)}",
    )
    return Prefix(identity, backbone.info.features, backbone)


def _place(identity: PrefixIdentity) -> Path:
    """One conversion serves every precision and version of the runtime."""
    parts = [identity.backbone, identity.weights_digest, list(identity.image_size), identity.format]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    height, width = identity.image_size
    return cache_root() / "prefixes" / f"{identity.backbone}-{height}x{width}-{digest[:16]}"


def is_intact(folder: Path) -> bool:
    """Whether the converted network in `folder` is as it was written."""
    try:
        digests = json.loads((folder / "prefix.json").read_text())
        return all(file_digest(folder / name) == digests[name] for name in FILES)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_network(prefix: Prefix, folder: Path) -> PrefixIdentity:
    """Write the network into a bundle, and say how it is to be run from there.

    A network that ran on Keras is written for OpenVINO all the same where that is installed, so that predicting
    needs no TensorFlow; otherwise its weights are written alone.
    """
    identity = prefix.identity
    if identity.engine == "openvino" or importlib.util.find_spec("openvino"):
        converted = prefix.converted()
        for name in FILES:
            shutil.copyfile(converted / name, folder / name)
        if identity.engine == "openvino":
            return identity
        return replace(
            identity, engine="openvino", runtime=f"openvino {metadata.version('openvino')}"
        )
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
            f"The weights in '{path}' do not fit or cannot be read. Expected those that were written with the "
            "bundle. Copy the bundle anew."
        ) from error
    return model


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
