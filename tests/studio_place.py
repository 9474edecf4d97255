"""A studio over a folder of small images, asked in this process as its page would."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from conftest import make_image
from starlette.testclient import TestClient

from headstart.studio.app import make_app
from headstart.studio.protection import cookie_name
from headstart.studio.serving import guarded
from headstart.studio.state import Studio

PORT, TOKEN = 8123, "a-token"
OURS = f"http://127.0.0.1:{PORT}"


def image_bytes(seed: int = 0, kind: str = "PNG", hue: float = 0.3) -> bytes:
    """A small image file."""
    content = io.BytesIO()
    make_image(np.random.default_rng(seed), hue, (24, 32)).save(content, kind)
    return content.getvalue()


def fill(folder: Path, classes: Sequence[str] = ("daisies", "roses"), each: int = 3) -> Path:
    """A project with a few images of each class."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(each):
            data = image_bytes(100 * number + index, hue=number / len(classes))
            (folder / name / f"{index}.png").write_bytes(data)
    return folder


@dataclass
class Page:
    """The studio, and a client that is let in."""

    studio: Studio
    client: TestClient

    def get(self, path: str, **query: Any) -> Any:
        """The JSON values of an answer that must be good."""
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, status: int = 200, **values: Any) -> Any:
        """Send JSON values (`class_` is sent as `class`); the answer must have the status."""
        sent = {name.rstrip("_"): one for name, one in values.items()}
        answer = self.client.post(path, json=sent)
        assert answer.status_code == status, answer.text
        return answer.json()

    def upload(self, *files: tuple[str, bytes], class_name: str = "") -> Any:
        """Send files as one form."""
        form = [("files", one) for one in files]
        query = {"class": class_name} if class_name else {}
        answer = self.client.post("/api/images", params=query, files=form)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def counts(self) -> dict[str, int]:
        """How many images each class has."""
        return {one["name"]: one["images"] for one in self.get("/api/project")["classes"]}

    def ids(self, class_name: str) -> list[str]:
        """The images of a class."""
        found = self.get("/api/images", **{"class": class_name})["images"]
        return [one["id"] for one in found]

    def ended(self, job: str, seconds: float = 60) -> dict[str, Any]:
        """A job when it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found: dict[str, Any] = self.get(f"/api/jobs/{job}")
            if found["state"] != "running":
                return found
            time.sleep(0.05)
        raise AssertionError(f"{job} runs after {seconds} s: {found}")


@contextmanager
def opened(folder: Path) -> Iterator[Page]:
    """A studio over a folder."""
    studio = Studio(folder)
    marks = {"Origin": OURS, "X-Headstart": "studio", "Cookie": f"{cookie_name(PORT)}={TOKEN}"}
    app = guarded(make_app(studio), TOKEN, PORT)
    try:
        with TestClient(app, OURS, headers=marks, follow_redirects=False) as client:
            yield Page(studio, client)
    finally:
        studio.stop_listening()
        studio.close()
