"""The kinds of DICOM objects that results are written as."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec

from ctct.io.dicom.segmentation import SEG, SEG_CINE

SR, PDF, SC = "sr", "pdf", "sc"
#: Each kind, and the packages that it needs besides pydicom.
FORMATS: Mapping[str, tuple[str, ...]] = {
    SEG: ("highdicom",),
    SEG_CINE: ("highdicom",),
    SR: ("highdicom",),
    PDF: ("fpdf",),
    SC: (),
}
#: Former names.
ALIASES: Mapping[str, str] = {"dicom-seg": SEG}
#: Names of packages in an index, where they differ.
_PROJECTS = {"fpdf": "fpdf2"}


def missing_packages(formats: Iterable[str]) -> list[str]:
    """The packages that are not installed and that some of the formats need."""
    needed = dict.fromkeys(p for name in formats for p in ("pydicom", *FORMATS[name]))
    return [_PROJECTS.get(name, name) for name in needed if find_spec(name) is None]


def folder_of(name: str) -> str:
    """The folder of the objects of a format, below that of the results."""
    return f"dicom-{name}"


def first_file(name: str, case: str) -> str:
    """The path of the only file of a format, or that of the first frame, below the results.

    Args:
        name: of the format.
        case: name of the case.
    """
    return f"{folder_of(name)}/{case}{'_01' if name == SEG else ''}.dcm"
