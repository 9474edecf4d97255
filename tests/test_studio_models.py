"""Trained models in the studio: what is told of them, images to try, maps, exports, comparisons."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from studio_place import Page, image_bytes, opened
from tiny_run import CLASSES, RECIPE, fresh_cache, trained

import headstart
from headstart.comparison import Comparison, Side
from headstart.reporting.material import read_material
from headstart.studio import answering, shipping, works
from headstart.studio.models import in_words
from headstart.studio.place import open_place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project of three classes with one model, whose answers on the test part are kept."""
    root = tmp_path_factory.mktemp("project") / "flowers"
    shutil.copytree(trained().photos, root)
    own = open_place(root)
    shutil.copytree(trained().bundle, own.models / "1")
    works.keep_answers(own, "1", _here(root))
    works.keep_checkup(own, trained().run.checkup, "")
    yield root
    shutil.rmtree(root)


def _here(root: Path) -> Any:
    """The run, as if it had been made of the project's copies of the images."""
    run = trained().run
    files = tuple((root / path.relative_to(trained().photos), to) for path, to in run.files["test"])
    return replace(run, files={**run.files, "test": files})


@pytest.fixture(scope="module")
def page(place: Path) -> Iterator[Page]:
    with opened(place) as found:
        yield found


def test_what_is_told_of_a_model(page: Page) -> None:
    (model,) = page.get("/api/project")["models"]
    run = trained().run
    assert (model["id"], model["classes"]) == ("1", list(CLASSES))
    assert model["accuracy"] == run.evaluation.accuracy
    assert (model["backbone"], model["image_size"]) == ("tiny", [32, 32])
    assert model["seconds"] == run.seconds["total"]
    assert model["images"] == 60
    assert "from 12 test images" in model["words"]


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ({"accuracy": None}, "There was no image to test it on."),
        (
            {"accuracy": 0.912, "low": 0.871, "high": 0.941, "images": 300},
            "Of 100 new images like these it names about 91 right; between 87 and 95 is likely.",
        ),
    ],
)
def test_accuracy_in_words(test: dict[str, Any], words: str) -> None:
    assert in_words(test) == words


def test_report(page: Page) -> None:
    found, material = page.get("/api/models/1/report"), read_material(trained().bundle)
    assert found["test"] == material.metrics["test"]
    assert found["trust"] == material.metrics["trust"]
    assert found["confusion"]["classes"] == list(CLASSES)
    assert sum(map(sum, found["confusion"]["rows"])) == 12
    by_id = {one["id"]: one["name"] for one in page.get("/api/images", limit=500)["images"]}
    assert found["worst"]
    for one in found["worst"]:
        assert by_id[one["id"]] == one["file"].rpartition("/")[2]
    html = page.client.get("/api/models/1/report.html")
    assert html.content == (trained().bundle / "report.html").read_bytes()
    assert "sandbox" in html.headers["content-security-policy"]


def test_the_images_of_each_cell(page: Page) -> None:
    rows = page.get("/api/models/1/report")["confusion"]["rows"]
    ids = set(page.ids("daisies") + page.ids("roses") + page.ids("tulips"))
    for number, true in enumerate(CLASSES):
        for other, answer in enumerate(CLASSES):
            cell = page.get("/api/models/1/images", true=true, answer=answer)
            assert len(cell) == rows[number][other]
            assert {one["id"] for one in cell} <= ids
    assert len(page.get("/api/models/1/images", answer="roses")) == sum(row[1] for row in rows)


def test_predictions_are_those_of_python(page: Page) -> None:
    data = image_bytes(3)
    expected = headstart.load(trained().bundle).predict(data)
    told = page.client.post("/api/models/1/predict", content=data).json()
    assert (told["label"], told["unknown"]) == (expected.label, expected.unknown)
    assert {one["name"]: one["probability"] for one in told["classes"]} == expected.probabilities
    assert told["candidates"] == list(expected.candidates or ())
    assert told["map"] is None
    mapped = page.client.post("/api/models/1/predict?map=1", content=data).json()
    assert mapped["map"].startswith("data:image/jpeg;base64,/9j/")


