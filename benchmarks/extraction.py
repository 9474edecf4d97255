"""How well decoding and the engine share the processors while features are made.

    python benchmarks/extraction.py --data FOLDER [--twelve-megapixel]

E is the engine alone on arrays in memory, D the decoder alone on all processors, both in images a
second. Where the two share the processors without loss, extraction reaches 1 / (1/E + 1/D), the
bound; the target is 0.85 of it. Starting the engine is in none of the three, and is told by itself.
The measurements take turns and the ratio is the median of the turns, because other work on the
machine comes and goes; the ratio of processor time, which it hardly touches, stands beside. Prints
one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

from PIL import Image

from headstart.backbones import load_backbone
from headstart.engine import Engine, choose_engine, resolve_precision
from headstart.features import extract
from headstart.formats import sniff
from headstart.images import Pixels, decode, read_bytes
from headstart.locations import cache_root
from headstart.prefix import Prefix, make_prefix
from headstart.store import discard
from headstart.workers import cpu_count, map_in_order

_BATCH = 4


def find_images(folder: Path, count: int) -> list[Path]:
    """Up to `count` images below `folder`, evenly from all of it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found = [path for path in files if sniff(path.read_bytes()[:32])]
    return found[:: max(1, len(found) // count)][:count]


def enlarge(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Write each image as a JPEG of 4000 x 3000 pixels."""

    def write(path: Path) -> Path:
        target = folder / f"{path.parent.name}-{path.stem}.jpg"
        with Image.open(path) as image:
            large = image.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
        large.save(target, quality=90)
        return target

    return list(map_in_order(write, paths))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and seconds of all processors together."""
    start, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - busy


def decode_all(paths: Sequence[Path], size: tuple[int, int]) -> list[Pixels]:
    """Decode on all processors."""

    def some(batch: Sequence[Path]) -> list[Pixels]:
        return [decode(read_bytes(path), size).pixels for path in batch]

    batches = (paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH))
    return [pixels for batch in map_in_order(some, batches) for pixels in batch]


def extract_all(paths: Sequence[Path], prefix: Prefix, engine: Engine) -> None:
    """Make all features anew, with an engine that runs already."""
    with mock.patch.object(Prefix, "open", return_value=engine):
        made = extract(paths, prefix)
    assert made.computed == len(paths), (made.computed, made.bad)


def measure(paths: Sequence[Path], prefix: Prefix, repeat: int) -> dict[str, object]:
    """Take turns `repeat` times."""
    size = prefix.identity.image_size
    engine, images = prefix.open(), decode_all(paths, size)
    start = time.perf_counter()
    prefix.open()
    opening = time.perf_counter() - start
    turns: list[dict[str, float]] = []
    for _ in range(repeat):
        discard(cache_root() / "features" / prefix.identity.key)
        alone = timed(lambda: list(engine.stream(images)))
        decoder = timed(lambda: decode_all(paths, size))
        both = timed(lambda: extract_all(paths, prefix, engine))
        turns.append(
            {
                "E": len(paths) / alone[0],
                "D": len(paths) / decoder[0],
                "bound": len(paths) / (alone[0] + decoder[0]),
                "extraction": len(paths) / both[0],
                "ratio": (alone[0] + decoder[0]) / both[0],
                "processor_ratio": (alone[1] + decoder[1]) / both[1],
            }
        )
    middle = {name: round(statistics.median(turn[name] for turn in turns), 3) for name in turns[0]}
    ratios = sorted(round(turn["ratio"], 3) for turn in turns)
    return {**middle, "ratios": ratios, "engine_start_seconds": round(opening, 3)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--images", type=int, help="600, or 60 of twelve megapixels")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--twelve-megapixel", action="store_true")
    options = parser.parse_args()
    backbone = load_backbone(options.backbone)
    side = options.image_size or backbone.info.image_size
    engine = choose_engine()
    prefix = make_prefix(backbone, (side, side), engine, resolve_precision("auto", engine))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEADSTART_CACHE"] = str(Path(folder, "cache"))
        count = options.images or (60 if options.twelve_megapixel else 600)
        paths = find_images(options.data, count)
        if options.twelve_megapixel:
            paths = enlarge(paths, Path(folder))
        result = measure(paths, prefix, options.repeat)
    about = {"prefix": prefix.identity.key, "images": len(paths), "processors": cpu_count()}
    print(json.dumps({**about, "twelve_megapixel": options.twelve_megapixel, **result}))


if __name__ == "__main__":
    main()
