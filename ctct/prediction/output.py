"""Where the results of a run go, and what is made of them at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, get_args

from ctct.choices import Layout
from ctct.errors import ConfigError, StoppedError
from ctct.io.remote import is_url
from ctct.prediction.bids_layout import check_data_set, work_folder, write_derivatives
from ctct.prediction.merge import Merged, merge_results
from ctct.prediction.mirror import Mirror, UploadingObserver
from ctct.prediction.pipeline import Observer
from ctct.prediction.run_manifest import read_manifests


@dataclass(frozen=True)
class Output:
    """The output of ``ctct predict``; as a context, it is completed where no error was raised.

    Attributes:
        out: what the user gave.
        layout: of the files.
        is_shard: whether the run is a share of an index, which ``ctct report`` completes.
        mirror: of results in object storage, in place of which ``out`` is a folder on the disk.
    """

    out: Path
    layout: Layout = "ctct"
    is_shard: bool = False
    mirror: Mirror | None = None

    @classmethod
    def at(cls, place: str | Path, layout: Layout = "ctct", is_shard: bool = False) -> Self:
        """The output at a path or a URL; earlier results at a URL are fetched."""
        if not is_url(place):
            return cls(Path(place), layout, is_shard)
        mirror = Mirror(str(place))
        mirror.fetch()
        return cls(mirror.folder, layout, is_shard, mirror)

    def __post_init__(self) -> None:
        if self.layout not in get_args(Layout):
            choices = ", ".join(get_args(Layout))
            raise ConfigError(f"--layout {self.layout}: choose one of {choices}")
        if self.layout == "bids":
            check_data_set(self.out)

    @property
    def folder(self) -> Path:
        """The folder of the results in the layout of ctct."""
        return work_folder(self.out) if self.layout == "bids" else self.out

    def watch(self, observer: Observer | None) -> Observer | None:
        """The observer; one that also uploads the results of each case where they go to a URL."""
        if self.mirror is None:
            return observer
        return UploadingObserver(observer or Observer(), self.mirror, self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None and self.layout == "bids" and not self.is_shard:
            write_derivatives([self.folder], self.folder, self.out)
        if self.mirror and (kind is None or issubclass(kind, StoppedError)):
            self.mirror.upload_all()


def report_results(
    results: Sequence[str | Path],
    out: str | Path | None = None,
    layout: Layout = "ctct",
    parquet: bool = False,
) -> tuple[Merged, str | Path]:
    """Write the tables, the report and, if asked for, the derivatives of folders of results.

    Args:
        results: folders of ``ctct predict``, or their URLs.
        out: where tables and report go; the only folder where left out.
        layout: of the files.
        parquet: write each table as Parquet too.

    Returns:
        What was found, and where the tables are.

    Raises:
        ConfigError: ``out`` is missing, or one of :func:`merge_results`.
        OutputError: a file cannot be written or uploaded.
    """
    if out is None and len(results) > 1:
        raise ConfigError("give -o, the folder for the tables and the report of all")
    sources = {place: Output.at(place) for place in results}
    target = sources.get(results[0] if out is None else out)
    target = target or Output.at(out or results[0])
    data_sets = [s for s in sources.values() if _is_data_set(s.out)]
    folders = [work_folder(s.out) if s in data_sets else s.out for s in sources.values()]
    if layout == "bids":
        if out is None and not data_sets:
            raise ConfigError(f"{results[0]}: no BIDS data set of ctct; give -o, a folder for one")
        check_data_set(target.out)
        tables = work_folder(target.out)
    else:
        tables = folders[0] if out is None else target.out
    merged = merge_results(folders, tables, parquet)
    if layout == "bids":
        write_derivatives(folders, tables, target.out)
    if target.mirror:
        target.mirror.upload_all()
    return merged, out or results[0]


def _is_data_set(folder: Path) -> bool:
    return not read_manifests(folder) and work_folder(folder).is_dir()
