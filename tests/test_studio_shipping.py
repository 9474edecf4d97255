"""Taking a model elsewhere: two models compared, code to copy, exports."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from studio_model import with_model
from studio_place import Page, opened
from tiny_run import CLASSES, fresh_cache, trained

import headstart
from headstart import bundle
from headstart.comparison import Comparison, Side
from headstart.studio import shipping
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


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A project that the test may change."""
    fresh_cache(monkeypatch, tmp_path)
    with opened(with_model(tmp_path / "flowers")) as found:
        yield found


def _renamed(model: Path, name: str, to: str) -> None:
    """Let a model call a class otherwise, as one that was trained after the renaming does."""
    about = json.loads((model / "bundle.json").read_text())
    about["class_names"] = [to if one == name else one for one in about["class_names"]]
    about["checksum"] = bundle._checksum(about)
    (model / "bundle.json").write_text(json.dumps(about))


def test_a_renamed_class_is_compared(own: Page) -> None:
    before = own.get("/api/models/1/compare/1")
    own.post("/api/classes/rename", name="roses", to="rosa")
    assert own.get("/api/models/1/compare/1")["a"] == before["a"]
    _renamed(_second(own.studio.place.root, []), "roses", "rosa")
    found = own.get("/api/models/1/compare/2")
    assert (found["images"], found["words"]) == (12, before["words"])
    assert (found["a"]["right"], found["b"]["right"]) == 2 * (before["a"]["right"],)


def test_images_of_a_renamed_class_are_found(own: Page) -> None:
    before = own.get("/api/models/1/images", true="roses")
    own.post("/api/classes/rename", name="roses", to="rosa")
    rosa = own.ids("rosa")
    found = own.get("/api/models/1/images", true="roses")
    assert len(found) == len(before) > 0
    assert {one["id"] for one in found} <= set(rosa)
    assert all(one["id"] for one in own.get("/api/models/1/report")["worst"])
    own.post("/api/images/move", ids=[found[0]["id"]], class_="tulips")
    again = own.get("/api/models/1/images", true="roses")[0]
    assert again["id"] in own.ids("tulips")


def test_what_cannot_be_compared_is_told(own: Page) -> None:
    gone = [one["id"] for one in own.get("/api/models/1/images", true="roses")]
    own.post("/api/images/delete", ids=gone)
    few = [one["id"] for one in own.get("/api/models/1/images", true="tulips")][:1]
    own.post("/api/classes", name="new")
    own.post("/api/images/move", ids=few, class_="new")
    found = own.get("/api/models/1/compare/1")
    assert found["images"] == 11 - len(gone)
    assert f" {len(gone)} images are left out: not in the project any more." in found["words"]
    assert " 1 image is left out: one of the two does not know the class." in found["words"]
    every = [one["id"] for one in own.get("/api/models/1/images") if one["id"]]
    own.post("/api/images/delete", ids=every)
    answer = own.client.get("/api/models/1/compare/1")
    assert answer.status_code == 404
    assert "12 images are left out: not in the project any" in answer.json()["error"]["message"]


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
    model = place / ".headstart" / "models" / "1"
    assert found["serve"] == f"headstart serve {model}"
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
