"""The report of a real run: in its bundle, made again from it, and on the command line."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_command
from PIL import Image
from test_report_page import TAGS, VOID, Reader
from tiny_run import CLASSES, RECIPE, fresh_cache, make_mixed_folder, trained

import headstart
from headstart import bundle
from headstart.errors import HeadstartError
from headstart.reporting import ReportedPart, with_report
from headstart.reporting.gathering import MOST_FILES, MOST_OF_KIND, MOST_WORST, gather
from headstart.reporting.material import material_in
from headstart.reporting.thumbnails import address, thumbnail, thumbnails
from headstart.run import Run
from headstart.training import fit


def reported(run: Run, **more: Any) -> ReportedPart:
    """The test part of the run, with what its classifier answers."""
    paths = [path for path, _ in run.files["test"]]
    answers = run.classifier.predict_proba(paths)
    return replace(ReportedPart(trained().photos, answers), **more)


def extra() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((trained().bundle / "report.json").read_text())
    return found


def without_report(folder: Path) -> Path:
    """A bundle as an older headstart wrote it."""
    return trained().run.save(folder, images=False)


def test_the_bundle_has_a_report_and_its_material() -> None:
    text = (trained().bundle / "report.html").read_text(encoding="utf-8")
    evaluation = trained().run.evaluation
    assert f"about {round(100 * (evaluation.accuracy or 0))} will be named right." in text
    assert "Not shown" not in text
    assert bundle.load(trained().bundle).class_names == CLASSES  # its checksums are right


def test_the_worst_images_are_the_wrong_ones_that_were_surest() -> None:
    run, found = trained().run, extra()
    wrong = [pair[2] for pair in run.evaluation.confusions()]
    worst = found["worst"]
    assert found["wrong"] == sum(wrong) > 0
    assert len(worst) == min(MOST_WORST, found["wrong"])
    assert [one["probability"] for one in worst] == sorted(
        (one["probability"] for one in worst), reverse=True
    )
    for one in worst:
        answer = run.classifier.predict(trained().photos / one["file"])
        assert (answer.label, one["true"]) == (one["answer"], Path(one["file"]).parent.name)
        assert answer.probability == pytest.approx(one["probability"], abs=0.01)
        assert one["image"].startswith("data:image/jpeg;base64,")


def test_an_example_of_each_class_is_of_the_test_part() -> None:
    assert [one["true"] for one in extra()["examples"]] == list(CLASSES)


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_hostile_folders_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_cache(monkeypatch, tmp_path / "cache")
    names = ("<img src=x onerror=alert(1)>", '" onload="alert(1)', "<!--\u202e&amp;")
    photos = make_mixed_folder(tmp_path / "<script>alert(1)<", names)
    for path in photos.rglob("*.png"):
        path.rename(path.with_name(f"'><svg onload=alert(1)>{path.name}"))
    run = fit(photos, RECIPE, out=tmp_path / "bundle")
    found = Reader((run.bundle or tmp_path).joinpath("report.html").read_text(encoding="utf-8"))
    assert {tag for tag, _ in found.found} <= VOID | set(TAGS.split())
    assert not [name for _, one in found.found for name in one if name.startswith("on")]
    assert "<img src=x onerror=alert(1)>" in found.text


def test_written_again_it_is_the_same(tmp_path: Path) -> None:
    written = headstart.report(trained().bundle, out=tmp_path / "again.html")
    assert written.path.read_bytes() == (trained().bundle / "report.html").read_bytes()
    assert written.parts == ("metrics.json", "report.json", "checkup.json")
    assert str(written).endswith("kB, from metrics.json, report.json, checkup.json.")


def test_a_bundle_without_report_gives_the_figures(tmp_path: Path) -> None:
    old = without_report(tmp_path / "old")
    assert not (old / "report.html").exists()
    written = headstart.report(old, out=tmp_path / "old.html")
    text = written.path.read_text(encoding="utf-8")
    assert "will be named right" in text
    assert "<img" not in text
    assert "has no images" in str(written)


def test_maps_are_made_where_someone_makes_them() -> None:
    asked = []

    def explain(path: Path, class_name: str) -> Any:
        asked.append((path, class_name))
        if len(asked) == 1:
            raise HeadstartError("this one has none")
        return np.zeros((32, 40, 3), np.uint8)

    run = trained().run
    worst = gather(run, reported(run, explain=explain), {})["worst"]
    assert [(trained().photos / one["file"], one["answer"]) for one in worst] == asked
    assert [one["map"] is None for one in worst] == [True] + [False] * (len(worst) - 1)


def test_only_the_worst_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart.reporting.gathering.MOST_WORST", 1)
    found = gather(trained().run, reported(trained().run), {})
    assert [one["file"] for one in found["worst"]] == [one["file"] for one in extra()["worst"][:1]]
    assert len(found["worst"]) == 1 < found["wrong"]


def test_findings_get_thumbnails_but_not_all_of_them() -> None:
    run = trained().run
    names = [path.relative_to(trained().photos).as_posix() for path in trained().paths]
    label = [{"kind": "label", "files": [name]} for name in names[:9]]
    copies = {"kind": "copy", "files": [names[9], "no/such.png", names[11]]}
    files = gather(run, reported(run), {"findings": [*label, copies]})["files"]
    assert list(files) == [*names[:MOST_OF_KIND], names[9]]
    many = [{"kind": str(number), "files": names[2 * number :]} for number in range(29)]
    assert len(gather(run, reported(run), {"findings": many})["files"]) == 58 <= MOST_FILES


def test_no_images_where_none_are_wanted(tmp_path: Path) -> None:
    path = trained().run.save(tmp_path / "bundle", images=False)
    assert not [*path.glob("report.*"), *path.glob("example.*")]
    kept = bundle.load(path).reference
    assert kept is not None
    assert set(kept.thumbnails) == {b""}
    assert b"\xff\xd8\xff" not in (path / "reference.safetensors").read_bytes()
    photo = trained().paths[0]
    assert bundle.load(path).predict(photo) == bundle.load(trained().bundle).predict(photo)
    assert headstart.explain(path, photo).nearest[0].thumbnail == b""


def test_nothing_is_made_before_the_run_is_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Any] = []
    monkeypatch.setattr("headstart.reporting.writing.gather", lambda *values: made.append(values))
    run = with_report(trained().run, reported(trained().run))
    assert not made
    with pytest.raises(HeadstartError, match="it holds no object"):  # the stand-in gives nothing
        run.save(tmp_path / "bundle")
    assert len(made) == 1


def test_images_that_have_gone_leave_the_rest(tmp_path: Path) -> None:
    run = trained().run
    gone = tuple((tmp_path / "gone" / path.name, label) for path, label in run.files["test"])
    moved = replace(run, files={**run.files, "test": gone})
    found = gather(moved, reported(run), {})
    assert found["examples"] == []
    assert {one["image"] for one in found["worst"]} == {None}
    path = with_report(moved, reported(run)).save(tmp_path / "bundle")
    assert "not shown" in (path / "report.html").read_text(encoding="utf-8")


def test_a_thumbnail_is_small_whatever_the_image(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    made = thumbnail(tmp_path / "noise.png", 224)
    assert made is not None
    assert len(made) < 12_100


def test_a_thumbnail_keeps_nothing_but_the_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "secret camera", 6  # maker, orientation
    image = Image.new("RGB", (60, 30), (200, 0, 0))
    image.save(tmp_path / "a.jpg", exif=exif, comment=b"secret words")
    made = thumbnail(tmp_path / "a.jpg", 40)
    assert made is not None
    content = base64.b64decode(made.partition(",")[2])
    assert b"secret" in (tmp_path / "a.jpg").read_bytes()
    assert b"secret" not in content
    assert Image.open(io.BytesIO(content)).size == (20, 40)  # turned as the orientation says


def test_a_broken_file_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff no image")
    assert thumbnails([tmp_path / "a.jpg", tmp_path / "none.jpg"], 40) == [None, None]
    assert address(np.zeros((8, 8, 3), np.uint8), 4).startswith("data:image/jpeg;base64,")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of the test's own, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(trained().bundle, tmp_path / "flowers.headstart")


@pytest.mark.parametrize(
    ("change", "out", "message"),
    [
        (lambda folder: (folder / "bundle.json").unlink(), "a.html", "is no bundle"),
        (lambda folder: (folder / "report.json").write_text("{}"), "a.html", "is damaged"),
        (lambda folder: None, "no/folder/a.html", "cannot be written: No such file"),
        (lambda folder: None, ".", "is a folder. Expected the name of a file"),
        (lambda folder: None, "own.jpg", r"ends in \.html or \.htm; received '\.jpg'"),
        (lambda folder: None, "flowers.headstart/a.html", "lies in the bundle"),
    ],
)
def test_what_cannot_be_written_is_told(place: Path, change: Any, out: str, message: str) -> None:
    change(place)
    with pytest.raises(HeadstartError, match=message):
        headstart.report(place, out=out)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 2}', "has format 2. Expected format 1"),
        ("[1]", "it holds no object"),
        ("{", "cannot be read"),
    ],
)
def test_material_that_cannot_be_read(place: Path, content: str, message: str) -> None:
    (place / "report.json").write_text(content, encoding="utf-8")
    about = json.loads((place / "bundle.json").read_text(encoding="utf-8"))
    with pytest.raises(HeadstartError, match=message):
        material_in(place, about)


def test_the_command(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(monkeypatch, "report", place) == 0
    assert capsys.readouterr().out.startswith("flowers.report.html: ")
    assert run_command(monkeypatch, "report", place, "--out", "a.html", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["report"] == "a.html"
    assert told["bytes"] == os.path.getsize("a.html") == os.path.getsize("flowers.report.html")
    assert run_command(monkeypatch, "report", place / "none") == 2
    assert "is no bundle" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--images", "--no-images"])
def test_fit_says_where_the_report_is(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    flag: str,
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(trained().cache))
    out = tmp_path / "out"
    options = ["--recipe", "frozen", "--backbone", "tiny", "--image-size", 32, flag]
    assert run_command(monkeypatch, "fit", trained().photos, *options, "--out", out) == 0
    told = f"its report in {out}{os.sep}report.html" in capsys.readouterr().out
    assert told == (out / "report.html").exists() == (flag == "--images")
