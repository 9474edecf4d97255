"""The studio's project: classes, images, undo, and what happens to the folder from outside."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from studio_place import fill, image_bytes, opened

from headstart.dataset import read_dataset
from headstart.errors import HeadstartError
from headstart.scan import scan_folder
from headstart.studio.place import open_place
from headstart.studio.project import Project
from headstart.studio.state import Studio


def test_overview(tmp_path: Path) -> None:
    with opened(fill(tmp_path / "flowers")) as page:
        found = page.get("/api/project")
    assert found["name"] == "flowers"
    assert found["classes"] == [{"name": "daisies", "images": 3}, {"name": "roses", "images": 3}]
    assert (found["images"], found["training"], found["models"]) == (6, None, [])


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    with opened(tmp_path / "a" / "b") as page:
        assert page.counts() == {}
        assert page.post("/api/classes", name="oak leaf")["name"] == "oak leaf"
        assert page.counts() == {"oak leaf": 0}
    assert (tmp_path / "a" / "b" / "oak leaf").is_dir()


def test_a_bundle_is_no_project(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(HeadstartError, match=r"is a trained classifier.*Give the folder"):
        open_place(tmp_path)
    assert os.listdir(tmp_path) == ["bundle.json"]


def test_pages_of_images(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        whole = page.get("/api/images")["images"]
        parts = [page.get("/api/images", offset=at, limit=2) for at in (0, 2, 4, 6)]
    assert [one for part in parts for one in part["images"]] == whole
    assert [one["class"] for one in whole] == ["daisies"] * 3 + ["roses"] * 3
    assert {part["total"] for part in parts} == {6}


def test_what_others_do_to_the_folder_is_seen(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        version = page.get("/api/project")["version"]
        fill(tmp_path, ["tulips"], 2)
        (tmp_path / "roses" / "0.png").unlink()
        (tmp_path / "roses" / "notes.txt").write_text("no image")
        assert page.counts() == {"daisies": 3, "roses": 2, "tulips": 2}
        shutil.rmtree(tmp_path / "daisies")
        assert page.counts() == {"roses": 2, "tulips": 2}
        assert page.get("/api/project")["version"] > version


def test_nothing_changes_nothing(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        versions = {page.get("/api/project")["version"] for _ in range(5)}
        told: list[int] = []
        page.studio.project.on_change = told.append
        page.studio.project.refresh()
    assert (len(versions), told) == (1, [])


def test_known_files_are_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(fill(tmp_path)) as page:
        seen: list[str] = []
        monkeypatch.setattr("headstart.studio.tree.why_unusable", seen.append)
        fill(tmp_path, ["roses"], 4)
        assert page.counts()["roses"] == 4
    assert [Path(one).name for one in seen] == ["3.png"]


def test_a_replaced_image_has_another_id(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        before = page.ids("roses")
        (tmp_path / "roses" / "new").write_bytes(image_bytes(9))
        os.replace(tmp_path / "roses" / "new", tmp_path / "roses" / "1.png")
        after = page.ids("roses")
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


def test_ready_made_split(tmp_path: Path) -> None:
    for part in ("train", "val"):
        fill(tmp_path / part, ("ants", "bees"), 2)
    with opened(tmp_path) as page:
        assert page.counts() == {"ants": 4, "bees": 4}
        page.upload(("new.png", image_bytes(5)), class_name="ants")
        ids = page.get("/api/images", **{"class": "bees"})["images"]
        page.post("/api/images/move", ids=[ids[-1]["id"]], class_="ants")
        page.post("/api/classes/rename", name="ants", to="emmets")
        page.post("/api/classes", name="wasps")
        assert page.counts() == {"bees": 3, "emmets": 6, "wasps": 0}
    assert sorted(os.listdir(tmp_path / "train" / "emmets")) == ["0.png", "1.png", "new.png"]
    assert sorted(os.listdir(tmp_path / "val" / "emmets")) == ["0.png", "1-2.png", "1.png"]
    assert (tmp_path / "train" / "wasps").is_dir()


@pytest.mark.parametrize("to", ["bees", "wasps"])
def test_a_moved_test_image_stays_a_test_image(tmp_path: Path, to: str) -> None:
    fill(tmp_path / "train", ("ants", "bees"), 2)
    fill(tmp_path / "test", ("ants",), 2)
    with opened(tmp_path) as page:
        page.post("/api/classes", name="wasps")
        ids = page.ids("ants")
        step = page.post("/api/images/move", ids=ids[2:], class_=to)["undo"]
        assert {*os.listdir(tmp_path / "test" / to)} == {"0.png", "1.png"}
        assert not os.listdir(tmp_path / "train" / "wasps")
        assert len(os.listdir(tmp_path / "train" / "bees")) == 2
        page.post("/api/undo", undo=step)
        assert page.ids("ants") == ids
        assert sorted(os.listdir(tmp_path / "test" / "ants")) == ["0.png", "1.png"]


def test_classes_are_those_of_the_command_line(tmp_path: Path) -> None:
    fill(tmp_path, ("caf\u00e9", "cafe\u0301", "a\nb", "<b>x</b>".replace("/", "-")))
    (tmp_path / "roses" / "red").mkdir(parents=True)
    (tmp_path / "roses" / "red" / "0.png").write_bytes(image_bytes(1))
    dataset = read_dataset(tmp_path)
    with opened(tmp_path) as page:
        counts = page.counts()
    assert tuple(counts) == dataset.class_names
    assert list(counts.values()) == [(dataset.labels == one).sum() for one in range(4)]


def test_links_are_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "outside", ["secret"])
    (fill(tmp_path / "p") / "link").symlink_to(tmp_path / "outside" / "secret")
    (tmp_path / "p" / "roses" / "link.png").symlink_to(tmp_path / "outside" / "secret" / "0.png")
    with opened(tmp_path / "p") as page:
        assert page.counts() == {"daisies": 3, "roses": 3}
        told = page.post("/api/classes", 409, name="link")
    assert "a file 'link'" in told["error"]["message"]


def test_a_data_set_passes_over_what_the_studio_keeps(tmp_path: Path) -> None:
    fill(tmp_path)
    before = scan_folder(str(tmp_path))
    with opened(tmp_path) as page:
        page.client.get(f"/api/images/{page.ids('roses')[0]}/thumbnail")
        page.upload(("0.png", image_bytes(50)), class_name="roses")
        undo = page.post("/api/images/delete", ids=page.ids("roses")[:2])["undo"]
        page.post("/api/undo", undo=undo)
    assert (tmp_path / ".headstart" / "thumbnails").is_dir()
    after = scan_folder(str(tmp_path))
    assert (after.problems, after.folders) == (before.problems, before.folders)
    assert read_dataset(tmp_path).found == 7


def test_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\n.png")
    (fill(tmp_path) / "roses" / name).write_bytes(image_bytes(60))
    with opened(tmp_path) as page:
        (odd,) = [one for one in page.get("/api/images")["images"] if "xff" in one["name"]]
        assert odd["name"] == r"\xff\n.png"
        assert page.client.get(f"/api/images/{odd['id']}/thumbnail").status_code == 200
        undo = page.post("/api/images/move", ids=[odd["id"]], class_="daisies")["undo"]
        assert (tmp_path / "daisies" / name).is_file()
        page.post("/api/undo", undo=undo)
    assert (tmp_path / "roses" / name).is_file()


def test_one_studio_for_each_folder(tmp_path: Path) -> None:
    with opened(fill(tmp_path)), pytest.raises(HeadstartError, match=r"runs on .* already"):
        Studio(tmp_path)
    with opened(tmp_path) as page:
        assert page.counts() == {"daisies": 3, "roses": 3}


def test_what_the_system_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with opened(fill(tmp_path)) as page:
        monkeypatch.setattr("headstart.studio.project.os.rename", refuse)
        form = [("files", ("a.png", image_bytes(70)))]
        answer = page.client.post("/api/images", params={"class": "roses"}, files=form)
    assert answer.status_code == 500
    assert answer.json()["error"]["message"].startswith("The system refused: No space left")


def test_without_what_it_keeps(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        shutil.rmtree(tmp_path / ".headstart")
        assert page.counts() == {"daisies": 3, "roses": 3}
        assert page.get("/api/undo") == {"steps": []}
        page.upload(("new.png", image_bytes(70)), class_name="roses")
        key = page.ids("roses")[0]
        assert page.client.get(f"/api/images/{key}/thumbnail").status_code == 200
        undo = page.post("/api/images/delete", ids=[key])["undo"]
        page.post("/api/undo", undo=undo)
        assert page.counts() == {"daisies": 3, "roses": 4}


def test_a_folder_that_goes_away(tmp_path: Path) -> None:
    with opened(fill(tmp_path / "p")) as page:
        (tmp_path / "p").rename(tmp_path / "q")
        assert page.counts() == {}
        (tmp_path / "q").rename(tmp_path / "p")
        assert page.counts() == {"daisies": 3, "roses": 3}


@pytest.mark.parametrize("folder", ["/", "~"])
def test_a_folder_that_holds_much_else(folder: str) -> None:
    with pytest.raises(HeadstartError, match="holds much more than images"):
        open_place(os.path.expanduser(folder))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: path.write_text("x"), "is a file. Expected a folder"),
        (lambda path: (path.mkdir(), (path / ".headstart").symlink_to("/tmp")), "is a link"),
        (lambda path: (path.mkdir(), (path / ".headstart").write_text("x")), "cannot be written"),
    ],
)
def test_no_project(tmp_path: Path, make: object, match: str) -> None:
    make(tmp_path / "p")  # type: ignore[operator]
    with pytest.raises(HeadstartError, match=match):
        Project(open_place(tmp_path / "p"))


def test_events_of_changes(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        told: list[object] = []
        page.studio.events.tell = lambda *event: told.append(event)  # type: ignore[method-assign]
        version = page.post("/api/classes", name="tulips")["version"]
    assert told == [("project", "", {"version": version})]


def test_what_is_gone_is_told(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        assert (
            "no such image" in page.post("/api/images/delete", 404, ids=["x"])["error"]["message"]
        )
        assert "No image" in page.post("/api/images/delete", 404, ids=[])["error"]["message"]
        told = page.post("/api/classes/delete", 404, name="\x1bnone")
        assert told["error"]["message"].startswith("There is no class '\\x1bnone'.")
        assert page.post("/api/images/delete", 422, ids=7)["error"]["message"].startswith(
            "The requ"
        )
        assert page.client.get("/api/images/none/thumbnail").status_code == 404
        assert page.client.get("/api/images", params={"class": "none"}).status_code == 404
