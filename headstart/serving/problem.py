"""What a request is refused with."""

from __future__ import annotations

from collections.abc import Mapping


class Problem(Exception):
    """A request that gets no answer: status, text, and headers such as Retry-After."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, dict(headers or {})


def busy() -> Problem:
    """There is no room for more images."""
    return Problem(429, "Too many images are waiting. Try again later.", {"Retry-After": "1"})


def too_many_images(most: int) -> Problem:
    """A request has more images than one may have."""
    return Problem(413, f"Too many images in one request: at most {most}.")


def unknown_model(name: str, names: list[str]) -> Problem:
    """No model has this name."""
    return Problem(404, f"There is no model '{name[:100]}'. There is: {', '.join(names[:20])}.")
