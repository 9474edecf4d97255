"""A server for trained classifiers: HTTP in, predictions out; neither Keras nor TensorFlow.

FastAPI and uvicorn carry it, OpenVINO computes. The ways in are `POST /predict` and the Open
Inference Protocol (`/v2`); both go through the classifier's own decoder, engine and head, so their
answers are those of `Classifier.predict`.
"""

from __future__ import annotations

from collections.abc import Callable

from headstart.extras import require
from headstart.serving.settings import Settings

__all__ = ["Settings", "serve"]

_NEEDED = {
    "fastapi": "serving",
    "uvicorn": "serving",
    "python_multipart": "serving",
    "prometheus_client": "the metrics of a server",
}


def serve(settings: Settings, started: Callable[[str, list[str]], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, and end what has begun.

    Args:
        settings: What, where and how.
        started: Called with the URL and the names of the models when requests are answered.

    Raises:
        HeadstartError: A bundle cannot be used, the port is taken, or the settings do not fit.
    """
    for module, purpose in _NEEDED.items():
        require(module, "serve", purpose)
    from headstart.serving.place import find_places
    from headstart.serving.process import allowed_hosts, answer
    from headstart.serving.supervisor import Supervisor
    from headstart.web.running import bind, url_of

    places = find_places(settings.bundles)
    with bind(settings.host, settings.port) as bound:
        allowed_hosts(settings, bound.getsockname()[1])
        url = url_of(bound)

        def tell() -> None:
            if started is not None:
                started(url, [place.name for place in places])

        if settings.workers == 1:
            answer(settings, places, bound, tell)
        else:
            Supervisor(settings, places, bound).run(tell)
