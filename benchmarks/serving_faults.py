"""The parts of serving.py that try what a server bears: overload, fuzzing, slow clients, swaps."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from http_load import Load, closed, paced, requests_to
from server_process import Server, headstart_server

Options = argparse.Namespace
Values = dict[str, object]
_SMALL_QUEUE = 32
_OPERATIONS = 16
_COUNTED = re.compile(r"(\d+) generated")


def overload(options: Options, bodies: Sequence[bytes]) -> Values:
    """Ten times as many requests under way as the queue holds."""
    connections, small = 10 * _SMALL_QUEUE, str(_SMALL_QUEUE)
    with headstart_server(options.bundle, "--queue", small, "--max-images", small) as server:
        requests = requests_to(server.address, bodies)
        asyncio.run(closed(server.address, requests, connections, 5))
        before, sizes = server.memory(), []
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.5):
                sizes.append(server.memory())

        thread = threading.Thread(target=watch)
        thread.start()
        load = asyncio.run(closed(server.address, requests, connections, options.seconds_overload))
        stop.set()
        thread.join()
        after = _answers(server, bodies[0])
    return {
        "statuses": dict(load.statuses),
        "answered_a_second": round(load.rate, 1),
        "only_200_429_503": set(load.statuses) <= {200, 429, 503},
        "p99_ms": round(1000 * load.quantile(0.99)),
        "memory_mb": {"before": round(before), "most": round(max(sizes, default=before))},
        "answers_after": after,
    }


def _answers(server: Server, body: bytes) -> bool:
    request = urllib.request.Request(_url(server) + "/predict", body)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return bool(json.load(reply)["label"])


def _url(server: Server) -> str:
    return f"http://{server.address[0]}:{server.address[1]}"


def mutated(bodies: Sequence[bytes], count: int, seed: int = 0) -> list[bytes]:
    """Images with bytes changed, taken away, doubled or cut off, and some that stay whole."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        data = bytearray(draw.choice(bodies))
        for _ in range(draw.randrange(0, 6)):
            at, length = draw.randrange(len(data)), draw.randrange(1, 64)
            change = draw.randrange(4)
            if change == 0:
                data[at : at + length] = draw.randbytes(length)
            elif change == 1:
                del data[at : at + length]
            elif change == 2:
                data[at:at] = data[at : at + length]
            else:
                del data[at:]
                break
            if not data:
                break
        found.append(bytes(data))
    return found


