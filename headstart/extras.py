"""Ask for an optional package, or say which extra of headstart installs it."""

from __future__ import annotations

import importlib
from types import ModuleType

from headstart.errors import MissingExtra


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: Dotted name of the module.
        extra: The extra of headstart that installs it.
        purpose: What it is needed for, to fill "... is needed for <purpose>".

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"The package '{module.split('.', maxsplit=1)[0]}' is needed for {purpose} and is not installed. "
            f'Install it with: pip install "headstart[{extra}]"'
        ) from error
