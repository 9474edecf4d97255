"""What a server refuses, and that nobody holds the others up."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_type_hints

import httpx
import numpy as np
import pytest
from PIL import Image
from tiny_run import trained
from tiny_server import Server, serving

from headstart.bundle import load
from headstart.errors import HeadstartError
from headstart.images import BadImage, Pixels
from headstart.serve_command import ServeOptions
from headstart.serving.batcher import Batcher, Encoded, Gate, Group
from headstart.serving.process import allowed_hosts
from headstart.serving.settings import RANGES, Settings
from headstart.web.asgi import Message
from headstart.web.limits import MEGABYTE

IMAGE = trained().paths[0].read_bytes()
PLAIN = Settings((trained().bundle,), log_requests=False)
SMALL = dataclasses.replace(
    PLAIN, max_body=1 << 20, max_images=2, queue=3, receive_timeout=0.5, token="secret"
)
TOKEN = {"authorization": "Bearer secret"}


def large() -> bytes:
    """An image that takes some time to decode."""
    content = io.BytesIO()
    small = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    small.resize((3000, 3000), Image.Resampling.NEAREST).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(SMALL) as found:
        yield found


def raw(server: Server, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send parts and read what comes until the end."""
    with socket.create_connection(server.address, timeout=10) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(pause)
        found = b""
        while part := client.recv(65536):
            found += part
        return found


def head(server: Server, *lines: str) -> bytes:
    given = [f"POST /predict HTTP/1.1\r\nHost: {server.address[0]}:{server.address[1]}"]
    given += ["Authorization: Bearer secret", "Connection: close", *lines]
    return "\r\n".join(given).encode() + b"\r\n\r\n"


def test_a_body_that_is_too_large(server: Server) -> None:
    reply = server.client.post("/predict", content=bytes(3 << 20), headers=TOKEN)
    assert reply.status_code == 413
    assert reply.json() == {"error": "The body is too large: at most 1 MB."}


def test_a_body_in_chunks_that_is_too_large(server: Server) -> None:
    chunk = b"80000\r\n" + bytes(0x80000) + b"\r\n"
    found = raw(server, head(server, "Transfer-Encoding: chunked"), *[chunk] * 3, b"0\r\n\r\n")
    assert b" 413 " in found


def test_a_body_that_comes_too_slowly(server: Server) -> None:
    found = raw(server, head(server, "Content-Length: 100"), b"a", b"b", pause=0.4)
    assert b" 408 " in found


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"authorization": "Bearer wrong"}, 401),
    ],
)
def test_who_may_not_ask(server: Server, headers: dict[str, str], status: int) -> None:
    reply = server.client.post("/predict", content=IMAGE, headers={**TOKEN, **headers})
    assert reply.status_code == status


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/health", "/v2/health/ready"])
def test_what_needs_no_token(server: Server, path: str) -> None:
    assert server.client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/models", "/v2", "/v2/models/bundle"])
def test_what_needs_a_token(server: Server, path: str) -> None:
    assert server.client.get(path).status_code == 401
    assert server.client.get(path, headers=TOKEN).status_code == 200


def test_too_many_images_in_one_request(server: Server) -> None:
    given = {"name": "pixels", "datatype": "UINT8", "shape": [3, 1, 1, 3], "data": [0] * 9}
    reply = server.client.post("/v2/models/bundle/infer", json={"inputs": [given]}, headers=TOKEN)
    assert (reply.status_code, reply.json()["error"][:8]) == (413, "3 images")
    files = [("images", (f"{number}", b"x")) for number in range(3)]
    reply = server.client.post("/predict", files=files, headers=TOKEN)
    assert reply.status_code == 413
    assert reply.json() == {"error": "Too many images in one request: at most 2."}


def test_overload_is_refused_at_once(server: Server) -> None:
    image = large()

    def ask(_: int) -> httpx.Response:
        return server.client.post("/predict", content=image, headers=TOKEN)

    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(ask, range(60)))
    found = Counter(reply.status_code for reply in replies)
    assert set(found) == {200, 429}
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert refused.headers["retry-after"] == "1"
    assert server.client.post("/predict", content=IMAGE, headers=TOKEN).status_code == 200


def test_slow_clients_hold_nobody_up() -> None:
    with serving(dataclasses.replace(PLAIN, receive_timeout=60)) as server:
        slow = [socket.create_connection(server.address) for _ in range(100)]
        for number, client in enumerate(slow):
            begun = head(server, "Content-Length: 99999")
            client.sendall(begun + b"x" if number % 2 else begun[:50])
        begin = time.monotonic()
        replies = [server.client.post("/predict", content=IMAGE) for _ in range(10)]
        assert time.monotonic() - begin < 5
        assert {reply.status_code for reply in replies} == {200}
        for client in slow:
            client.close()


