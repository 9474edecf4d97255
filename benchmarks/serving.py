"""How fast `headstart serve` is, and whether it bears what comes.

    python benchmarks/serving.py BUNDLE --data FOLDER [--only speed,latency,overload,...]

BUNDLE is a bundle, FOLDER has images. Parts (`--only`, with commas between; all without it):

speed     saturation against the bound 1 / (1/E + 1/D) (E: the engine alone on arrays in memory, D:
          the decoder alone, see extraction.py), target 0.6; and against a bare Starlette handler
          that decodes and predicts one image at a time, target 1.5 times it. The load generator
          runs on the same processors. Measurements take turns; ratios are medians of the turns.
latency   p50 and p99 at half of that throughput
overload  ten times as many requests under way as fill the queue, for --seconds-overload: only 200,
          429 and 503, memory flat
fuzz      --fuzzed requests: made up by schemathesis from the server's description, and mutated
          images: no status from 500 on but 503, no crash
slow      200 connections that send nothing more: others are answered as before
swaps     --swaps new versions under load: no request fails
hostile   mutated files and decompression bombs: one clear error each, at most 600 MB, none over 5 s

Expected, on ants-bees with a frozen EfficientNet-Lite0 at 224 and two cores of an AMD EPYC (Zen 4),
2026-11-26: 0.87 of the bound, 2.2 times the bare handler, p50 13 ms and p99 22 ms; the rest in
docs/serve.md. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import serving_faults
from extraction import decode_all, find_images, timed
from http_load import closed, paced, requests_to
from server_process import Server, bare_server, headstart_server

import headstart
from headstart.workers import cpu_count

_CONNECTIONS = 32
Options = argparse.Namespace
Values = dict[str, object]


def saturate(server: Server, bodies: Sequence[bytes], seconds: float) -> tuple[float, float]:
    """Images a second, and milliseconds of processor time an image, load generator included."""
    begin, own = server.seconds(), time.process_time()
    load = asyncio.run(
        closed(server.address, requests_to(server.address, bodies), _CONNECTIONS, seconds)
    )
    busy = server.seconds() - begin + time.process_time() - own
    assert set(load.statuses) == {200}, load.statuses
    return load.rate, 1000 * busy / load.statuses[200]


def speed(options: Options, bodies: Sequence[bytes]) -> Values:
    """Part `speed`."""
    classifier = headstart.load(options.bundle)
    paths = find_images(options.data, options.images)
    engine, images = classifier.engine(), decode_all(paths, classifier.image_size)
    turns: list[dict[str, float]] = []
    with headstart_server(options.bundle) as ours, bare_server(options.bundle) as bare:
        saturate(ours, bodies, 2)
        saturate(bare, bodies, 2)
        for _ in range(options.repeat):
            alone = timed(lambda: list(engine.stream(images)))
            decoder = timed(lambda: decode_all(paths, classifier.image_size))
            own, plain = (saturate(one, bodies, options.seconds) for one in (ours, bare))
            bound = len(paths) / (alone[0] + decoder[0])
            turns.append(
                {
                    "E": len(paths) / alone[0],
                    "D": len(paths) / decoder[0],
                    "bound": bound,
                    "server": own[0],
                    "bare": plain[0],
                    "of_bound": own[0] / bound,
                    "times_bare": own[0] / plain[0],
                    "processor_ms": own[1],
                    "processor_ms_bare": plain[1],
                    "processor_of_bound": 1000 * (alone[1] + decoder[1]) / len(paths) / own[1],
                }
            )
    return {name: round(statistics.median(one[name] for one in turns), 3) for name in turns[0]}


def latency(options: Options, bodies: Sequence[bytes]) -> Values:
    """Part `latency`."""
    with headstart_server(options.bundle) as server:
        saturate(server, bodies, 2)
        most, _ = saturate(server, bodies, options.seconds)
        load = asyncio.run(
            paced(server.address, requests_to(server.address, bodies), most / 2, options.seconds)
        )
    return {
        "rate": round(most / 2, 1),
        "statuses": dict(load.statuses),
        "p50_ms": round(1000 * load.quantile(0.5), 1),
        "p99_ms": round(1000 * load.quantile(0.99), 1),
    }


PARTS: dict[str, Callable[[Options, Sequence[bytes]], Values]] = {
    "speed": speed,
    "latency": latency,
    "overload": serving_faults.overload,
    "fuzz": serving_faults.fuzz,
    "slow": serving_faults.slow,
    "swaps": serving_faults.swaps,
    "hostile": serving_faults.hostile,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seconds-overload", type=float, default=60)
    parser.add_argument("--fuzzed", type=int, default=10_000)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--swaps", type=int, default=100)
    options = parser.parse_args()
    bodies = [path.read_bytes() for path in find_images(options.data, options.images)]
    found: Values = {"bundle": options.bundle.name, "processors": cpu_count()}
    for name in options.only.split(","):
        found[name] = PARTS[name](options, bodies)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
