"""How a server is to run: every choice of `headstart serve`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from headstart.errors import HeadstartError
from headstart.web.limits import MEGABYTE
from headstart.workers import cpu_count

_DAY = 86400.0
# The least and the most that a number may be; of max_body in MB.
RANGES: dict[str, tuple[float, float]] = {
    "workers": (1, 64),
    "max_body": (0.001, 10240),
    "max_images": (1, 100_000),
    "queue": (1, 100_000),
    "receive_timeout": (0.1, _DAY),
    "stop_timeout": (1, _DAY),
    "poll": (0.01, _DAY),
}


def _check_number(name: str, value: float) -> None:
    least, most = RANGES[name]
    if not least <= value <= most:  # nor is nan
        raise HeadstartError(
            f"--{name.replace('_', '-')} cannot be {value:g}. Expected a number from {least:g} to "
            f"{most:g}. Choose one of these."
        )


@dataclass(frozen=True)
class Settings:
    """Every choice of one server.

    Attributes:
        bundles: Bundle folders, or folders of models in the layout `NAME/VERSION/`.
        host: The address to listen on.
        port: The port; 0 takes one that is free.
        workers: How many processes answer; they share the processors.
        token: What every request must bring, or None.
        allow_hosts: What the Host header may be, besides the names of this machine where the
            server listens there alone.
        allow_origins: Web sites whose pages may ask.
        max_body: Most bytes of one request; at most 10 GB.
        max_images: Most images of one request.
        queue: Most images of a process that are waiting or computed at once.
        receive_timeout: Seconds in which a request has to come; at most a day, as for the next two.
        stop_timeout: Seconds for requests that have begun when the server stops.
        poll: Seconds between two looks for new versions.
        log_requests: Whether each request is logged, not only those that fail.

    Raises:
        HeadstartError: A number is out of its range (`RANGES`), or two do not go together.
    """

    bundles: tuple[Path, ...]
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    token: str | None = field(default=None, repr=False)
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    max_body: int = 32 * MEGABYTE
    max_images: int = 64
    queue: int = 128
    receive_timeout: float = 30.0
    stop_timeout: float = 30.0
    poll: float = 2.0
    log_requests: bool = True

    def __post_init__(self) -> None:
        """Refuse numbers that are out of range, and what does not go together."""
        for name in RANGES:
            value = getattr(self, name)
            _check_number(name, value / MEGABYTE if name == "max_body" else value)
        if self.max_images > self.queue:
            raise HeadstartError(
                f"A request of {self.max_images} images would never find room in a queue of "
                f"{self.queue}. Expected --max-images to be from 1 to --queue. Change one of them."
            )

    @property
    def threads(self) -> int:
        """How many processors each process has for itself."""
        return max(1, cpu_count() // self.workers)
