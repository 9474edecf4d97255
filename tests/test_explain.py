"""`headstart.explain` and the command: from a bundle and an image to a drawing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_command
from PIL import Image
from tiny_run import CLASSES, trained

import headstart
from headstart.classifier import Classifier, PixelChoices
from headstart.errors import HeadstartError
from headstart.explanation import Explanation, explain, heat_map, overlaid, overlay, shown_image
from headstart.explanation.feature_map import open_feature_maps
from headstart.explanation.neighbours import Neighbour


@pytest.fixture(scope="module")
def bundle() -> Path:
    return trained().bundle


@pytest.fixture(scope="module")
def image() -> Path:
    return trained().paths[3]


def named(class_names: tuple[str, ...], **pixels: Any) -> Classifier:
    made = trained().run.classifier
    return Classifier(class_names, made.prefix, made.head, PixelChoices(**pixels))


def test_the_answer_and_where_it_comes_from(bundle: Path, image: Path) -> None:
    found = headstart.explain(bundle, image)
    answer = headstart.load(bundle).predict(image)
    assert isinstance(found, headstart.Explanation)
    assert found.prediction == answer
    assert (found.class_name, found.method) == (answer.label, "cam")
    assert found.heat.shape == found.image.shape[:2] == (24, 32)
    assert (found.heat.min(), found.heat.max()) == pytest.approx((0, 1), abs=0.02)
    assert (found.overlay == overlay(shown_image(image), found.heat)).all()
    first, second, *_ = str(found).splitlines()
    assert first.startswith(f"{image}: {answer.label} {answer.probability:.1%}")
    assert second == f"Map: what speaks for {answer.label} (class activation map)"


@pytest.mark.parametrize("name", [None, *CLASSES])
def test_the_map_alone(bundle: Path, image: Path, name: str | None) -> None:
    classifier = headstart.load(bundle)
    found = explain(classifier, image, class_name=name)
    assert found.class_name == (name or found.prediction.label)
    np.testing.assert_array_equal(heat_map(classifier, image, name), found.heat)
    np.testing.assert_array_equal(overlaid(classifier, image, name), found.overlay)


def test_another_class_has_another_map(bundle: Path, image: Path) -> None:
    maps = [explain(bundle, image, class_name=name).values for name in CLASSES]
    assert np.abs(maps[0] - maps[1]).max() > 0.1


def test_the_network_is_opened_once(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    def counted(prefix: Any) -> Any:
        opened.append(prefix)
        return open_feature_maps(prefix)

    monkeypatch.setattr("headstart.explanation.maps.open_feature_maps", counted)
    classifier = named(CLASSES)
    for method in ("auto", "cam", "grad-cam", "occlusion"):
        heat_map(classifier, image, method=method)
    assert len(opened) == 1


def test_averaged_over_views_the_map_is_of_the_plain_one(image: Path) -> None:
    one, four = named(CLASSES), named(CLASSES, views=4)
    found = explain(four, image)
    assert found.prediction == four.predict(image) != one.predict(image)
    np.testing.assert_array_equal(
        found.values, explain(one, image, class_name=found.class_name).values
    )


@pytest.mark.parametrize(
    "given",
    [Path, Path.read_bytes, Image.open, lambda path: np.asarray(Image.open(path))],
    ids=["path", "bytes", "Pillow", "array"],
)
def test_images_of_all_sorts(bundle: Path, image: Path, given: Any) -> None:
    assert (explain(bundle, given(image)).heat == explain(bundle, image).heat).all()


def test_a_cropped_image(image: Path) -> None:
    classifier = named(CLASSES, resize="crop")
    wide = np.asarray(Image.open(image).resize((80, 40)))
    found = explain(classifier, wide)
    assert np.isnan(found.heat).mean() == 0.5
    assert not np.isnan(found.heat[:, 20:60]).any()
    assert "striped: not seen" in found._sheet().captions[1]


def test_accents_may_be_composed_in_either_way(image: Path) -> None:
    names = tuple(unicodedata.normalize("NFD", one) for one in ("Flügel", "Öl", "plain"))
    found = explain(named(names), image, class_name=unicodedata.normalize("NFC", "Öl"))
    assert found.class_name == names[1]


def test_the_nearest_training_images(bundle: Path) -> None:
    classifier = headstart.load(bundle)
    assert classifier.reference is not None
    names = classifier.reference.names
    for row in (0, 11, len(names) - 1):
        path = trained().photos / names[row]
        found = explain(bundle, path).nearest
        assert (found[0].name, found[0].class_name) == (names[row], path.parent.name)
        assert found[0].similarity == pytest.approx(1, abs=1e-3)
        assert found[0].thumbnail == classifier.reference.thumbnails[row]
        vectors = classifier.embed([trained().photos / name for name in names])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = np.sort(vectors @ vectors[row])[::-1]
        np.testing.assert_allclose([one.similarity for one in found], cosines[:5], atol=2e-3)


@pytest.mark.parametrize(("count", "given"), [(0, 0), (2, 2), (1000, 42)])
def test_as_many_as_are_asked_for(bundle: Path, image: Path, count: int, given: int) -> None:
    found = explain(bundle, image, neighbours=count)
    assert len(found.nearest) == given
    similarities = [one.similarity for one in found.nearest]
    assert similarities == sorted(similarities, reverse=True)


def test_a_bundle_that_keeps_no_training_images(image: Path, tmp_path: Path) -> None:
    found = explain(named(CLASSES), image)
    assert found.nearest == ()
    assert "Nearest" not in str(found)
    assert found.save(tmp_path / "x.png").is_file()


def test_doubts_are_told(bundle: Path, image: Path) -> None:
    found = explain(bundle, image)
    doubtful = replace(found.prediction, candidates=("roses", "tulips"), unknown=True)
    title = str(replace(found, prediction=doubtful)).splitlines()[0]
    assert title.endswith("% (roses or tulips; unlike all training images)")


def test_as_json(bundle: Path, image: Path) -> None:
    found = replace(explain(bundle, image), nearest=(Neighbour("a.jpg", "roses", 0.5, b""),))
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["path"] == str(image)
    assert list(values["probabilities"]) == list(found.prediction.probabilities)
    assert values["class"] == values["label"] == found.prediction.label
    assert np.shape(values["map"]) == (4, 4)
    assert values["nearest"] == [{"name": "a.jpg", "class": "roses", "similarity": 0.5}]
    assert "0.500  roses  a.jpg" in str(found)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.jpeg", "JPEG"), ("a.webp", "WEBP")]
)
def test_the_drawing(bundle: Path, image: Path, tmp_path: Path, name: str, kind: str) -> None:
    assert explain(bundle, image).save(tmp_path / name) == tmp_path / name
    with Image.open(tmp_path / name) as drawn:
        assert drawn.format == kind
        assert drawn.width > 700
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.fixture
def command(
    bundle: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., object]:
    """Runs `headstart explain BUNDLE`; IMAGE stands for the image."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> object:
        given = [str(image) if one == "IMAGE" else one for one in arguments]
        return run_command(monkeypatch, "explain", bundle, *given)

    return run