def fuzz(options: Options, bodies: Sequence[bytes]) -> Values:
    """Half of the requests from the description, half of them mutated images."""
    half = options.fuzzed // 2
    with headstart_server(options.bundle) as server:
        made, output = _schemathesis(server, half)
        small = sorted(bodies, key=len)[: max(1, len(bodies) // 4)]
        images = mutated(small, max(half, options.fuzzed - made))
        requests = requests_to(server.address, images)
        load = asyncio.run(_each_once(server, requests))
        alive = server.process.poll() is None and _answers(server, bodies[0])
        defects = [line for line in server.log.read_text().splitlines() if '"defect"' in line]
    return {
        "from_the_description": made,
        "found": output,
        "mutated": len(images),
        "statuses": dict(load.statuses),
        "defects": defects[:5],
        "alive": alive,
    }


async def _each_once(server: Server, requests: Sequence[bytes]) -> Load:
    """Every request once."""
    return await paced(server.address, requests, 400, len(requests) / 400)


def _schemathesis(server: Server, count: int) -> tuple[int, str]:
    """Let schemathesis make up requests until there are `count`; how many, and what it found."""
    program = Path(sysconfig.get_path("scripts"), "schemathesis")
    made, turn = 0, 0
    while made < count and turn < 20:
        turn += 1
        each = max(10, (count - made) // _OPERATIONS)
        words = [str(program), "run", _url(server) + "/openapi.json", "--seed", str(turn)]
        # An image has to be one, and a class one of the model's: a description cannot say that.
        words += ["--exclude-checks", "positive_data_acceptance", "--max-examples", str(each)]
        words += ["--phases", "coverage,fuzzing" if turn == 1 else "fuzzing"]
        words += ["--suppress-health-check", "all"]
        with tempfile.TemporaryDirectory() as folder:  # where it keeps what it found
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        counted = _COUNTED.search(done.stdout)
        made += int(counted[1]) if counted else 0
        if done.returncode:
            return made, done.stdout[-4000:]
    return made, ""


def slow(options: Options, bodies: Sequence[bytes]) -> Values:
    """Connections of which each has sent a part of a request."""
    with headstart_server(options.bundle) as server:
        requests = requests_to(server.address, bodies)
        asyncio.run(closed(server.address, requests, 8, 2))
        before = asyncio.run(closed(server.address, requests, 8, options.seconds))
        sockets = [socket.create_connection(server.address) for _ in range(options.sockets)]
        for number, one in enumerate(sockets):
            one.sendall(requests[0][: 40 if number % 2 else 2000])
        during = asyncio.run(closed(server.address, requests, 8, options.seconds))
        for one in sockets:
            one.close()
    return {
        "sockets": options.sockets,
        "before": {"rate": round(before.rate, 1), "p99_ms": round(1000 * before.quantile(0.99))},
        "during": {"rate": round(during.rate, 1), "p99_ms": round(1000 * during.quantile(0.99))},
        "statuses": dict(during.statuses),
    }


def swaps(options: Options, bodies: Sequence[bytes]) -> Values:
    """One new version after the other, while requests come."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "models", "model")
        model.mkdir(parents=True)
        shutil.copytree(options.bundle, model / "1")
        with headstart_server(Path(folder, "models"), "--poll", "0.05") as server:
            loads: list[Load] = []
            stop = threading.Event()
            requests = requests_to(server.address, bodies)

            def ask() -> None:
                while not stop.is_set():
                    loads.append(asyncio.run(closed(server.address, requests, 8, 1)))

            thread = threading.Thread(target=ask)
            thread.start()
            memory = server.memory()
            done = sum(
                _swap(options.bundle, model, number, server) for number in range(options.swaps)
            )
            stop.set()
            thread.join()
            after = server.memory()
    statuses = sum((load.statuses for load in loads), Counter[int]())
    return {
        "swaps": done,
        "statuses": dict(statuses),
        "memory_mb": {"before": round(memory), "after": round(after)},
    }


def _swap(bundle: Path, model: Path, number: int, server: Server) -> bool:
    """Put the next version there and wait until it answers."""
    shutil.copytree(bundle, model.parent.parent / "aside")
    (model.parent.parent / "aside").rename(model / str(number + 2))
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with urllib.request.urlopen(_url(server) + "/health", timeout=30) as reply:
            if json.load(reply)["models"]["model"] == str(number + 2):
                shutil.rmtree(model / str(number + 1))
                return True
        time.sleep(0.02)
    return False


def hostile(options: Options, bodies: Sequence[bytes]) -> Values:
    """Mutated files and decompression bombs, one after the other."""
    sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
    import hostile_images

    images = [data for _, data in hostile_images.mutated(500)]
    images += mutated(bodies, 500, seed=1)
    images += [make() for make in hostile_images.BOMBS.values()]
    with headstart_server(options.bundle, "--max-body", "256") as server:
        _answers(server, bodies[0])
        before = server.memory("VmHWM")
        statuses: Counter[int] = Counter()
        longest, unclear = 0.0, 0
        for image in images:
            begin = time.monotonic()
            status, text = _ask(server, image)
            longest = max(longest, time.monotonic() - begin)
            statuses[status] += 1
            unclear += status != 200 and not json.loads(text).get("error")
        after = server.memory("VmHWM")
        alive = _answers(server, bodies[0])
    return {
        "images": len(images),
        "statuses": dict(statuses),
        "without_a_clear_error": unclear,
        "longest_seconds": round(longest, 2),
        "memory_mb": {"before": round(before), "most": round(after)},
        "alive": alive,
    }


def _ask(server: Server, image: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(_url(server) + "/predict", image)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
