"""Names of classes and files from outside."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from studio_place import fill, image_bytes, opened

from headstart.errors import HeadstartError
from headstart.studio.names import checked_class_name, free_name, safe_file_name


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", ".headstart", "a/b", "a\\b", "../x", "CON", "con.txt", "nul", "LPT1", "a.",
     "a" * 101, "\u00e9" * 101, "a\nb", "a\0b", "<script>", "a\u202eb", "a:b", "a|b", 'a"b', "a*",
     "Thumbs.db", "__MACOSX", "\udcff", "\u200b"],
)  # fmt: skip
def test_bad_names_of_classes(tmp_path: Path, name: str) -> None:
    with pytest.raises(HeadstartError, match=r"cannot be called .* Choose another name"):
        checked_class_name(name)
    with opened(tmp_path) as page:
        for path in ("/api/classes", "/api/classes/rename"):
            page.client.post(path, content=json.dumps({"name": name, "to": name}))
        assert page.counts() == {}
    assert os.listdir(tmp_path) == [".headstart"]


@pytest.mark.parametrize(
    "name", ["rose", "Oak leaf", "M\u00fcll", "\u6a39\u8449", "a.b", "-", "=1+1"]
)
def test_good_names_of_classes(name: str) -> None:
    assert checked_class_name(f" {name} ") == name


@pytest.mark.parametrize("name", ["ROSES", "roses", "daisies"])
def test_classes_that_are_there(tmp_path: Path, name: str) -> None:
    with opened(fill(tmp_path)) as page:
        assert "already" in page.post("/api/classes", 409, name=name)["error"]["message"]
        page.upload(("a.png", image_bytes(80)), class_name=name)
        assert sum(page.counts().values()) == 7
        assert len(page.counts()) == 2


def test_capitals_of_a_class_can_be_changed(tmp_path: Path) -> None:
    with opened(fill(tmp_path)) as page:
        page.post("/api/classes/rename", name="roses", to="Roses")
        assert page.counts() == {"Roses": 3, "daisies": 3}


@pytest.mark.parametrize(
    ("name", "kind", "safe"),
    [
        ("a.jpg", "jpeg", "a.jpg"),
        ("a.JPEG", "jpeg", "a.JPEG"),
        ("a.png", "jpeg", "a.png.jpg"),
        ("../../a.png", "png", "a.png"),
        ("C:\\x\\a.png", "png", "a.png"),
        (".hidden.png", "png", "hidden.png"),
        ("con.png", "png", "_con.png"),
        ("", "gif", "image.gif"),
        ("...", "gif", "image.gif"),
        ("a\0b\u202e.png", "png", "a_b_.png"),
        ("e\u0301.png", "png", "\u00e9.png"),
    ],
)
def test_names_of_files(name: str, kind: str, safe: str) -> None:
    assert safe_file_name(name, kind) == safe


def test_free_names() -> None:
    assert free_name("a.png", {"b.png"}) == "a.png"
    assert free_name("A.png", {"a.png", "a-2.png"}) == "A-3.png"
