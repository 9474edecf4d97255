"""What stands in README.md and docs/ runs; see docs_page.py for which blocks do.

Each page runs in a folder of its own with `photos/` (daisies, roses, tulips) and `new.jpg`, with
the `headstart` command of this environment on the path.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from conftest import make_image, make_image_folder
from docs_page import Block, read_blocks, shell_lines

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
SECONDS = 200


def run_page(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    return subprocess.run(
        [sys.executable, str(ROOT / "tests" / "docs_page.py"), str(page)],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs(page: Path, tmp_path: Path) -> None:
    make_image_folder(tmp_path / "photos")
    make_image(np.random.default_rng(99), 0.0, (48, 64)).save(tmp_path / "new.jpg")
    done = run_page(page, tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]


def test_blocks_are_found() -> None:
    page = """Text
```python
a = 1
```
<!-- not run: takes an hour -->

```bash
sleep 3600
```
Text that parts the comment from what follows.
  ```console
  $ headstart --help
  Usage
  ```
"""
    assert read_blocks(page) == [
        Block("python", 3, "a = 1"),
        Block("bash", 8, "sleep 3600", "takes an hour"),
        Block("console", 12, "$ headstart --help\nUsage"),
    ]
    assert shell_lines(read_blocks(page)[2]) == "headstart --help"


def test_a_block_without_an_end() -> None:
    with pytest.raises(ValueError, match="line 1: the block does not end"):
        read_blocks("```python\na = 1\n")


@pytest.mark.parametrize(
    ("text", "status", "output"),
    [
        ("```python\na = 1\n```\n```python\nprint(a + 1)\n```\n", 0, "2\n"),
        ("```console\n$ echo from bash\nnot a command\n```\n", 0, "from bash\n"),
        ("<!-- not run: wrong -->\n```python\n1 / 0\n```\n", 0, ""),
        ("```text\nnot code\n```\n", 0, ""),
        ("# Title\n```python\n1 / 0\n```\n", 1, 'page.md", line 3'),
        ("```bash\nfalse\ntrue\n```\n", 1, "page.md:2"),
        ("<!-- not run: -->\n```bash\nfalse\n```\n", 1, "page.md:3"),
    ],
)
def test_a_page_passes_or_fails(tmp_path: Path, text: str, status: int, output: str) -> None:
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    done = run_page(tmp_path / "page.md", tmp_path)
    assert done.returncode == status
    assert output in done.stdout
