"""A scan to segment, the name of its results and the patient that it belongs to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ctct.cases.index_row import IndexRow
from ctct.io.dicom.series import Series
from ctct.io.files import ITK_ENDINGS
from ctct.io.itk_files import find_files
from ctct.io.patient_info import parse_name
from ctct.io.remote import is_url

#: Longest name of a case in bytes: file systems allow 255, and ``_seg.nii.gz`` takes 11.
MAX_NAME_BYTES = 244


@dataclass(frozen=True)
class Case:
    """A scan to segment: its place, the stem of its results, and whose it is.

    Attributes:
        path: the file; for DICOM the folder or zip, for one NIfTI file per slice the folder.
        name: unique among the cases of a run.
        series: the DICOM series in ``path``; None for other scans.
        slices: the NIfTI files of the slices; empty for other scans.
        patient: name of the patient in tables; unique, and the same for all frames of a patient.
            That in ``name`` where left out.
        number: number of the frame in the name of its file; None for any other scan.
        phase: "ED" or "ES" where the name of the file says so.
        row: what an index tells of the scan, whose headers are not read before they are needed;
            see :func:`ctct.cases.survey.load_case`.
        origin: of a copy of a scan in object storage, what was listed there.
    """

    path: Path
    name: str
    series: Series | None = None
    slices: tuple[Path, ...] = ()
    patient: str = ""
    number: int | None = None
    phase: str = ""
    row: IndexRow | None = None
    origin: IndexRow | None = None

    def __post_init__(self) -> None:
        if self.patient:
            return
        parts = parse_name(self.name)
        is_frame = parts.is_frame and bool(parts.patient) and self.series is None
        object.__setattr__(self, "patient", parts.patient if is_frame else self.name)
        if is_frame:
            object.__setattr__(self, "number", parts.number)
            object.__setattr__(self, "phase", parts.phase)

    @property
    def is_frame(self) -> bool:
        """Whether the name of the file says that it holds one frame of a cycle."""
        return self.number is not None or bool(self.phase)

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Files of the scan that are missing or cannot be read."""
        return self.series.unreadable if self.series else ()

    @property
    def where(self) -> str:
        """The path, or the URL in object storage."""
        row = self.row or self.origin
        return row.path if row and is_url(row.path) else str(self.path)

    @property
    def identity(self) -> str:
        """Distinguishes the case from all others on this machine; holds no UID in plain text."""
        if row := self.row or self.origin:
            return row.place
        within = f"#{self.series.digest}" if self.series else ""
        within += f"#{self.slices[0].name}" if self.slices else ""
        return os.path.abspath(self.path) + within

    @property
    def files(self) -> list[Path]:
        """The files that hold the scan, sorted; a zip is one."""
        if self.series:
            return sorted({image.file.path for image in self.series.images})
        if self.path.name.lower().endswith(ITK_ENDINGS):
            return find_files(self.path)
        return sorted(self.slices) or [self.path]
