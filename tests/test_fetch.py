"""`headstart backbones fetch`: weights for a machine without network."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import run_command
from publisher import FREE, Publisher, serving, weights_file

import headstart
from headstart.backbones import find_backbone, load_backbone
from headstart.errors import HeadstartError
from headstart.fit_options import FitOptions

Capture = pytest.CaptureFixture[str]
LITE = find_backbone("efficientnet_lite1")


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    with serving(monkeypatch) as state:
        yield state


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return weights_file(tmp_path_factory.mktemp("published"))


def test_from_the_mirror(
    publisher: Publisher, published: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.content[f"/{FREE.origin}"] = published
    fetched = headstart.fetch_backbone("MobileNet", tmp_path / "new" / "folder")
    path = tmp_path / "new" / "folder" / FREE.file
    assert (fetched.path, fetched.weights, fetched.new) == (path, path, True)
    assert [one.name for one in path.parent.iterdir()] == [FREE.file]
    assert path.read_bytes() == published
    assert fetched.digest == hashlib.sha256(published).hexdigest()
    assert publisher.asked == [f"/{FREE.origin}"]
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "elsewhere"))
    assert load_backbone(fetched.backbone, weights=path, download=False).weights == path


def test_what_the_command_says_works(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "for you"
    assert run_command(monkeypatch, "backbones", "fetch", LITE.name, "--to", out) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"Wrote {out / LITE.file} (")
    assert (
        told[2].strip()
        == f"headstart fit DATA --backbone {LITE.name} --weights '{out / LITE.file}'"
    )
    options = shlex.split(told[2])[3:]
    recipe = FitOptions(backbone=options[1], weights=options[3]).to_recipe()
    assert load_backbone(recipe.backbone, weights=recipe.weights).weights_digest == LITE.digest
    assert eval(told[3].strip(), {"headstart": headstart}) == headstart.Recipe(
        backbone=LITE.name, weights=str(out / LITE.file)
    )


def test_again_as_json(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["fetch", LITE.name, "--to", tmp_path]
    assert run_command(monkeypatch, "backbones", *arguments, "--json") == 0
    assert run_command(monkeypatch, "backbones", "--json", *arguments) == 0
    first, again = capsys.readouterr().out.split("\n}\n")[:2]
    found = [json.loads(text + "}") for text in (first, again)]
    assert [one.pop("new") for one in found] == [True, False]
    assert found[0] == found[1]
    assert found[0]["digest"] == LITE.digest
    assert found[0]["bytes"] == (tmp_path / LITE.file).stat().st_size


def test_the_list_is_as_before(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command(monkeypatch, "backbones") == 0
    assert "efficientnet_lite0" in capsys.readouterr().out
    assert run_command(monkeypatch, "backbones", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["backbones"]) > 30


def blocked(folder: Path) -> Path:
    """A folder where something else has the place of the weights."""
    (folder / LITE.file).write_bytes(b"something else")
    return folder


def a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file"


@pytest.mark.parametrize(
    ("name", "place", "said"),
    [
        ("vgg61", Path, "There is no backbone 'vgg61'"),
        ("tiny", Path, "tiny has no weights to fetch"),
        ("my/model.keras", Path, "is a model file, not a name"),
        ("mobilenet", a_file, r"file' cannot be written: File exists\. .* with --to"),
        ("mobilenet", Path, r"the download failed \(.*404"),
        (LITE.name, blocked, f"{LITE.file}' is there already and is something else"),
    ],
)
def test_what_goes_wrong(
    name: str,
    place: type[Path],
    said: str,
    publisher: Publisher,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    to = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(HeadstartError, match=said) as caught:
        headstart.fetch_backbone(name, to)
    with pytest.MonkeyPatch.context() as patch:
        assert run_command(patch, "backbones", "fetch", name, "--to", to) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"Error: {caught.value}\n")
    assert [one for one in sorted(tmp_path.rglob("*")) if "home" not in one.parts] == before
    assert len(publisher.asked) == 2 * ("404" in said)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HeadstartError, match="cannot be written: Permission denied"):
        headstart.fetch_backbone(LITE.name, tmp_path)


LOADED = """
import sys, headstart
headstart.fetch_backbone("efficientnet_lite0", sys.argv[1])
print(sorted({"keras", "tensorflow", "keras_hub", "kagglehub"} & set(sys.modules)))
"""


def test_a_copy_loads_no_framework(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOADED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
