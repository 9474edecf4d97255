"""The same image through Python, the command line, both routes of the server and every export.

Over the 8 orientations that EXIF knows and 10 types of file: the same label, and probabilities
that differ by at most 1e-4 in float32. Exports keep features in float32, where Python, the command
and the server round them to float16 as they are kept: against these, 1e-3.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from command_line import run_command
from PIL import Image
from tiny_run import trained

import headstart
from headstart.images import decode

pytest.importorskip("fastapi", reason="headstart[serve] is not installed")
pytest.importorskip("onnxruntime", reason="headstart[export] is not installed")
pytest.importorskip("ai_edge_litert", reason="headstart[export] is not installed")

from tiny_server import Server, serving

from headstart.exporting import runtimes
from headstart.exporting.checking import float32_answers

ORIENTATION = 0x0112
OPEN = {
    "keras": runtimes.open_keras,
    "onnx": runtimes.open_onnx,
    "openvino": runtimes.open_openvino,
    "litert": runtimes.open_litert,
    "saved_model": runtimes.open_saved_model,
}
TYPES: dict[str, tuple[str, str, dict[str, object]]] = {
    "jpeg": ("JPEG", "RGB", {"quality": 90}),
    "progressive": ("JPEG", "RGB", {"progressive": True}),
    "grey jpeg": ("JPEG", "L", {}),
    "cmyk jpeg": ("JPEG", "CMYK", {}),
    "png": ("PNG", "RGB", {}),
    "transparent png": ("PNG", "RGBA", {}),
    "webp": ("WEBP", "RGB", {"quality": 80}),
    "bmp": ("BMP", "RGB", {}),
    "gif": ("GIF", "P", {}),
    "tiff": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
}


def photo() -> Image.Image:
    """Colours and edges that differ in every direction, so that no turn of it is itself."""
    rows, columns = np.mgrid[0:48, 0:64]
    noise = np.random.default_rng(5).integers(0, 60, (48, 64))
    values = np.stack([rows * 4, columns * 3, (rows > 30) * 150 + noise], axis=-1)
    return Image.fromarray(values.astype(np.uint8))


def files() -> dict[str, bytes]:
    """All images, by what is special about them."""
    found = {}
    for name, (kind, mode, options) in TYPES.items():
        image = photo().convert(mode)
        if mode == "RGBA":
            image.putalpha(200)
        found[name] = saved(image, kind, options)
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = turn
        found[f"orientation {turn}"] = saved(photo(), "JPEG", {"exif": exif, "quality": 95})
    return found


def saved(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    place = BytesIO()
    image.save(place, kind, **options)
    return place.getvalue()


FILES = files()
Answers = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def expected() -> Answers:
    """What Python gives, (images, classes)."""
    return headstart.load(trained().bundle).predict_proba(list(FILES.values()))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def check(got: Answers, expected: Answers, tolerance: float = 1e-4) -> None:
    assert got.shape == expected.shape == (len(FILES), 3)
    assert np.array_equal(got.argmax(axis=1), expected.argmax(axis=1))
    assert np.abs(got - expected).max() <= tolerance


def in_order(top: list[dict[str, object]]) -> list[object]:
    """Probabilities in the order of the classes, of what was told from the most likely on."""
    found = {one["label"]: one["probability"] for one in top}
    return [found[name] for name in headstart.load(trained().bundle).class_names]


def test_all_are_told_apart(expected: Answers) -> None:
    turned = expected[len(TYPES) :]
    assert len({tuple(row) for row in turned.round(4)}) > 4


def test_command_line(
    expected: Answers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = [tmp_path / f"{number:02}" for number in range(len(FILES))]
    for path, data in zip(paths, FILES.values(), strict=True):
        path.write_bytes(data)
    words = ["predict", trained().bundle, *paths, "--top", "3", "--json"]
    assert run_command(monkeypatch, *words) == 0
    answers = json.loads(capsys.readouterr().out)["predictions"]
    check(np.array([in_order(one["top"]) for one in answers], np.float32), expected)


def test_plain_route(server: Server, expected: Answers) -> None:
    answers = [
        server.client.post("/predict?top=3", content=data).raise_for_status().json()
        for data in FILES.values()
    ]
    check(np.array([in_order(one["top"]) for one in answers], np.float32), expected)


def test_why_an_image_cannot_be_read(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(FILES["png"][:500])
    (answer,) = headstart.load(trained().bundle).predict_files([tmp_path / "cut.png"])
    told = server.client.post("/predict", content=FILES["png"][:500])
    assert (told.status_code, told.json()["error"]) == (400, getattr(answer, "reason", ""))


@pytest.mark.parametrize("kind", ["BYTES", "UINT8"])
def test_inference_protocol(kind: str, server: Server, expected: Answers) -> None:
    side = headstart.load(trained().bundle).image_size
    pixels = [decode(data, side, "squash").pixels for data in FILES.values()]
    encoded = [base64.b64encode(data).decode() for data in FILES.values()]
    tensors = {
        "BYTES": ("image", [len(FILES)], encoded),
        "UINT8": ("pixels", [len(FILES), *side, 3], np.stack(pixels).ravel().tolist()),
    }
    name, shape, data = tensors[kind]
    request = {"inputs": [{"name": name, "datatype": kind, "shape": shape, "data": data}]}
    model = server.service.models.names()[0]
    answer = server.client.post(f"/v2/models/{model}/infer", json=request).raise_for_status().json()
    found = {one["name"]: one for one in answer["outputs"]}["probabilities"]
    check(np.array(found["data"], np.float32).reshape(found["shape"]), expected)


@pytest.mark.parametrize("name", OPEN)
def test_export(
    name: str, expected: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = headstart.export(trained().bundle, name)
    run: Callable[[npt.NDArray[np.uint8]], Answers] = OPEN[name](made.path)
    pixels = [decode(data, made.image_size, made.resize).pixels for data in FILES.values()]
    got = run(np.stack(pixels))
    check(got, float32_answers(headstart.load(trained().bundle), pixels))
    check(got, expected, 1e-3)
