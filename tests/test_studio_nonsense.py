"""Nonsense sent to every route: an answer with a reason, never a defect."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient
from studio_place import OURS, Page, fill, opened
from test_studio_security import CHANGES, READS

BODIES = (
    b"", b"null", b"[]", b"7", b'"x"', b"{", b"\xff\xfe", b"{}", b'{"name": null}',
    b'{"name": [1]}', b'{"options": {"unfreeze": "\\ud800"}}',
    b'{"name": "\\ud800"}', b'{"name": "\\u0000"}', b'{"name": {"a": 1}, "to": 3}',
    b'{"ids": "x"}', b'{"ids": [1, null]}', b'{"ids": ["\\ud800"], "class": "\\udfff"}',
    b'{"ids": [], "class": ""}', b'{"undo": "../../x"}', b'{"undo": "\\ud800"}',
    b'{"time": "x", "options": []}', b'{"time": "good", "options": {"backbone": {"a": 1}}}',
    b'{"options": {"image_size": "1e400", "\\ud800": 1}}', b'{"options": {"unfreeze": -1}}',
    b'{"finding": "\\ud800", "action": "keep"}', b'{"finding": "x", "action": "eat"}',
    b'{"job": "\\ud800"}', b'{"job": 1e400}', b'{"to": "\\ud800", "int8": 9}', b"[" * 50_000,
    json.dumps({"name": "x" * 100_000, "to": "y" * 100_000}).encode(),
)  # fmt: skip
WORDS = ("x", "-1", "1e9", "99999999999999999999", "%00", "%ff", "\u0661")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened(fill(tmp_path_factory.mktemp("p"), ("one",))) as found:
        yield found


@pytest.mark.parametrize(("path", "_"), CHANGES)
def test_nonsense_in_bodies(page: Page, path: str, _: object) -> None:
    for body in BODIES:
        answer = page.client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 404, 409, 413, 422), (body[:80], answer.text)
        assert answer.json()["error"]["message"], body[:80]


@pytest.mark.parametrize("path", [one for one in READS if one != "/api/events"])
def test_nonsense_in_addresses(page: Page, path: str) -> None:
    for word in WORDS:
        place = path.replace("/x", f"/{word}").replace("/1", f"/{word}")
        for query in ("", f"?class={word}&offset={word}&limit={word}&finding={word}&true={word}"):
            status = page.client.get(f"{place}{query}&of={word}").status_code
            assert status in (200, 400, 404, 422), (place, query, status)


def test_a_defect_is_told(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(page.studio, "overview", break_down)
    client = TestClient(page.client.app, OURS, raise_server_exceptions=False)
    answer = client.get("/api/project", headers=page.client.headers)
    assert answer.status_code == 500
    assert answer.json()["error"]["message"].startswith("ZeroDivisionError: oh. This is a defect")
