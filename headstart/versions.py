"""The versions that something was made with."""

from __future__ import annotations

import platform
from importlib import metadata

_PACKAGES = ("headstart", "numpy", "openvino", "pillow", "keras", "tensorflow")


def installed_versions() -> dict[str, str]:
    """Of Python and of the packages that matter; those that are not installed are left out."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
