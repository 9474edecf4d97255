"""Files that mean harm: each is an answer or one clear reason, quickly and in little memory."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile_images import BOMBS, QUICK_BOMBS, encoded, mutated, png, sound
from PIL import Image
from tiny_run import trained

from headstart import colours, guard
from headstart.answers import Prediction, Unreadable
from headstart.bundle import load
from headstart.images import BadImage, decode

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.filterwarnings("ignore::RuntimeWarning:PIL")
def test_damaged_files_get_an_answer_or_a_reason(tmp_path: Path) -> None:
    files = {tmp_path / name: data for name, data in mutated(144, seed=1)}
    for path, data in files.items():
        path.write_bytes(data)
    found = list(load(trained().bundle).predict_files(files))
    assert [one.source for one in found] == [str(path) for path in files]
    reasons = [one.reason for one in found if isinstance(one, Unreadable)]
    assert all("\n" not in reason and str(tmp_path) not in reason for reason in reasons)
    assert 20 < len(reasons) < 130


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", QUICK_BOMBS)
def test_bombs_end_quickly(name: str) -> None:
    data = QUICK_BOMBS[name]()
    start = time.process_time()
    reason = ""
    try:
        decode(data, (32, 32))
    except BadImage as error:
        reason = str(error)
    assert time.process_time() - start < 5
    assert "\n" not in reason
    assert bool(reason) == (name not in ("9400x9400.jpg", "frames.gif", "one_row.bmp"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("chunks.png", "broken: far too many parts"),
        ("segments.jpg", "broken: far too many parts"),
        ("fill.jpg", "broken: far too many parts"),
        ("9400x9400.webp", "too large: 9400 x 9400 takes 1414 MB of memory, at most 560"),
        ("runs.bmp", "too large: 4000 x 3000 as a compressed BMP, at most 4 megapixels"),
    ],
)
def test_the_reason_is_clear(name: str, reason: str) -> None:
    with pytest.raises(BadImage) as caught:
        decode(QUICK_BOMBS[name](), (32, 32))
    assert str(caught.value) == reason


def test_scans_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    data = sound("JPEG")
    decode(data, (32, 32))
    monkeypatch.setattr(guard, "_MOST_SCANNED", 160 * 160 - 1)
    with pytest.raises(BadImage, match="too large: 160 x 160 in 1 scans"):
        decode(data, (32, 32))


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "I;16", "CMYK"])
def test_a_large_image_is_shrunk_to_the_same(
    monkeypatch: pytest.MonkeyPatch, mode: str, resize: str
) -> None:
    data = sound("PNG", 600)
    plain = Image.open(io.BytesIO(data)).resize((640, 450))
    image = _in_mode(plain, mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    stored = encoded(image, kind)
    expected = decode(stored, (40, 48), resize)
    monkeypatch.setattr(colours, "LARGE", 1000)
    monkeypatch.setattr(colours, "_STRIP", 7000)
    found = decode(stored, (40, 48), resize)
    for got, wanted, most in (
        (found.pixels, expected.pixels, 4),
        (found.thumbnail, expected.thumbnail, 8),
    ):
        difference = abs(got.astype(int) - wanted)
        assert difference.max() <= most
        assert difference.mean() < 1.5


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        grey = image.convert("I").point(lambda value: value * 200)
        return grey.convert("I;16")
    if mode == "RGBA":
        clear = image.convert("RGBA")
        clear.putalpha(Image.linear_gradient("L").resize(image.size))
        return clear
    return image.convert(mode)


_CHILD = """
import json, sys, time
sys.path.insert(0, "tests")
from hostile_images import BOMBS, sound
from headstart.images import BadImage, decode
from pathlib import Path
def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1e3
decode(sound("JPEG"), (224, 224))
data = BOMBS[sys.argv[1]]()
Path("/proc/self/clear_refs").write_text("5")
before, start = memory("VmRSS"), time.process_time()
try:
    decode(data, (224, 224))
except BadImage:
    pass
print(json.dumps([time.process_time() - start, memory("VmHWM") - before]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_take_little(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _CHILD, name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, megabytes = json.loads(done.stdout)
    assert seconds < 5
    assert megabytes < 600


def test_large_images_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_LARGE", 1000)
    held: list[bool] = []
    load_pixels = Image.Image.load

    def looking(self: Image.Image) -> object:
        held.append(guard._turn._is_owned())  # type: ignore[attr-defined]
        return load_pixels(self)

    monkeypatch.setattr(Image.Image, "load", looking)
    decode(png(64, 64), (32, 32))
    assert held
    assert all(held)


def test_answers_stay_answers() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF"):
        assert isinstance(trained().run.classifier.predict(sound(kind)), Prediction)


def test_libraries_do_not_speak_for_the_command(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(sound("PNG"))
    whole = sound("TIFF")
    (tmp_path / "bad.tif").write_bytes(whole[:8] + b"\xff" * 64 + whole[72:])  # no such code
    done = subprocess.run(
        [sys.executable, "-m", "headstart", "predict", str(trained().bundle), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.startswith(f"skipped {tmp_path}/bad.tif: broken: ")
    assert done.stderr.count("\n") == 1


def test_a_bad_image_keeps_nothing_of_itself(tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(sound("PNG")[:500])
    _, error = trained().run.classifier._decode(tmp_path / "cut.png", views=1)
    assert isinstance(error, BadImage)
    assert error.__traceback__ is None
    assert error.__context__ is None
