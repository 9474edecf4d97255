"""A load generator that costs little: HTTP/1.1 over connections that stay open, in one thread.

`closed` keeps so many requests under way; `paced` sends them at a fixed rate, whatever comes back.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Address = tuple[str, int]


@dataclass
class Load:
    """What came back: how often each status, and the seconds of each request.

    Status 0 stands for a connection that ended before its answer. `seconds` is how long it all
    took.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers with status 200, a second."""
        return self.statuses[200] / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the requests were answered."""
        found = sorted(self.latencies)
        return found[min(len(found) - 1, int(share * len(found)))] if found else 0.0


def requests_to(address: Address, bodies: Sequence[bytes]) -> list[bytes]:
    """A `POST /predict` as bytes for each body."""
    start = f"POST /predict HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n"
    start += "Content-Type: image/jpeg\r\nContent-Length:"
    return [f"{start} {len(body)}\r\n\r\n".encode() + body for body in bodies]


class _Client(asyncio.Protocol):
    """One connection: a request, its answer, the next one."""

    def __init__(self, load: Load, free: Callable[[_Client], None]) -> None:
        self._load, self._free = load, free
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._begin = 0.0
        self.closed = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._free(self)

    def send(self, request: bytes) -> None:
        self._begin = time.perf_counter()
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or not self._begin:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        self._buffer.clear()
        self._done(int(head[9:12]))
        if b"connection: close" in head:
            self.close()
        else:
            self._free(self)

    def _done(self, status: int) -> None:
        self._load.latencies.append(time.perf_counter() - self._begin)
        self._load.statuses[status] += 1
        self._begin = 0.0

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._begin:
            self._done(0)
        if not self.closed:
            self.closed = True
        self._free(self)


async def closed(
    address: Address, requests: Sequence[bytes], connections: int, seconds: float
) -> Load:
    """Keep `connections` requests under way for so many seconds; one that is cut off comes anew."""
    loop, load = asyncio.get_running_loop(), Load()
    until, clients, number = loop.time() + seconds, set[_Client](), 0
    tasks: set[asyncio.Task[None]] = set()

    def free(client: _Client) -> None:
        nonlocal number
        clients.add(client)
        if client.closed:
            clients.discard(client)
            if loop.time() < until:
                task = loop.create_task(connect())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        elif loop.time() < until:
            client.send(requests[number % len(requests)])
            number += 1
        else:
            client.close()

    async def connect() -> None:
        try:
            await loop.create_connection(lambda: _Client(load, free), *address)
        except OSError:
            load.statuses[0] += 1
            await asyncio.sleep(0.05)

    begin = time.perf_counter()
    await asyncio.gather(*(connect() for _ in range(connections)))
    while loop.time() < until or (clients and loop.time() < until + 30):
        await asyncio.sleep(0.02)
    load.seconds = time.perf_counter() - begin
    return load


class _Pool:
    """Connections that grow with what is asked of them."""

    def __init__(self, address: Address, requests: Sequence[bytes]) -> None:
        self.load = Load()
        self._address, self._requests = address, requests
        self._idle: list[_Client] = []

    def _free(self, client: _Client) -> None:
        if not client.closed:
            self._idle.append(client)

    async def send(self, number: int) -> None:
        """Send a request over a connection that is idle, or over a new one."""
        loop = asyncio.get_running_loop()
        while not self._idle or self._idle[-1].closed:
            if self._idle:
                self._idle.pop()
            else:
                await loop.create_connection(lambda: _Client(self.load, self._free), *self._address)
        self._idle.pop().send(self._requests[number % len(self._requests)])

    async def close(self) -> None:
        """End all connections."""
        for client in self._idle:
            client.close()
        await asyncio.sleep(0.05)


async def paced(address: Address, requests: Sequence[bytes], rate: float, seconds: float) -> Load:
    """Send `rate` requests a second, whatever comes back."""
    loop, pool = asyncio.get_running_loop(), _Pool(address, requests)
    tasks: set[asyncio.Task[None]] = set()
    begin, count = loop.time(), int(rate * seconds)
    for number in range(count):
        await asyncio.sleep(max(0.0, begin + number / rate - loop.time()))
        task = loop.create_task(pool.send(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    while sum(pool.load.statuses.values()) < count and loop.time() < begin + seconds + 30:
        await asyncio.sleep(0.02)
    pool.load.seconds = loop.time() - begin
    await pool.close()
    return pool.load
