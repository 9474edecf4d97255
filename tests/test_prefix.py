from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from tiny_network import SIZE, answers, tiny

from headstart import conversion, progress
from headstart import prefix as prefixes
from headstart.backbones import load_backbone
from headstart.conversion import file_digest, is_intact
from headstart.errors import HeadstartError
from headstart.openvino_file import convert
from headstart.prefix import PrefixIdentity, make_prefix

IDENTITY = PrefixIdentity("tiny", "abc", (24, 40), "openvino", "float32", "openvino 1.0", 1)
ConvertCalls = list[Path]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> ConvertCalls:
    """Where networks were converted to."""
    made: ConvertCalls = []

    def counting(model: Any, target: Path) -> None:
        made.append(target)
        convert(model, target)

    monkeypatch.setattr(conversion, "convert", counting)
    return made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backbone", "small"),
        ("weights_digest", "abd"),
        ("image_size", (40, 24)),
        ("engine", "keras"),
        ("precision", "bfloat16"),
        ("runtime", "openvino 1.1"),
        ("format", 2),
    ],
)
def test_key_differs_where_anything_differs(name: str, value: object) -> None:
    assert replace(IDENTITY, **{name: value}).key != IDENTITY.key  # type: ignore[arg-type]


def test_key_is_the_same_otherwise() -> None:
    assert replace(IDENTITY).key == IDENTITY.key
    assert IDENTITY.key.startswith("tiny-24x40-openvino-float32-")
    assert tiny().identity.key == tiny().identity.key


def test_identity_of_a_prefix() -> None:
    identity = tiny().identity
    assert identity.runtime.startswith("openvino 2")
    assert tiny("keras").identity.runtime.startswith("tensorflow 2")
    assert replace(identity, runtime="openvino 1.0").here() == identity
    assert tiny().width == 32


def test_runtime_without_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", missing)
    assert prefixes._runtime("openvino").startswith("openvino 2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert prefixes._runtime("openvino") == "openvino missing"


@pytest.mark.parametrize("engine", ["openvino", "keras"])
def test_open(cache: Path, engine: str) -> None:
    assert answers(tiny(engine))
    assert (cache / "prefixes").exists() == (engine == "openvino")


def test_converted_network_is_kept(cache: Path, calls: ConvertCalls) -> None:
    for precision in ("float32", "float32", "bfloat16"):
        folder = make_prefix(load_backbone("tiny"), SIZE, "openvino", precision).converted()
    assert len(calls) == 1
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert sorted(path.name for path in folder.iterdir()) == [
        "prefix.bin",
        "prefix.json",
        "prefix.xml",
    ]
    assert answers(tiny())


@pytest.mark.parametrize(
    ("digest", "size", "form"), [("seeded", (24, 41), 1), ("other", SIZE, 1), ("seeded", SIZE, 3)]
)
def test_another_network_is_converted_for_itself(
    cache: Path, calls: ConvertCalls, digest: str, size: tuple[int, int], form: int
) -> None:
    tiny().converted()
    other = make_prefix(load_backbone("tiny"), size, "openvino", "float32")
    changed = replace(other.identity, weights_digest=digest, format=form)
    replace(other, identity=changed).converted()
    assert len(calls) == len(list((cache / "prefixes").iterdir())) == 2


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def swap_for_list(path: Path) -> None:
    path.write_text("[1, 2]")


@pytest.mark.parametrize("name", ["prefix.xml", "prefix.bin", "prefix.json"])
@pytest.mark.parametrize("damage", [flip, truncate, empty, Path.unlink, swap_for_list])
def test_damaged_network_is_made_anew(
    cache: Path,
    calls: ConvertCalls,
    name: str,
    damage: Callable[[Path], None],
) -> None:
    folder = tiny().converted()
    damage(folder / name)
    assert not is_intact(folder)
    assert answers(tiny())
    assert is_intact(folder)
    assert len(calls) == 2


def test_use_is_noted(cache: Path) -> None:
    folder = tiny().converted()
    os.utime(folder / "prefix.json", (1, 1))
    tiny().converted()
    assert (folder / "prefix.json").stat().st_mtime > 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_conversion_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def interrupted(model: Any, target: Path) -> None:
        target.write_text("half")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "convert", interrupted)
        with pytest.raises(error):
            tiny().converted()
    assert list((cache / "prefixes").iterdir()) == []
    assert is_intact(tiny().converted())


KILLED = """
import os, signal
from headstart import conversion
from headstart import prefix as prefixes
from headstart.backbones import load_backbone

def killed(model, target):
    for name in ("prefix.xml", "prefix.bin"):
        target.with_name(name).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

class Backbone:
    info, weights_digest = load_backbone("tiny").info, load_backbone("tiny").weights_digest
    build = staticmethod(lambda size: None)  # needs no TensorFlow, which would take seconds

conversion.convert = killed
prefixes.make_prefix(Backbone(), (24, 40), "openvino", "float32").converted()
"""


def test_killed_conversion_leaves_nothing_that_looks_finished(
    cache: Path, calls: ConvertCalls
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], check=False)
    assert done.returncode == -9
    assert [path.name[-8:] for path in (cache / "prefixes").iterdir()] == [".partial"]
    assert answers(tiny())
    assert len(calls) == 1


def test_another_process_was_faster(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it made stays in its place, because it may be opening it just now."""
    folder = tiny().converted()
    before = folder.stat().st_ino
    answers_of_is_intact = iter([False])
    monkeypatch.setattr(conversion, "is_intact", lambda path: next(answers_of_is_intact, True))
    assert tiny().converted() == folder
    assert folder.stat().st_ino == before


def test_cache_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: ConvertCalls
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(conversion, "_own_folder", lambda: tmp_path)
    monkeypatch.setattr(conversion, "_outside", {})
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        assert answers(tiny())
        assert answers(tiny())
    told = [event.message for event in heard if event.message]
    assert len(told) == len(calls) == 1
    assert "the converted network is not kept: " in told[0]


def test_no_room_anywhere(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(model: Any, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion, "convert", full)
    with pytest.raises(HeadstartError, match=r"cannot be converted: .*No space left.*Free some"):
        tiny().converted()


def test_own_folder_goes_with_the_process(tmp_path: Path) -> None:
    program = "from headstart.conversion import _own_folder; (_own_folder() / 'a').write_text('b')"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


LOADED = """
import json, sys
from pathlib import Path
from headstart.backbones import load_backbone
from headstart.features import extract
from headstart.prefix import make_prefix

prefix = make_prefix(load_backbone("tiny"), (24, 40), "openvino", "float32")
found = extract([Path(name) for name in sys.argv[1:]], prefix)
names = ("tensorflow", "keras", "openvino")
print(json.dumps([found.computed, [name for name in names if name in sys.modules]]))
"""


def extract_elsewhere(paths: list[Path]) -> Any:
    command = [sys.executable, "-c", LOADED, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_framework_where_all_is_there(cache: Path, image_folder: Callable[..., Path]) -> None:
    paths = sorted(image_folder(classes=["a"], per_class=4).rglob("*.*"))
    tiny().converted()
    assert extract_elsewhere(paths[:3]) == [3, ["openvino"]]
    assert extract_elsewhere(paths[:3]) == [0, []]
    assert extract_elsewhere(paths) == [1, ["openvino"]]


def test_file_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a").startswith("ba7816bf8f01cfea")
