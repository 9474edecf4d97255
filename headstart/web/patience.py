"""How long clients are waited for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long clients are waited for, in seconds.

    Attributes:
        headers: From connecting to the end of a request's headers.
        idle: For the next request on the same connection.
        reading: For a client to read more of an answer.
        stopping: For requests that have begun, when the server stops.
        connections: Most connections at once; beyond them a request gets 503.
    """

    headers: float = 15.0
    idle: int = 30
    reading: float = 30.0
    stopping: int = 30
    connections: int = 1000
