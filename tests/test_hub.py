"""Backbones of KerasHub, held against KerasHub's own preprocessing, network and pooling."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from headstart.backbones import load_backbone
from headstart.cut import cut_at, cut_points
from headstart.depth import block_ends, find_depth
from headstart.engine import OpenVINOEngine
from headstart.errors import HeadstartError
from headstart.openvino_file import convert

presets = pytest.importorskip("hub_presets", reason="keras-hub is not installed (the extra hub)")
SIDE, NAMES = presets.SIDE, list(presets.MADE)
CLASS_TOKEN = ("ViT", "DeiT", "DINOV2", "DINOV3", "CLIP")
CONVOLUTIONS = ("ResNet", "MobileNet", "VGG", "HGNetV2")


def own_features(name: str, backbone: Any, images: Any) -> npt.NDArray[np.float32]:
    """What KerasHub itself gives for images that are converted."""
    encoder = getattr(backbone, "vision_encoder", backbone)
    names = [one.name for one in encoder.inputs]
    out = encoder({names[0]: images} if isinstance(encoder.input, dict) else images)
    out = out["stage2"] if isinstance(out, dict) else out
    if name in CONVOLUTIONS:
        return np.asarray(presets.keras.layers.GlobalAveragePooling2D()(out))
    if name == "MetaCLIP2":
        return np.asarray(backbone.vision_post_layer_norm(out[:, 0]))
    return np.asarray(out[:, 0] if name in CLASS_TOKEN else out)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_keras_hub_gives(name: str, tmp_path: Path) -> None:
    _, backbone, converter, loaded, built = presets.written(name)
    features = np.asarray(built(presets.pixels()))
    expected = own_features(name, backbone, converter(presets.pixels()))
    np.testing.assert_allclose(features, expected, rtol=2e-5, atol=2e-6)
    assert np.std(features[0] - features[1]) > 1e-4
    assert (built.input.dtype, built.output.dtype) == ("uint8", "float32")
    assert built.trainable_variables == []
    info = loaded.info
    assert (info.features, info.image_size, info.source) == (features.shape[1], SIDE, "hub")
    assert info.any_size == (name in (*CONVOLUTIONS, "DINOV2", "DINOV3"))
    assert info.parameters == built.count_params()
    convert(built, tmp_path / "prefix.xml")
    run = OpenVINOEngine(tmp_path / "prefix.xml", "float32").stream(presets.pixels())
    np.testing.assert_allclose(np.stack(list(run)), features, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["ResNet", "ViT", "DINOV2", "DINOV3", "SigLIP"])
def test_it_can_be_cut(name: str) -> None:
    model = presets.written(name).built
    ends = block_ends(model)
    assert len(ends) == 2
    whole = np.asarray(model(presets.pixels()))
    for point in (*ends, cut_points(model)[1], cut_points(model)[-2]):
        cut = cut_at(model, point.layer)
        np.testing.assert_array_equal(np.asarray(cut.suffix(cut.prefix(presets.pixels()))), whole)
    last = find_depth(model, "block").learns
    assert len(last) < 12
    names = [layer.name for layer in model.layers]
    assert last[0] == names[names.index(ends[-1].layer) + 1]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ResNet", (2, 4, 4, 64)),
        ("ViT", (2, 17, 16)),
        ("DINOV2", (2, 19, 16)),
        ("SigLIP", (2, 16, 16)),
    ],
)
def test_without_pooling(name: str, shape: tuple[int, ...]) -> None:
    model = presets.written(name).loaded.build((SIDE, SIDE), pooling=False)
    assert np.asarray(model(presets.pixels())).shape == shape


def test_tokens_without_a_class_token_are_averaged(tmp_path: Path) -> None:
    made = presets.vit(use_class_token=False)
    backbone, converter = presets.write("ViT", tmp_path / "preset", model=made)
    built = load_backbone(f"hub:{tmp_path / 'preset'}").build((SIDE, SIDE))
    expected = np.asarray(backbone(converter(presets.pixels()))).mean(1)
    np.testing.assert_allclose(np.asarray(built(presets.pixels())), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "size"),
    [("ResNet", (48, 64)), ("HGNetV2", (64, 48)), ("DINOV2", (48, 48)), ("DINOV3", (40, 64))],
)
def test_another_size(name: str, size: tuple[int, int]) -> None:
    one = presets.written(name)
    own = {} if name == "ResNet" else {"image_shape": (*size, 3)}
    resized = presets.hub.models.Backbone.from_preset(str(one.folder), **own)
    images = presets.pixels(*size) * np.float32(presets.SCALE) + np.float32(presets.OFFSET)
    features = np.asarray(one.loaded.build(size)(presets.pixels(*size)))
    np.testing.assert_allclose(features, own_features(name, resized, images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 64), (64, 16)])
def test_as_many_patches_in_other_rows(size: tuple[int, int]) -> None:
    with pytest.raises(HeadstartError, match="where its patches lie was learned for one size"):
        presets.written("ViT").loaded.build(size)


@pytest.mark.parametrize("name", ["ViT", "SigLIP"])
def test_a_size_that_it_cannot_take(name: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        presets.written(name).loaded.build((64, 64))
    assert str(caught.value) == (
        f"{name}Backbone cannot take images of 64 x 64 pixels: its weights are for one size alone. "
        "Expected 32 x 32, the size it was made for. Choose that image size."
    )


def test_saved_in_bfloat16_it_computes_in_float32(tmp_path: Path) -> None:
    made = presets.vit(dtype="bfloat16")
    presets.write("ViT", tmp_path / "preset", model=made)
    built = load_backbone(f"hub:{tmp_path / 'preset'}").build((SIDE, SIDE))
    assert {str(weight.dtype) for weight in built.weights} == {"float32"}
    exact = presets.vit()
    exact.set_weights([np.asarray(one).astype(np.float32) for one in made.get_weights()])
    images = presets.pixels() * np.float32(presets.SCALE) + np.float32(presets.OFFSET)
    expected = np.asarray(exact(images))[:, 0]
    np.testing.assert_allclose(np.asarray(built(presets.pixels())), expected, rtol=1e-4, atol=1e-5)


def test_large_weights_in_several_files(tmp_path: Path) -> None:
    folder, backbone, converter, *_ = presets.written("ViT")
    shutil.copytree(folder, tmp_path / "preset")
    (tmp_path / "preset" / "model.weights.h5").unlink()
    place = tmp_path / "preset" / "model.weights.json"
    backbone.save_weights(str(place), max_shard_size=0.000015)
    parts = sorted(tmp_path.glob("preset/model_*.weights.h5"))
    assert len(parts) > 1
    loaded = load_backbone(f"hub:{tmp_path / 'preset'}")
    expected = own_features("ViT", backbone, converter(presets.pixels()))
    np.testing.assert_allclose(
        np.asarray(loaded.build((SIDE, SIDE))(presets.pixels())), expected, rtol=1e-5
    )
    parts[0].unlink()
    with pytest.raises(HeadstartError, match=f"has no weights: there is no {parts[0].name}"):
        load_backbone(f"hub:{tmp_path / 'preset'}")


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Keras, on masks
def test_what_openvino_cannot_run(tmp_path: Path) -> None:
    shape = {"embed_dim": 8, "depths": [2], "num_heads": [2], "window_size": 4}
    swin = presets.hub.models.SwinTransformerBackbone(image_shape=(SIDE, SIDE, 3), **shape)
    with pytest.raises(HeadstartError, match=r"OpenVINO cannot run .*No conversion rule found"):
        convert(presets.keras.Model(swin.inputs, swin.outputs), tmp_path / "prefix.xml")


def test_a_preset_without_preprocessing(tmp_path: Path) -> None:
    shutil.copytree(presets.written("VGG").folder, tmp_path / "preset")
    (tmp_path / "preset" / "image_converter.json").unlink()
    loaded = load_backbone(f"hub:{tmp_path / 'preset'}", preprocessing="unit")
    expected = own_features(
        "VGG", presets.written("VGG").backbone, presets.pixels() / np.float32(255)
    )
    np.testing.assert_allclose(
        np.asarray(loaded.build((SIDE, SIDE))(presets.pixels())), expected, rtol=1e-4, atol=1e-6
    )
    assert loaded.info.image_size == 224
    assert loaded.weights_digest.endswith("-unit")
