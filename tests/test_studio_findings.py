"""A check-up's findings in the studio: which images they are about now, and the fixes of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from studio_place import Page, fill, opened

from headstart.checkup.finding import Finding

FINDINGS = (
    Finding("label", ("roses/0.png",), ("roses",), "says daisies", 0.9, "daisies"),
    Finding("two_labels", ("roses/1.png", "daisies/1.png"), ("roses", "daisies"), "same bytes"),
    Finding("copy", ("roses/1.png", "roses/2.png"), ("roses", "roses"), "same bytes"),
    Finding("blurred", ("roses/2.png",), ("roses",), "soft", 0.5),
    Finding("imbalance", (), ("roses",), "few"),
    Finding("broken", ("gone/x.png",), ("gone",), "no such file"),
)


def _keep(folder: Path) -> Path:
    (fill(folder) / ".headstart").mkdir()
    values = {"fingerprint": "", "findings": [one.to_dict() for one in FINDINGS], "left_out": []}
    (folder / ".headstart" / "checkup.json").write_text(json.dumps(values))
    return folder


def _found(page: Page, kind: str) -> dict[str, Any]:
    (one,) = [one for one in page.get("/api/checkup")["findings"] if one["kind"] == kind]
    return dict(one)


def _kinds(page: Page) -> list[str]:
    return [one["kind"] for one in page.get("/api/checkup")["findings"]]


ALL = ["label", "two_labels", "copy", "blurred", "imbalance"]


def test_what_is_gone_is_not_shown(tmp_path: Path) -> None:
    with opened(_keep(tmp_path)) as page:
        assert _kinds(page) == ALL
        assert page.get("/api/project")["checkup"] == {
            "state": "done",
            "findings": 5,
            "outdated": True,
        }


FIXES = (
    ("label", "move", {"daisies": 4, "roses": 2}, ["two_labels", "copy", "blurred", "imbalance"]),
    ("label", "delete", {"daisies": 3, "roses": 2}, ["two_labels", "copy", "blurred", "imbalance"]),
    ("label", "keep", {"daisies": 3, "roses": 3}, ["two_labels", "copy", "blurred", "imbalance"]),
    ("two_labels", "delete", {"daisies": 2, "roses": 3}, ["label", "copy", "blurred", "imbalance"]),
    ("copy", "delete", {"daisies": 3, "roses": 2}, ["label", "two_labels", "imbalance"]),
    ("imbalance", "keep", {"daisies": 3, "roses": 3}, ["label", "two_labels", "copy", "blurred"]),
)


@pytest.mark.parametrize(("kind", "action", "counts", "left"), FIXES)
def test_a_fix_and_its_undo(
    tmp_path: Path, kind: str, action: str, counts: dict[str, int], left: list[str]
) -> None:
    with opened(_keep(tmp_path)) as page:
        one = _found(page, kind)
        fix = next(fix for fix in one["fixes"] if fix["action"] == action)
        ids = fix["ids"] or None
        undo = page.post("/api/checkup/fix", finding=one["id"], action=action, ids=ids)["undo"]
        assert (page.counts(), _kinds(page)) == (counts, left)
        assert (undo is None) == (action == "keep")
        if undo:
            page.post("/api/undo", undo=undo)
            assert _kinds(page) == ALL


def test_what_is_kept_is_remembered(tmp_path: Path) -> None:
    with opened(_keep(tmp_path)) as page:
        for kind in ("label", "copy"):
            page.post("/api/checkup/fix", finding=_found(page, kind)["id"], action="keep")
    with opened(tmp_path) as page:
        assert _kinds(page) == ["two_labels", "blurred", "imbalance"]


def test_either_copy_can_stay(tmp_path: Path) -> None:
    with opened(_keep(tmp_path)) as page:
        fixes = [one for one in _found(page, "two_labels")["fixes"] if one["action"] == "delete"]
        roses, daisies = page.ids("roses"), page.ids("daisies")
    assert [one["title"] for one in fixes] == [
        "Keep it as 'roses', delete the others",
        "Keep it as 'daisies', delete the others",
    ]
    assert [one["ids"] for one in fixes] == [[daisies[1]], [roses[1]]]


def test_images_with_a_finding(tmp_path: Path) -> None:
    with opened(_keep(tmp_path)) as page:
        listed = page.get("/api/images", finding="copy")
        assert [one["name"] for one in listed["images"]] == ["1.png", "2.png"]
        assert listed["images"][0]["findings"] == ["two_labels", "copy"]
        assert page.get("/api/images", finding="copy", **{"class": "daisies"})["total"] == 0
        assert page.get("/api/images", finding="imbalance")["total"] == 0


@pytest.mark.parametrize(
    "wanted",
    [
        {"finding": "none", "action": "keep"},
        {"finding": "LABEL", "action": "delete", "ids": ["x"]},
        {"finding": "LABEL", "action": "delete", "ids": []},
        {"finding": "COPY", "action": "move"},
    ],
)
def test_fixes_that_there_are_not(tmp_path: Path, wanted: dict[str, Any]) -> None:
    with opened(_keep(tmp_path)) as page:
        if wanted["finding"].isupper():
            wanted = {**wanted, "finding": _found(page, wanted["finding"].lower())["id"]}
        told = page.post("/api/checkup/fix", 404, **wanted)
        assert "no such fix" in told["error"]["message"]
        assert page.counts() == {"daisies": 3, "roses": 3}


def test_a_fix_is_only_about_the_images_of_its_finding(tmp_path: Path) -> None:
    with opened(_keep(tmp_path)) as page:
        key, others = _found(page, "label")["id"], page.ids("daisies")
        page.post("/api/checkup/fix", 404, finding=key, action="delete", ids=others)
        assert page.counts() == {"daisies": 3, "roses": 3}


def test_nothing_was_looked_over(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        found = page.get("/api/checkup")
        (tmp_path / ".headstart" / "checkup.json").write_text("no json")
        assert page.get("/api/checkup")["findings"] == []
    assert (found["state"], found["findings"], found["job"]) == ("none", [], None)
