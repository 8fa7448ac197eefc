"""What :meth:`ctct.Model.segment` returns."""

from __future__ import annotations

import base64
import gzip
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import numpy.typing as npt
from markupsafe import escape

from ctct.api.arguments import as_path
from ctct.choices import LabelOrder
from ctct.errors import InputError
from ctct.io.files import ENDINGS
from ctct.io.study import Study
from ctct.measurement.quality_flags import Judgement
from ctct.measurement.volumes import Measurements
from ctct.prediction.case_result import CaseResult
from ctct.prediction.patient_result import add_phases, join_cases
from ctct.storage import prepare_folder, write_atomic

if TYPE_CHECKING:
    from rich.table import Table


class Result:
    """The label map of one scan and everything measured on it.

    Results come from :meth:`ctct.Model.segment`; there is no need to make one.

    >>> import ctct
    >>> result = ctct.load_model().segment(ctct.sample_study(frames=2, slices=5))
    >>> result.labels.shape  # frames, slices, rows, columns
    (2, 5, 256, 216)
    >>> sorted(result.indices)[:3]
    ['LVEDV (mL)', 'LVEF (%)', 'LVESV (mL)']
    >>> result.quality.verdict in ("ok", "review", "reject")
    True
    """

    def __init__(self, case: CaseResult) -> None:
        self._case = case

    @property
    def name(self) -> str:
        """Name of the scan."""
        return self._case.name

    @property
    def study(self) -> Study:
        """The scan: ``study.voxels`` (T, Z, H, W), its spacing in millimeters and its affine."""
        return self._case.study

    @property
    def labels(self) -> npt.NDArray[np.uint8]:
        """(T, Z, H, W) label map: 0 background, 1 RV, 2 MYO, 3 LV."""
        return self._case.labels

    @property
    def disagreement(self) -> npt.NDArray[np.float16] | None:
        """(T, Z, H, W), 0…1: half the L1 distance between the networks' class probabilities.

        NaN for a single network.
        """
        return self._case.disagreement

    @property
    def measurements(self) -> Measurements:
        """Volumes of every frame (mL), ED, ES and the warnings about them."""
        return self._case.measurements

    @property
    def indices(self) -> dict[str, float]:
        """EDV, ESV, SV (mL) and EF (%) of LV and RV, LV mass (g); the unit is in the key.

        Empty for a single frame, which has no ED and ES.
        """
        return dict(self.measurements.indices)

    @property
    def ed(self) -> int | None:
        """Number of the end-diastolic frame, from 0; None for a single frame."""
        return self.measurements.ed

    @property
    def es(self) -> int | None:
        """Number of the end-systolic frame, from 0; None for a single frame."""
        return self.measurements.es

    @property
    def quality(self) -> Judgement:
        """``verdict`` ("ok", "review" or "reject"), ``score`` and ``flags``, the reasons.

        And ``predicted_dice``: structure to the Dice that it probably has.
        """
        return self._case.judgement

    def save(self, path: str | Path, label_order: LabelOrder = "acdc") -> Path:
        """Write the label map as NIfTI, in the geometry of the scan.

        Args:
            path: ends in ``.nii.gz`` or ``.nii``; missing folders are made.
            label_order: numbering of the structures, see :data:`ctct.labels.ORDERS`.

        Returns:
            The path written.

        Raises:
            InputError: the ending or the label order is unknown.
            OutputError: the file cannot be written.
        """
        path = as_path(path, "path")
        if not path.name.lower().endswith(ENDINGS):
            raise InputError(
                f"{path}: a label map is NIfTI; end its name in {' or '.join(ENDINGS)}"
            )
        content = self._case.encode_labels(label_order)
        if path.suffix.lower() != ".gz":
            content = gzip.decompress(content)
        prepare_folder(path.parent)
        write_atomic(path, content)
        return path

    def to_nibabel(self) -> nib.Nifti1Image:
        """The label map as a nibabel image, in the geometry and axis order of the scan."""
        content = gzip.decompress(self._case.encode_labels())
        # A header of NIfTI-2 has 540 bytes, and begins with that number in its own byte order.
        sizes = (int.from_bytes(content[:4], order) for order in ("little", "big"))
        return (nib.Nifti2Image if 540 in sizes else nib.Nifti1Image).from_bytes(content)

    def report(self, path: str | Path) -> Path:
        """Write the HTML report of the scan: verdict, contours, volume curve, bull's-eye, ranges.

        Returns:
            The path written.

        Raises:
            OutputError: the file cannot be written.
        """
        from importlib.metadata import version

        from ctct.report.report_page import cohort_html

        path = as_path(path, "path")
        patient = add_phases(join_cases([self._case]), [self._case])
        prepare_folder(path.parent)
        write_atomic(path, cohort_html([patient], {"ctct": version("ctct")}))
        return path

    @cached_property
    def _contours_png(self) -> bytes:
        return self._case.draw_contours()

    def _rows(self) -> list[tuple[str, str]]:
        if not self.indices:
            volumes = self.measurements.frames[0].volume_ml
            return [(f"{structure} (mL)", f"{ml:.1f}") for structure, ml in volumes.items()]
        return [
            (name, f"{value:.1f}" if "(" in name else f"{value:.2f}")  # ratios have no unit
            for name, value in self.indices.items()
        ]

    def __repr__(self) -> str:
        frames, slices, rows, columns = self.labels.shape
        numbers = ", ".join(f"{name} {value}" for name, value in self._rows()[:4])
        counts = f"{_count(frames, 'frame')}, {_count(slices, 'slice')}"
        return (
            f"Result({self.name!r}: {counts} of {rows}×{columns}; "
            f"{numbers}; {self.quality.verdict})"
        )

    def __rich__(self) -> Table:
        from rich.markup import escape as escape_markup
        from rich.table import Table

        table = Table(title=escape_markup(f"{self.name}: {self.quality.verdict}"))
        table.add_column("index")
        table.add_column("value", justify="right")
        for name, value in self._rows():
            table.add_row(name, value)
        for flag in self.quality.flags:
            table.add_row(flag.level, escape_markup(flag.reason))
        return table

    def _repr_html_(self) -> str:
        """The contours at ED and ES and the indices, for notebooks."""
        picture = base64.b64encode(self._contours_png).decode()
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{value}</td></tr>" for name, value in self._rows()
        )
        flags = "".join(
            f"<li>{flag.level}: {escape(flag.reason)}</li>" for flag in self.quality.flags
        )
        return (
            f"<p><b>{escape(self.name)}</b>: {self.quality.verdict}</p><ul>{flags}</ul>"
            f'<img alt="contours at ED and ES, base to apex" src="data:image/png;base64,{picture}">'
            f"<table>{rows}</table>"
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
