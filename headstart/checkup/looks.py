"""How images look, apart from what they show: a file in, a few numbers out, kept by its digest.

Light and sharpness are measured where the network looks: on a copy of at most 192 pixels. Blur is
the share of the differences between neighbours that blurring once more does not take away (Crete
et al., "The Blur Effect", 2007, doi:10.1117/12.702790), so it does not depend on the contrast.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from headstart import formats, progress
from headstart.images import BadImage, header, opened, read_bytes, upright
from headstart.locations import cache_root
from headstart.store import StoreError, open_store
from headstart.workers import map_in_order

Floats = npt.NDArray[np.float64]
FIELDS = (
    "height",  # pixels, turned upright
    "width",
    "bytes",
    "format",  # index into formats.FORMATS
    "frames",
    "transparent",  # 0 or 1
    "bits",  # of a channel, more than 8 are scaled
    "camera",  # a number for each maker and model, 0 for none
    "red",  # means, 0 to 255
    "green",
    "blue",
    "darkest",  # luminance that 5% and 99% of the pixels do not exceed, 0 to 1
    "brightest",
    "contrast",  # standard deviation of the luminance, 0 to 1
    "blur",  # 0 sharp to 1 blurred
)
_SIDE = 192
_WINDOW = 9  # pixels that blurring once more averages, as in the paper
_STORE = "looks-1"  # the number changes with FIELDS and how they are measured
_RECORD = len(FIELDS) * 8
_BATCH = 8
_BLOCK = 512  # images after which what was measured is written
_MODEL, _MAKER = 0x0110, 0x010F


def measure(
    paths: Sequence[Path], digests: Sequence[bytes], *, deadline: float = math.inf
) -> Floats:
    """Measure images, those that are not kept yet.

    Args:
        paths: n files that can be decoded.
        digests: SHA-256 of each.
        deadline: `time.monotonic()` at which to stop.

    Returns:
        float64 (n, fields), not a number in rows that were not reached or cannot be read.
    """
    found = np.full((len(paths), len(FIELDS)), np.nan)
    folder = cache_root() / "images" / _STORE
    with progress.stage("looks", len(paths)) as stage:
        for start in range(0, len(paths), _BLOCK):
            if time.monotonic() >= deadline:
                break
            rows = range(start, min(start + _BLOCK, len(paths)))
            kept = _kept(folder, [digests[row] for row in rows])
            missing = [row for row, one in zip(rows, kept, strict=True) if one is None]
            for row, one in zip(rows, kept, strict=True):
                if one is not None:
                    found[row] = one
            stage.advance(len(rows) - len(missing))
            _measure_block(paths, missing, found, stage.advance)
            _keep(folder, [(digests[row], found[row]) for row in missing])
    return found


def _measure_block(
    paths: Sequence[Path], rows: Sequence[int], found: Floats, advance: Callable[[int], None]
) -> None:
    tasks = [rows[at : at + _BATCH] for at in range(0, len(rows), _BATCH)]

    def look(batch: Sequence[int]) -> list[Floats]:
        return [_look(paths[row]) for row in batch]

    with closing(map_in_order(look, tasks)) as results:
        for batch, values in zip(tasks, results, strict=True):
            found[list(batch)] = values
            advance(len(batch))


def _kept(folder: Path, digests: Sequence[bytes]) -> list[Floats | None]:
    try:
        with open_store(folder) as store:
            contents = store.get(digests)
    except StoreError:
        return [None] * len(digests)
    return [
        None if one is None or len(one) != _RECORD else np.frombuffer(one, np.float64)
        for one in contents
    ]


def _keep(folder: Path, records: Sequence[tuple[bytes, Floats]]) -> None:
    """Keep what was measured; where that cannot be, it is measured again next time."""
    good = [(digest, values.tobytes()) for digest, values in records if np.isfinite(values).all()]
    if good:
        try:
            with open_store(folder) as store:
                store.put(good)
        except StoreError as error:
            progress.remark("looks", f"not kept: {error}")


def _look(path: Path) -> Floats:
    try:
        return look_at(read_bytes(path))
    except BadImage:  # changed since it was decoded
        return np.full(len(FIELDS), np.nan)


def look_at(data: bytes) -> Floats:
    """Measure one image: the bytes of a file -> float64 (fields,).

    Raises:
        BadImage: It cannot be decoded.
    """
    with header(data) as image:
        size, frames = image.size, getattr(image, "n_frames", 1)
        clear = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
        bits = 16 if image.mode.startswith(("I", "F")) else 8
        camera = _camera(image)
    with opened(data, (_SIDE, _SIDE), "pad") as image:
        turned = upright(image)
        # As upright leaves it: a JPEG may be decoded smaller, but not turned otherwise.
        lies = (turned.size[0] >= turned.size[1]) == (size[0] >= size[1])
        height, width = (size[1], size[0]) if lies else size
        light = _light(_small(turned))
    name = formats.sniff(data[: formats.HEAD_BYTES]) or formats.FORMATS[0]
    about = [height, width, len(data), formats.FORMATS.index(name), frames, clear, bits, camera]
    return np.array([*about, *light], np.float64)


def _camera(image: Image.Image) -> int:
    try:
        exif = image.getexif()
        named = f"{exif.get(_MAKER, '')}|{exif.get(_MODEL, '')}"
    except Exception:  # damaged metadata do not make the pixels unreadable
        return 0
    return 0 if named == "|" else zlib.crc32(named.encode("utf-8", "replace"))


def _small(image: Image.Image) -> Image.Image:
    scale = _SIDE / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def _light(image: Image.Image) -> list[float]:
    """Mean colour, darkest, brightest, contrast, blur of a small RGB image."""
    levels = np.arange(256)
    colour = np.array(image.histogram(), np.float64).reshape(3, 256) @ levels
    grey = image.convert("L")  # the luminance of Rec. 601
    counts = np.array(grey.histogram(), np.float64)
    counts /= counts.sum()
    mean = counts @ levels
    contrast = math.sqrt(counts @ (levels - mean) ** 2) / 255
    darkest, brightest = np.searchsorted(np.cumsum(counts), [0.05, 0.99]) / 255
    pixels = image.width * image.height
    return [*(colour / pixels), darkest, brightest, contrast, blur(np.asarray(grey, np.float32))]


def blur(grey: npt.NDArray[np.float32]) -> float:
    """How blurred an image is, from 0 sharp to 1; grey (height, width), any scale.

    An image without any difference between neighbours counts as 1.
    """
    worst = 0.0
    for axis in (0, 1):
        if grey.shape[axis] < 3:
            continue
        sharp = np.abs(np.diff(grey, axis=axis))
        left = np.abs(np.diff(_averaged(grey, axis), axis=axis))
        total = float(sharp.sum())
        lost = float(np.maximum(0, sharp - left).sum())
        worst = max(worst, (total - lost) / total if total > 0 else 1.0)
    return worst


def _averaged(grey: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    from scipy.ndimage import uniform_filter1d

    smooth: npt.NDArray[np.float32] = uniform_filter1d(grey, _WINDOW, axis=axis, mode="nearest")
    return smooth
