from __future__ import annotations

import base64
import gzip
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from command_line import run_command
from conftest import STORED
from PIL import Image
from tiny_run import CLASSES, trained
from tiny_server import Server, command, serving

from headstart.bundle import load
from headstart.classifier import Classifier
from headstart.formats import register_heic
from headstart.web.logs import REQUEST_ID

CLOSE = 1e-4


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load(trained().bundle)


def encode(image: Image.Image, kind: str, orientation: int = 1, **options: Any) -> bytes:
    register_heic()
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(content, kind, **({"exif": exif} if orientation > 1 else {}), **options)
    return content.getvalue()


def photo() -> Image.Image:
    with Image.open(trained().paths[0]) as image:
        return image.convert("RGB").resize((90, 60))


KINDS = ["jpeg", "mpo", "png", "webp", "bmp", "gif", "tiff", "heif", "avif"]
IMAGES = [
    *(encode(photo(), kind) for kind in KINDS),
    encode(photo(), "jpeg", progressive=True),
    *(
        encode(photo().transpose(how) if how is not None else photo(), kind, number)
        for number, how in STORED.items()
        for kind in ("jpeg", "png")
    ),
    encode(photo().convert("L"), "png"),
    encode(photo().convert("RGBA"), "png"),
    encode(photo().convert("P"), "gif"),
    encode(photo().convert("CMYK"), "jpeg"),
]


@pytest.mark.parametrize("image", IMAGES)
def test_answers_are_those_of_python(server: Server, classifier: Classifier, image: bytes) -> None:
    expected = classifier.predict(image)
    # What kind it is, is told by content: the header says something else.
    got = server.client.post(
        "/predict?top=3", content=image, headers={"content-type": "image/gif"}
    ).json()
    assert got["label"] == expected.label
    assert [one["label"] for one in got["top"]] == list(expected.probabilities)
    for one in got["top"]:
        assert abs(one["probability"] - expected.probabilities[one["label"]]) <= CLOSE
    assert got["candidates"] == (expected.candidates and list(expected.candidates))
    assert got["unknown"] == expected.unknown
    given: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [1]}
    given["data"] = [base64.b64encode(image).decode()]
    reply = server.client.post("/v2/models/bundle/infer", json={"inputs": [given]}).json()
    probabilities, label = (one["data"] for one in reply["outputs"])
    assert label == [expected.label]
    assert np.abs(np.array(probabilities) - classifier.predict_proba(image)).max() <= CLOSE


def test_answers_are_those_of_the_command(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number, image in enumerate(IMAGES):
        (tmp_path / f"{number:02}").write_bytes(image)
    assert run_command(monkeypatch, "predict", trained().bundle, tmp_path, "--json") == 0
    told = json.loads(capsys.readouterr().out)["predictions"]
    assert len(told) == len(IMAGES)
    for image, one in zip(IMAGES, told, strict=True):
        got = server.client.post("/predict", content=image).json()
        assert got["label"] == one["label"]
        assert abs(got["probability"] - one["probability"]) <= CLOSE


def test_what_an_answer_says_besides(server: Server) -> None:
    reply = server.client.post("/predict", content=IMAGES[0], headers={"x-request-id": "mine"})
    got = reply.json()
    assert (got["model"], got["version"], got[REQUEST_ID]) == ("bundle", "1", "mine")
    assert reply.headers["x-request-id"] == "mine"
    assert len(got["top"]) == len(CLASSES)


def test_several_images_and_one_that_is_broken(server: Server, classifier: Classifier) -> None:
    files = [
        ("images", ("../a\x01b.png", IMAGES[1], "image/png")),
        ("images", ("broken.png", IMAGES[1][:300], "image/png")),
        ("other", ("c.jpg", IMAGES[0], "text/plain")),
    ]
    got = server.client.post("/models/bundle/predict?top=1", files=files).json()["predictions"]
    assert [one["name"] for one in got][1:] == ["broken.png", "c.jpg"]
    assert [one.get("label") for one in got] == [
        classifier.predict(IMAGES[1]).label,
        None,
        classifier.predict(IMAGES[0]).label,
    ]
    assert got[1]["error"].startswith("broken: ")


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/predict", b"", 400, "The body is empty"),
        ("/predict", b"not an image", 400, "not an image"),
        ("/predict", IMAGES[1][:300], 400, "broken: "),
        ("/predict?top=0", IMAGES[0], 400, "top is '0'. Expected a number from 1 to 1000"),
        ("/predict?top=many", IMAGES[0], 400, "top is 'many'"),
        ("/models/none/predict", IMAGES[0], 404, "There is no model 'none'. There is: bundle."),
        ("/explain?class=none", IMAGES[0], 400, "There is no class 'none'"),
        ("/explain", b"not an image", 400, "not an image"),
        ("/nothing", b"", 404, "Not Found"),
        ("/health", b"", 405, "Method Not Allowed"),
    ],
)
def test_errors(server: Server, path: str, body: bytes, status: int, error: str) -> None:
    reply = server.client.post(path, content=body)
    assert reply.status_code == status
    assert reply.json()["error"].startswith(error)


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("multipart/form-data", b"x", "boundary"),
        ("multipart/form-data; boundary=a", b"--a\r\n", "There is no file"),
        (
            "multipart/form-data; boundary=a",
            b'--a\r\nContent-Disposition: form-data; name="x"\r\n\r\ntext\r\n--a--\r\n',
            "There is no file in the form",
        ),
    ],
)
def test_bad_forms(server: Server, kind: str, body: bytes, error: str) -> None:
    reply = server.client.post("/predict", content=body, headers={"content-type": kind})
    assert reply.status_code == 400
    assert error in reply.json()["error"]


