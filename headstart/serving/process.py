"""One process that answers: load, listen, and at a signal end what has begun."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from headstart.errors import HeadstartError
from headstart.serving.application import make_application
from headstart.serving.memory import give_back_large_blocks
from headstart.serving.place import Place
from headstart.serving.service import Service
from headstart.serving.settings import Settings
from headstart.web.guard import is_loopback, loopback_hosts, split_host
from headstart.web.logs import install, log
from headstart.web.patience import Patience
from headstart.web.running import Running, Site


def allowed_hosts(settings: Settings, port: int) -> tuple[str, ...]:
    """What the Host header may be.

    Raises:
        HeadstartError: The server listens to other machines, and no name is given.
    """
    own = loopback_hosts(port)
    if is_loopback(settings.host) or settings.allow_hosts:
        return (*own, *settings.allow_hosts)
    if settings.host in ("0.0.0.0", "::", "[::]", ""):
        raise HeadstartError(
            f"On {settings.host} other machines can ask the server, under names that it does not "
            "know. Expected these names, so that no web site can lead a browser here. Give each "
            "with --allow-host, such as example.org, or '*' where a proxy in front checks them."
        )
    name, _ = split_host(settings.host)
    return (*own, f"[{name}]:{port}" if ":" in name else f"{name}:{port}")


def answer(
    settings: Settings,
    places: Sequence[Place],
    bound: socket.socket,
    started: Callable[[], None] | None = None,
) -> None:
    """Serve on a bound socket until a signal comes.

    Args:
        settings: How.
        places: What is served.
        bound: Where.
        started: Called when requests are answered.

    Raises:
        HeadstartError: A model cannot be used, or the settings do not fit.
    """
    running, loop, service = prepare(settings, places, bound)
    install()
    give_back_large_blocks()
    try:
        running.run(started=started, stopping=service.stop, loop=loop)
    finally:
        service.close()
        bound.close()
        log("stopped")


def prepare(
    settings: Settings, places: Sequence[Place], bound: socket.socket
) -> tuple[Running, asyncio.AbstractEventLoop, Service]:
    """Load all and put it together: what runs, the loop that it is to run in, and the service.

    Raises:
        HeadstartError: A model cannot be used, or the settings do not fit.
    """
    from threadpoolctl import threadpool_limits

    hosts = allowed_hosts(settings, bound.getsockname()[1])
    # For the few rows of a batch more threads cost more than they save.
    threadpool_limits(1, "blas")
    loop = asyncio.new_event_loop()
    service: Service | None = None
    try:
        service = Service(settings, loop)
        app = make_application(service, hosts)
        service.load(places)
        patience = Patience(
            headers=settings.receive_timeout, stopping=max(1, round(settings.stop_timeout))
        )
        return Running([Site(app, bound)], patience), loop, service
    except BaseException:
        if service is not None:
            service.close()
        loop.close()
        raise
