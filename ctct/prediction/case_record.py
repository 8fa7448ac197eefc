"""``quality/CASE.json``: all that tables and report need of a case, so that nothing is read again.

A record is written twice. With status "writing" it holds everything, and says which label map
follows; it becomes "done" once the label map is in its place. So whenever a run is killed, a label
map without its record is one that somebody else put there.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic_core import from_json

from ctct.cases.case import Case
from ctct.io.patient_info import PatientInfo
from ctct.io.study import Study
from ctct.measurement.papillary import LABELS
from ctct.measurement.quality_flags import Flag
from ctct.measurement.volumes import FrameVolumes
from ctct.prediction.case_result import CaseResult
from ctct.prediction.patients import HeaderInfo
from ctct.prediction.quality_record import CaseIndicators, decode_indicators, indicators_path
from ctct.prediction.run_manifest import DONE, FAILED, CaseStatus
from ctct.prediction.scan_record import ScanRecord
from ctct.prediction.single_frame import SingleFrame
from ctct.storage import prepare_folder, strict_json, write_atomic

log = logging.getLogger(__name__)

WRITING = "writing"


@dataclass(frozen=True)
class LabelMapStamp:
    """A label map as it was when it was measured.

    Attributes:
        bytes: its size.
        mtime_ns: when it was written.
        sha256: hash of its content.
    """

    bytes: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """The stamp of a file.

        Raises:
            OSError: it cannot be read.
        """
        found = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return cls(found.st_size, found.st_mtime_ns, digest)

    def is_of(self, path: Path) -> bool:
        """Whether the file is the same; its content is read only where its time has changed."""
        try:
            found = path.stat()
            if found.st_size != self.bytes:
                return False
            return found.st_mtime_ns == self.mtime_ns or self.of(path).sha256 == self.sha256
        except OSError:
            return False


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a scan lie.

    Attributes:
        shape: frames, slices, rows, columns.
        spacing_mm: of rows and columns.
        slice_spacing_mm: of slices.
        affine: voxel to mm, 4 rows of 4.
    """

    shape: tuple[int, int, int, int]
    spacing_mm: tuple[float, float]
    slice_spacing_mm: float
    affine: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, study: Study) -> Self:
        """The grid of a study."""
        rows = tuple(tuple(map(float, row)) for row in study.affine)
        shape = study.voxels.shape
        return cls(
            (shape[0], shape[1], shape[2], shape[3]),
            (float(study.spacing_mm[0]), float(study.spacing_mm[1])),
            float(study.slice_spacing_mm),
            rows,
        )

    def as_study(self, name: str) -> Study:
        """A study on this grid, without intensities."""
        voxels = np.broadcast_to(np.float32(0), self.shape)
        affine = np.array(self.affine, float)
        return Study(name, voxels, self.spacing_mm, self.slice_spacing_mm, affine)


@dataclass(frozen=True)
class CaseRecord:
    """What is stored of a case.

    Attributes:
        case: its name.
        path: the scan.
        patient: name of the patient in tables.
        number: number of the frame in the name of its file; None for any other scan.
        phase: "ED" or "ES" where the name of the file says so.
        status: "done", "failed", or "writing" until the label map is in its place; "" in a record
            of an earlier version, which holds neither volumes nor the patient.
        reason: why it failed.
        settings: how the label map was made; None where that is not known.
        versions: of ctct and of the libraries that matter.
        scan: the scan as it was.
        label_map_sha256: hash of the label map as ctct wrote it.
        measured: the label map that ``volumes_ml`` are of, which may have been corrected since.
        slices: number of slices.
        mean_disagreement: mean over the voxels labelled as a structure, 0…1.
        unreadable: files of the scan that are missing or cannot be read.
        header: what the scan, or a file beside it, says of the patient.
        identifiers: of the patient and the study in the DICOM header; empty unless requested.
        given: ED and ES as they were given, None where they were found.
        papillary: what papillary muscles count with in ``volumes_ml``.
        grid: where the voxels lie.
        drawn: whether the wall thickness was measured and the pictures were drawn.
        volumes_ml: structure to volume, of each frame.
        walls_mm: number of a frame to the wall thickness of its 16 segments.
        indicators: quality indicators; None where they are not known.
        motion: flags of frames that hardly show one heart, or one that contracts.
        single_frame: of a file of a single frame, what is compared with the patient's others.
    """

    case: str
    path: str
    patient: str
    number: int | None = None
    phase: str = ""
    status: str = FAILED
    reason: str = ""
    settings: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    scan: ScanRecord | None = None
    label_map_sha256: str = ""
    measured: LabelMapStamp | None = None
    slices: int = 0
    mean_disagreement: float | None = None
    unreadable: tuple[str, ...] = ()
    header: HeaderInfo = field(default_factory=HeaderInfo)
    identifiers: Mapping[str, str] = field(default_factory=dict)
    given: tuple[int | None, int | None] = (None, None)
    papillary: str = LABELS
    grid: Grid | None = None
    drawn: bool = False
    volumes_ml: tuple[Mapping[str, float], ...] = ()
    walls_mm: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    indicators: CaseIndicators | None = None
    motion: tuple[Flag, ...] = ()
    single_frame: SingleFrame | None = None

    @property
    def frames(self) -> list[FrameVolumes]:
        """Volumes of each frame."""
        return [FrameVolumes(self.case, n, dict(ml)) for n, ml in enumerate(self.volumes_ml)]

    @property
    def is_measured(self) -> bool:
        """Whether tables can be made of it."""
        return self.status == DONE and bool(self.volumes_ml)

    @property
    def order(self) -> tuple[tuple[str, ...], str]:
        """The order of scans in tables: by their paths."""
        place = self.scan.place if self.scan else self.path
        return Path(place).parts, self.case

    def was_written_to(self, path: Path) -> bool:
        """Whether a label map is the one that ctct wrote with this record."""
        if self.measured and self.measured.is_of(path):
            return self.measured.sha256 == self.label_map_sha256
        return hashlib.sha256(path.read_bytes()).hexdigest() == self.label_map_sha256


