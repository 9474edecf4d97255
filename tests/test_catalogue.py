from __future__ import annotations

import re
import string

import pytest

from headstart.backbones.catalogue import BackboneInfo, find_backbone, list_backbones
from headstart.errors import HeadstartError

KERAS = [info for info in list_backbones() if info.source == "keras"]
HASH_LENGTHS = {0, 32, 64}  # none, MD5, SHA-256


def test_names_are_unique() -> None:
    names = [info.name for info in list_backbones()]
    plain = {name.replace("_", "") for name in names}
    assert len(plain) == len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


def test_what_needs_no_download_stands_first() -> None:
    names = [info.name for info in list_backbones()]
    assert names[:3] == ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
    assert names[-1] == "tiny"


@pytest.mark.parametrize("info", list_backbones(), ids=lambda info: info.name)
def test_rows_are_complete(info: BackboneInfo) -> None:
    assert info.source in {"package", "keras", "seeded"}
    assert info.preprocessing in {"lite", "tf", "caffe", "torch", "inside"}
    assert info.top1 is None if info.source == "seeded" else 0.6 < (info.top1 or 0) < 0.9
    assert 0 < info.least_size <= info.image_size
    assert 0 < info.features < info.parameters
    assert info.licence
    assert info.paper


@pytest.mark.parametrize("info", KERAS, ids=lambda info: info.name)
def test_files_of_keras(info: BackboneInfo) -> None:
    assert info.file.endswith(".h5")
    assert info.origin.endswith(".h5")
    assert not info.origin.startswith("/")
    assert len(info.digest) in HASH_LENGTHS
    assert set(info.digest) <= set(string.hexdigits.lower())
    assert info.digest or info.name in {"mobilenet", "mobilenet_v2"}


def test_files_are_unique() -> None:
    for field in ("file", "origin", "application"):
        values = [getattr(info, field) for info in KERAS]
        assert len(set(values)) == len(values)
    digests = [info.digest for info in list_backbones() if info.digest]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MobileNetV2", "mobilenet_v2"),
        ("VGG16", "vgg16"),
        ("ResNet50", "resnet50"),
        ("mobilenet-v2", "mobilenet_v2"),
        ("Mobile Net V2", "mobilenet_v2"),
        ("efficientnet-lite0", "efficientnet_lite0"),
        ("EfficientNetLite2", "efficientnet_lite2"),
        ("ResNet50V2", "resnet50_v2"),
        ("resnet_50", "resnet50"),
        ("tiny", "tiny"),
        *((info.application, info.name) for info in KERAS),
        *((info.name, info.name) for info in list_backbones()),
    ],
)
def test_found_by_any_spelling(name: str, expected: str) -> None:
    assert find_backbone(name).name == expected


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("mobilnet_v2", "mobilenet_v2"),
        ("resnet-51", "resnet50"),
        ("vgg", "vgg16"),
        ("efficientnet_lite4", "efficientnet_lite"),
        ("EfficientNetV2XL", "efficientnet_v2_l"),
        ("", "efficientnet_lite0, mobilenet_v2, resnet50"),
        ("größer", "efficientnet_lite0, mobilenet_v2, resnet50"),
    ],
)
def test_unknown_name(name: str, near: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        find_backbone(name)
    text = str(caught.value)
    assert text.startswith(f"There is no backbone '{name}'. Expected a name such as ")
    assert near in text
    assert text.endswith("See all of them with: headstart backbones")
