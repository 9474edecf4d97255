"""By what a bundle knows images again: digests in, bytes or a name out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

SEEN_BYTES = 8
FILE = "seen.bin"


def seen_digests(digests: list[bytes]) -> bytes:
    """The beginnings of the images' SHA-256, as `seen.bin` keeps them."""
    return b"".join(sorted(digest[:SEEN_BYTES] for digest in digests))


def was_seen(folder: Path, digests: tuple[bytes, ...]) -> npt.NDArray[np.bool_]:
    """For each image's SHA-256, whether the bundle was trained on it; bool (n,)."""
    try:
        content = (folder / FILE).read_bytes()
    except OSError:
        content = b""
    seen = {content[start : start + SEEN_BYTES] for start in range(0, len(content), SEEN_BYTES)}
    return np.array([digest[:SEEN_BYTES] in seen for digest in digests], dtype=bool)


def fingerprint(digests: list[bytes], labels: list[str]) -> str:
    """A name for a set of labelled images, whatever their order and names: SHA-256, hexadecimal."""
    total = hashlib.sha256()
    for digest, label in sorted(zip(digests, labels, strict=True)):
        total.update(digest + label.encode("utf-8", "backslashreplace") + b"\0")
    return total.hexdigest()
