"""Every change to a project's files can be undone, whatever happened in the meantime."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from studio_place import Page, fill, image_bytes, opened

from headstart.errors import HeadstartError
from headstart.studio.place import open_place
from headstart.studio.trash import Move, Trash


def _files(folder: Path) -> dict[str, bytes]:
    """All files of a project but the studio's own."""
    found = [one for one in folder.rglob("*") if one.is_file()]
    own = folder / ".headstart"
    return {
        str(one.relative_to(folder)): one.read_bytes() for one in found if own not in one.parents
    }


def _rename(page: Page) -> str:
    return str(page.post("/api/classes/rename", name="roses", to="Rosen")["undo"])


def _delete_class(page: Page) -> str:
    return _delete_class_of(page, "roses")


def _delete(page: Page) -> str:
    return str(page.post("/api/images/delete", ids=page.ids("roses")[:2])["undo"])


def _move(page: Page) -> str:
    ids = page.ids("roses")
    return str(page.post("/api/images/move", ids=ids, class_="daisies")["undo"])


CHANGES = (
    (_rename, {"daisies": 3, "Rosen": 3}),
    (_delete_class, {"daisies": 3}),
    (_delete, {"daisies": 3, "roses": 1}),
    (_move, {"daisies": 6, "roses": 0}),
)


@pytest.mark.parametrize(("change", "after"), CHANGES)
@pytest.mark.parametrize("again", [False, True])
def test_changes_and_undo(tmp_path: Path, change: object, after: object, again: bool) -> None:
    before = _files(fill(tmp_path))
    with opened(tmp_path) as page:
        undo = change(page)  # type: ignore[operator]
        assert page.counts() == after
        if not again:
            page.post("/api/undo", undo=undo)
    if again:  # after a restart
        with opened(tmp_path) as page:
            assert page.counts() == after
            assert page.post("/api/undo", undo=undo)["missing"] == 0
    assert _files(tmp_path) == before


def test_undo_once(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        undo = _delete(page)
        page.post("/api/undo", undo=undo)
        told = page.post("/api/undo", 404, undo=undo)
    assert "nothing to undo" in told["error"]["message"]


def test_undo_past_what_came_in_the_meantime(tmp_path: Path) -> None:
    before = _files(fill(tmp_path))
    with opened(tmp_path) as page:
        undo = _delete_class(page)
        page.upload(("0.png", image_bytes(77)), class_name="roses")
        page.post("/api/undo", undo=undo)
        assert page.counts() == {"daisies": 3, "roses": 4}
    found = _files(tmp_path)
    assert sorted(before.values()) == sorted(set(found.values()) - {image_bytes(77)})


def test_moving_keeps_files_of_the_same_name(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        _move(page)
        names = [one["name"] for one in page.get("/api/images")["images"]]
    assert sorted(names) == ["0-2.png", "0.png", "1-2.png", "1.png", "2-2.png", "2.png"]


def test_a_step_cut_short_can_be_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, trash = _files(fill(tmp_path)), Trash(open_place(tmp_path))
    real, calls = os.rename, 0

    def rename(*paths: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(5, "the disk is gone")
        real(*paths)  # type: ignore[arg-type]

    monkeypatch.setattr("headstart.studio.trash.os.rename", rename)
    with pytest.raises(HeadstartError, match="the disk is gone"):
        trash.delete(["roses/0.png", "roses/1.png", "roses/2.png"], {})
    assert len(_files(tmp_path)) == len(before) - 1
    (step,) = os.listdir(tmp_path / ".headstart" / "trash")
    assert trash.undo(step) == (1, 2)
    assert _files(tmp_path) == before


def test_no_file_is_renamed_over_another(tmp_path: Path) -> None:
    trash = Trash(open_place(fill(tmp_path)))
    with pytest.raises(HeadstartError, match="another file of that name"):
        trash.rename([Move("roses/0.png", "roses/1.png")], {})


def test_the_journal_is_written_first(tmp_path: Path) -> None:
    trash = Trash(open_place(fill(tmp_path)))
    key = trash.rename([Move("roses/0.png", "daisies/9.png")], {"kind": "move"})
    journal = tmp_path / ".headstart" / "trash" / key / "journal.json"
    assert json.loads(journal.read_text()) == {
        "about": {"kind": "move"},
        "moves": [["roses/0.png", "daisies/9.png"]],
    }


def test_the_last_steps_are_told_after_a_restart(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        undone = _move(page)
        page.post("/api/undo", undo=undone)
        done = [_move(page), _rename(page), _delete_class_of(page, "Rosen")]
    with opened(tmp_path) as page:
        steps = page.get("/api/undo")["steps"]
        assert steps == [
            {"undo": done[2], "kind": "delete_class", "class": "Rosen", "images": 0},
            {"undo": done[1], "kind": "rename_class", "class": "roses", "to": "Rosen"},
            {"undo": done[0], "kind": "move", "images": 3, "to": "daisies"},
        ]
        for one in steps:
            page.post("/api/undo", undo=one["undo"])
        assert page.counts() == {"daisies": 3, "roses": 3}
        assert page.get("/api/undo")["steps"] == []


def _delete_class_of(page: Page, name: str) -> str:
    return str(page.post("/api/classes/delete", name=name)["undo"])
