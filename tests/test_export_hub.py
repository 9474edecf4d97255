"""The folder for a hub: a card that its readers understand, labels, a model and the bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_exports import bundle_of, exported, place, run_of
from tiny_run import CLASSES, SIDE, trained

import headstart
from headstart.exporting import Export
from headstart.exporting.runtimes import open_onnx

yaml = pytest.importorskip("yaml")


@pytest.fixture(scope="module")
def hub() -> Export:
    return headstart.export(bundle_of("linear"), "hub", out=place() / "hub", data=trained().photos)


def test_the_card_has_the_front_matter_of_the_hub(hub: Export) -> None:
    text = (hub.path / "README.md").read_text(encoding="utf-8")
    front: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "apache-2.0"
    assert front["library_name"] == "headstart"
    assert front["pipeline_tag"] == "image-classification"
    assert front["tags"] == ["image-classification", "transfer-learning", "onnx"]
    (result,) = front["model-index"][0]["results"]
    figures = {one["type"]: one["value"] for one in result["metrics"]}
    assert figures["accuracy"] == pytest.approx(run_of("linear").evaluation.accuracy, abs=1e-4)
    assert "# Image classifier: photos" in text
    assert 'headstart.load("path/of/this/folder/bundle")' in text


def test_the_labels_are_numbered(hub: Export) -> None:
    config = json.loads((hub.path / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == {str(number): name for number, name in enumerate(CLASSES)}
    assert config["image_size"] == [SIDE, SIDE]


def test_its_model_and_its_bundle_answer_alike(hub: Export) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    wanted = headstart.load(hub.path / "bundle").predict_proba(list(images))
    assert np.abs(open_onnx(hub.path / "model.onnx")(images) - wanted).max() <= 1e-3
    said = json.loads((hub.path / "about.json").read_text(encoding="utf-8"))
    assert {"README.md", "config.json", "model.onnx", "bundle/head.safetensors"} <= set(
        said["files"]
    )
    assert hub.format == said["format"] == "hub"


def test_an_earlier_folder_is_replaced_and_another_is_not(hub: Export, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(hub.path, tmp_path / "hub"))
    headstart.export(run_of("mlp"), "hub", out=folder)
    assert headstart.load(folder / "bundle").head.kind == "mlp"
    (folder / "about.json").unlink()
    with pytest.raises(headstart.HeadstartError, match="exists and is no export"):
        headstart.export(run_of("mlp"), "hub", out=folder)


@pytest.mark.parametrize("name", ["hub", "saved_model"])
@pytest.mark.parametrize("own", [".git/config", "bundle/mine.txt", "README.md"])
def test_an_earlier_folder_with_own_files_stays(
    name: str, own: str, hub: Export, tmp_path: Path
) -> None:
    source = hub if name == "hub" else exported("linear", "saved_model")
    folder = Path(shutil.copytree(source.path, tmp_path / "old"))
    (folder / own).parent.mkdir(exist_ok=True)
    (folder / own).write_text("mine")
    before = sorted(folder.rglob("*"))
    with pytest.raises(headstart.HeadstartError, match=rf"holds '{own}', which is not as an exp"):
        headstart.export(run_of("linear"), name, out=folder)
    assert sorted(folder.rglob("*")) == before
    assert (folder / own).read_text() == "mine"


def test_a_link_in_an_earlier_folder_is_no_part_of_it(hub: Export, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(hub.path, tmp_path / "hub"))
    (folder / "photos").symlink_to(tmp_path)
    with pytest.raises(headstart.HeadstartError, match="holds 'photos', which is not as an export"):
        headstart.export(run_of("mlp"), "hub", out=folder)


@pytest.mark.parametrize("word", ["yes", "a: b", '"', "# no", "-", "\u2028", "läuft"])
def test_any_name_fits_into_the_card(word: str, hub: Export) -> None:
    from headstart.exporting.hub import _front
    from headstart.exporting.subject import Subject, open_subject

    given = open_subject(bundle_of("linear"))
    about = {**given.about, "data": {**given.about["data"], "name": word}}
    text = _front(Subject(given.classifier, about, given.folder), {"accuracy": 0.5}, hub)
    (result,) = yaml.safe_load(text)["model-index"][0]["results"]
    assert result["dataset"]["name"] == word