@pytest.mark.parametrize("data", [b"", b"no image", image_bytes()[:200]])
def test_what_is_no_image(page: Page, data: bytes) -> None:
    answer = page.client.post("/api/models/1/predict", content=data)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_too_many_at_once(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "_WAITING", 0)
    answer = page.client.post("/api/models/1/predict", content=image_bytes())
    assert answer.status_code == 503
    assert "Too many" in answer.json()["error"]["message"]


def test_map(page: Page) -> None:
    key = page.ids("roses")[0]
    answer = page.client.get(f"/api/models/1/map/{key}", params={"of": "roses"})
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == ("PNG", (32, 24))
    assert page.client.get(f"/api/models/1/map/{key}?of=none").status_code == 400


def test_few_models_stay_loaded(page: Page, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "_LOADED", 1)
    loaded = page.studio.answering._loaded
    page.client.post("/api/models/1/predict", content=image_bytes())
    shutil.copytree(place / ".headstart" / "models" / "1", place / ".headstart" / "models" / "2")
    try:
        page.client.post("/api/models/2/predict", content=image_bytes())
        assert [key[0].name for key in loaded] == ["2"]
        assert [one["id"] for one in page.get("/api/project")["models"]] == ["2", "1"]
    finally:
        shutil.rmtree(place / ".headstart" / "models" / "2")


@pytest.mark.parametrize("files", [("bundle.json",), ("bundle.json", "metrics.json")])
def test_a_damaged_model_is_left_out(files: tuple[str, ...], page: Page, place: Path) -> None:
    folder = place / ".headstart" / "models" / "9"
    folder.mkdir()
    for name in files:
        (folder / name).write_text("{}")
    try:
        assert [one["id"] for one in page.get("/api/project")["models"]] == ["1"]
        assert page.client.get("/api/models/9/report").status_code == 400
        assert page.client.post("/api/models/9/predict", content=b"x").status_code == 400
    finally:
        shutil.rmtree(folder)
    assert page.client.get("/api/models/9/report").status_code == 404


def test_compare(page: Page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh_cache(monkeypatch, tmp_path)
    found = page.get("/api/models/1/compare/1")
    assert found["images"] == 12  # the test images, and no others
    assert found["a"]["right"] == found["b"]["right"]
    assert found["words"] == "Both are right for equally many of 12 images."


def _second(place: Path, answers: list[list[Any]]) -> Path:
    """The same model again, as if it had been tested on those images."""
    models = place / ".headstart" / "models"
    shutil.copytree(models / "1", models / "2")
    (models / "2.json").write_text(json.dumps({"answers": answers}))
    return models / "2"


def test_what_one_has_learned_from_is_left_out_of_the_comparison(
    page: Page, place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh_cache(monkeypatch, tmp_path)
    paths = [one.relative_to(place).as_posix() for one in sorted(place.glob("*/*.png"))]
    second = _second(place, [[one, one.split("/")[0], "roses", 0.5] for one in paths])
    try:
        found = page.get("/api/models/1/compare/2")
    finally:
        shutil.rmtree(second)
    assert (found["images"], found["a"]["seen"]) == (12, 0)
    assert found["a"]["accuracy"] == trained().run.evaluation.accuracy
    assert found["words"].endswith("48 images are left out: one of the two learned from them.")


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (0, 0, "The second is right for 1 more of 4 images. This may be chance."),
        (2, 0, "This may be chance. The first was trained on some of these images, so it looks"),
        (0, 2, "The second was trained on some of these images, so it looks better than it is."),
        (2, 1, "Both were trained on some of these images, so they look better than they are."),
    ],
)
def test_a_comparison_in_words(a: int, b: int, words: str) -> None:
    sides = [Side("x", right, right / 4, 0, 1, seen, ()) for right, seen in ((2, a), (3, b))]
    found = Comparison(4, sides[0], sides[1], 0.25, -0.5, 0.7, 1.0, (), None, ())
    assert words in shipping.in_words(found)


def test_usage_has_the_place_of_the_bundle(page: Page, place: Path) -> None:
    found = page.get("/api/models/1/usage")
    bundle = place / ".headstart" / "models" / "1"
    assert found["serve"] == f"headstart serve {bundle}"
    code = found["python"].replace('"new.jpg"', repr(str(trained().paths[0])))
    exec(code, {"print": lambda said: None})


