"""Servers as processes of their own: headstart's, and a bare one to compare with.

    python benchmarks/server_process.py BUNDLE

is the bare one: a Starlette handler that decodes and predicts one image at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Address = tuple[str, int]


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    address: Address
    log: Path

    def seconds(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field: str = "VmRSS") -> float:
        """Megabytes that it has in memory now, or with `VmHWM` had at most."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        return 0.0


@contextmanager
def started(command: list[str]) -> Iterator[Server]:
    """Run a server that prints its URL when it answers; its log goes to a file."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("w") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        with process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                if "http://" not in line:
                    raise SystemExit(f"{command} did not start:\n{log.read_text()}")
                host, _, port = line.split("http://")[1].split()[0].rpartition(":")
                yield Server(process, (host, int(port)), log)
            finally:
                process.terminate()
                process.wait(60)


def headstart_server(place: Path, *options: str) -> Any:
    """`headstart serve` on a free port, with the log of failures alone."""
    words = [sys.executable, "-m", "headstart", "serve", str(place), "--port", "0", "--quiet"]
    return started([*words, *options])


def bare_server(bundle: Path) -> Any:
    """The bare server on a free port."""
    return started([sys.executable, str(Path(__file__).resolve()), str(bundle)])


def main() -> None:
    """Serve a bundle as plainly as can be."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    import headstart
    from headstart.web.running import bind, url_of

    classifier = headstart.load(sys.argv[1])

    async def predict(request: Request) -> Response:
        found = classifier.predict(await request.body())
        values = {"label": found.label, "probability": found.probability}
        return Response(json.dumps(values), media_type="application/json")

    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    with bind("127.0.0.1", 0) as bound:
        bound.listen(1024)
        print(f"Bare on {url_of(bound)} ", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[bound])


if __name__ == "__main__":
    main()
