"""`headstart serve` as a command: signals, several processes, and what it refuses at the start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from command_line import run_command
from hostile_images import BOMBS
from test_serving_limits import IMAGE, TOKEN, large
from tiny_run import CLASSES, trained
from tiny_server import command

from headstart.serving.settings import RANGES
from headstart.web.running import bind


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_sigterm_ends_what_has_begun() -> None:
    image = large()
    with command(trained().bundle) as (process, url), ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(httpx.post, f"{url}/predict", content=image) for _ in range(8)]
        until = time.monotonic() + 20
        while "headstart_queue_images 0.0" in httpx.get(f"{url}/metrics").text:
            assert time.monotonic() < until
        process.send_signal(signal.SIGTERM)
        codes = Counter(one.result().status_code for one in asked if one.exception() is None)
        logged = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    answered = [line for line in map(json.loads, logged.splitlines()) if "status" in line]
    begun = [line["status"] for line in answered if line["path"] == "/predict"]
    assert codes == {200: len(begun)}
    assert codes[200] >= 1
    assert set(begun) == {200}


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_several_processes() -> None:
    with command(trained().bundle, "--workers", 2) as (process, url):

        def ask(_: int) -> int:
            return httpx.post(f"{url}/predict", content=IMAGE).status_code

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(ask, range(20))) == {200}
        counted = 'headstart_requests_total{code="200",route="/predict"} 20.0'
        assert counted in httpx.get(f"{url}/metrics").text
        victim = children(process.pid)[-1]
        os.kill(victim, signal.SIGKILL)
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(ask, range(20))) == {200}
        loads = 'headstart_model_loads_total{model="bundle",outcome="loaded"} 3.0'
        until = time.monotonic() + 30
        while loads not in httpx.get(f"{url}/metrics").text:
            assert time.monotonic() < until
        process.send_signal(signal.SIGTERM)
        logged = process.communicate(timeout=30)[1]
    assert process.returncode == 0
    events = Counter(json.loads(line)["event"] for line in logged.splitlines())
    assert (events["worker died"], events["loaded"], events["stopped"]) == (1, 3, 2)


def children(pid: int) -> list[int]:
    """The processes that a process has started: one that watches over what is shared, workers."""
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(one) for one in done.stdout.split()]


def test_a_worker_that_cannot_begin_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bundle.json").write_text("{}")
    code = run_command(monkeypatch, "serve", tmp_path, "--port", 0, "--workers", 2)
    assert code == 2
    assert "is no bundle" in capsys.readouterr().err


def test_a_port_that_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert run_command(monkeypatch, "serve", trained().bundle, "--port", port) == 2
    assert f"port {port}: the port is taken" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "Give each with --allow-host"),
        (["--allow-host", "http://x"], "'http://x' is no host"),
        (["--allow-origin", "x"], "'x' is no origin"),
        (["--allow-origin", "https://x/a"], "'https://x/a' is no origin"),
        (["--token", ""], "--token is empty"),
        (["--token", "a b"], "The token cannot be used"),
        (["--queue", "10"], "A request of 64 images would never find room in a queue of 10"),
        (["--port", "70000"], "See: headstart serve --help"),
    ],
)
def test_bad_options(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert run_command(monkeypatch, "serve", trained().bundle, "--port", "0", *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("value", ["inf", "nan", "-1", "0", "1e300", "100001"])
@pytest.mark.parametrize("name", RANGES)
def test_numbers_out_of_their_range(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setattr("headstart.serving.loading.load", None)  # it does not come to that
    option = f"--{name.replace('_', '-')}"
    assert run_command(monkeypatch, "serve", trained().bundle, "--port", 0, option, value) == 2
    assert f"Invalid value for '{option}'" in capsys.readouterr().err


def test_the_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_TOKEN", "secret")
    with command(trained().bundle) as (process, url):
        assert httpx.post(f"{url}/predict", content=IMAGE).status_code == 401
        assert httpx.post(f"{url}/predict", content=IMAGE, headers=TOKEN).json()["label"] in CLASSES
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.parametrize("module", ["fastapi", "uvicorn", "python_multipart", "prometheus_client"])
def test_a_missing_package_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert run_command(monkeypatch, "serve", trained().bundle, "--port", "0") == 2
    error = capsys.readouterr().err
    assert f"The package '{module}' is needed for" in error
    assert 'pip install "headstart[serve]"' in error


def memory(pid: int, field: str) -> float:
    """Megabytes: `VmRSS` now, `VmHWM` at most."""
    (line,) = [
        one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith(field)
    ]
    return int(line.split()[1]) / 1024


def post(url: str, body: bytes) -> httpx.Response:
    return httpx.post(f"{url}/predict", content=body, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_memory_of_large_images_is_given_back() -> None:
    with command(trained().bundle) as (process, url):
        post(url, IMAGE)
        before = memory(process.pid, "VmRSS")
        assert post(url, BOMBS["rgb.png"]()).status_code == 200
        assert memory(process.pid, "VmHWM") > before + 200
        assert memory(process.pid, "VmRSS") < before + 150
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_bombs_take_little() -> None:
    with command(trained().bundle, "--max-body", 200) as (process, url):
        post(url, IMAGE)
        before = memory(process.pid, "VmRSS")
        for name, make in BOMBS.items():
            reply = post(url, make())
            assert reply.status_code in (200, 400), name
        assert memory(process.pid, "VmHWM") < before + 600
        process.terminate()
        process.communicate(timeout=20)
