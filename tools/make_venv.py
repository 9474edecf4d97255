"""Make .venv from requirements/lock.txt, or bring it up to date; started by tools/venv.sh.

The stamp is written last, so a .venv whose making was interrupted is made anew. It holds a digest
of the lock, the interpreter and the folder: a new lock, another Python or a moved folder make a new
.venv. A change of the project's own metadata only renews the editable install. Uses the standard
library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_LARGE = re.compile(
    r"Downloading (?P<name>[\w.]+)-(?P<version>[\w.]+)-\S+ \((?P<megabytes>[\d.]+) MB\)"
)
_SHOWN_MEGABYTES = 10
_LAST_LINES = 20


class InstallError(Exception):
    """A step of the installation failed; the text is the end of what it said."""


@dataclass(frozen=True)
class Stamp:
    """What .venv was made from: digests of what the packages, and the own install, depend on."""

    packages: str
    project: str


def wanted_stamp(root: Path) -> Stamp:
    """The stamp that an up-to-date .venv of `root` has with the running interpreter."""
    lock = (root / "requirements" / "lock.txt").read_bytes()
    interpreter = f"{os.path.realpath(sys.executable)}\n{sys.version}\n{root / '.venv'}\n"
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [settings["build-system"], settings["project"], settings.get("tool", {}).get("hatch")]
    return Stamp(
        packages=hashlib.sha256(interpreter.encode() + lock).hexdigest(),
        project=hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest(),
    )


def read_stamp(path: Path) -> Stamp:
    """The stamp at `path`; an empty one where there is none, or where it is damaged."""
    try:
        return Stamp(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Stamp("", "")


def write_stamp(path: Path, stamp: Stamp) -> None:
    """Write `stamp` in one step."""
    aside = path.with_suffix(".partial")
    aside.write_text(json.dumps(asdict(stamp)), encoding="utf-8")
    aside.replace(path)


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Let one process at a time in; the lock is lifted when its process ends, however it ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another make is setting up .venv; waiting for it ...", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def describe(line: str) -> str | None:
    """What to show of one line of pip's output: large downloads, and the long step after them."""
    if (found := _LARGE.search(line)) and float(found["megabytes"]) >= _SHOWN_MEGABYTES:
        return f"  {found['name']} {found['version']}, {float(found['megabytes']):.0f} MB"
    if line.startswith("Installing collected packages") and "," in line:
        return f"  unpacking {line.count(',') + 1} packages ..."
    return None


def call(command: list[str]) -> None:
    """Run `command` and show the little that a person needs of its output.

    Raises:
        InstallError: It failed.
    """
    environment = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    lines: list[str] = []
    with subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if shown := describe(line):
                print(shown, flush=True)
    if process.returncode != 0:
        raise InstallError("\n".join(lines[-_LAST_LINES:]))


def bring_up_to_date(root: Path) -> None:
    """Do what is missing for .venv to be as `wanted_stamp` says; nothing, when nothing is missing.

    Raises:
        InstallError: A step failed; what was done of .venv is made anew the next time.
    """
    folder = root / ".venv"
    place = folder / "stamp.json"
    wanted, present = wanted_stamp(root), read_stamp(place)
    if present == wanted:
        return
    start = time.monotonic()
    pip = [str(folder / "bin" / "python"), "-I", "-m", "pip", "--no-input"]
    install = [*pip, "install", "--progress-bar", "off"]
    if present.packages != wanted.packages:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        print(
            f"Setting up .venv with Python {version}. The first time this downloads about 0.9 GB,"
        )
        print(
            "takes 2 to 5 minutes and 2.8 GB of disk; each package is checked by its hash.",
            flush=True,
        )
        place.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        call([sys.executable, "-m", "venv", "--clear", str(folder)])
        call(
            [*install, "--require-hashes", "--requirement", str(root / "requirements" / "lock.txt")]
        )
    call([*install, "--no-deps", "--no-build-isolation", "--editable", str(root)])
    write_stamp(place, wanted)
    print(f".venv is ready ({time.monotonic() - start:.0f} s).", flush=True)
    try:
        call([*pip, "check"])
    except InstallError as error:
        print(f"The lock does not fit pyproject.toml:\n{error}\nRun: make lock", file=sys.stderr)


def main() -> int:
    """Bring .venv up to date and give the exit status."""
    try:
        with only_one(ROOT / ".venv.lock"):
            bring_up_to_date(ROOT)
    except InstallError as error:
        print(f"{error}\n\nThe installation failed; what pip said stands above.", file=sys.stderr)
        print("When that is put right, give the same command again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the same command starts .venv anew.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
