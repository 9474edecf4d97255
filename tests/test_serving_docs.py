"""What docs/serve.md says fits the command, where running its blocks does not show it."""

from __future__ import annotations

import configparser
import dataclasses
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from docs_page import Block, read_blocks
from tiny_run import CLASSES, trained
from tiny_server import serving

from headstart.serve_command import TOKEN, ServeOptions
from headstart.serving.application import OPEN_PATHS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "serve.md"
TEXT = PAGE.read_text(encoding="utf-8")
DEFAULTS = {one.name: one.default for one in dataclasses.fields(ServeOptions)}
OPTIONS = {"--" + name.replace("_", "-") for name in DEFAULTS}


def block(language: str) -> Block:
    (found,) = [one for one in read_blocks(TEXT) if one.language == language]
    return found


def check_command(words: list[str]) -> None:
    """`headstart serve` with options that there are."""
    assert words[0].rpartition("/")[2] == "headstart"
    assert words[1] == "serve"
    assert {word for word in words if word.startswith("--")} <= OPTIONS


def test_every_option_stands_in_the_table() -> None:
    rows = dict(re.findall(r"^\| `(--[a-z-]+)` \|([^|]*)\|", TEXT, re.MULTILINE))
    assert set(rows) == OPTIONS
    for name, default in DEFAULTS.items():
        if not isinstance(default, bool) and default is not None:
            assert rows["--" + name.replace("_", "-")].strip(" `") == str(default)


def test_containerfile() -> None:
    lines = block("dockerfile").code.splitlines()
    known = {"FROM", "RUN", "USER", "EXPOSE", "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "CMD"}
    said = dict(line.split(" ", 1) for line in lines)
    assert set(said) == known
    command = json.loads(said["CMD"])
    check_command(command)
    assert command[command.index("--port") + 1] == said["EXPOSE"]
    assert command[2] in json.loads(said["VOLUME"])
    health = json.loads(said["HEALTHCHECK"].removeprefix("CMD "))[2]
    assert f":{said['EXPOSE']}/health" in health
    assert "/health" in OPEN_PATHS
    compile(health, "HEALTHCHECK", "exec")


def test_systemd_unit(tmp_path: Path) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block("ini").code)
    assert set(unit.sections()) == {"Unit", "Service", "Install"}
    service = unit["Service"]
    check_command(shlex.split(service["ExecStart"]))
    assert float(service["TimeoutStopSec"]) > ServeOptions().stop_timeout + 10
    assert TOKEN in TEXT[TEXT.index(service["EnvironmentFile"].lstrip("-")) :]


def test_systemd_itself_accepts_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd here")
    path = tmp_path / "headstart.service"
    path.write_text(block("ini").code.replace("/usr/local/headstart/bin/headstart", "/bin/true"))
    done = subprocess.run([program, "verify", path], capture_output=True, text=True, check=False)
    assert "headstart.service:" not in done.stderr


def test_javascript(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js here")
    shutil.copyfile(trained().paths[0], tmp_path / "new.jpg")
    with serving() as server:
        code = block("javascript").code.replace("http://127.0.0.1:8765", server.url)
        assert server.url in code
        (tmp_path / "ask.mjs").write_text(code)
        done = subprocess.run(
            [node, "ask.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
        )
    label, probability = done.stdout.split()
    assert label in CLASSES
    assert 0 < float(probability) <= 1


def test_every_route_stands_in_the_table() -> None:
    with serving() as server:
        paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    for path in paths:
        if not path.startswith("/v2"):
            assert path.replace("{name}", "NAME") in TEXT
