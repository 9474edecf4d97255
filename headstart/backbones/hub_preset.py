"""Preset folders of KerasHub: what is in them, and under which name their features are kept.

A folder comes in, as `save_to_preset` of KerasHub writes it, a `Preset` goes out: JSON is read,
weights are only checksummed. No framework is needed for that.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.backbones.weights import file_digest
from headstart.errors import HeadstartError

CONFIG, CONVERTER = "config.json", "image_converter.json"
WEIGHTS, SHARDS = "model.weights.h5", "model.weights.json"
_ADVICE = "Write it with save_to_preset of KerasHub, or fetch it with: headstart backbones fetch"
_INNER = ("vision_encoder", "image_encoder")  # of networks that are more than a vision backbone
# Made for one size, but convolutions, or tokens whose positions are interpolated or rotary.
_ANY_SIZE = ("HGNetV2Backbone", "DINOV2Backbone", "DINOV3Backbone")
_SHAPES = ("image_shape", "input_shape")


@dataclass(frozen=True, eq=False)
class Preset:
    """One preset folder.

    Attributes:
        folder: Where it is.
        config: The network, as KerasHub describes it.
        converter: Its preprocessing, as KerasHub describes it; None where it has none.
        weights: The file to load.
        digest: SHA-256 of network, preprocessing and weights, hexadecimal.
    """

    folder: Path
    config: dict[str, Any]
    converter: dict[str, Any] | None
    weights: Path
    digest: str

    @property
    def kind(self) -> str:
        """The class of its network, such as `ViTBackbone`."""
        return str(self.config["registered_name"]).rpartition(">")[2]

    @property
    def shape(self) -> tuple[int | None, int | None]:
        """(height, width) in pixels that its network was made for; None where it takes any."""
        _, height, width = _shape_of(self.config)
        return height, width

    @property
    def any_size(self) -> bool:
        """Whether it surely takes other image sizes than its own."""
        return self.shape == (None, None) or self.kind in _ANY_SIZE

    def config_at(self, image_size: tuple[int, int]) -> dict[str, Any]:
        """The network for another image size, where it was made for one; computing in float32.

        Raises:
            HeadstartError: It is quantized.
        """
        config = copy.deepcopy(self.config)
        _to_float32(config, self.folder)
        if self.shape not in ((None, None), image_size):
            place, _, _ = _shape_of(config)
            key = next(key for key in _SHAPES if key in place)
            place[key] = [*image_size, 3]
        return config


def read_preset(folder: Path) -> Preset:
    """Read a preset folder.

    Raises:
        HeadstartError: It is none, it is damaged, or its network is none for images.
    """
    if not folder.is_dir():
        raise HeadstartError(
            f"There is no preset folder '{folder}'. Expected a folder with {CONFIG} and {WEIGHTS}, "
            "as save_to_preset of KerasHub writes it. Check the path; if it has moved, give "
            '--backbone hub:DIR/FOLDER (in Python: backbone="hub:DIR/FOLDER").'
        )
    config = check_config(folder)
    files = _weights_of(folder)
    here = [folder / CONFIG, *files]
    converter = None
    if (folder / CONVERTER).exists():
        converter = _read_json(folder / CONVERTER)
        if not _is_harmless(converter):
            raise _damaged(folder / CONVERTER, "it names classes that are not KerasHub's")
        here.append(folder / CONVERTER)
    digests = {path.name: file_digest(path) for path in here}
    text = json.dumps(digests, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Preset(folder, config, converter, files[0], digest)


def check_config(folder: Path) -> dict[str, Any]:
    """Read which network a preset is.

    Raises:
        HeadstartError: It does not say so, or the network is none for images.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise HeadstartError(
            f"'{folder}' is no preset: it has no {CONFIG}. Expected {CONFIG} and {WEIGHTS}. "
            f"{_ADVICE}"
        )
    config = _read_json(path)
    if not isinstance(config.get("registered_name"), str):
        raise HeadstartError(
            f"'{path}' does not describe a network of KerasHub: it has no registered_name. "
            "Expected a preset in KerasHub's own format, not in that of Transformers or timm. "
            "Open it with keras_hub.models.Backbone.from_preset and write it with save_to_preset."
        )
    if not _is_harmless(config):
        raise _damaged(path, "it names classes that are not KerasHub's")
    try:
        _shape_of(config)
    except (LookupError, TypeError, ValueError, StopIteration) as error:
        raise HeadstartError(
            f"The preset '{folder}' is no vision backbone: it is a {config['registered_name']}. "
            "Expected a network that takes images alone, such as ResNet, ViT or DINOv2. Use "
            "another preset."
        ) from error
    return config


def _is_harmless(value: Any) -> bool:
    """Whether a description names only classes of Keras and KerasHub, and functions of Keras."""
    if isinstance(value, list):
        return all(map(_is_harmless, value))
    if not isinstance(value, dict):
        return True
    module = str(value.get("module") or "keras").partition(".")[0]
    known = module in ("keras", "keras_hub")
    known |= module == "builtins" and value.get("class_name") == "function"
    return known and all(map(_is_harmless, value.values()))


def _shape_of(config: dict[str, Any]) -> tuple[dict[str, Any], int | None, int | None]:
    """The settings that hold the shape of images, and its height and width."""
    settings = config["config"]
    for inner in _INNER:
        if isinstance(settings.get(inner), dict):
            return _shape_of(settings[inner])
    height, width, channels = next(settings[key] for key in [*_SHAPES] if settings.get(key))
    if channels != 3:
        raise ValueError("no colour images, or channels first")
    return settings, height, width


def _to_float32(config: Any, folder: Path) -> None:
    """Let a network and all inside compute in float32, whatever it was saved in."""
    if isinstance(config, list):
        for one in config:
            _to_float32(one, folder)
    if not isinstance(config, dict):
        return
    for key, value in config.items():
        if key != "dtype":
            _to_float32(value, folder)
            continue
        plain = isinstance(value, str) or value is None
        if not plain and value.get("class_name") != "DTypePolicy":
            raise HeadstartError(
                f"The preset '{folder}' is quantized: {value.get('class_name')}. Expected weights "
                "as they were trained, float32 or bfloat16. Use the preset it was made from."
            )
        config[key] = "float32"


def _weights_of(folder: Path) -> list[Path]:
    """The weights file and its parts, the one to load first."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    names: list[str] = []
    if (folder / SHARDS).is_file():
        names = [SHARDS, *shards(folder)]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing or not names:
        raise HeadstartError(
            f"The preset '{folder}' has no weights: there is no {(missing or [WEIGHTS])[0]}. "
            f"Expected {CONFIG} and {WEIGHTS}. {_ADVICE}"
        )
    return [folder / name for name in names]


def shards(folder: Path) -> list[str]:
    """The files that large weights are spread over.

    Raises:
        HeadstartError: It cannot be told.
    """
    path = folder / SHARDS
    listed = _read_json(path).get("weight_map")
    if not isinstance(listed, dict):
        raise _damaged(path, "it has no weight_map")
    found: set[str] = set()
    for value in listed.values():
        found.update(map(str, value if isinstance(value, list) else [value]))
    if any(Path(name).name != name for name in found):
        raise _damaged(path, "it names files outside the folder")
    return sorted(found)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error).rstrip(".")) from error
    if not isinstance(found, dict):
        raise _damaged(path, "it is no JSON object")
    return found


def _damaged(path: Path, why: str) -> HeadstartError:
    return HeadstartError(
        f"'{path}' cannot be used: {why}. Expected the file as KerasHub wrote it. {_ADVICE}"
    )
