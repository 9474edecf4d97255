"""Rows of values to a Parquet file, one row group after another; takes the extra `parquet`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from headstart import atomic, extras
from headstart.batch.columns import Columns
from headstart.batch.journal import Journal

_GROUP = 65_536  # rows


def require_pyarrow() -> tuple[Any, Any]:
    """The modules `pyarrow` and `pyarrow.parquet`.

    Raises:
        MissingExtra: They are not installed.
    """
    arrow = extras.require("pyarrow", "parquet", "Parquet files")
    return arrow, extras.require("pyarrow.parquet", "parquet", "Parquet files")


def put_in_place(journal: Journal, table: Path) -> None:
    """Write the rows as a Parquet file at `table`, and remove them."""
    arrow, parquet = require_pyarrow()
    journal.close()
    schema = _schema(arrow, journal.columns)
    aside = journal.path.with_suffix(".partial")
    try:
        with (
            journal.path.open(encoding="utf-8") as lines,
            parquet.ParquetWriter(aside, schema, compression="zstd") as writer,
        ):
            next(lines)  # the header
            for rows in _groups(json.loads(line) for line in lines):
                columns = [list(column) for column in zip(*rows, strict=True)]
                writer.write_table(arrow.table(columns, schema=schema))
        atomic.put_file(aside, table)
    finally:
        aside.unlink(missing_ok=True)
    journal.path.unlink()


def _groups(rows: Iterator[list[Any]]) -> Iterator[list[list[Any]]]:
    while group := list(islice(rows, _GROUP)):
        yield group


def _schema(arrow: Any, columns: Columns) -> Any:
    text, number = arrow.string(), arrow.float32()
    kinds = {
        "path": text,
        "error": text,
        "candidates": arrow.list_(text),
        "unknown": arrow.bool_(),
    }
    names = columns.header()
    ranked = {f"label{rank}": text for rank in columns.ranks}
    return arrow.schema([(name, {**kinds, **ranked}.get(name, number)) for name in names])
