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
        MissingExtra: It is not installed, or what is installed does not load.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        lacking = isinstance(error, ModuleNotFoundError) and error.name == package
        why = "is not installed" if lacking else f"does not load: {error}"
        raise MissingExtra(
            f"The package '{package}' is needed for {purpose} and {why}. "
            f'Install it with: pip install "headstart[{extra}]"'
        ) from error
