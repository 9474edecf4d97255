from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from asgi_call import echo, served

from headstart.errors import HeadstartError
from headstart.web.patience import Patience
from headstart.web.running import bind, share, url_of

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = """
import asyncio, sys
from headstart.web.running import Running, Site, bind

async def app(scope, receive, send):
    await asyncio.sleep(0.5)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})

bound = bind("127.0.0.1", 0)
port = bound.getsockname()[1]
Running([Site(app, bound)]).run(started=lambda: print(port, flush=True))
print("ended", flush=True)
"""


def ask(address: tuple[str, int], request: bytes, seconds: float = 5) -> bytes:
    """All that comes until the other side closes."""
    with socket.create_connection(address, timeout=seconds) as client:
        client.sendall(request)
        found = b""
        while part := client.recv(65536):
            found += part
        return found


def test_a_port_that_is_taken() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HeadstartError, match=rf"port {port}: the port is taken\. .* --port"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("192.0.2.1", 0, "the host is not of this machine"),
        ("no such host", 0, "there is no such host"),
        ("127.0.0.1", 99999, "Nothing can be served"),
    ],
)
def test_what_cannot_be_bound(host: str, port: int, message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        bind(host, port)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:"), ("0.0.0.0", "http://127.0.")],
)
def test_url(host: str, url: str) -> None:
    try:
        bound = bind(host, 0)
    except HeadstartError:
        pytest.skip("no IPv6 here")
    with bound:
        assert url_of(bound).startswith(url)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHo", GET + b"GET / HT"])
def test_a_client_whose_headers_do_not_come_is_cut_off(sent: bytes) -> None:
    with served(echo, Patience(headers=0.2, idle=30)) as address:
        begin = time.monotonic()
        try:
            found = ask(address, sent)
        except ConnectionResetError:
            found = b""
        assert time.monotonic() - begin < 3
        assert found.count(b"200 OK") in (0, sent.count(GET))


@pytest.mark.skipif(sys.platform != "linux", reason="the system deals nothing out")
def test_connections_are_dealt_out() -> None:
    sockets = share(bind("127.0.0.1", 0), 2)
    for one in sockets:
        one.listen()
        one.setblocking(False)
    clients = [socket.create_connection(sockets[0].getsockname()) for _ in range(60)]
    counts = [0, 0]
    for number, one in enumerate(sockets):
        with contextlib.suppress(BlockingIOError):
            while True:
                one.accept()[0].close()
                counts[number] += 1
    assert sum(counts) == 60
    assert min(counts) >= 5
    for opened in (*clients, *sockets):
        opened.close()


def test_slow_sockets_do_not_hold_others_up() -> None:
    with served(echo) as address:
        slow = [socket.create_connection(address) for _ in range(50)]
        for client in slow:
            client.sendall(b"GET / HT")
        begin = time.monotonic()
        assert b"200 OK" in ask(address, GET.replace(b"a\r\n", b"a\r\nConnection: close\r\n", 1))
        assert time.monotonic() - begin < 2
        for client in slow:
            client.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_what_has_begun_and_no_more(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    root = str(Path(__file__).resolve().parent.parent)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "slow.py")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    ) as process:
        assert process.stdout is not None
        address = ("127.0.0.1", int(process.stdout.readline()))
        with socket.create_connection(address, timeout=5) as client:
            client.sendall(GET)
            time.sleep(0.2)
            process.send_signal(number)
            assert b"200 OK" in client.recv(65536)
        assert process.stdout.read() == b"ended\n"
        assert process.wait(10) == 0