@pytest.mark.parametrize("path", ["/predict", "/explain", "/models/bundle/predict"])
def test_a_compressed_body(server: Server, path: str) -> None:
    encoding = {"content-encoding": "GZIP"}
    reply = server.client.post(path, content=gzip.compress(IMAGES[0]), headers=encoding)
    assert reply.status_code == 415
    assert reply.json()["error"].startswith("The body is compressed. Expected it as it is")
    encoding = {"content-encoding": "identity"}
    assert server.client.post(path, content=IMAGES[0], headers=encoding).status_code == 200


def test_a_map_of_a_form(server: Server) -> None:
    reply = server.client.post("/explain", files={"images": IMAGES[0]})
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("This is a form. Expected one image, as the body")


def test_the_map(server: Server) -> None:
    reply = server.client.post("/explain?class=roses", content=IMAGES[0])
    assert reply.headers["content-type"] == "image/png"
    assert np.asarray(Image.open(io.BytesIO(reply.content))).shape == (60, 90, 3)


def test_what_is_told_of_the_server(server: Server) -> None:
    assert server.client.get("/health").json() == {"status": "ok", "models": {"bundle": "1"}}
    (model,) = server.client.get("/models").json()["models"]
    assert (model["classes"], model["backbone"]) == (list(CLASSES), "tiny")


def test_metrics(server: Server) -> None:
    def value(name: str) -> float:
        text = server.client.get("/metrics").text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    answered = 'headstart_images_total{model="bundle",outcome="answered"}'
    code = 'headstart_requests_total{code="400",route="/predict"}'
    before = value(answered), value(code), value("headstart_batch_size_sum")
    server.client.post("/predict", content=IMAGES[0])
    server.client.post("/predict", content=b"x")
    after = value(answered), value(code), value("headstart_batch_size_sum")
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1]
    assert value('headstart_request_seconds_count{route="/predict"}') >= 2
    assert value("headstart_queue_images") == 0


def test_made_up_paths_make_no_new_metrics(server: Server) -> None:
    server.client.get("/made-up-path")
    assert "made-up" not in server.client.get("/metrics").text


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.js", "/static/page.css"])
def test_pages_ask_no_other_server(server: Server, path: str) -> None:
    reply = server.client.get(path)
    assert reply.status_code == 200
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "http" not in reply.text.replace("/openapi.json", "")
    if path == "/docs":
        assert "POST /v2/models/{model}/infer" in reply.text


def test_the_routes_load_no_framework() -> None:
    code = (
        "import sys; from headstart.serving import process, service, supervisor\n"
        "print([m for m in ('keras', 'tensorflow', 'sklearn') if m in sys.modules])"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_as_a_command(tmp_path: Path) -> None:
    with command(trained().bundle, "--token", "secret") as (process, url):
        assert httpx.post(f"{url}/predict", content=IMAGES[0]).status_code == 401
        token = {"authorization": "Bearer secret"}
        reply = httpx.post(f"{url}/predict", content=IMAGES[0], headers=token)
        assert reply.json()["label"] in CLASSES
        process.terminate()
        out, logged = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    events = [json.loads(line)["event"] for line in logged.splitlines()]
    assert events == ["loaded", "request", "request", "stopped"]
    assert "secret" not in logged
