"""Small images for the gallery, made when they are first asked for and kept, and larger ones.

A thumbnail is named by its file's number on the disk, size and time of change, so it stays when the
image is moved and is made anew when the image is replaced.
"""

from __future__ import annotations

import io
import secrets
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from headstart.explanation import shown_image
from headstart.images import read_bytes
from headstart.studio.index import View, digest
from headstart.studio.place import Place
from headstart.studio.tree import File

SIDE = 160  # pixels of a thumbnail's longer side
LARGE = 1600  # pixels of the longer side of an image that fills the screen


def small(data: bytes) -> bytes:
    """A thumbnail of an encoded image, WebP; nothing but its pixels goes in.

    Raises:
        BadImage: It cannot be decoded.
    """
    return _encoded(shown_image(data, SIDE), "WEBP", 75)


def large(path: Path) -> bytes:
    """An image file for the whole screen, JPEG.

    Raises:
        BadImage: It cannot be decoded.
    """
    return _encoded(shown_image(read_bytes(path), LARGE), "JPEG", 85)


def _encoded(pixels: np.ndarray, kind: str, quality: int) -> bytes:
    content = io.BytesIO()
    Pillow.fromarray(pixels).save(content, kind, quality=quality)
    return content.getvalue()


class Thumbnails:
    """The thumbnails of one project; may be used from several threads."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def kept(self, file: File) -> Path:
        """Where the thumbnail of a file is, or will be."""
        name = _name(file)
        return self.place.thumbnails / name[:2] / f"{name}.webp"

    def make(self, path: Path, file: File) -> Path:
        """Make the thumbnail of a file unless it is there.

        Args:
            path: The image.
            file: What tells its content.

        Raises:
            BadImage: It cannot be decoded.
        """
        target = self.kept(file)
        if not target.is_file():
            self._write(target, small(read_bytes(path)))
        return target

    def keep(self, file: File, content: bytes) -> None:
        """Keep a thumbnail that was made of a file."""
        self._write(self.kept(file), content)

    def _write(self, target: Path, content: bytes) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f"{target.stem}.{secrets.token_hex(4)}.partial")
        try:
            aside.write_bytes(content)  # without waiting for the disk: it can be made again
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

    def tidy(self, view: View) -> int:
        """Remove the thumbnails of images that are gone; how many."""
        wanted = {_name(one.file) for one in view.all()}
        unwanted = [one for one in self.place.thumbnails.glob("*/*.webp") if one.stem not in wanted]
        for one in unwanted:
            one.unlink(missing_ok=True)
        return len(unwanted)


def _name(file: File) -> str:
    return digest(f"{file.number}\0{file.size}\0{file.changed}")
