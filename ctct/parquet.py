"""Parquet files, written row by row."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from ctct.errors import RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.storage import open_atomic

#: Rows that are held before they are written, as one group of the file.
ROWS_AT_ONCE = 20_000


def load_pyarrow() -> Any:
    """The package pyarrow, with its module for Parquet.

    Raises:
        RuntimeUnavailableError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise RuntimeUnavailableError(
            f"Parquet files need pyarrow, which is not installed; {how_to_install('cohort')}"
        ) from error
    return pyarrow


class ParquetFile:
    """A Parquet file that is written row by row, and gets its name at the end.

    Args:
        path: the file.
        columns: name of each column to the name of its type in Arrow; "strings" for lists of texts.
        metadata: stored with the file.
    """

    def __init__(
        self, path: Path, columns: Mapping[str, str], metadata: Mapping[str, str] | None = None
    ) -> None:
        self._path = path
        self._arrow = load_pyarrow()
        self._schema = self._arrow.schema(
            [(name, self._type(kind)) for name, kind in columns.items()], dict(metadata or {})
        )
        self._rows: list[Mapping[str, object]] = []
        self._stack = ExitStack()

    def _type(self, kind: str) -> Any:
        if kind == "strings":
            return self._arrow.list_(self._arrow.string())
        return self._arrow.type_for_alias(kind)

    def __enter__(self) -> Self:
        file = self._stack.enter_context(open_atomic(self._path))
        writer = self._arrow.parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._writer = self._stack.enter_context(writer)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self._flush()
        self._stack.__exit__(kind, error, trace)

    def write(self, row: Mapping[str, object]) -> None:
        """Add a row."""
        self._rows.append(row)
        if len(self._rows) >= ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            table = self._arrow.Table.from_pylist(self._rows, schema=self._schema)
            self._writer.write_table(table)
            self._rows = []
