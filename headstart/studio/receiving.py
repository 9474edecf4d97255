"""A multipart body in pieces in, files in a folder out: nothing is held in memory.

The names that the browser gives are only remembered; on the disk a file is called by its number.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from headstart.errors import HeadstartError

MOST_FILES = 20_000  # of one request
MOST_BYTES = 40_000_000_000  # of one request
_LEAST_FREE = 200_000_000  # bytes that stay free on the disk
_LONGEST_HEADER = 8_000  # bytes, of all headers of one part
_FIELD = "files"


class TooLarge(HeadstartError):
    """A request that is larger than what is taken."""


@dataclass(frozen=True)
class Upload:
    """A file that has come in: where it lies, and how the browser calls it."""

    path: Path
    name: str


class Receiver:
    """Takes the body of one request; `uploads` are complete after `finish`.

    Args:
        content_type: The request's header, with the boundary.
        folder: Where the files go; it is made, and removed by `close`.

    Raises:
        HeadstartError: The request is no multipart form.
    """

    def __init__(self, content_type: str, folder: Path) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 200:
            raise HeadstartError(
                "The upload cannot be read. Expected a form with files (multipart/form-data). Send "
                "each file as a part called 'files'."
            )
        self.folder, self.uploads, self.bytes = folder, list[Upload](), 0
        self._file: BinaryIO | None = None
        self._field, self._value, self._header = b"", b"", 0
        self._disposition, self._ended = b"", False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._take_field,
                "on_header_value": self._take_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": self._write,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )
        folder.mkdir(parents=True)

    def feed(self, data: bytes) -> None:
        """Take a piece of the body.

        Raises:
            HeadstartError: It is no multipart form.
            TooLarge: Too many files, too many bytes, or no room on the disk.
        """
        self.bytes += len(data)
        if self.bytes > MOST_BYTES:
            raise TooLarge(_told(f"more than {MOST_BYTES / 1e9:.0f} GB came in at once"))
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise HeadstartError(
                f"The upload is damaged: {error}. Expected a complete form. Try it again."
            ) from error

    def finish(self) -> list[Upload]:
        """The files, after the last piece.

        Raises:
            HeadstartError: The body ended too early.
        """
        if not self._ended:
            raise HeadstartError("The upload broke off. Expected a complete form. Try it again.")
        return self.uploads

    def close(self) -> None:
        """Remove what was not taken away."""
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self) -> None:
        self._disposition, self._header = b"", 0

    def _take_field(self, data: bytes, start: int, end: int) -> None:
        self._field += self._counted(data[start:end])

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += self._counted(data[start:end])

    def _counted(self, data: bytes) -> bytes:
        self._header += len(data)
        if self._header > _LONGEST_HEADER:
            raise TooLarge(_told("the name of a file is far too long"))
        return data

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field, self._value = b"", b""

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != _FIELD.encode() or b"filename" not in options:
            return  # another field of the form
        if len(self.uploads) >= MOST_FILES:
            raise TooLarge(_told(f"more than {MOST_FILES:,} files came in at once"))
        if shutil.disk_usage(self.folder).free < _LEAST_FREE:
            raise TooLarge(_told("the disk is full"))
        path = self.folder / str(len(self.uploads))
        self._file = path.open("xb")
        self.uploads.append(Upload(path, options[b"filename"].decode("utf-8", "backslashreplace")))

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])

    def _end_part(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self) -> None:
        self._ended = True


def _told(why: str) -> str:
    return f"The upload is refused: {why}. Expected less at once. Send it in several parts."
