"""Trained models in the studio: what is told of them, images to try, maps, exports, comparisons."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from studio_model import with_model
from studio_place import Page, image_bytes, opened
from tiny_run import CLASSES, RECIPE, fresh_cache, trained

import headstart
from headstart.reporting.material import read_material
from headstart.studio import answering, works
from headstart.studio.models import in_words
from headstart.studio.place import open_place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = with_model(tmp_path_factory.mktemp("project") / "flowers")
    yield root
    shutil.rmtree(root)


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


def test_a_large_file_is_tried(page: Page) -> None:
    answer = page.client.post("/api/models/1/predict", content=b"\xff\xd8\xff" + bytes(40_000_000))
    assert answer.status_code == 400  # looked at, and no image


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


def test_a_map_is_of_the_model_that_has_the_number_now(page: Page) -> None:
    path = f"/api/models/1/map/{page.ids('roses')[0]}"
    first = page.client.get(path)
    assert first.headers["cache-control"] == "private, no-cache"
    known = {"If-None-Match": first.headers["etag"]}
    assert page.client.get(path, headers=known).status_code == 304
    other = {"If-None-Match": '"of another model"'}
    assert page.client.get(path, headers=other).content == first.content


@pytest.mark.parametrize(
    ("file", "number"),
    [
        ("models/4/bundle.json", "5"),
        ("models/4.json", "1"),
        ("exports/11/x.zip", "12"),
        ("jobs/a/result.json", "8"),
        ("jobs/a/log.txt", "1"),
    ],
)
def test_a_number_is_not_given_twice(tmp_path: Path, file: str, number: str) -> None:
    place = open_place(tmp_path)
    path = place.own / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"state": "done", "model": "7"}')
    assert works.next_model(place) == number


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
