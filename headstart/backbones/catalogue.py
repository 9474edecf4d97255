"""The backbones that can be asked for by name: what they are, and where their weights come from.

ImageNet top-1 is as published: by Keras (https://keras.io/api/applications/), for MobileNetV3 in
the text of its function, and for EfficientNet-Lite by its authors
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). Parameters and
features are without the classifier; a test holds them against the networks. The table of
`keras.applications` is the file `keras_applications.csv` beside this one.
"""

from __future__ import annotations

import csv
import difflib
import functools
import re
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import HeadstartError

OWN_PREFIX = "own_"  # begins the names of models of the user's own, and no other
HUB_PREFIX = "hub_"  # and those of presets of KerasHub
_KERAS = Path(__file__).with_name("keras_applications.csv")


@dataclass(frozen=True)
class BackboneInfo:
    """One pre-trained network; everything about it that needs no framework.

    Attributes:
        name: How it is asked for.
        family: Networks of one paper.
        parameters: Number of weights, without the classifier.
        features: Width of the features after global average pooling.
        image_size: Height and width in pixels that its weights were trained for; the larger one of
            an own model that is not square.
        least_size: The smallest height and width in pixels that it can take.
        top1: ImageNet top-1 accuracy, 0 to 1, or None.
        licence: Of the weights.
        paper: Where it comes from.
        source: `package` (comes with the install), `keras` (downloaded on first use), `seeded`
            (made here), `own` (a model file of the user's own) or `hub` (a preset of KerasHub).
        preprocessing: What its weights want of pixels 0..255: `lite` ((x - 127) / 128), `tf` (-1 to
            1), `unit` (0 to 1), `caffe` (BGR, mean subtracted), `torch` (mean and deviation), or
            `inside` (0..255: the network begins with its own).
        any_size: Whether it surely takes other image sizes than its own.
        file: Name of the weights file, of the model file, or of the preset's folder.
        digest: Its SHA-256 or MD5, hexadecimal; "" where the publisher gives none.
        origin: Path of that file below the publisher's address.
        application: The function's name in `keras.applications`.
    """

    name: str
    family: str
    parameters: int
    features: int
    image_size: int
    top1: float | None
    licence: str
    paper: str
    source: str
    preprocessing: str = "inside"
    least_size: int = 32
    any_size: bool = True
    file: str = ""
    digest: str = ""
    origin: str = ""
    application: str = ""


_PAPERS = {
    "vgg": "https://arxiv.org/abs/1409.1556",
    "resnet": "https://arxiv.org/abs/1512.03385",
    "resnet_v2": "https://arxiv.org/abs/1603.05027",
    "inception_v3": "https://arxiv.org/abs/1512.00567",
    "inception_resnet_v2": "https://arxiv.org/abs/1602.07261",
    "xception": "https://arxiv.org/abs/1610.02357",
    "mobilenet": "https://arxiv.org/abs/1704.04861",
    "mobilenet_v2": "https://arxiv.org/abs/1801.04381",
    "mobilenet_v3": "https://arxiv.org/abs/1905.02244",
    "densenet": "https://arxiv.org/abs/1608.06993",
    "nasnet": "https://arxiv.org/abs/1707.07012",
    "efficientnet": "https://arxiv.org/abs/1905.11946",
    "efficientnet_v2": "https://arxiv.org/abs/2104.00298",
    "convnext": "https://arxiv.org/abs/2201.03545",
}


def is_brought(name: str) -> bool:
    """Whether a backbone is a model of the user's own, or a preset: not in the catalogue."""
    return name.startswith((OWN_PREFIX, HUB_PREFIX))


def _lite(number: int, parameters: int, image_size: int, top1: float, digest: str) -> BackboneInfo:
    return BackboneInfo(
        name=f"efficientnet_lite{number}",
        family="efficientnet_lite",
        parameters=parameters,
        features=1280,
        image_size=image_size,
        top1=top1,
        licence="Apache-2.0",
        paper=_PAPERS["efficientnet"],
        source="package",
        preprocessing="lite",
        file=f"efficientnet-lite{number}-{digest[:8]}.pth",
        digest=digest,
    )


_LITE_DIGESTS = (
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)
_OWN = (
    _lite(0, 3_413_024, 224, 0.751, _LITE_DIGESTS[0]),
    _lite(1, 4_189_344, 240, 0.767, _LITE_DIGESTS[1]),
    _lite(2, 4_869_168, 260, 0.776, _LITE_DIGESTS[2]),
    BackboneInfo(
        name="tiny",
        family="tiny",
        parameters=6_200,
        features=32,
        image_size=64,
        top1=None,
        licence="Apache-2.0",
        paper="headstart: a small network with seeded random weights, for tests",
        source="seeded",
        preprocessing="tf",
        least_size=8,
    ),
)


@functools.cache
def list_backbones() -> tuple[BackboneInfo, ...]:
    """Every backbone; loads no framework."""
    with _KERAS.open(encoding="utf-8", newline="") as file:
        rows = tuple(_from_row(row) for row in csv.DictReader(file))
    return _OWN[:-1] + rows + _OWN[-1:]


def _from_row(row: dict[str, str]) -> BackboneInfo:
    return BackboneInfo(
        name=row["name"],
        family=row["family"],
        parameters=int(row["parameters"]),
        features=int(row["features"]),
        image_size=int(row["image_size"]),
        top1=float(row["top1"]),
        licence=row["licence"],
        paper=_PAPERS[row["family"]],
        source="keras",
        preprocessing=row["preprocessing"],
        least_size=int(row["least_size"]),
        file=row["file"],
        digest=row["digest"],
        origin=row["origin"],
        application=row["application"],
    )


def find_backbone(name: str) -> BackboneInfo:
    """Look a backbone up by name.

    Case, dashes and underscores do not matter: `MobileNetV2` is `mobilenet_v2`.

    Raises:
        HeadstartError: There is none of that name; the text gives the nearest.
    """
    by_plain_name = {_plain(info.name): info for info in list_backbones()}
    found = by_plain_name.get(_plain(name))
    if found is not None:
        return found
    if name.startswith(OWN_PREFIX):
        raise HeadstartError(
            f"'{name}' is a model of the user's own. Expected the path of its file, such as "
            f"{name.removeprefix(OWN_PREFIX) or 'model'}.keras. Give the path."
        )
    if name.startswith(HUB_PREFIX):
        raise HeadstartError(
            f"'{name}' is a preset of KerasHub. Expected hub: and its name or folder, such as "
            f"hub:{name.removeprefix(HUB_PREFIX) or 'resnet_50_imagenet'} or hub:DIR/FOLDER. Give "
            "that."
        )
    near = difflib.get_close_matches(_plain(name), by_plain_name, n=3, cutoff=0.5)
    likely = [by_plain_name[plain].name for plain in near]
    names = ", ".join(likely or ("efficientnet_lite0", "mobilenet_v2", "resnet50"))
    raise HeadstartError(
        f"There is no backbone '{name}'. Expected a name such as {names}. "
        "See all of them with: headstart backbones"
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
