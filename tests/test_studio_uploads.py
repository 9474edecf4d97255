"""Uploads to the studio: what is taken, what is refused and why, and that names lead nowhere."""

from __future__ import annotations

import io
import itertools
import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from studio_place import Page, fill, image_bytes, opened

from headstart import guard
from headstart.dataset import read_dataset


def _zip(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def _reasons(told: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {one["name"]: one["reason"] for one in told["refused"]}


KINDS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


def test_every_format_is_taken_by_its_content(tmp_path: Path) -> None:
    files = [(f"{kind}.dat", image_bytes(at, kind)) for at, kind in enumerate(KINDS)]
    with opened(tmp_path) as page:
        told = page.upload(*files, class_name="roses")
        assert (len(told["added"]), told["refused"]) == (6, [])
        assert page.counts() == {"roses": 6}
    expected = ["BMP.dat.bmp", "GIF.dat.gif", "JPEG.dat.jpg", "PNG.dat.png", "TIFF.dat.tif"]
    assert sorted(os.listdir(tmp_path / "roses")) == [*expected, "WEBP.dat.webp"]


def test_a_right_ending_stays(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        told = page.upload(("IMG 1.JPEG", image_bytes(1, "JPEG")), class_name="roses")
    assert told["added"][0]["name"] == "IMG 1.JPEG"
    assert (tmp_path / "roses" / "IMG 1.JPEG").read_bytes() == image_bytes(1, "JPEG")


def _bomb() -> bytes:
    """A small file of 108 megapixels."""
    content = io.BytesIO()
    Image.new("1", (12000, 9000)).save(content, "PNG")
    return content.getvalue()


REFUSED = (
    ("note.jpg", b"hello, this is no image at all", "not an image"),
    ("empty.jpg", b"", "empty file"),
    ("cut.png", image_bytes()[:300], "broken: "),
    ("bomb.png", _bomb(), "too large: "),
    ("script.svg", b"<svg onload=alert(1)>", "not an image"),
    ("x.zip", b"PK\x03\x04 and no more", "damaged or not a zip"),
)


@pytest.mark.parametrize(("name", "data", "reason"), REFUSED)
def test_refused_with_a_reason(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    with opened(fill(tmp_path)) as page:
        told = page.upload((name, data), ("good.png", image_bytes(9)), class_name="roses")
        assert page.counts() == {"daisies": 3, "roses": 4}
    assert reason in _reasons(told)[name]
    assert not os.listdir(tmp_path / ".headstart" / "incoming")


def test_a_class_is_made_with_its_first_image(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        assert not page.upload(("a.jpg", b"no image"), class_name="roses")["added"]
        assert page.counts() == {}
        page.upload(("a.jpg", b"no image"), ("b.png", image_bytes()), class_name="roses")
        assert page.counts() == {"roses": 1}


@pytest.mark.parametrize(("part", "merged"), [("test", True), ("val", True), ("trees", False)])
def test_that_a_split_is_put_together_is_told(tmp_path: Path, part: str, merged: bool) -> None:
    names = ("train/a/1.png", "train/b/2.png", f"{part}/a/3.png")
    split = {f"set/{name}": image_bytes(at) for at, name in enumerate(names)}
    with opened(tmp_path) as page:
        assert page.upload(("set.zip", _zip(**split)))["merged"] == merged


def test_a_refused_zip_is_called_as_the_user_calls_it(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        told = page.upload(("my roses.zip", _zip(**{"../../evil.jpg": image_bytes()})))
    assert _reasons(told)["my roses.zip"].startswith("'my roses.zip' is refused: '../../evil.jpg'")


def test_one_that_goes_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def losing(source: str, target: Path) -> None:
        rename(source, target)
        if Path(target).name == "a.png":
            Path(target).unlink()

    with opened(fill(tmp_path)) as page:
        monkeypatch.setattr(os, "rename", losing)
        files = [("a.png", image_bytes(7)), ("b.png", image_bytes(8))]
        told = page.upload(*files, class_name="roses")
    assert [one["name"] for one in told["added"]] == ["b.png"]


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_BYTES", 100)
    with opened(tmp_path) as page:
        told = page.upload(("a.png", image_bytes()), class_name="roses")
    assert _reasons(told)["a.png"].startswith("too large")


def test_the_same_image_twice(tmp_path: Path) -> None:
    known = (fill(tmp_path) / "roses" / "1.png").read_bytes()
    with opened(tmp_path) as page:
        new = image_bytes(50)
        told = page.upload(("a.png", known), ("b.png", new), ("c.png", new), class_name="roses")
        assert len(told["added"]) == 1
        assert _reasons(told) == {
            "a.png": "the same image is in 'roses' already: 1.png",
            "c.png": "the same image is in 'roses' already: b.png",
        }
        assert len(page.upload(("a.png", known), class_name="daisies")["added"]) == 1


def test_the_same_name_twice(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        page.upload(("a.png", image_bytes(1)), ("A.png", image_bytes(2)), class_name="x")
        page.upload(("a.png", image_bytes(3)), class_name="x")
    assert sorted(os.listdir(tmp_path / "x")) == ["A-2.png", "a-3.png", "a.png"]


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        (("roses/a.png", "daisies/b.png"), {"daisies": 1, "roses": 1}),
        (("all/roses/a.png", "all/daisies/b.png"), {"daisies": 1, "roses": 1}),
        (("train/roses/a.png", "val/roses/b.png"), {"roses": 2}),
        (("roses\\a.png",), {"roses": 1}),
        (("a.png",), {}),
        (("../roses/a.png", "/roses/b.png", "roses//c.png"), {}),
        (("CON/a.png", ".hidden/b.png"), {}),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_folders_give_the_classes(
    tmp_path: Path, names: tuple[str, ...], counts: dict[str, int], zipped: bool
) -> None:
    files = {name: image_bytes(at) for at, name in enumerate(names)}
    if zipped and any("\\" in one for one in names):
        counts = {}  # a zip has no such names
    with opened(tmp_path) as page:
        told = page.upload(("z.zip", _zip(**files))) if zipped else page.upload(*files.items())
        assert page.counts() == counts
        assert len(told["added"]) == sum(counts.values())
        assert zipped or len(told["added"]) + len(told["refused"]) == len(names)


def test_a_zip_for_one_class(tmp_path: Path) -> None:
    data = _zip(**{"a/1.png": image_bytes(1), "b/2.png": image_bytes(2), "c.txt": b"text"})
    with opened(tmp_path) as page:
        told = page.upload(("z.zip", data), class_name="roses")
        assert page.counts() == {"roses": 2}
    assert _reasons(told) == {"z.zip/c.txt": "not an image"}


def test_a_bomb_of_a_zip(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("roses/a.bmp", b"BM" + bytes(60_000_000))
    with opened(tmp_path) as page:
        told = page.upload(("z.zip", content.getvalue()))
        assert page.counts() == {}
    assert "times its own size" in _reasons(told)["z.zip"]


_STEPS = (
    "../",
    "..\\",
    "/",
    "\\",
    "....//",
    "%2e%2e%2f",
    "C:\\",
    "//host/",
    "a/../../",
    "\u2215..\u2215",
)
_NAMES = (
    "passwd",
    "x.png",
    "\0.png",
    "CON",
    "nul.png",
    "\u202egnp.exe",
    "a" * 300,
    "\u00e9" * 300,
    "..",
)
_ENDS = ("", ".", " ", "\n", "<script>alert(1)</script>", "/")


def _hostile() -> list[str]:
    found = [
        "".join((step * 3, name, end))
        for step, name, end in itertools.product(_STEPS, _NAMES, _ENDS)
    ]
    return [
        *found,
        ".headstart/jobs/x",
        "../../.headstart/x.png",
        "/etc/passwd",
        "-rf",
        "~/.ssh/id",
    ]


def _everything(folder: Path) -> set[Path]:
    return {one for one in folder.rglob("*") if (folder / "p" / ".headstart") not in one.parents}


@pytest.mark.parametrize("class_name", ["roses", ""])
def test_names_lead_nowhere(tmp_path: Path, class_name: str) -> None:
    names = _hostile()
    assert len(names) >= 500
    with opened(fill(tmp_path / "p")) as page:
        before = _everything(tmp_path)
        files = [(_plain(name), image_bytes(at)) for at, name in enumerate(names)]
        told = page.upload(*files, class_name=class_name)
        classes = page.counts()
        new = _everything(tmp_path) - before
    assert told["refused_count"] + len(told["added"]) == len(names)
    assert class_name == "" or len(told["added"]) == len(names)
    files_made = [one for one in new if one.is_file()]
    assert len(files_made) == len(told["added"])
    for one in files_made:
        assert one.parent.parent == tmp_path / "p"
        assert one.parent.name in classes
        assert len(one.name.encode()) < 256
        assert not one.name.startswith(".")
        assert one.name.isprintable()
    assert not Path("/etc/passwd.png").exists()
    assert read_dataset(tmp_path / "p").found == 6 + len(files_made)


def _plain(name: str) -> str:
    """As a browser sends it: quotes and newlines are escaped in a form."""
    return name.replace("\n", "%0A").replace('"', "%22")


def test_other_fields_of_a_form_count_for_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as page:
        form = [("files", ("a.png", image_bytes())), ("other", ("b.png", image_bytes(2)))]
        answer = page.client.post(
            "/api/images", params={"class": "x"}, files=form, data={"class": "y"}
        )
        assert len(answer.json()["added"]) == 1
        assert page.counts() == {"x": 1}


def test_thumbnails(tmp_path: Path) -> None:
    big = io.BytesIO()
    with opened(fill(tmp_path)) as page:
        Image.new("RGB", (2000, 1000), "red").save(big, "JPEG")
        (added,) = page.upload(("big.jpg", big.getvalue()), class_name="roses")["added"]
        sizes = [_size(page, added["id"], what) for what in ("thumbnail", "full")]
        page.post("/api/images/move", ids=[added["id"]], class_="daisies")
        kept = list((tmp_path / ".headstart" / "thumbnails").rglob("*.webp"))
        assert page.studio.thumbnails.tidy(page.studio.project.view) == 0
        page.post("/api/images/delete", ids=page.ids("daisies"))
        assert page.studio.thumbnails.tidy(page.studio.project.view) == 1
    assert sizes == [("WEBP", (160, 80)), ("JPEG", (1600, 800))]
    assert len(kept) == 1


def _size(page: Page, key: str, what: str) -> tuple[str | None, tuple[int, int]]:
    answer = page.client.get(f"/api/images/{key}/{what}")
    assert "immutable" in answer.headers["cache-control"]
    with Image.open(io.BytesIO(answer.content)) as image:
        return image.format, image.size


def test_a_broken_image_has_no_thumbnail(tmp_path: Path) -> None:
    (fill(tmp_path) / "roses" / "0.png").write_bytes(image_bytes()[:300])
    with opened(tmp_path) as page:
        answer = page.client.get(f"/api/images/{page.ids('roses')[0]}/thumbnail")
    assert answer.status_code == 400
    assert "broken" in answer.json()["error"]["message"]
