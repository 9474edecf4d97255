"""What a network costs when it predicts: speed, memory, and the size of what is shipped."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from headstart.conversion import FILES
from headstart.prefix import Prefix

_SECONDS = 0.4  # of one measurement
_IMAGES = 8  # at least
# Peak memory of a process that does nothing but predict with a converted network, in bytes. On
# Linux getrusage would tell that of the parent, too.
_PREDICT = """
import re, resource, sys
import numpy as np
from pathlib import Path
from headstart.engine import OpenVINOEngine
height, width = int(sys.argv[3]), int(sys.argv[4])
engine = OpenVINOEngine(Path(sys.argv[1]), sys.argv[2])
for _ in engine.stream(np.zeros((height, width, 3), np.uint8) for _ in range(8)):
    pass
status = Path("/proc/self/status")
if status.exists():
    print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1]) * 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def images_per_second(prefix: Prefix) -> float:
    """How many images a second the network answers here, decoding not counted."""
    height, width = prefix.identity.image_size
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    engine = prefix.open()
    for _ in engine.stream(itertools.repeat(image, _IMAGES)):
        pass  # compiles, fills the caches
    start, count = time.monotonic(), 0
    with_end = itertools.takewhile(
        lambda _: time.monotonic() - start < _SECONDS, itertools.repeat(image)
    )
    for _ in engine.stream(itertools.chain(itertools.repeat(image, _IMAGES), with_end)):
        count += 1
    return count / (time.monotonic() - start)


def memory_bytes(prefix: Prefix) -> int | None:
    """Peak memory of a process that predicts with the network; None where it cannot be told.

    It is told where the engine is OpenVINO and the system has `getrusage`.
    """
    if prefix.identity.engine != "openvino" or prefix.suffix is not None:
        return None
    sides = map(str, prefix.identity.image_size)
    network = str(prefix.converted() / FILES[0])
    command = [sys.executable, "-c", _PREDICT, network, prefix.identity.precision, *sides]
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return int(done.stdout)
    return None


def model_bytes(prefix: Prefix) -> int | None:
    """Size of the converted network on the disk; None where there is none."""
    if prefix.identity.engine != "openvino":
        return None
    folder: Path = prefix.converted()
    return sum((folder / name).stat().st_size for name in FILES)
