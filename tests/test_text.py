"""No committed file names a place on one machine, or a host that packages come from."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
THIS = Path(__file__).name

# In pieces, so that this file does not hold what it looks for.
HOSTS = ["py" + r"pi\.org", "python" + r"hosted\.", "np" + r"mjs\.", "reg" + r"istry\.\w+\.\w+"]
HOSTS += ["deb" + r"ian\.org", "ana" + r"conda\.(org|com)", "crates" + r"\.io"]
FOLDERS = "|".join(["ho" + "me", "ro" + "ot", "wo" + "rk", "Us" + "ers", "o" + "pt", "m" + "nt"])
PLACES = [rf"(?<![\w.:/])/({FOLDERS})/[\w.]", r"[A-Z]:\\+Us" + r"ers", "/t" + r"mp/\w"]
PLACES += [r"\.\./sha" + "red"]  # .ci/run may look there
KEYS = ["-----BEGIN [A-Z ]*PRIV" + "ATE KEY", "(?i:api[_-]?key *= *['\"]\\w{16})"]
PATTERN = re.compile("|".join(f"(?:{one})" for one in HOSTS + PLACES))
SECRET = re.compile("|".join(f"(?:{one})" for one in KEYS))


def committed() -> list[Path]:
    try:
        listed = subprocess.run(
            [
                "git",
                "-c",
                "safe.directory=*",
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    names = [name.decode() for name in listed.stdout.split(b"\0") if name]
    return [ROOT / name for name in names if (ROOT / name).is_file() and name != ".ci/run"]


def findings(path: Path, pattern: re.Pattern[str]) -> Iterator[str]:
    data = path.read_bytes()
    if b"\0" in data[:4096]:
        return
    for number, line in enumerate(data.decode("utf-8").splitlines(), start=1):
        if found := pattern.search(line):
            yield f"{path}:{number}: {found[0]}"


@pytest.mark.parametrize("pattern", [PATTERN, SECRET], ids=["places", "secrets"])
def test_no_file_names_what_it_must_not(pattern: re.Pattern[str]) -> None:
    files = committed()
    assert ROOT / "tests" / THIS in files
    assert [finding for path in files for finding in findings(path, pattern)] == []


@pytest.mark.parametrize(
    "text",
    [
        "https://py" + "pi.org/simple",
        "files.python" + "hosted.org",
        "cd /ho" + "me/anna/photos",
        "open('/wo" + "rk/data')",
        '"/ro' + 'ot/.cache"',
        "C:\\Us" + "ers\\anna",
    ],
)
def test_the_check_sees(text: str, tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text(f"first\n{text}\n", encoding="utf-8")
    (finding,) = findings(tmp_path / "page.txt", PATTERN)
    assert "page.txt:2: " in finding


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1/work/", "a PyPI package", "./home/x", "framework/mobile", "/usr/bin"]
)
def test_the_check_lets_pass(text: str, tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text(text, encoding="utf-8")
    assert list(findings(tmp_path / "page.txt", PATTERN)) == []
