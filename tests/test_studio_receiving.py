"""Forms that are uploaded, piece by piece."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from studio_place import image_bytes, opened

from headstart.errors import HeadstartError
from headstart.studio import receiving
from headstart.studio.receiving import Receiver, TooLarge

_HEAD = b'--line\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'


def test_a_form_in_pieces(tmp_path: Path) -> None:
    receiver = Receiver("multipart/form-data; boundary=line", tmp_path / "in")
    body = _HEAD + image_bytes() + b"\r\n--line--\r\n"
    for at in range(len(body)):
        receiver.feed(body[at : at + 1])
    (one,) = receiver.finish()
    assert (one.name, one.path.read_bytes()) == ("a.png", image_bytes())
    receiver.close()
    assert not (tmp_path / "in").exists()


def _receive(kind: str, body: bytes, folder: Path) -> None:
    with closing(Receiver(kind, folder)) as receiver:
        receiver.feed(body)
        receiver.finish()


@pytest.mark.parametrize(
    ("kind", "body", "error", "match"),
    [
        ("text/plain", b"", HeadstartError, "Expected a form with files"),
        ("multipart/form-data", b"", HeadstartError, "Expected a form with files"),
        ("multipart/form-data; boundary=line", _HEAD + b"half", HeadstartError, "broke off"),
        ("multipart/form-data; boundary=line", b"nonsense", HeadstartError, "damaged"),
        ("multipart/form-data; boundary=line", _HEAD.replace(b"a.png", b"a" * 9000),
         HeadstartError, "damaged|far too long"),
        ("multipart/form-data; boundary=line", (_HEAD + b"\r\n") * 4, TooLarge, "than 3 files"),
    ],
)  # fmt: skip
def test_bad_forms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, body: bytes, error: type, match: str
) -> None:
    monkeypatch.setattr(receiving, "MOST_FILES", 3)
    with pytest.raises(error, match=match):
        _receive(kind, body, tmp_path / "in")
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize(("name", "value"), [("MOST_BYTES", 100), ("_LEAST_FREE", 1 << 60)])
def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int) -> None:
    monkeypatch.setattr(receiving, name, value)
    with opened(tmp_path) as page:
        form = [("files", ("a.png", image_bytes()))]
        answer = page.client.post("/api/images", params={"class": "x"}, files=form)
    assert answer.status_code == 413
    assert "refused" in answer.json()["error"]["message"]
