"""What Prometheus reads: requests, errors by code, seconds, images, batches and the queue.

With several processes each writes its figures into files of one folder, which prometheus_client
finds by `PROMETHEUS_MULTIPROC_DIR`; whichever process is asked adds them all up.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from headstart.extras import require

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10)
_BATCHES = (1, 2, 4, 8, 16, 32)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The figures of one process.

    Args:
        queued: Says how many images are under way.
    """

    def __init__(self, queued: Callable[[], int]) -> None:
        require("prometheus_client", "serve", "the metrics of a server")
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._queued = queued
        self._registry = own = CollectorRegistry()
        self._requests = Counter(
            "headstart_requests", "Requests answered.", ("route", "code"), registry=own
        )
        self._seconds = Histogram(
            "headstart_request_seconds",
            "Seconds from the first byte of a request to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=own,
        )
        self._images = Counter(
            "headstart_images", "Images, by what came of them.", ("model", "outcome"), registry=own
        )
        self._batches = Histogram(
            "headstart_batch_size", "Images computed together.", buckets=_BATCHES, registry=own
        )
        self._depth = Gauge(
            "headstart_queue_images",
            "Images that are waiting or computed.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self._loads = Counter(
            "headstart_model_loads", "Versions loaded.", ("model", "outcome"), registry=own
        )
        self.batch = self._batches.observe

    def request(self, route: str, code: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)
        self._depth.set(self._queued())

    def images(self, model: str, answered: int, unreadable: int) -> None:
        """Count the images of a request."""
        self._depth.set(self._queued())
        if answered:
            self._images.labels(model, "answered").inc(answered)
        if unreadable:
            self._images.labels(model, "unreadable").inc(unreadable)

    def load(self, model: str, outcome: str) -> None:
        """Count an attempt to load a version: `loaded` or `failed`."""
        self._loads.labels(model, outcome).inc()

    def text(self) -> tuple[bytes, str]:
        """All figures, of all processes, and their content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        self._depth.set(self._queued())
        if FOLDER not in os.environ:
            return generate_latest(self._registry), CONTENT_TYPE_LATEST
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together), CONTENT_TYPE_LATEST
