"""The Open Inference Protocol, by hand and by `tritonclient`, which is not ours."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image
from tiny_run import CLASSES, trained
from tiny_server import Server, serving
from tritonclient.utils import InferenceServerException

from headstart.bundle import load
from headstart.classifier import Classifier
from headstart.serving.problem import Problem
from headstart.serving.tensors import read_request

CLOSE = 1e-4
FILES = [path.read_bytes() for path in trained().paths[::25]]
PIXELS = np.stack([np.asarray(Image.open(path)) for path in trained().paths[::25]])
INFER = "/v2/models/bundle/infer"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as found:
        yield found


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load(trained().bundle)


def image_input() -> triton.InferInput:
    found = triton.InferInput("image", [len(FILES)], "BYTES")
    found.set_data_from_numpy(np.array(FILES, np.object_), binary_data=True)
    return found


def pixel_input(*, binary: bool) -> triton.InferInput:
    found = triton.InferInput("pixels", list(PIXELS.shape), "UINT8")
    found.set_data_from_numpy(PIXELS, binary_data=binary)
    return found


def check(result: Any, classifier: Classifier) -> None:
    expected = classifier.predict_proba(FILES)
    assert np.abs(result.as_numpy("probabilities") - expected).max() <= CLOSE
    labels = [one.decode() if isinstance(one, bytes) else one for one in result.as_numpy("label")]
    assert labels == [one.label for one in classifier.predict(FILES)]


@pytest.mark.parametrize(
    "given", [image_input(), pixel_input(binary=True), pixel_input(binary=False)]
)
@pytest.mark.parametrize("binary", [True, False, None])
def test_triton_client(
    client: triton.InferenceServerClient,
    classifier: Classifier,
    given: triton.InferInput,
    binary: bool | None,
) -> None:
    outputs = binary is not None and [
        triton.InferRequestedOutput(name, binary_data=binary) for name in ("label", "probabilities")
    ]
    result = client.infer("bundle", [given], outputs=outputs or None, request_id="mine")
    check(result, classifier)
    response = result.get_response()
    assert (response["id"], response["model_version"]) == ("mine", "1")


def test_triton_client_sees_the_server(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("bundle", "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    about = client.get_model_metadata("bundle", "1")
    assert about["outputs"][0]["shape"] == [-1, len(CLASSES)]


@pytest.mark.parametrize("name", ["label", "probabilities"])
def test_one_output(client: triton.InferenceServerClient, name: str) -> None:
    result = client.infer("bundle", [image_input()], outputs=[triton.InferRequestedOutput(name)])
    assert [one["name"] for one in result.get_response()["outputs"]] == [name]


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [("other", "", "There is no model 'other'"), ("bundle", "7", "Version 7 of 'bundle'")],
)
def test_what_is_not_served(
    client: triton.InferenceServerClient, model: str, version: str, message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message):
        client.infer(model, [image_input()], model_version=version)


def test_base64_in_json(server: Server, classifier: Classifier) -> None:
    data = [base64.b64encode(one).decode() for one in FILES]
    given = {"name": "image", "datatype": "BYTES", "shape": [len(FILES)], "data": data}
    reply = server.client.post(INFER, json={"inputs": [given]}).json()
    expected = classifier.predict_proba(FILES)
    assert np.abs(np.reshape(reply["outputs"][0]["data"], expected.shape) - expected).max() <= CLOSE


def test_one_bad_image_is_named(server: Server) -> None:
    data = [base64.b64encode(one).decode() for one in (FILES[0], b"broken")]
    given = {"name": "image", "datatype": "BYTES", "shape": [2], "data": data}
    reply = server.client.post(INFER, json={"inputs": [given]})
    assert (reply.status_code, reply.json()) == (400, {"error": "image 2: not an image"})


def test_a_compressed_body(server: Server) -> None:
    reply = server.client.post(INFER, content=b"x", headers={"content-encoding": "gzip"})
    assert reply.status_code == 415


IMAGE = {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["AAAA"]}
PIXEL = {"name": "pixels", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 3]}
RAW = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 6}}
RAW_PIXEL = {**PIXEL, "parameters": {"binary_data_size": 6}}
del RAW_PIXEL["data"]


def good(given: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"inputs": [given], **more}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ([], "The request has to be an object"),
        ({}, "'inputs' has to be a list of one tensor: image or pixels"),
        ({"inputs": [IMAGE, PIXEL]}, "'inputs' has to be a list of one"),
        ({"inputs": [3]}, "An input has to be an object"),
        (good({**IMAGE, "name": "x"}), "There is no such input"),
        (good({**IMAGE, "name": []}), "There is no such input"),
        (good({**IMAGE, "datatype": "UINT8"}), "'image' has the datatype BYTES"),
        (good({**IMAGE, "shape": [0]}), r"The shape of 'image' has to be \[n\]"),
        (good({**IMAGE, "shape": [True]}), "The shape of 'image'"),
        (good({**IMAGE, "shape": [1, 1]}), "The shape of 'image'"),
        (good({**IMAGE, "shape": [2]}), "has to be 2 strings"),
        (good({**IMAGE, "data": [1]}), "has to be 1 strings"),
        (good({**IMAGE, "data": ["?"]}), "has to be base64"),
        (good({**IMAGE, "data": ["\u00e9"]}), "has to be base64"),
        (good({**IMAGE, "data": "AAAA"}), "'data' of an input has to be a list"),
        (good({**IMAGE, "parameters": []}), "'parameters' has to be an object"),
        (good({**PIXEL, "shape": [1, 1, 3]}), "The shape of 'pixels'"),
        (good({**PIXEL, "shape": [1, 1, 1, 4]}), "The shape of 'pixels'"),
        (good({**PIXEL, "shape": [9**9] * 3 + [3]}), "as many as its shape says"),
        (good({**PIXEL, "data": [1, 2, 256]}), "from 0 to 255"),
        (good({**PIXEL, "data": [1, 2, -1]}), "from 0 to 255"),
        (good({**PIXEL, "data": [1, 2, 0.5]}), "whole numbers"),
        (good({**PIXEL, "data": [1, 2, 10**30]}), "whole numbers"),
        (good({**PIXEL, "data": [1, [2], 3]}), "not of one shape"),
        (good(IMAGE, id=7), "'id' has to be a string"),
        (good(IMAGE, outputs={}), "'outputs' has to be a list"),
        (good(IMAGE, outputs=[{"name": "x"}]), "There is no such output"),
        (
            good(IMAGE, outputs=[{"name": "label", "parameters": {"classification": 2}}]),
            "'classification' of an output is not offered",
        ),
        (good(IMAGE, parameters={"binary_data_output": 1}), "has to be true or false"),
    ],
)
def test_bad_requests(request_: Any, message: str) -> None:
    with pytest.raises(Problem, match=message) as caught:
        read_request(json.dumps(request_).encode(), None)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("given", "raw", "message"),
    [
        (RAW, struct.pack("<I", 2) + b"abc", "'binary_data_size' has to be that"),
        (RAW, struct.pack("<I", 1) + b"ab", "are not 1 elements"),
        (RAW, struct.pack("<I", 3) + b"ab", "are not 1 elements"),
        (RAW, struct.pack("<I", 2**32 - 1) + b"ab", "are not 1 elements"),
        ({**RAW, "shape": [2]}, struct.pack("<I", 2) + b"ab", "are not 2 elements"),
        ({**RAW, "data": []}, struct.pack("<I", 2) + b"ab", "without 'data'"),
        (RAW_PIXEL, b"123456", "'pixels' has 6 bytes, and its shape 3"),
        (IMAGE, b"x", "There are bytes behind the JSON"),
    ],
)
def test_bad_binary_data(given: dict[str, Any], raw: bytes, message: str) -> None:
    head = json.dumps(good(given)).encode()
    with pytest.raises(Problem, match=message):
        read_request(head + raw, str(len(head)))


@pytest.mark.parametrize("length", ["-1", "x", "9999", "9" * 50, ""])
def test_bad_length_of_the_json(length: str) -> None:
    with pytest.raises(Problem, match="Inference-Header-Content-Length has to be"):
        read_request(b"{}", length)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b'{"id": "\xed\xa0\x80"}'])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(Problem, match="The JSON cannot be read"):
        read_request(body, None)
