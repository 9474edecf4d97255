"""How a network gets into a bundle and runs from there."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_network import answers, tiny

from headstart import prefix as prefixes
from headstart.errors import HeadstartError
from headstart.prefix import Prefix


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("engine", "has_openvino", "runs_on", "files"),
    [
        ("openvino", True, "openvino", ["prefix.bin", "prefix.xml"]),
        ("keras", True, "openvino", ["prefix.bin", "prefix.xml"]),
        ("keras", False, "keras", ["backbone.safetensors"]),
    ],
)
def test_write_network(
    tmp_path: Path, engine: str, has_openvino: bool, runs_on: str, files: list[str]
) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        if not has_openvino:
            patch.setattr(importlib.util, "find_spec", lambda name: None)
        identity = prefixes.write_network(tiny(engine), folder)
    assert identity == replace(tiny(runs_on).identity)
    assert sorted(path.name for path in folder.iterdir()) == files
    assert answers(Prefix(identity, (32,), folder=folder))


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      "])
def test_weights_that_do_not_fit(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "backbone.safetensors").write_bytes(content)
    with pytest.raises(HeadstartError, match=r"do not fit or cannot be read.*Copy the bundle anew"):
        Prefix(tiny("keras").identity, (32,), folder=tmp_path).open()


def test_neither_backbone_nor_network(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"missing or damaged.*Train again"):
        Prefix(tiny().identity, (32,)).open()
