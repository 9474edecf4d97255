"""The studio as it is started: the printed link, events, a training from the page, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
from command_line import run_command
from studio_place import fill, opened
from tiny_run import fresh_cache, make_mixed_folder

from headstart.errors import HeadstartError
from headstart.recipe import Recipe
from headstart.studio.choices import recipe_of, time_limit_of
from headstart.training import fit

TINY = {"backbone": "tiny", "image_size": 32}


def _started(folder: Path, *options: str) -> tuple[subprocess.Popen[str], httpx.Client]:
    command = [sys.executable, "-m", "headstart", "studio", str(folder), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--no-browser", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    link = process.stdout.readline().split()[-1]
    base = link.partition("/?")[0]
    client = httpx.Client(base_url=base, timeout=30)
    client.headers.update({"Origin": base, "X-Headstart": "studio"})
    assert client.get(link).status_code == 303
    return process, client


@contextmanager
def _running(folder: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    process, client = _started(folder)
    try:
        yield process, client
    finally:
        client.close()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        process.rest = out + err  # type: ignore[attr-defined]


def _events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, object]]]:
    name = ""
    for line in lines:
        kind, _, text = line.partition(": ")
        if kind == "event":
            name = text
        elif kind == "data":
            yield name, json.loads(text)


def test_started_used_and_stopped(tmp_path: Path) -> None:
    with _running(fill(tmp_path)) as (process, client):
        assert client.get("/api/project").json()["images"] == 6
        with client.stream("GET", "/api/events") as stream:
            events = _events(stream.iter_lines())
            assert next(events)[0] == "project"
            version = client.post("/api/classes", json={"name": "tulips"}).json()["version"]
            assert next(events) == ("project", {"version": version})
            begin = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert list(events) == []  # the stream ends
        assert process.wait(10) == 0
    assert time.monotonic() - begin < 5
    assert "Ctrl-C" in process.rest  # type: ignore[attr-defined]
    assert "Traceback" not in process.rest  # type: ignore[attr-defined]


def test_a_training_from_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_cache(monkeypatch, tmp_path / "cache")
    photos = make_mixed_folder(tmp_path / "photos")
    with opened(photos) as page:
        job = page.post("/api/train", time="quick", options=TINY)["job"]
        page.post("/api/train", 409, time="quick", options=TINY)
    with opened(photos) as page:  # another server goes on with it
        ended = page.ended(job["id"])
        assert (ended["state"], ended["error"], ended["model"]) == ("done", None, "1")
        assert {"read", "features", "linear head", "save"} <= {
            one["name"] for one in ended["stages"]
        }
        found = page.get("/api/project")
        assert found["models"][0]["backbone"] == "tiny"
        assert found["training"]["id"] == job["id"]
        assert found["checkup"]["state"] == "done"
        assert not found["checkup"]["outdated"]
        assert len(page.get("/api/models/1/images")) == 12
    command = ("evaluate", photos / ".headstart" / "models" / "1", photos, "--json")
    assert run_command(monkeypatch, *command) == 0


@pytest.mark.slow
def test_fine_tuning_is_cancelled_and_the_best_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_cache(monkeypatch, tmp_path / "cache")
    photos = make_mixed_folder(tmp_path / "photos")
    with opened(photos) as page:
        options = {**TINY, "unfreeze": "all", "augment": "strong"}
        job = page.post("/api/train", time="good", options=options)["job"]
        while not page.get(f"/api/jobs/{job['id']}")["curve"]:
            time.sleep(0.05)
        page.post("/api/jobs/cancel", job=job["id"])
        ended = page.ended(job["id"])
        assert (ended["state"], ended["model"]) == ("cancelled", "1")
        (model,) = page.get("/api/project")["models"]
    assert model["interrupted"]
    assert ended["curve"][0]["epoch"] == 1
    assert "validation_accuracy" in ended["curve"][0]


TOO_LITTLE = (
    ((), 3, "No usable class folders"),
    (("roses",), 3, "Only one class, 'roses',"),
)


@pytest.mark.parametrize(("classes", "each", "match"), TOO_LITTLE)
@pytest.mark.parametrize("path", ["/api/train", "/api/checkup"])
def test_too_little_is_told_as_the_command_line_does(
    tmp_path: Path, classes: tuple[str, ...], each: int, match: str, path: str
) -> None:
    with opened(fill(tmp_path, classes, each)) as page:
        told = page.post(path, 400)["error"]["message"]
    assert os.listdir(tmp_path / ".headstart" / "jobs") == []
    with pytest.raises(HeadstartError, match=match) as caught:
        fit(tmp_path)
    assert told == str(caught.value)


@pytest.mark.parametrize(
    ("time", "options", "recipe", "limit"),
    [
        ("good", {}, Recipe(), None),
        ("quick", {}, Recipe(image_size=None, resize="squash", unfreeze=0), None),
        ("best", {}, Recipe(backbone="auto"), 600),
        ("good", {"backbone": "", "augment": None}, Recipe(), None),
        (
            "good",
            {"backbone": "tiny", "image_size": 64},
            Recipe(backbone="tiny", image_size=64),
            None,
        ),
        (
            "good",
            {"unfreeze": "20", "augment": "light"},
            Recipe(unfreeze=20, augment="light"),
            None,
        ),
        ("best", {"image_size": "own"}, Recipe(backbone="auto", image_size=None), 600),
    ],
)
def test_choices_are_recipes(
    time: str, options: dict[str, object], recipe: Recipe, limit: float | None
) -> None:
    assert recipe_of(time, options) == recipe
    assert time_limit_of(time) == limit


@pytest.mark.parametrize(
    ("time", "options", "match"),
    [
        ("never", {}, "no time 'never'"),
        ("good", {"seed": 3}, "no choice 'seed'"),
        ("good", {"backbone": "/etc/model.keras"}, "backbone"),
        ("good", {"backbone": "hub:x"}, "no backbone 'hub:x'"),
        ("good", {"backbone": "resnet50"}, "not on this machine"),
        ("good", {"augment": "wild"}, "augment cannot be 'wild'"),
        ("good", {"image_size": "big"}, "image-size"),
        ("good", {"unfreeze": "-3 x"}, None),
    ],
)
def test_choices_that_there_are_not(
    time: str, options: dict[str, object], match: str | None
) -> None:
    if match is None:
        assert recipe_of(time, options).unfreeze == "-3 x"  # the network has no such layer
        return
    with pytest.raises(HeadstartError, match=match):
        recipe_of(time, options)


def test_the_page_is_in_the_package() -> None:
    assert (Path(str(files("headstart.studio"))) / "static" / "index.html").is_file()


def test_a_port_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                              capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    with _running(tmp_path / "p") as (_, client):
        port = client.base_url.port
        code = run_command(monkeypatch, "studio", tmp_path / "q", "--port", port, "--no-browser")
    assert code == 2
    assert "the port is taken" in capsys.readouterr().err
    assert not (tmp_path / "q").exists()


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                           capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert run_command(monkeypatch, "studio", tmp_path / "p") == 2
    assert 'pip install "headstart[serve]"' in capsys.readouterr().err
