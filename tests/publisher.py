"""A server on this machine that stands for the publisher of weights."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from headstart.backbones import find_backbone, load_backbone

FREE = find_backbone("mobilenet")  # its publisher gives no checksum


@dataclass
class Publisher:
    """What the server answers with, by path, and what it was asked for."""

    url: str
    content: dict[str, Any] = field(default_factory=dict)  # bytes, or with how many it lacks
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """Let weights come from this machine."""

    class Handler(BaseHTTPRequestHandler):
        state: ClassVar[Publisher]

        def do_GET(self) -> None:
            self.state.asked.append(self.path)
            self.wfile.write(self._head())

        def do_HEAD(self) -> None:
            self._head()

        def _head(self) -> bytes:
            content, lacks = self.state.content.get(self.path), 0
            if isinstance(content, tuple):
                content, lacks = content
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"") + lacks))
            self.send_header("ETag", str(hash(content or b"")))  # as Hugging Face tells it
            self.send_header("X-Repo-Commit", "0" * 40)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            return content or b""

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.state = Publisher(f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HEADSTART_WEIGHTS_URL", Handler.state.url + "/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield Handler.state
    server.shutdown()
    server.server_close()


def weights_file(folder: Path) -> bytes:
    """A weights file of MobileNet in the publisher's layout, with random weights."""
    import h5py  # type: ignore[import-untyped]
    from keras.src.legacy.saving import legacy_h5_format

    path = folder / FREE.file
    with h5py.File(path, "w") as file:
        model = load_backbone(FREE.name, weights=None).build((32, 32))
        model.set_weights([weight + 1 for weight in model.get_weights()])
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path.read_bytes()
