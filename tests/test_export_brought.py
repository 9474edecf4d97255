"""Exports of models of the user's own and of presets: their layers come from --weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import make_image_folder
from own_models import save, tutorial

import headstart
from headstart.errors import HeadstartError
from headstart.exporting import Export
from headstart.recipe import Recipe

QUICK: dict[str, Any] = {"resize": "squash", "precision": "float32", "image_size": None}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brought")
    make_image_folder(folder / "photos", per_class=8)
    return folder


@pytest.fixture(scope="module")
def own(place: Path) -> Path:
    model = save(tutorial(), place)
    recipe = Recipe(backbone=str(model), unfreeze=0, **QUICK)
    headstart.fit(place / "photos", recipe, out=place / "own.headstart")
    return model


@pytest.mark.parametrize("name", ["keras", "onnx", "litert", "openvino"])
def test_a_model_of_ones_own(name: str, own: Path, place: Path) -> None:
    suffix = {"openvino": "xml", "litert": "tflite"}.get(name, name)
    found = headstart.export(place / "own.headstart", name, out=place / f"x.{suffix}", weights=own)
    assert found.check.agreement == 1
    assert found.check.difference <= 1e-5


def test_a_folder_for_a_hub_without_the_model(own: Path, place: Path, tmp_path: Path) -> None:
    assert own.is_file()
    found = headstart.export(place / "own.headstart", "hub", out=tmp_path / "hub")
    assert {"openvino_model.xml", "openvino_model.bin"} <= set(found.files)
    card = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert "license: other" in card
    assert "- openvino\n" in card


def test_another_model_is_refused(own: Path, place: Path, tmp_path: Path) -> None:
    other = save(tutorial(rescaled=False), tmp_path, "other.keras")
    with pytest.raises(HeadstartError, match=r"are not those of the bundle|preprocessing"):
        headstart.export(place / "own.headstart", "keras", out=tmp_path / "x.keras", weights=other)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other.keras"]


@pytest.fixture(scope="module")
def preset(place: Path) -> str:
    presets = pytest.importorskip("hub_presets", reason="keras-hub is not installed")
    presets.write("ViT", place / "ViT")
    recipe = Recipe(backbone=f"hub:{place / 'ViT'}", unfreeze=0, **QUICK)
    headstart.fit(place / "photos", recipe, out=place / "vit.headstart")
    return f"hub:{place / 'ViT'}"


def exported(place: Path, name: str, weights: str | None) -> Export:
    suffix = {"openvino": "xml"}.get(name, name)
    return headstart.export(
        place / "vit.headstart", name, out=place / f"vit.{suffix}", weights=weights
    )


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_a_transformer_takes_any_number_of_images(name: str, preset: str, place: Path) -> None:
    found = exported(place, name, preset)
    assert found.check.images > 1
    assert found.check.difference <= 1e-5


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("keras", True, "of the package 'keras_hub', which plain Keras does not open"),
        ("keras", False, "The preset of 'hub_vit' is not in the bundle"),
        ("openvino", False, "was converted for one image at a time.*--weights"),
    ],
)
def test_what_a_transformer_is_not_exported_to(
    name: str, given: bool, message: str, preset: str, place: Path
) -> None:
    before = sorted(place.iterdir())
    with pytest.raises(HeadstartError, match=message):
        exported(place, name, preset if given else None)
    assert sorted(place.iterdir()) == before
