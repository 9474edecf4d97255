"""Presets of KerasHub: which they are, and what is wrong with one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headstart.backbones import load_backbone
from headstart.errors import HeadstartError, MissingExtra
from headstart.locations import cache_root

presets = pytest.importorskip("hub_presets", reason="keras-hub is not installed (the extra hub)")


def test_the_key_follows_weights_network_and_preprocessing(tmp_path: Path) -> None:
    seen = {presets.written("VGG").loaded.weights_digest}
    shutil.copytree(presets.written("VGG").folder, tmp_path / "moved")
    (tmp_path / "moved" / "metadata.json").write_text("{}")
    seen.add(load_backbone(f"hub:{tmp_path / 'moved'}").weights_digest)
    assert len(seen) == 1
    presets.write("VGG", tmp_path / "b", seed=2)
    converter = tmp_path / "moved" / "image_converter.json"
    content = json.loads(converter.read_text())
    content["config"]["scale"] = 1 / 255
    converter.write_text(json.dumps(content))
    seen |= {load_backbone(f"hub:{tmp_path / one}").weights_digest for one in ("b", "moved")}
    assert len(seen) == 3


def without_converter(folder: Path) -> None:
    (folder / "image_converter.json").unlink()


def changed(name: str, **values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **values}))

    return change


def text_model(folder: Path) -> None:
    shape = {"num_layers": 1, "num_heads": 1, "hidden_dim": 4, "intermediate_dim": 4}
    presets.hub.models.BertBackbone(vocabulary_size=9, **shape).save_to_preset(str(folder))


def unlink(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def overwrite(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shutil.rmtree, "There is no preset folder '.*preset'. Expected a folder with config.json"),
        (unlink("config.json"), "is no preset: it has no config.json"),
        (unlink("model.weights.h5"), "has no weights: there is no model.weights.h5"),
        (overwrite("config.json", "{"), r"config.json' cannot be used: Expecting property name"),
        (overwrite("config.json", "[]"), "cannot be used: it is no JSON object"),
        (overwrite("config.json", '{"model_type": "vit"}'), "not in that of Transformers or timm"),
        (overwrite("model.weights.h5", "no"), "cannot be opened: .*Expected a VGGBackbone with"),
        (changed("config.json", registered_name="x>Y"), "no backbone that KerasHub .* it is a Y"),
        (text_model, "is no vision backbone: it is a keras_hub>BertBackbone"),
        (
            without_converter,
            "it has no image_converter.json. Expected that file, or one of: inside",
        ),
        (
            overwrite("image_converter.json", '{"class_name": "None"}'),
            "it is a dict. Expected an image",
        ),
        (changed("image_converter.json", module="os"), "names classes that are not KerasHub's"),
        (changed("config.json", config={"image_shape": [8, 8, 1]}), "is no vision backbone"),
    ],
)
def test_what_is_wrong_with_a_preset(damage: Any, said: str, tmp_path: Path) -> None:
    shutil.copytree(presets.written("VGG").folder, tmp_path / "preset")
    damage(tmp_path / "preset")
    with pytest.raises(HeadstartError, match=said) as caught:
        load_backbone(f"hub:{tmp_path / 'preset'}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("hub:", {}, "No preset was named"),
        (
            "hub:resnet_50_imagenett",
            {},
            "has no preset .* such as resnet_50_imagenet, .*hub:./resnet",
        ),
        ("hub:s3://bucket", {}, "cannot be fetched. Expected a name of KerasHub, a handle"),
        ("hub:vit_base", {"download": False}, "not here and nothing may be downloaded"),
        ("hub:./x", {"weights": None}, "cannot take other weights"),
        ("hub_vit_base", {}, "is a preset of KerasHub. Expected hub: .* such as hub:vit_base"),
    ],
)
def test_what_is_wrong_with_a_name(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(HeadstartError, match=said):
        load_backbone(name, **options)


def test_its_preprocessing_cannot_be_changed() -> None:
    with pytest.raises(HeadstartError, match=r"the preset has its own\. Leave it out"):
        load_backbone(f"hub:{presets.written('VGG').folder}", preprocessing="tf")


def test_keras_hub_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = presets.written("VGG").folder
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))  # where nothing is known of it
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(MissingExtra, match=r'pip install "headstart\[hub\]"'):
        load_backbone(f"hub:{folder}")


def test_a_damaged_note_in_the_cache_is_written_anew() -> None:
    folder, first = presets.written("VGG").folder, presets.written("VGG").loaded
    note = cache_root() / "hub_presets" / f"{first.weights_digest}.json"
    content = note.read_text()
    for damaged in ("", "{}", content.replace('"format": 1', '"format": 0')):
        note.write_text(damaged)
        assert load_backbone(f"hub:{folder}") == first
        assert note.read_text() == content


KNOWN = """
import sys
from headstart.backbones import Backbone, load_backbone
print(load_backbone(sys.argv[1]).info.name, load_backbone("vgg16", weights=None).info.name)
print(sorted({"keras", "keras_hub", "tensorflow", "kagglehub"} & set(sys.modules)))
"""


def test_known_presets_need_no_framework(tmp_path: Path) -> None:
    shutil.copytree(presets.written("VGG").folder, tmp_path / "My VGG (2)")
    name = f"hub:{tmp_path / 'My VGG (2)'}"
    command = [sys.executable, "-c", KNOWN, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "hub_my_vgg_2 vgg16\n[]\n"