def record_of(case: Case, case_status: CaseStatus, **more: Any) -> CaseRecord:
    """The record of a case with what is known before it is measured."""
    return CaseRecord(
        case=case.name,
        path=case.where,
        patient=case.patient,
        number=case.number,
        phase=case.phase,
        reason=case_status.reason,
        mean_disagreement=case_status.mean_disagreement,
        scan=ScanRecord(**case_status.scan) if case_status.scan else None,
        unreadable=tuple(case_status.unreadable),
        **more,
    )


def with_result(record: CaseRecord, result: CaseResult) -> CaseRecord:
    """The record with what was measured."""
    shape = result.study.voxels.shape
    return replace(
        record,
        slices=shape[0] * shape[1],
        grid=Grid.of(result.study),
        volumes_ml=tuple(frame.volume_ml for frame in result.frames),
        indicators=result.indicators,
        motion=result.motion,
        single_frame=_single_frame(record, result),
    )


def _single_frame(record: CaseRecord, result: CaseResult) -> SingleFrame | None:
    if record.number is None and not record.phase:
        return None
    voxels = result.study.voxels[0] if result.has_image else None
    return SingleFrame.of(result.labels[0], voxels)


def write_record(folder: Path, record: CaseRecord) -> None:
    """Write ``quality/CASE.json``, forced to the disk.

    Raises:
        OutputError: it cannot be written.
    """
    path = indicators_path(folder, record.case)
    content = asdict(replace(record, single_frame=None))
    content["single_frame"] = record.single_frame and record.single_frame.to_json()
    indicators = content.pop("indicators") or {}
    if not path.parent.is_dir():
        prepare_folder(path.parent)
    write_atomic(path, strict_json({**content, **indicators}))


def read_record(folder: Path, case: str) -> CaseRecord | None:
    """The record of a case; None where there is none, or none that can be read."""
    return load_record(indicators_path(folder, case))


def load_record(path: Path) -> CaseRecord | None:
    """The record in a file; None where there is none, or none that can be read."""
    try:
        content = from_json(path.read_bytes())
        if not isinstance(content, dict):
            return None
        values = {name: content[name] for name in _PLAIN if name in content}
        return CaseRecord(
            **{"case": path.name.removesuffix(".json"), "path": "", "patient": "", "status": ""}
            | values,
            scan=_decode(ScanRecord, content.get("scan")),
            measured=_decode(LabelMapStamp, content.get("measured")),
            unreadable=tuple(content.get("unreadable", ())),
            header=_decode_header(content.get("header")),
            given=tuple(content.get("given", (None, None))),
            grid=_decode_grid(content.get("grid")),
            volumes_ml=tuple(_with_nan(ml) for ml in content.get("volumes_ml", ())),
            walls_mm={
                int(frame): tuple(_nan(mm) for mm in wall)
                for frame, wall in content.get("walls_mm", {}).items()
            },
            indicators=decode_indicators(content),
            motion=tuple(Flag(**flag) for flag in content.get("motion", ())),
            single_frame=_decode_single_frame(content.get("single_frame")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.debug("%s: %s", path, error)
        return None


_DECODED = {
    *("scan", "measured", "unreadable", "header", "given", "grid", "volumes_ml", "walls_mm"),
    *("indicators", "motion", "single_frame"),
}
_PLAIN = [f.name for f in fields(CaseRecord) if f.name not in _DECODED]


def _decode(kind: Any, content: Any) -> Any:
    return kind(**content) if content else None


def _decode_header(content: Any) -> HeaderInfo:
    if not content:
        return HeaderInfo()
    return HeaderInfo(PatientInfo(**content["info"]), content["source"])


def _decode_single_frame(content: Any) -> SingleFrame | None:
    return SingleFrame.from_json(content) if content else None


def _decode_grid(content: Any) -> Grid | None:
    if not content:
        return None
    row_mm, column_mm = map(_nan, content["spacing_mm"])
    return Grid(
        tuple(content["shape"]),
        (row_mm, column_mm),
        _nan(content["slice_spacing_mm"]),
        tuple(tuple(_nan(v) for v in row) for row in content["affine"]),
    )


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _with_nan(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: _nan(value) for name, value in values.items()}


def record_names(folder: Path) -> list[str]:
    """The names of all cases with a record in a folder of results."""
    quality = indicators_path(folder, "x").parent
    if not quality.is_dir():
        return []
    return sorted(p.name.removesuffix(".json") for p in quality.iterdir() if _is_record(p))


def _is_record(path: Path) -> bool:
    return path.suffix == ".json" and not path.name.startswith(".")


def sort_frames(records: Sequence[CaseRecord]) -> list[CaseRecord]:
    """The scans of a patient by the number of the frame; ED comes before ES."""
    return sorted(records, key=lambda record: (record.number or 0, record.phase))
