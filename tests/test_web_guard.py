from __future__ import annotations

import httpx
import pytest
from asgi_call import ask, echo, make_scope, served

from headstart.errors import HeadstartError
from headstart.web.guard import Access, Guard, is_loopback, loopback_hosts, plain_origin, split_host

HOSTS = loopback_hosts(8000)
OWN = "localhost:8000"


@pytest.mark.parametrize(
    ("hosts", "host", "status"),
    [
        (HOSTS, "127.0.0.1:8000", 200),
        (HOSTS, "LocalHost:8000", 200),
        (HOSTS, "[::1]:8000", 200),
        (HOSTS, "[0:0::1]:8000", 200),
        (HOSTS, "localhost:8001", 403),
        (HOSTS, "localhost", 403),
        (HOSTS, "evil.example:8000", 403),
        (HOSTS, "localhost.evil.example:8000", 403),
        (HOSTS, "localhost:8000@evil.example", 403),
        (HOSTS, "user@localhost:8000", 403),
        (HOSTS, "localhost:8000/", 403),
        (HOSTS, "localhost:port", 403),
        (HOSTS, "[::1", 403),
        (HOSTS, "", 403),
        (loopback_hosts(80), "localhost", 200),
        (("example.org",), "example.org:9000", 200),
        (("::1",), "[::1]:9", 200),
        (("*",), "whatever", 200),
        ((), "localhost", 403),
    ],
)
def test_host(hosts: tuple[str, ...], host: str, status: int) -> None:
    assert ask(Guard(echo, Access(hosts)), make_scope(host=host)).status == status


def test_no_host() -> None:
    reply = ask(Guard(echo, Access(HOSTS)), make_scope())
    assert reply.status == 403
    assert b'"error": "The Host header names no host of this server."' in reply.body


@pytest.mark.parametrize(
    ("method", "origin", "status"),
    [
        ("POST", "http://localhost:8000", 200),
        ("POST", "http://localhost:8001", 403),
        ("POST", "http://127.0.0.1:8000", 403),
        ("POST", "https://evil.example", 403),
        ("DELETE", "https://evil.example", 403),
        ("POST", "null", 403),
        ("POST", "http://localhost:8000.evil.example", 403),
        ("POST", "https://allowed.example", 200),
        ("POST", "http://allowed.example", 403),
        ("GET", "https://evil.example", 200),
    ],
)
def test_origin(method: str, origin: str, status: int) -> None:
    guard = Guard(echo, Access(HOSTS, origins=("https://allowed.example",)))
    assert ask(guard, make_scope(method=method, host=OWN, origin=origin)).status == status


def test_behind_a_proxy_that_speaks_tls() -> None:
    scope = make_scope(method="POST", host="example.org", origin="https://example.org")
    assert ask(Guard(echo, Access(("example.org",))), scope).status == 200


ACCESS = Access(
    HOSTS, token="secret", cookie="headstart", open_paths=frozenset({"/health", "/static/"})
)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 401),
        ("/", {"authorization": "Bearer secret"}, 200),
        ("/", {"authorization": "bearer secret"}, 200),
        ("/", {"authorization": "Bearer wrong"}, 401),
        ("/", {"authorization": "Bearer "}, 401),
        ("/", {"authorization": "Basic secret"}, 401),
        ("/", {"authorization": "Bearer s\u00e9cret"}, 401),
        ("/", {"cookie": "a=b; headstart=secret"}, 200),
        ("/", {"cookie": "headstart=wrong"}, 401),
        ("/", {"cookie": "other=secret"}, 401),
        ("/health", {}, 200),
        ("/healthy", {}, 401),
        ("/static/page.js", {}, 200),
        ("/static", {}, 401),
    ],
)
def test_token(path: str, headers: dict[str, str], status: int) -> None:
    reply = ask(Guard(echo, ACCESS), make_scope(path, host=OWN, **headers))
    assert reply.status == status
    assert (reply.headers.get("www-authenticate") == "Bearer") == (status == 401)


def test_an_open_first_page_opens_nothing_else() -> None:
    guard = Guard(echo, Access(HOSTS, token="secret", open_paths=frozenset({"/"})))
    assert ask(guard, make_scope("/", host=OWN)).status == 200
    assert ask(guard, make_scope("/predict", host=OWN)).status == 401


def test_the_token_stands_in_no_text() -> None:
    assert "secret" not in repr(ACCESS)


@pytest.mark.parametrize(
    ("access", "message"),
    [
        (Access(("exa mple",)), "'exa mple' is no host. Expected a name"),
        (Access(("http://example.org",)), "'http://example.org' is no host"),
        (Access((), origins=("example.org",)), "'example.org' is no origin. Expected one such"),
        (Access((), origins=("https://example.org/path",)), "is no origin"),
        (Access((), origins=("https://me@example.org",)), "is no origin"),
        (Access((), origins=("https://example.org:99999",)), "is no origin"),
        (Access((), token=""), "The token cannot be used. Expected letters"),
        (Access((), token="a b"), "The token cannot be used"),
        (Access((), token="\u00e9"), "The token cannot be used"),
    ],
)
def test_bad_access(access: Access, message: str) -> None:
    with pytest.raises(HeadstartError, match=message):
        Guard(echo, access)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("*", "*"),
        ("https://example.org", "https://example.org"),
        ("HTTPS://Example.org/", "https://example.org"),
        ("https://example.org:443", "https://example.org"),
        ("http://example.org:443", "http://example.org:443"),
        ("http://[0::1]:80/", "http://[::1]"),
    ],
)
def test_origins_are_written_as_browsers_do(given: str, plain: str) -> None:
    assert plain_origin(given) == plain
    scope = make_scope(method="POST", host=OWN, origin=plain)
    assert ask(Guard(echo, Access(HOSTS, origins=(given,))), scope).status == 200


def test_split_host() -> None:
    assert split_host("[::1]:80") == ("::1", 80)
    assert split_host("A.example") == ("a.example", None)


def test_a_websocket_is_checked_as_what_changes_something() -> None:
    scope = make_scope(host=OWN, origin="https://evil.example")
    scope["type"] = "websocket"
    assert ask(Guard(echo, Access(HOSTS)), scope).body == b""


def test_a_large_body_that_may_not_be_sent_is_read_so_that_the_answer_is_seen() -> None:
    with served(Guard(echo, Access(("*",), token="secret"))) as (host, port):
        reply = httpx.post(f"http://{host}:{port}/", content=bytes(20 << 20))
    assert (reply.status_code, reply.headers["connection"]) == (401, "close")
