"""Run a command and draw what it prints on stdout as a terminal: the pictures in README and docs.

    python tools/terminal_picture.py docs/demo.svg -- headstart demo --out textile.headstart

The SVG holds text, so it can be searched and read aloud, and loads nothing from elsewhere.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

WIDTH = 100  # columns


def draw(command: str, output: str) -> str:
    """The command and its output as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text(f"$ {command}", style="bold green"))
    console.print(Text(output.rstrip("\n")))
    # Without the fonts that would be fetched from a server; the viewer's own do as well.
    plain = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    plain = plain.replace("Fira Code", "ui-monospace, SFMono-Regular, Menlo, Consolas")
    return console.export_svg(
        title="headstart", theme=SVG_EXPORT_THEME, code_format=plain, unique_id="terminal"
    )


def main() -> None:
    """Run the command after `--` and write the picture."""
    target, mark, *command = sys.argv[1:]
    if mark != "--":
        raise SystemExit(__doc__)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    Path(target).write_text(draw(" ".join(command), done.stdout), encoding="utf-8")


if __name__ == "__main__":
    main()
