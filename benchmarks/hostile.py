"""Damaged files and bombs through `predict`: seconds and memory of each.

    python benchmarks/hostile.py --bundle BUNDLE [--mutated 1000]

Each file goes through `Classifier.predict_files` alone, in one process that has answered before;
its extra memory is the peak of the resident memory over what there was before it (Linux). Then all
of them lie in a folder for one `headstart predict --csv`. Expected: each file an answer or one line
of a reason, none over 5 s, none over 600 MB, and of the command exit code 0, a row for each file
and nothing on stderr but progress. Prints the five slowest and the five largest, then one JSON
object.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from hostile_images import BOMBS, mutated, sound

from headstart.answers import Unreadable
from headstart.bundle import load
from headstart.classifier import Classifier


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    name: str
    seconds: float
    processor_seconds: float
    megabytes: float
    reason: str


def memory(field: str, process: int | str = "self") -> float:
    """`VmRSS` or `VmHWM`, the peak, of a process in MB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return (
        next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field)) / 1e3
    )


def outcome_of(classifier: Classifier, path: Path) -> Outcome:
    """Answer one file."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before, start, busy = memory("VmRSS"), time.monotonic(), time.process_time()
    (answer,) = classifier.predict_files([path])
    times = round(time.monotonic() - start, 2), round(time.process_time() - busy, 2)
    reason = answer.reason if isinstance(answer, Unreadable) else ""
    return Outcome(path.name, *times, round(memory("VmHWM") - before), reason)


def write_files(folder: Path, count: int) -> Iterator[Path]:
    """Write one hostile file after another."""
    for name, data in mutated(count):
        yield _written(folder / name, data)
    for name, make in BOMBS.items():
        yield _written(folder / f"bomb-{name}", make())


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def predict_all(bundle: Path, folder: Path, out: Path) -> dict[str, object]:
    """One command over the whole folder."""
    command = [sys.executable, "-m", "headstart", "predict", str(bundle), str(folder), "--csv"]
    start = time.monotonic()
    peak = 0.0
    with (
        tempfile.TemporaryFile("w+") as told,
        subprocess.Popen([*command, str(out)], stdout=told, stderr=told) as process,
    ):
        while process.poll() is None:
            with suppress(StopIteration, OSError):  # it has ended in this moment
                peak = max(peak, memory("VmHWM", process.pid))
            time.sleep(0.02)
        told.seek(0)
        others = [line for line in told if not line.startswith(("predict: ", str(out)))]
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        "exit_code": process.returncode,
        "rows": len(rows),
        "refused": sum(bool(row["error"]) for row in rows),
        "seconds": round(time.monotonic() - start, 1),
        "peak_megabytes": round(peak),
        "other_lines": others[:5],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--mutated", type=int, default=1000)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module=r"PIL\.")
    classifier = load(options.bundle)
    classifier.predict(sound("JPEG"))
    with tempfile.TemporaryDirectory() as place:
        plain = Path(place, "sound")
        plain.mkdir()
        for number in range(100):
            (plain / f"{number}.jpg").write_bytes(sound("JPEG"))
        usual = predict_all(options.bundle, plain, Path(place, "usual.csv"))
        folder = Path(place, "files")
        folder.mkdir()
        paths = write_files(folder, options.mutated)
        found = [outcome_of(classifier, path) for path in paths]
        together = predict_all(options.bundle, folder, Path(place, "out.csv"))
    for key in ("seconds", "megabytes"):
        for one in sorted(found, key=lambda one: -getattr(one, key))[:5]:
            print(key, json.dumps(asdict(one)))
    result = {
        "files": len(found),
        "refused": sum(bool(one.reason) for one in found),
        "of_several_lines": sum("\n" in one.reason for one in found),
        "slowest_seconds": max(one.seconds for one in found),
        "most_processor_seconds": max(one.processor_seconds for one in found),
        "most_megabytes": max(one.megabytes for one in found),
        "together": together,
        "peak_of_sound_images": usual["peak_megabytes"],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