@pytest.mark.parametrize("given", ["https://example.org", "https://Example.org:443/"])
def test_other_web_sites_where_they_are_allowed(given: str) -> None:
    site = "https://example.org"
    with serving(dataclasses.replace(PLAIN, allow_origins=(given,), token="secret")) as server:
        asked = {"origin": site, "access-control-request-method": "POST"}
        asked["access-control-request-headers"] = "authorization"
        reply = server.client.options("/predict", headers=asked)
        assert reply.headers["access-control-allow-origin"] == site
        reply = server.client.post("/predict", content=IMAGE, headers={"origin": site, **TOKEN})
        assert reply.status_code == 200
        assert reply.headers["access-control-allow-origin"] == site
        exposed = reply.headers["access-control-expose-headers"].lower().split(", ")
        assert {"x-request-id", "retry-after", "inference-header-content-length"} == set(exposed)


def test_none_are_allowed_by_default(server: Server) -> None:
    reply = server.client.get("/health", headers={"origin": "https://example.org"})
    assert "access-control-allow-origin" not in reply.headers


def test_a_server_that_stops_says_so() -> None:
    with serving(PLAIN) as server:
        server.service.stop()
        for path in ("/health", "/v2/health/ready", "/v2/models/bundle/ready"):
            assert server.client.get(path).status_code == 503


def test_who_has_gone_is_not_computed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> list[object]:
        batcher = Batcher(load(trained().bundle), 1, asyncio.get_running_loop(), sizes.append)
        go = threading.Event()
        monkeypatch.setattr(batcher, "_views", lambda image: go.wait(10) and [image])
        pixels = np.zeros((32, 32, 3), np.uint8)
        groups = [batcher.submit([pixels]) for _ in range(5)]
        for group in groups[1:4]:
            group.gone = True
        go.set()
        for group in groups:
            await group.done
        batcher.close()
        await asyncio.to_thread(batcher.join)
        return [group.outcomes[0] for group in groups]

    sizes: list[int] = []
    outcomes = asyncio.run(ask())
    assert sum(sizes) == 2
    assert [str(one) == "nobody waits for it" for one in outcomes] == [False, *[True] * 3, False]


def test_a_client_that_closes_its_connection_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(PLAIN) as server:
        batcher, go, begun = server.service.version().batcher, threading.Event(), threading.Event()
        decode, groups = batcher._views, list[Group]()
        submit = batcher.submit

        def slowly(image: Encoded) -> list[Pixels]:
            begun.set()
            go.wait(10)
            return decode(image)

        def noting(images: Sequence[Encoded]) -> Group:
            groups.append(submit(images))
            return groups[-1]

        monkeypatch.setattr(batcher, "_views", slowly)
        monkeypatch.setattr(batcher, "submit", noting)
        with socket.create_connection(server.address) as client:
            client.sendall(head(server, f"Content-Length: {len(IMAGE)}") + IMAGE)
            assert begun.wait(10)
        until = time.monotonic() + 10
        while not groups[0].gone:
            assert time.monotonic() < until
            time.sleep(0.01)
        go.set()


def test_no_map_is_made_for_who_has_gone() -> None:
    noticed, go = threading.Event(), threading.Event()

    async def gone() -> Message:
        noticed.set()
        return {"type": "http.disconnect"}

    with serving(PLAIN) as server:
        service, loop = server.service, server.service.models._loop
        service._explainer.submit(go.wait, 20)  # another map
        asked = service.explain(service.version(), IMAGE, None, gone)
        found = asyncio.run_coroutine_threadsafe(asked, loop)
        assert noticed.wait(20)
        loop.call_soon_threadsafe(go.set)
        with pytest.raises(BadImage, match="nobody waits for it"):
            found.result(20)


def test_gate() -> None:
    gate = Gate(3)
    assert [gate.enter(2), gate.enter(2), gate.enter(1), gate.enter(1)] == [
        True,
        False,
        True,
        False,
    ]
    gate.leave(2)
    assert gate.inside == 1


@pytest.mark.parametrize(
    ("host", "given", "expected"),
    [
        ("127.0.0.1", (), "localhost:80"),
        ("127.0.0.1", ("a",), "a"),
        ("0.0.0.0", ("a",), "a"),
        ("192.0.2.1", (), "192.0.2.1:80"),
        ("2001:db8::1", (), "[2001:db8::1]:80"),
    ],
)
def test_hosts(host: str, given: tuple[str, ...], expected: str) -> None:
    found = allowed_hosts(dataclasses.replace(PLAIN, host=host, allow_hosts=given), 80)
    assert expected in found
    assert "127.0.0.1:80" in found


@pytest.mark.parametrize("name", RANGES)
def test_numbers_out_of_their_range(name: str) -> None:
    unit = MEGABYTE if name == "max_body" else 1
    for value in (math.nan, math.inf, -1, 0, 1e9):
        given: Any = {name: value * unit}
        with pytest.raises(HeadstartError, match=f"--{name.replace('_', '-')} cannot be"):
            dataclasses.replace(PLAIN, **given)


def test_the_command_has_the_same_ranges() -> None:
    kinds = get_type_hints(ServeOptions, include_extras=True)
    for name, expected in RANGES.items():
        option = kinds[name].__metadata__[0]
        assert (option.min, option.max) == expected, name


def test_more_images_than_the_queue_holds() -> None:
    with pytest.raises(HeadstartError, match="Expected --max-images to be from 1 to --queue"):
        Settings((), max_images=9, queue=8)
