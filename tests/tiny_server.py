"""A server in this process, over the bundle of `tiny_run`; and as a command of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from tiny_run import trained

from headstart.serving.place import find_places
from headstart.serving.process import prepare
from headstart.serving.service import Service
from headstart.serving.settings import Settings
from headstart.web.running import bind, url_of

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Server:
    """A running server: where it is, how to ask it, and what is inside."""

    url: str
    client: httpx.Client
    service: Service

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)


@contextmanager
def serving(settings: Settings | None = None) -> Iterator[Server]:
    """Run a server in a thread until the block ends."""
    chosen = settings or Settings((trained().bundle,), log_requests=False)
    with bind("127.0.0.1", 0) as bound:
        url, ready = url_of(bound), threading.Event()
        running, loop, service = prepare(chosen, find_places(chosen.bundles), bound)
        thread = threading.Thread(
            target=running.run,
            kwargs={"started": ready.set, "stopping": service.stop, "loop": loop},
        )
        thread.start()
        try:
            assert ready.wait(20)
            with httpx.Client(base_url=url, timeout=20) as client:
                yield Server(url, client, service)
        finally:
            running.stop()
            thread.join(40)
            service.close()
            assert not thread.is_alive()


@contextmanager
def command(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `headstart serve` on a free port; gives the process and its URL when it answers."""
    words = [sys.executable, "-m", "headstart", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert " on http" in line, process.communicate(timeout=10)
            yield process, line.split(" on ")[1].split()[0]
        finally:
            if process.poll() is None:
                process.kill()
