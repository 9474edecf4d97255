"""Several processes that answer on one port; one that dies is replaced.

Each has a socket, which this process keeps open too: a connection that waits while its process is
replaced is answered by the new one. They share the processors.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from headstart import console
from headstart.errors import HeadstartError
from headstart.serving.metrics import FOLDER
from headstart.serving.place import Place
from headstart.serving.settings import Settings
from headstart.web.logs import log
from headstart.web.running import BACKLOG, share, stop_signals

_QUICK = 5.0  # seconds; a process that dies sooner is replaced ever more slowly
_MOST_WAIT = 10.0
_READY = "ready"
Places = tuple[Place, ...]


@dataclass
class _Worker:
    """One process and what it says."""

    number: int
    process: BaseProcess
    said: Connection
    begin: float = field(default_factory=time.monotonic)
    ready: bool = False


class Supervisor:
    """The processes of one server, from the first start to the end of the last."""

    def __init__(self, settings: Settings, places: Sequence[Place], bound: socket.socket) -> None:
        self._settings, self._places = settings, tuple(places)
        self._sockets = share(bound, settings.workers)
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, _Worker] = {}
        self._due: dict[int, float] = {}  # numbers to start again, and when
        self._quick: dict[int, int] = {}
        self._stop = threading.Event()
        self._told = False

    def run(self, started: Callable[[], None]) -> None:
        """Serve until a signal comes.

        Raises:
            HeadstartError: A process cannot begin, for the reason that it says.
        """
        for one in self._sockets:
            one.listen(BACKLOG)
        with stop_signals(self._stop.set), _metrics_folder() as folder:
            try:
                for number in range(self._settings.workers):
                    self._start(number)
                while not self._stop.is_set():
                    self._look(started, folder)
            finally:
                self._end()

    def _start(self, number: int) -> None:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=work,
            args=(self._settings, self._places, self._sockets[number], theirs),
            name=f"headstart-{number}",
        )
        process.start()
        theirs.close()
        self._workers[number] = _Worker(number, process, ours)

    def _look(self, started: Callable[[], None], folder: str) -> None:
        """Wait for what happens next, at most a tenth of a second."""
        now = time.monotonic()
        for number in [one for one, due in self._due.items() if due <= now]:
            del self._due[number]
            self._start(number)
        waiting: list[Any] = [one.process.sentinel for one in self._workers.values()]
        waiting += [one.said for one in self._workers.values() if not one.ready]
        wait(waiting, 0.1)
        for worker in list(self._workers.values()):
            heard = not worker.ready and worker.said.poll() and self._hear(worker)
            if not heard and not worker.process.is_alive():
                self._bury(worker, folder)
        whole = len(self._workers) == self._settings.workers
        if not self._told and whole and all(one.ready for one in self._workers.values()):
            self._told = True
            started()

    def _hear(self, worker: _Worker) -> bool:
        """Take what a worker says; False where it died without a word."""
        try:
            text = worker.said.recv()
        except EOFError:
            return False
        if text != _READY:
            raise HeadstartError(text)
        worker.ready = True
        return True

    def _bury(self, worker: _Worker, folder: str) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        code, pid = worker.process.exitcode, worker.process.pid
        log("worker died", {"pid": pid, "code": code}, level="error")
        mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
        number = worker.number
        _forget(self._workers.pop(number))
        quick = time.monotonic() - worker.begin < _QUICK
        self._quick[number] = self._quick.get(number, 0) + 1 if quick else 0
        pause = min(_MOST_WAIT, 0.1 * 2 ** self._quick[number])
        self._due[number] = time.monotonic() + pause

    def _end(self) -> None:
        for worker in self._workers.values():
            worker.process.terminate()
        until = time.monotonic() + self._settings.stop_timeout + 10
        for worker in self._workers.values():
            worker.process.join(max(0.1, until - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            _forget(worker)
        for one in self._sockets:
            one.close()


def _forget(worker: _Worker) -> None:
    worker.said.close()
    worker.process.close()


def work(settings: Settings, places: Places, bound: socket.socket, said: Connection) -> None:
    """What each process does."""
    from headstart.serving.process import answer

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent tells what to do
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer(settings, places, bound, lambda: said.send(_READY))
    except HeadstartError as error:
        with suppress(OSError):
            said.send(str(error))
        raise SystemExit(console.BAD_INPUT) from None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _metrics_folder() -> Iterator[str]:
    """Where the processes write their figures, before any of them begins."""
    folder = tempfile.mkdtemp(prefix="headstart-metrics-")
    before = os.environ.get(FOLDER)
    os.environ[FOLDER] = folder
    try:
        yield folder
    finally:
        if before is None:
            os.environ.pop(FOLDER)
        else:
            os.environ[FOLDER] = before
        shutil.rmtree(folder, ignore_errors=True)
