"""The server's description of itself is true: schemathesis makes up requests from it."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hostile_images
import pytest
from test_serving_limits import IMAGE, PLAIN
from tiny_server import Server, serving

EXAMPLES = pytest.mark.parametrize("count", [3, pytest.param(200, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(PLAIN) as found:
        yield found


@EXAMPLES
def test_what_is_made_up_from_the_description(server: Server, tmp_path: Path, count: int) -> None:
    words = [str(Path(sysconfig.get_path("scripts"), "schemathesis")), "run"]
    words += [f"{server.url}/openapi.json", "--seed", "1", "--max-examples", str(count)]
    # An image has to be one, and a class one of the model's: a description cannot say that.
    words += ["--exclude-checks", "positive_data_acceptance", "--suppress-health-check", "all"]
    words += ["--phases", "fuzzing" if count < 10 else "coverage,fuzzing"]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "16 passed" in done.stdout
    assert server.client.post("/predict", content=IMAGE).status_code == 200


def test_every_error_is_described(server: Server) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method, about in methods.items():
            codes = set(about["responses"])
            assert {"200", "401", "403", "503"} <= codes, path
            assert method == "get" or {"400", "404", "408", "413", "415", "429"} <= codes, path
            assert "422" not in codes


@pytest.mark.parametrize("count", [80, pytest.param(1000, marks=pytest.mark.slow)])
def test_damaged_images_get_an_answer_or_a_clear_error(server: Server, count: int) -> None:
    found: Counter[int] = Counter()
    for name, data in hostile_images.mutated(count, seed=count):
        reply = server.client.post("/predict", content=data)
        found[reply.status_code] += 1
        assert reply.status_code == 200 or (reply.status_code, bool(reply.json()["error"])) == (
            400,
            True,
        ), name
    assert set(found) == {200, 400}


def test_mutated_requests_for_inference(server: Server) -> None:
    draw = random.Random(0)
    given = {"name": "pixels", "datatype": "UINT8", "shape": [1, 2, 1, 3], "data": [1] * 6}
    whole = json.dumps({"inputs": [given], "outputs": [{"name": "label"}]}).encode()
    found: Counter[int] = Counter()
    for _ in range(300):
        body = bytearray(whole)
        for _ in range(draw.randrange(1, 4)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        found[server.client.post("/v2/models/bundle/infer", content=bytes(body)).status_code] += 1
    assert set(found) <= {200, 400}
    assert found[400] > 100


def test_mutated_forms(server: Server) -> None:
    draw, found = random.Random(0), Counter[int]()
    head = b'--a\r\nContent-Disposition: form-data; name="x"; filename="y"\r\n\r\n'
    whole = head + IMAGE + b"\r\n--a--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=a"}
    for _ in range(100):
        body = io.BytesIO(whole)
        for _ in range(draw.randrange(1, 4)):
            body.seek(draw.randrange(len(head)))
            body.write(bytes([draw.randrange(256)]))
        reply = server.client.post("/predict", content=body.getvalue(), headers=kind)
        found[reply.status_code] += 1
    assert set(found) <= {200, 400}
    assert found[400] > 10
