"""The index of a cohort: a Parquet file with a row per scan, and shards of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Self

from ctct.cases.case import Case
from ctct.cases.index_row import COLUMNS, IndexRow
from ctct.cases.survey import Request, case_of, make_row, stream_found
from ctct.errors import ConfigError, InputError
from ctct.io.remote import is_url
from ctct.parquet import ParquetFile, load_pyarrow

_KEY = "ctct_index"
_ROWS_AT_ONCE = 1000
#: If none of so many scans is there, the index is of another place.
_MAX_LOOKED_FOR = 10


def write_index(
    request: Request, path: Path, on_case: Callable[[int], object] = lambda count: None
) -> int:
    """Write the index of all scans, holding few of them in memory.

    Args:
        request: where to look, and for what.
        path: the Parquet file.
        on_case: told how many scans were found.

    Returns:
        The number of scans.

    Raises:
        InputError: there is no scan, or an input does not exist.
        OutputError: the file cannot be written.
        RuntimeUnavailableError: pyarrow is not installed.
    """
    load_pyarrow()
    request.check_inputs()
    count = 0
    with ParquetFile(path, COLUMNS, {_KEY: json.dumps(request.key)}) as file:
        for count, (case, folders) in enumerate(stream_found(request), 1):
            file.write(asdict(make_row(case, folders)))
            on_case(count)
    return count


@dataclass(frozen=True)
class Shard:
    """A fixed share of an index: every ``count``-th scan, from the one of its number.

    Attributes:
        number: from 1.
        count: how many shards there are.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(
                f"--shard {self.number}/{self.count}: give the number of a shard, from 1, and how "
                f"many there are, as in 1/{max(self.count, 1)}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shard that a text such as "3/64" tells of.

        Raises:
            ConfigError: it tells of none.
        """
        if not (match := re.fullmatch(r"(\d+)/(\d+)", text.strip())):
            raise ConfigError(f"--shard {text}: give a number and how many there are, as in 3/64")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Index:
    """An index that was read.

    Attributes:
        path: the file.
        digest: a hash of its content.
        key: what was searched for, and by which version of ctct.
        rows: number of scans.
    """

    path: Path
    digest: str
    key: dict[str, Any]
    rows: int

    def cases(self, shard: Shard | None = None) -> Iterator[Case]:
        """The scans, or the share of a shard, read a thousand at a time.

        Raises:
            InputError: none of the first ones is there.
        """
        looked_for = [row.path for row in islice(self._rows(), _MAX_LOOKED_FOR)]
        if looked_for and not any(is_url(path) or Path(path).exists() for path in looked_for):
            raise InputError(
                f"{self.path}: lists {looked_for[0]} and others, which are not there; make the "
                "disk available under that path, or run ctct index again"
            )
        step, first = (shard.count, shard.number - 1) if shard else (1, 0)
        for row in islice(self._rows(), first, None, step):
            yield case_of(row)

    def count(self, shard: Shard | None = None) -> int:
        """Number of scans of a shard."""
        return len(range(shard.number - 1, self.rows, shard.count)) if shard else self.rows

    def _rows(self) -> Iterator[IndexRow]:
        with load_pyarrow().parquet.ParquetFile(self.path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    yield IndexRow.from_dict(row)


def read_index(path: Path) -> Index:
    """Read an index.

    Raises:
        InputError: the file is missing, damaged or no index, or was made by another version.
        RuntimeUnavailableError: pyarrow is not installed.
    """
    arrow = load_pyarrow()
    try:
        with arrow.parquet.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            names, rows = file.schema_arrow.names, file.metadata.num_rows
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; ctct index makes it") from error
    except (OSError, arrow.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet; run ctct index again") from error
    if _KEY.encode() not in metadata:
        raise InputError(f"{path}: not an index; give a file that ctct index wrote")
    key = json.loads(metadata[_KEY.encode()])
    if set(names) != set(COLUMNS):
        raise InputError(
            f"{path}: an index of ctct {key['ctct']}, this is {version('ctct')}; run ctct index "
            "again"
        )
    return Index(path, digest, key, rows)
