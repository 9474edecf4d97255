"""Who may change something in the studio: all combinations of host, origin, token and mark."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
from asgi_call import Reply, ask, make_scope
from studio_place import OURS, PORT, TOKEN, fill, image_bytes

from headstart.studio.app import make_app
from headstart.studio.protection import cookie_name
from headstart.studio.serving import guarded
from headstart.studio.state import Studio
from headstart.web.asgi import App

Origin: TypeAlias = "tuple[str, str | None]"
Token: TypeAlias = "tuple[tuple[str, str], ...]"
Combination: TypeAlias = "tuple[str | None, Origin, Token, str | None]"

HOSTS: dict[str | None, bool] = {
    f"127.0.0.1:{PORT}": True,
    f"localhost:{PORT}": True,
    f"[::1]:{PORT}": True,
    "127.0.0.1:80": False,
    "127.0.0.1": False,
    f"evil.example:{PORT}": False,  # its name leads to 127.0.0.1: DNS rebinding
    f"127.0.0.1.evil.example:{PORT}": False,
    f"localhost.:{PORT}": False,
    f"0.0.0.0:{PORT}": False,
    f"user@127.0.0.1:{PORT}": False,
    "": False,
    None: False,
}
OWN: Origin = ("its own", None)  # the origin of the host that the request names
ORIGINS: dict[Origin, bool] = {
    OWN: True,
    ("none", None): False,  # with a cookie; a program with the token needs no origin
    ("null", "null"): False,
    ("other site", "https://evil.example"): False,
    ("other port", "http://127.0.0.1:9999"): False,
    ("other scheme", f"ftp://127.0.0.1:{PORT}"): False,
    ("looks like it", f"http://127.0.0.1:{PORT}.evil.example"): False,
    ("nothing", ""): False,
}
_COOKIE = cookie_name(PORT)
TOKENS: dict[Token, bool] = {
    (("cookie", f"{_COOKIE}={TOKEN}"),): True,
    (("authorization", f"Bearer {TOKEN}"),): True,
    (): False,
    (("cookie", f"{_COOKIE}=wrong"),): False,
    (("cookie", f"headstart-9999={TOKEN}"),): False,
    (("authorization", "Bearer "),): False,
    (("authorization", f"Basic {TOKEN}"),): False,
}
MARKS: dict[str | None, bool] = {"studio": True, "other": False, None: False}
CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/api/classes", {"name": "tulips"}),
    ("/api/classes/rename", {"name": "roses", "to": "tulips"}),
    ("/api/classes/delete", {"name": "roses"}),
    ("/api/images/move", {"ids": ["ID"], "class": "daisies"}),
    ("/api/images/delete", {"ids": ["ID"]}),
    ("/api/images?class=roses", {}),
    ("/api/undo", {"undo": "UNDO"}),
    ("/api/checkup", {}),
    ("/api/checkup/fix", {"finding": "x", "action": "keep"}),
    ("/api/train", {"time": "quick"}),
    ("/api/jobs/cancel", {"job": "x"}),
    ("/api/models/1/export", {"to": "onnx"}),
    ("/api/models/1/predict", {}),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Studio, App]]:
    studio = Studio(fill(tmp_path_factory.mktemp("p")))
    yield studio, guarded(make_app(studio), TOKEN, PORT)
    studio.close()


def _snapshot(studio: Studio) -> list[tuple[str, bytes]]:
    files = sorted(studio.place.root.rglob("*"))
    return [(str(one), one.read_bytes() if one.is_file() else b"") for one in files]


def _send(app: App, path: str, values: object, headers: list[tuple[str, str]]) -> Reply:
    plain, _, query = path.partition("?")
    scope = make_scope(plain, "POST", content_type="application/json")
    scope["query_string"] = query.encode()
    scope["headers"] += [(key.encode(), one.encode()) for key, one in headers]
    body = json.dumps(values).encode()
    if "class=" in query:
        scope["headers"][0] = (b"content-type", b"multipart/form-data; boundary=x")
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        body = head + image_bytes(70) + b"\r\n--x--\r\n"
    return ask(app, scope, [body])


def _headers(
    host: str | None, origin: Origin, token: Token, mark: str | None
) -> list[tuple[str, str]]:
    found = [] if host is None else [("host", str(host))]
    kind, text = origin
    if kind == "its own":
        found.append(("origin", f"http://{host}"))
    elif text is not None:
        found.append(("origin", text))
    found += token
    return found if mark is None else [*found, ("x-headstart", str(mark))]


def _is_allowed(host: str | None, origin: Origin, token: Token, mark: str | None) -> bool:
    bare = origin == ("none", None) and "authorization" in dict(token)
    fits = ORIGINS[origin] or bare
    return HOSTS[host] and fits and TOKENS[token] and MARKS[mark]


COMBINATIONS = list(itertools.product(HOSTS, ORIGINS, TOKENS, MARKS))


def test_nothing_changes_unless_all_is_right(place: tuple[Studio, App]) -> None:
    studio, app = place
    before, allowed, refused = _snapshot(studio), 0, 0
    changes = itertools.cycle(CHANGES)
    for combination in COMBINATIONS:
        path, values = next(changes)
        good = _is_allowed(*combination)
        if good:  # would change something: a request that asks for nothing
            path, values = "/api/undo", {"undo": "none"}
        status = _send(app, path, values, _headers(*combination)).status
        assert status == 404 if good else status in (401, 403), (combination, path, status)
        allowed, refused = allowed + good, refused + (not good)
    assert _snapshot(studio) == before
    assert (allowed, allowed + refused) == (9, 2016)


@pytest.mark.parametrize(("path", "values"), CHANGES)
def test_every_change_is_guarded(
    place: tuple[Studio, App], path: str, values: dict[str, object]
) -> None:
    studio, app = place
    (image, *_) = studio.project.view.all()
    values = {key: [image.id] if one == ["ID"] else one for key, one in values.items()}
    before = _snapshot(studio)
    right: Combination = (f"127.0.0.1:{PORT}", OWN, (("cookie", f"{_COOKIE}={TOKEN}"),), "studio")
    wrong: Combination = (f"evil.example:{PORT}", ("null", "null"), (), None)
    for at in range(4):
        host, origin, token, mark = (wrong if at == one else right for one in range(4))
        headers = _headers(host[0], origin[1], token[2], mark[3])
        assert _send(app, path, values, headers).status in (401, 403)
    assert _snapshot(studio) == before
    if "train" not in path and "checkup" not in path and "models" not in path:
        assert _send(app, path, values, _headers(*right)).status in (200, 404, 409)


def test_every_route_that_changes_is_in_the_table(place: tuple[Studio, App]) -> None:
    studio, _ = place
    found = _routes(studio, "post", "put", "patch", "delete")
    assert found == {path.partition("?")[0] for path, _ in CHANGES}


READS = (
    "/api/project", "/api/images", "/api/images/x/thumbnail", "/api/images/x/full", "/api/events",
    "/api/checkup", "/api/undo", "/api/choices", "/api/jobs/x", "/api/models/1/report",
    "/api/models/1/report.html", "/api/models/1/images", "/api/models/1/map/x",
    "/api/models/1/compare/2", "/api/models/1/exports/x.zip", "/api/models/1/usage",
    "/api/models/1/exported",
)  # fmt: skip


@pytest.mark.parametrize("path", READS)
def test_nothing_is_read_without_the_token(place: tuple[Studio, App], path: str) -> None:
    _, app = place
    assert ask(app, make_scope(path, host=f"127.0.0.1:{PORT}")).status == 401
    host = make_scope(path, host="evil.example", authorization=f"Bearer {TOKEN}")
    assert ask(app, host).status == 403


def test_every_route_that_reads_is_in_the_table(place: tuple[Studio, App]) -> None:
    studio, _ = place
    assert len(_routes(studio, "get") - {"/"}) == len(READS)


def _routes(studio: Studio, *methods: str) -> set[str]:
    """The paths that take one of these methods."""
    paths = make_app(studio).openapi()["paths"]
    return {one.replace("{key}", "1") for one, kinds in paths.items() if set(methods) & set(kinds)}


def _get(app: App, path: str, query: bytes = b"", **headers: str) -> Reply:
    scope = make_scope(path, host=f"127.0.0.1:{PORT}", **headers)
    return ask(app, {**scope, "query_string": query})


def test_the_link_gives_a_cookie_and_loses_the_token(place: tuple[Studio, App]) -> None:
    _, app = place
    reply = _get(app, "/", f"token={TOKEN}".encode())
    assert (reply.status, reply.headers["location"]) == (303, "/")
    cookie = reply.headers["set-cookie"]
    assert cookie == f"{_COOKIE}={TOKEN}; HttpOnly; SameSite=Strict; Path=/"
    assert _get(app, "/api/project", cookie=cookie.partition(";")[0]).status == 200


def test_the_link_works_on_this_host_alone(place: tuple[Studio, App]) -> None:
    for query in (b"", f"token={TOKEN}".encode()):
        scope = make_scope("/", host=f"evil.example:{PORT}")
        reply = ask(place[1], {**scope, "query_string": query})
        assert reply.status == 403
        assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("query", [b"token=wrong", b"token=", b"token=%ff", b"token=a&token=b"])
def test_a_wrong_link_gives_nothing(place: tuple[Studio, App], query: bytes) -> None:
    reply = _get(place[1], "/", query)
    assert reply.status == 303
    assert "set-cookie" not in reply.headers


def test_the_page_itself_needs_no_token(place: tuple[Studio, App]) -> None:
    _, app = place
    reply = _get(app, "/")
    assert (reply.status, reply.headers["content-type"][:9]) == (200, "text/html")
    part = _get(app, "/static/index.html")
    assert (part.status, part.headers["cache-control"]) == (200, "no-cache")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert _get(app, "/api/project").headers["x-frame-options"] == "DENY"  # refusals too


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd",
     "/../pyproject.toml", "/openapi.json", "/docs"],
)  # fmt: skip
def test_no_other_file_is_served(place: tuple[Studio, App], path: str) -> None:
    reply = _get(place[1], path, authorization=f"Bearer {TOKEN}")
    assert reply.status in (404, 405)
    assert b"import" not in reply.body


PATHS = ("..", "../..", "..%2f..%2fetc", "1/../..", ".headstart", "%00", "1e0", "\u0661", "-1", "")


@pytest.mark.parametrize("key", PATHS)
def test_no_route_leads_out_of_the_folder(place: tuple[Studio, App], key: str) -> None:
    _, app = place
    for path in ("/api/models/{}/report", "/api/models/{}/exports/x.zip", "/api/jobs/{}",
                 "/api/models/1/exports/{}", "/api/images/{}/full"):  # fmt: skip
        reply = _get(app, path.format(key), authorization=f"Bearer {TOKEN}")
        assert reply.status in (404, 405), (path, reply.status)
    values = {"undo": key}
    right = _headers(f"127.0.0.1:{PORT}", OWN, (("cookie", f"{_COOKIE}={TOKEN}"),), "studio")
    assert _send(app, "/api/undo", values, right).status == 404


def test_a_refused_body_is_not_taken(place: tuple[Studio, App]) -> None:
    studio, app = place
    scope = make_scope("/api/images", "POST", host=f"127.0.0.1:{PORT}", origin=OURS)
    assert ask(app, scope, [b"x" * 1000] * 3).status == 401
    assert list(studio.place.incoming.iterdir()) == []