def test_export_of_the_bundle(page: Page, tmp_path: Path) -> None:
    job = page.post("/api/models/1/export", to="bundle")["job"]
    ended = page.ended(job["id"])
    assert (ended["state"], ended["file"]) == ("done", "flowers-1-bundle.zip")
    answer = page.client.get(f"/api/models/1/exports/{ended['file']}")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path / "bundle")
    assert headstart.load(tmp_path / "bundle").class_names == CLASSES
    assert page.client.get("/api/models/1/exports/other.zip").status_code == 404
    told = page.get("/api/models/1/exported")
    assert told["files"] == [{"file": "flowers-1-bundle.zip", "to": "bundle", "int8": False}]
    assert [one["export"]["to"] for one in told["jobs"]] == ["bundle"]


def test_exports_are_told_by_the_end_of_their_names(tmp_path: Path) -> None:
    place = open_place(tmp_path / ".flowers")
    folder = shipping.exports_of(place, "1")
    folder.mkdir(parents=True)
    name = shipping.export_name(place, "1", "onnx", int8=True)
    for one in (name, "before-1-keras.zip", "x-1-keras.txt", ".x-1-hub.zip", "x-2-hub.zip"):
        (folder / one).touch()
    found = shipping.finished_exports(place, "1")
    assert name == "flowers-1-onnx-int8.zip"
    assert [(one["file"], one["to"], one["int8"]) for one in found] == [
        ("before-1-keras.zip", "keras", False),
        (name, "onnx", True),
    ]


@pytest.mark.parametrize("wanted", [{"to": "x"}, {"to": "keras", "int8": True}, {"to": "../x"}])
def test_exports_that_there_are_not(page: Page, wanted: dict[str, Any]) -> None:
    told = page.post("/api/models/1/export", 400, **wanted)
    assert "There is no export" in told["error"]["message"]


def test_choices(page: Page) -> None:
    found = page.get("/api/choices")
    assert {"auto", "efficientnet_lite0"} <= set(found["backbones"])
    assert {"bundle", "onnx", "openvino"} <= set(found["exports"])


def test_findings_and_their_fixes(page: Page) -> None:
    found = page.get("/api/checkup")
    assert (found["state"], found["outdated"]) == ("done", True)
    kinds = {one["kind"] for one in found["findings"] if one["images"]}
    for kind in kinds:
        listed = page.get("/api/images", finding=kind)["images"]
        assert listed
        assert all(kind in one["findings"] for one in listed)


def test_what_a_check_up_finds_stands_beside_the_images(
    page: Page, place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh_cache(monkeypatch, tmp_path)
    monkeypatch.setattr(works, "Recipe", lambda: RECIPE)
    whole = (place / "roses" / "00.png").read_bytes()
    (place / "roses" / "cut.png").write_bytes(whole[:300])
    (place / "tulips" / "copy.png").write_bytes(whole)
    works.look_over({"root": str(place), "fingerprint": "x"}, tmp_path)
    found = {one["kind"]: one for one in page.get("/api/checkup")["findings"]}
    listed = {one["id"]: one for one in page.get("/api/images", limit=500)["images"]}
    assert [listed[one]["name"] for one in found["broken"]["images"]] == ["cut.png"]
    assert {listed[one]["class"] for one in found["two_labels"]["images"]} == {"roses", "tulips"}
    fix = found["broken"]["fixes"][0]
    page.post("/api/checkup/fix", finding=found["broken"]["id"], action="delete", ids=fix["ids"])
    assert not (place / "roses" / "cut.png").exists()
    (place / "tulips" / "copy.png").unlink()
    kinds = {one["kind"] for one in page.get("/api/checkup")["findings"]}
    assert not kinds & {"broken", "two_labels"}


def test_a_check_up_is_kept(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh_cache(monkeypatch, tmp_path)
    monkeypatch.setattr(works, "Recipe", lambda: RECIPE)
    assert works.look_over({"root": str(place), "fingerprint": "now"}, tmp_path) == {}
    own = open_place(place)
    works.keep_checkup(own, replace(trained().run.checkup, left_out=("labels",)), "now")
    assert '"left_out": []' in (own.own / "checkup.json").read_text()
