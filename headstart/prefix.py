"""The frozen part of a network, ready to run: which it is (its key), and how to open it.

The key comes from the catalogue, the weights' checksum, the image size, the engine and the
precision, never from a loaded model: where the features are kept already, no framework is imported
at all. The converted network is kept under `prefixes/` in the cache and checked against its
checksum each time it is opened.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import tempfile
from contextlib import suppress
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
_DIGESTS = "prefix.json"
_WEIGHTS = "backbone.safetensors"
STAGE = "prepare backbone"


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

    def here(self) -> PrefixIdentity:
        """The same network as this machine runs it: a bundle may come from another runtime."""
        return replace(self, runtime=_runtime(self.engine))


@dataclass(frozen=True)
class Prefix:
    """A frozen network: `identity` says which, `width` how many features, `open` runs it.

    `folder` holds the converted network (`FILES`), or the weights for the Keras engine; it is None
    where they belong into the cache.
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
        folder = _outside.get(folder, folder)
        if not is_intact(folder):
            return self._convert(folder)
        with suppress(OSError):
            os.utime(folder / _DIGESTS)  # when it was last used, for the cache limit
        return folder

    def _convert(self, folder: Path) -> Path:
        if self.backbone is None:
            raise HeadstartError(
                f"The converted network is missing or damaged in '{folder}'. Expected "
                f"{' and '.join(FILES)} as they were written. Train again, or copy the bundle anew."
            )
        with progress.stage(STAGE):
            model = self.backbone.build(self.identity.image_size)
            try:
                with atomic.new_folder(folder) as aside:
                    _write(model, aside)
                    if is_intact(folder):
                        raise FileExistsError  # another process was faster; it may be using it
            except OSError as error:
                if is_intact(folder):
                    return folder
                folder = _convert_outside(model, folder, error)
        return folder


def _write(model: Any, folder: Path) -> None:
    convert(model, folder / FILES[0])
    digests = {name: file_digest(folder / name) for name in FILES}
    (folder / _DIGESTS).write_text(json.dumps(digests))


_outside: dict[Path, Path] = {}  # networks that the cache did not take, by their place in it


def _convert_outside(model: Any, place: Path, reason: OSError) -> Path:
    """Convert into a folder that lasts as long as this process, where the cache takes nothing."""
    folder = _own_folder() / place.name
    progress.remark(STAGE, f"the converted network is not kept: {reason}")
    try:
        folder.mkdir(exist_ok=True)
        _write(model, folder)
    except OSError as error:
        raise HeadstartError(
            f"The network cannot be converted: {error}. Expected some room in the cache folder "
            f"'{cache_root()}' or in '{folder.parent}'. Free some, or set HEADSTART_CACHE to "
            "another folder."
        ) from error
    _outside[place] = folder
    return folder


@functools.cache
def _own_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="headstart-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


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
    return Prefix(identity, backbone.info.features, backbone)


def _runtime(engine: str) -> str:
    package = {"openvino": "openvino", "keras": "tensorflow"}[engine]
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:  # installed under another name, or not at all
        found = importlib.util.find_spec(package)
        return f"{package} {importlib.import_module(package).__version__ if found else 'missing'}"


def _place(identity: PrefixIdentity) -> Path:
    """One conversion serves every precision and version of the runtime."""
    parts = [identity.backbone, identity.weights_digest, list(identity.image_size), identity.format]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    height, width = identity.image_size
    return cache_root() / "prefixes" / f"{identity.backbone}-{height}x{width}-{digest[:16]}"


def is_intact(folder: Path) -> bool:
    """Whether the converted network in `folder` is as it was written."""
    try:
        digests = json.loads((folder / _DIGESTS).read_text())
        return all(file_digest(folder / name) == digests[name] for name in FILES)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_network(prefix: Prefix, folder: Path) -> PrefixIdentity:
    """Write the network into a bundle, and say how it is to be run from there.

    A network that ran on Keras is written for OpenVINO all the same where that is installed, so
    that predicting needs no TensorFlow; otherwise its weights are written alone.
    """
    identity = prefix.identity
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


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
