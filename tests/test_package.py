"""The package as a whole: its public names, its version and what it is told to install."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import headstart

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: dict[str, Any] = settings["project"]
    return found


@pytest.mark.parametrize("name", headstart.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(headstart, name) is not None
    assert name in dir(headstart)


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    with pytest.raises(
        AttributeError, match=r"no public name 'train'.*fit, freeze, list_backbones, load"
    ):
        headstart.train  # noqa: B018


def test_one_version(project: dict[str, Any]) -> None:
    assert headstart.__version__ == project["version"]


def test_the_changelog_has_a_place_for_what_is_new() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def locked() -> dict[str, str]:
    text = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def test_the_lock_has_every_dependency(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"].values()
    wanted = {*project["dependencies"], *(line for lines in extras for line in lines)}
    names = {re.split(r"[\[><=;]", line)[0] for line in wanted} - {"headstart"}
    assert names <= set(locked())


def test_the_lock_needs_no_gpu_packages_and_is_all_hashed() -> None:
    lines = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8").splitlines()
    entries = [number for number, line in enumerate(lines) if "==" in line and line[0].isalpha()]
    assert len(entries) > 50
    assert all("--hash=sha256:" in lines[number + 1] for number in entries)
    assert not [name for name in locked() if re.match(r"nvidia|torch|tensorflow-cpu", name)]


@pytest.mark.parametrize("part", ["://", "--index", "--extra-index", "--find-links", "@ ", " /"])
def test_the_lock_names_no_place(part: str) -> None:
    assert part not in (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