def test_the_command(
    command: Callable[..., object],
    bundle: Path,
    image: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command("IMAGE", "--out", "x.png") == 0
    assert capsys.readouterr().out == f"{explain(bundle, image)}\nDrawn: x.png\n"
    (tmp_path / "x.png").unlink()
    options = ["--class", "roses", "--method", "occlusion", "--json"]
    assert command("IMAGE", "-o", "x.png", *options) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["class"], values["method"], values["out"]) == ("roses", "occlusion", "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


BAD = [
    (["IMAGE", "--out", "x.gif"], r"ends in \.png, \.jpg or \.webp; received '\.gif'"),
    (["IMAGE", "--out", "x"], r"ends in \.png, \.jpg or \.webp; received ''"),
    (["IMAGE", "--out", "no/x.png"], "cannot be written: there is no folder 'no'"),
    (["IMAGE", "--out", "folder.png"], "cannot be written: it is a folder"),
    (["text.jpg", "--out", "text.jpg"], r"'text\.jpg' is the image that is explained\. Expected"),
    (["text.jpg", "--out", "folder.png/../text.jpg"], "is the image that is explained"),
    (["text.jpg", "--out", "x.png"], r"text\.jpg: not an image"),
    (["none.jpg", "--out", "x.png"], r"none\.jpg: cannot be read: No such file"),
    (["folder.png", "--out", "x.png"], r"folder\.png: cannot be read: Is a directory"),
    (["IMAGE", "--out", "x.png", "--class", "rose"], "no class 'rose'.*daisies, roses, tulips"),
    (["IMAGE", "--out", "x.png", "--method", "lime"], "not one of 'auto', 'cam'"),
    (["IMAGE"], "Missing option '--out'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_what_cannot_be_is_told_before_any_work(
    arguments: list[str],
    message: str,
    command: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("folder.png").mkdir()
    Path("text.jpg").write_text("text")
    monkeypatch.setattr(Classifier, "predict", lambda *_: pytest.fail("worked"))
    assert command(*arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert re.match(f"Error: .*{message}.*\n$", told.err)
    assert sorted(path.name for path in Path().iterdir()) == ["folder.png", "text.jpg"]


def test_a_place_without_permission(
    bundle: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = explain(bundle, image)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(HeadstartError, match=r"x\.png' cannot be written: no permission\. Expect"):
        found.save(tmp_path / "x.png")


def test_a_disk_that_is_full(
    bundle: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("headstart.atomic.write_file", fail)
    with pytest.raises(HeadstartError, match="cannot be written: No space left on device"):
        explain(bundle, image).save(tmp_path / "x.png")


def test_of_a_thousand_classes_the_likely_ones_are_told(image: Path) -> None:
    classifier = named(CLASSES)
    classifier.class_names = tuple(f"class {number}" for number in range(1000))
    with pytest.raises(HeadstartError, match=r"a name such as: class 777, .{20,60}\. Choose"):
        explain(classifier, image, class_name="clas 777")


def test_neither_keras_nor_tensorflow_is_needed(bundle: Path, image: Path, tmp_path: Path) -> None:
    program = f"""
import sys
import headstart
for method in ("cam", "grad-cam", "occlusion"):
    headstart.explain({str(bundle)!r}, {str(image)!r}, method=method).save("x.png")
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "openvino" in loaded
    assert not loaded & {"tensorflow", "keras", "sklearn", "scipy", "matplotlib"}


def test_explanations_are_values(bundle: Path, image: Path) -> None:
    found = explain(bundle, image)
    assert isinstance(found, Explanation)
    assert "heat" not in repr(found)
    with pytest.raises(AttributeError):
        found.method = "x"  # type: ignore[misc]
