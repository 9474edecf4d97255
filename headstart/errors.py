"""The errors that headstart raises on purpose.

Their text says what happened, what was expected and received, and what to do.
"""

from __future__ import annotations


class HeadstartError(ValueError):
    """Something about the input or the machine that the user can put right; the text says how."""


class DatasetError(HeadstartError):
    """The data cannot be used as they are."""


class MissingExtra(HeadstartError, ImportError):
    """An optional package is needed; the text names the extra that installs it."""


class BadImage(HeadstartError):
    """An image that cannot be decoded; the text is the reason."""
