"""Presets by name and by handle: found, fetched, and copied for a machine without network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from publisher import Publisher, serving
from test_hub_preset import KNOWN

import headstart
from headstart.backbones import load_backbone
from headstart.errors import HeadstartError

presets = pytest.importorskip("hub_presets", reason="keras-hub is not installed (the extra hub)")
NAME = "hub:vgg_11_imagenet"
FILES = ("config.json", "image_converter.json", "model.weights.h5")


@pytest.fixture
def preset() -> Path:
    """The folder of a preset that no test may change."""
    return Path(presets.written("VGG").folder)


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Kaggle's package keeps the preset `NAME`; its network is cut off."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    handle = presets.hub.models.Backbone.presets[NAME.removeprefix("hub:")]["kaggle_handle"]
    return tmp_path / "kaggle" / "models" / str(handle).removeprefix("kaggle://")


def put(preset: Path, place: Path, names: tuple[str, ...]) -> None:
    """Put files there as Kaggle's package marks them when it has fetched them."""
    marks = place.parent / ".complete" / place.name
    place.mkdir(parents=True)
    marks.mkdir(parents=True)
    for name in names:
        shutil.copyfile(preset / name, place / name)
        (marks / f"{name}.complete").touch()


def test_by_name(preset: Path, kaggle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(preset, kaggle, FILES)
    found = load_backbone(NAME)
    assert (found.info.name, found.weights) == ("hub_vgg_11_imagenet", kaggle)
    assert found.weights_digest == load_backbone(f"hub:{preset}").weights_digest
    monkeypatch.setenv("KAGGLEHUB_CACHE", "/nowhere")  # nobody asks there again
    assert load_backbone(NAME, download=False) == found
    done = subprocess.run(
        [sys.executable, "-c", KNOWN, NAME], capture_output=True, text=True, check=True
    )
    assert done.stdout == "hub_vgg_11_imagenet vgg16\n[]\n"


@pytest.mark.parametrize("names", [(), FILES[:1], FILES[:2]])
def test_no_network(names: tuple[str, ...], preset: Path, kaggle: Path, tmp_path: Path) -> None:
    put(preset, kaggle, names)
    with pytest.raises(HeadstartError, match=r"and the download failed \(.*\)\. Expected") as e:
        headstart.fetch_backbone(NAME, tmp_path / "out")
    assert f"run: headstart backbones fetch {NAME} --to DIR" in str(e.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_text_model_is_refused_before_its_weights(preset: Path, kaggle: Path) -> None:
    put(preset, kaggle, FILES[:1])
    (kaggle / FILES[0]).write_text('{"registered_name": "keras_hub>Bert", "config": {"v": 1}}')
    with pytest.raises(HeadstartError, match="is no vision backbone: it is a keras_hub>Bert"):
        load_backbone(NAME)


@pytest.fixture
def face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A server that stands for Hugging Face."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "face"))
    with serving(monkeypatch) as state:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", state.url)
        form = f"{state.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", form)
        yield state


def test_fetched_from_a_handle_and_copied(preset: Path, face: Publisher, tmp_path: Path) -> None:
    for name in FILES:
        face.content[f"/me/model/resolve/main/{name}"] = (preset / name).read_bytes()
    fetched = headstart.fetch_backbone("hub:hf://me/model", tmp_path / "out")
    path = tmp_path / "out" / "me_model"
    assert (fetched.path, fetched.backbone, fetched.weights) == (path, f"hub:{path}", None)
    assert sorted(one.name for one in path.iterdir()) == sorted(FILES)
    assert not any(one.is_symlink() for one in path.iterdir())
    assert fetched.digest == load_backbone(fetched.backbone).weights_digest
    assert f"headstart fit DATA --backbone hub:{path}\n" in str(fetched)
    assert not headstart.fetch_backbone("hub:hf://me/model", tmp_path / "out").new
    (path / FILES[1]).write_text("{}")
    with pytest.raises(HeadstartError, match="is there already and is something else"):
        headstart.fetch_backbone("hub:hf://me/model", tmp_path / "out")


def test_a_handle_without_weights(preset: Path, face: Publisher) -> None:
    face.content["/me/model/resolve/main/config.json"] = (preset / FILES[0]).read_bytes()
    with pytest.raises(HeadstartError, match=r"has no weights: there is no model\.weights\.h5"):
        load_backbone("hub:hf://me/model")
