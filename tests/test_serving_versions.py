"""The layout `models/NAME/VERSION/`: which version is served, and how another takes its place."""

from __future__ import annotations

import asyncio
import functools
import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import trained
from tiny_server import Server, serving

from headstart.bundle import load
from headstart.errors import HeadstartError
from headstart.serving.loading import load_checked
from headstart.serving.place import find_places
from headstart.serving.settings import Settings
from headstart.web.asgi import Message

IMAGE = trained().paths[0].read_bytes()


def put(folder: Path) -> Path:
    """A copy of the bundle, there all at once."""
    aside = folder.parent / "aside"
    shutil.copytree(trained().bundle, aside)
    aside.rename(folder)
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of models with one model, `flowers`, of version 1."""
    (tmp_path / "models" / "flowers").mkdir(parents=True)
    put(tmp_path / "models" / "flowers" / "1")
    return tmp_path / "models"


def settings(models: Path, poll: float = 0.05) -> Settings:
    return Settings((models,), poll=poll, log_requests=False)


def served(server: Server) -> str:
    return str(server.client.post("/predict", content=IMAGE).json()["version"])


def wait_for(found: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not found():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_new_version_takes_the_place_of_the_old_one(models: Path) -> None:
    with serving(settings(models)) as server:
        assert served(server) == "1"
        put(models / "flowers" / "10")
        wait_for(lambda: served(server) == "10")
        put(models / "flowers" / "9")  # older
        time.sleep(0.3)
        assert served(server) == "10"
        shutil.rmtree(models / "flowers" / "10")
        wait_for(lambda: served(server) == "9")


def test_a_request_that_came_while_versions_were_swapped_is_answered(models: Path) -> None:
    async def stays() -> Message:
        await asyncio.Event().wait()
        return {}

    with serving(settings(models)) as server:
        service, old = server.service, server.service.version()
        put(models / "flowers" / "2")
        wait_for(lambda: served(server) == "2")
        asked = asyncio.run_coroutine_threadsafe(
            service.predict(old, [IMAGE], stays), service.models._loop
        )
        assert asked.result(20).version.version == "2"


def test_new_versions_are_looked_for_whatever_goes_wrong(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(settings(models)) as server:
        look, broken = server.service.models.look, threading.Event()

        def once(name: str) -> None:
            if not broken.is_set():
                broken.set()
                raise OverflowError("too large")
            look(name)

        monkeypatch.setattr(server.service.models, "look", once)
        assert broken.wait(20)
        put(models / "flowers" / "2")
        wait_for(lambda: served(server) == "2")
    (told,) = [one for one in capsys.readouterr().err.splitlines() if '"defect"' in one]
    assert "OverflowError: too large" in told


def test_an_empty_folder_hides_no_version_before_it(models: Path) -> None:
    with serving(settings(models)) as server:
        (models / "flowers" / "3").mkdir()
        put(models / "flowers" / "2")
        wait_for(lambda: served(server) == "2")


def damage(folder: Path) -> None:
    (folder / "head.safetensors").write_bytes(b"x")


def damage_example(folder: Path) -> None:
    """A bundle that is whole and answers something else than it says."""
    import hashlib

    path = folder / "example.json"
    example = json.loads(path.read_text())
    example["probabilities"] = dict.fromkeys(example["probabilities"], 0.5)
    path.write_text(json.dumps(example))
    about = json.loads((folder / "bundle.json").read_text())
    about["files"]["example.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
    del about["checksum"]
    text = json.dumps(about, sort_keys=True).encode()
    about["checksum"] = hashlib.sha256(text).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [(damage, "head.safetensors is missing or changed"), (damage_example, "answers otherwise")],
)
def test_a_broken_version_is_told_once_and_the_old_one_stays(
    models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    break_it: Callable[[Path], None],
    message: str,
) -> None:
    with serving(settings(models)) as server:
        broken = shutil.copytree(trained().bundle, tmp_path / "broken")
        break_it(broken)
        broken.rename(models / "flowers" / "2")
        wait_for(lambda: '"failed"' in server.client.get("/metrics").text)
        time.sleep(0.3)
        assert served(server) == "1"
        shutil.rmtree(models / "flowers" / "2")
        put(models / "flowers" / "2")  # put right
        wait_for(lambda: served(server) == "2")
    logged = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (told,) = [line for line in logged if line["event"] == "version not usable"]
    assert message in told["error"]
    assert (told["model"], told["version"], told["level"]) == ("flowers", "2", "error")


def test_a_version_that_is_being_copied_is_waited_for(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(settings(models, poll=0.15)) as server:
        target = models / "flowers" / "2"
        target.mkdir()
        for path in sorted(trained().bundle.iterdir()):
            shutil.copyfile(path, target / path.name)
            time.sleep(0.02)
        wait_for(lambda: served(server) == "2")
    assert "not usable" not in capsys.readouterr().err


def test_at_the_start_the_newest_that_can_be_used_is_served(models: Path) -> None:
    damage(put(models / "flowers" / "2"))
    (models / "flowers" / "notes").mkdir()
    with serving(settings(models)) as server:
        assert served(server) == "1"


def test_no_request_fails_while_versions_are_swapped(models: Path) -> None:
    swaps, stop, statuses = 5, threading.Event(), []
    with serving(settings(models, poll=0.02)) as server:

        def ask() -> None:
            while not stop.is_set():
                statuses.append(server.client.post("/predict", content=IMAGE).status_code)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for version in range(2, 2 + swaps):
            put(models / "flowers" / str(version))
            wait_for(functools.partial(is_served, server, str(version)))
        stop.set()
        for thread in threads:
            thread.join()
        wait_for(lambda: count_threads() == 2)  # those of the version that is served
    assert set(statuses) == {200}
    assert len(statuses) > swaps


def is_served(server: Server, version: str) -> bool:
    return served(server) == version


def count_threads() -> int:
    return sum(one.name == "headstart-compute" for one in threading.enumerate())


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("models", ["flowers", "more"]),
        ("models/flowers", ["flowers"]),
        ("models/flowers/1", ["1"]),
        ("name.headstart", ["name"]),
    ],
)
def test_names(models: Path, path: str, names: list[str]) -> None:
    (models / "more").mkdir()
    put(models / "more" / "3")
    (models / "no model").mkdir()
    put(models.parent / "name.headstart")
    assert [place.name for place in find_places([models.parent / path])] == names


def test_several_bundles(models: Path, tmp_path: Path) -> None:
    other = put(tmp_path / "other.headstart")
    with serving(Settings((other, models), log_requests=False)) as server:
        assert server.client.get("/health").json()["models"] == {"other": "1", "flowers": "1"}
        for name in ("other", "flowers"):
            reply = server.client.post(f"/models/{name}/predict", content=IMAGE)
            assert reply.json()["model"] == name
        assert server.client.post("/predict", content=IMAGE).json()["model"] == "other"


def test_two_of_one_name(models: Path) -> None:
    with pytest.raises(HeadstartError, match="Two models are called 'flowers'"):
        find_places([models, models / "flowers"])


@pytest.mark.parametrize("place", ["nowhere", "."])
def test_no_bundle(tmp_path: Path, place: str) -> None:
    with pytest.raises(HeadstartError, match=r"There is no bundle in .* Expected a folder"):
        find_places([tmp_path / place])


def test_nothing_to_serve() -> None:
    with pytest.raises(HeadstartError, match=r"There is nothing to serve. Expected bundles"):
        find_places([])


@pytest.mark.parametrize("text", ["", "[]", '{"probabilities": []}', '{"probabilities": {"a": 1}}'])
def test_an_example_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    classifier = load(trained().bundle)
    monkeypatch.setattr("headstart.serving.loading.load", lambda folder: classifier)
    (tmp_path / "example.json").write_text(text)
    shutil.copyfile(trained().bundle / "example.png", tmp_path / "example.png")
    with pytest.raises(HeadstartError, match=r"The example of|answers otherwise"):
        load_checked(tmp_path, 1)
