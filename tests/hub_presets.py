"""Small presets of KerasHub with seeded random weights, written anew for the tests."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from headstart.backbones import Backbone, load_backbone
from headstart.frameworks import load_keras

keras: Any = load_keras()
hub: Any = pytest.importorskip("keras_hub", reason="keras-hub is not installed (the extra hub)")
SIDE = 32
_PLACE = Path(os.environ["HEADSTART_CACHE"]).parent / "presets"  # gone when the tests end
SCALE, OFFSET = (1 / 50, 1 / 60, 1 / 70), (-1.0, -0.5, 0.2)


def resnet() -> Any:
    return hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )


def mobilenet() -> Any:
    return hub.models.MobileNetBackbone(
        stackwise_expansion=[[8], [16, 16]],
        stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[8], [8, 8]],
        stackwise_kernel_size=[[3], [3, 3]],
        stackwise_num_strides=[[2], [2, 1]],
        stackwise_se_ratio=[[0.25], [None, None]],
        stackwise_activation=[["relu"], ["relu", "relu"]],
        stackwise_padding=[[1], [1, 1]],
        output_num_filters=16,
        input_num_filters=8,
        input_activation="hard_swish",
        output_activation="hard_swish",
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=16,
    )


def hgnet() -> Any:
    return hub.models.HGNetV2Backbone(
        depths=[1, 1],
        embedding_size=8,
        hidden_sizes=[16, 32],
        stem_channels=[3, 8, 8],
        hidden_act="relu",
        use_learnable_affine_block=False,
        stackwise_stage_filters=[[8, 8, 16, 1, 3, 3], [16, 16, 32, 1, 3, 3]],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, False],
        image_shape=(SIDE, SIDE, 3),
    )


def transformer(kind: str, **settings: Any) -> Any:
    shape = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "patch_size": 8}
    return getattr(hub.models, kind)(image_shape=(SIDE, SIDE, 3), **shape, **settings)


def vit(**settings: Any) -> Any:
    return transformer("ViTBackbone", mlp_dim=32, **settings)


def dinov2() -> Any:
    settings = {"num_register_tokens": 2, "position_embedding_shape": (48, 48, 3)}
    return transformer("DINOV2Backbone", intermediate_dim=32, **settings)


def siglip() -> Any:
    models = hub.models
    seen = models.SigLIPVisionEncoder(8, 16, 2, 2, 32, image_shape=(SIDE, SIDE, 3))
    read = models.SigLIPTextEncoder(20, 16, 16, 2, 2, 32, max_sequence_length=8)
    return models.SigLIPBackbone(seen, read)


def clip(kind: str = "CLIP") -> Any:
    models = hub.models
    seen = getattr(models, f"{kind}VisionEncoder")(8, 16, 2, 2, 32, image_shape=(SIDE, SIDE, 3))
    read = getattr(models, f"{kind}TextEncoder")(20, 16, 16, 2, 2, 32, max_sequence_length=8)
    return getattr(models, f"{kind}Backbone")(seen, read, projection_dim=5)


MADE: dict[str, Callable[[], Any]] = {
    "ResNet": resnet,
    "MobileNet": mobilenet,
    "VGG": lambda: hub.models.VGGBackbone([1, 1], [4, 8]),
    "HGNetV2": hgnet,
    "ViT": vit,
    "DeiT": lambda: transformer("DeiTBackbone", intermediate_dim=32),
    "DINOV2": dinov2,
    "DINOV3": lambda: transformer("DINOV3Backbone", intermediate_dim=32),
    "SigLIP": siglip,
    "CLIP": clip,
    "MetaCLIP2": lambda: clip("MetaCLIP2"),
}


def write(name: str, folder: Path, *, seed: int = 1, model: Any = None) -> tuple[Any, Any]:
    """Write a preset with its image converter; gives both, as KerasHub has them in memory."""
    keras.utils.set_random_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, of how Keras saves
        backbone = MADE[name]() if model is None else model
        for weight in backbone.weights:  # as trained: no offset is 0, no variance 1
            if "float" in weight.dtype and len(weight.shape) == 1:
                weight.assign(weight + keras.random.uniform(weight.shape, 0.05, 0.2))
        backbone.save_to_preset(str(folder))
    kind = getattr(hub.layers, f"{name}ImageConverter")
    converter = kind(image_size=(SIDE, SIDE), scale=list(SCALE), offset=list(OFFSET))
    converter.save_to_preset(str(folder))
    return backbone, converter


class Written(NamedTuple):
    """A preset that no test may change, as KerasHub and headstart have it."""

    folder: Path
    backbone: Any
    converter: Any
    loaded: Backbone
    built: Any


@functools.cache
def written(name: str) -> Written:
    """A preset, made once."""
    folder = _PLACE / name
    backbone, converter = write(name, folder)
    loaded = load_backbone(f"hub:{folder}")
    return Written(folder, backbone, converter, loaded, loaded.build((SIDE, SIDE)))


def pixels(height: int = SIDE, width: int = SIDE) -> npt.NDArray[np.uint8]:
    """Random images, uint8 (2, height, width, 3)."""
    return np.random.default_rng(3).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
