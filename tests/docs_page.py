"""Run the blocks of one page of documentation, in order: `python docs_page.py PAGE`.

A `python` block runs in this process, with the names of the blocks before it. A `bash` block is
given to bash. Of a `console` block the lines that start with `$ ` are, the rest is output to look
at. A block below the line `<!-- not run: reason -->` is left out; so is every block in another
language.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LANGUAGES = ("python", "bash", "console")
_FENCE = re.compile(r"^(?P<indent> *)(?P<mark>`{3,})(?P<language>[\w-]*)[^`]*$")
_NOT_RUN = re.compile(r"^\s*<!-- not run: (?P<reason>\S.*) -->\s*$")


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its first line of code, `reason` why it is not run."""

    language: str
    line: int
    code: str
    reason: str = ""


def read_blocks(text: str) -> list[Block]:
    """The blocks of a page, in order.

    Raises:
        ValueError: A block does not end.
    """
    blocks: list[Block] = []
    lines = text.splitlines()
    before, number = "", 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        number += 1
        if not opening:
            before = lines[number - 1].strip() or before
            continue
        start, indent = number, len(opening["indent"])
        while number < len(lines) and lines[number].strip() != opening["mark"]:
            number += 1
        if number == len(lines):
            raise ValueError(f"line {start}: the block does not end")
        code = "\n".join(line[indent:] for line in lines[start:number])
        excuse = _NOT_RUN.match(before)
        blocks.append(
            Block(opening["language"], start + 1, code, excuse["reason"] if excuse else "")
        )
        before, number = "", number + 1
    return blocks


def shell_lines(block: Block) -> str:
    """What bash is to run of a `bash` or `console` block."""
    if block.language == "bash":
        return block.code
    return "\n".join(
        line.removeprefix("$ ") for line in block.code.splitlines() if line.startswith("$ ")
    )


def run_block(block: Block, page: str, names: dict[str, Any]) -> None:
    """Run one block.

    Raises:
        Exception: What its Python raises.
        subprocess.CalledProcessError: One of its commands fails.
    """
    print(f"--- {page}:{block.line}", flush=True)
    if block.language == "python":
        above = "\n" * (block.line - 1)  # a traceback then has the page's line numbers
        exec(compile(above + block.code, page, "exec"), names)
    else:
        script = f"set -euo pipefail\n{shell_lines(block)}\n"
        subprocess.run(["bash", "-c", script], check=True)


def main() -> None:
    """Run the page named on the command line."""
    page = Path(sys.argv[1])
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in read_blocks(page.read_text(encoding="utf-8")):
        if block.language in LANGUAGES and not block.reason:
            run_block(block, str(page), names)


if __name__ == "__main__":
    main()
