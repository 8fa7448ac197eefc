"""Which files of a folder hold the corrected labels of which case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctct.errors import InputError
from ctct.io.segment_nrrd import SEGMENTATION, SEQUENCE

DICOM = ".dcm"
ENDINGS = (".nii.gz", ".nii", SEGMENTATION, SEQUENCE, ".nrrd", DICOM)
#: A frame, from 1, at the end of a name, as ``ctct predict`` numbers the files of a cine.
_FRAME = re.compile(r"_(\d{2,})$")
_MAX_SHOWN = 3


@dataclass(frozen=True)
class EditedFile:
    """A file with corrected labels.

    Attributes:
        path: the file.
        frame: number of the frame it holds, from 0; None where it holds all.
        part: number of the file's frame that is the case, from 0, and how many frames it holds, in
            a file of all scans of a patient, a frame each; None in any other.
    """

    path: Path
    frame: int | None = None
    part: tuple[int, int] | None = None


def find_edited(
    folder: Path, cases: Iterable[str], patients: Mapping[str, Sequence[str]] | None = None
) -> tuple[dict[str, list[EditedFile]], dict[Path, str]]:
    """The corrected files of each case, by their names.

    They are called ``CASE`` or ``CASE_seg``, and where a file holds one frame of a cine,
    ``CASE_01`` and so on, whatever folder below ``folder`` they lie in. A file ``PATIENT`` or
    ``PATIENT_seg`` holds ED and ES that are scans of their own, as the demo saves them.

    Args:
        folder: searched recursively.
        cases: names of all cases.
        patients: name of a patient to the scans that are a frame each, in order.

    Returns:
        Case to files; and for each file that belongs to no case, the reason.

    Raises:
        InputError: there is no such folder, or no file in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; put the corrected label maps there")
    names = set(cases)
    found: dict[str, list[EditedFile]] = {}
    problems: dict[Path, str] = {}
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and _stem(p) is not None)
    if not paths:
        raise InputError(f"{folder}: holds no label map; expected CASE_seg{', CASE'.join(ENDINGS)}")
    for path in paths:
        if match := match_name(path, names):
            case, frame = match
            found.setdefault(case, []).append(EditedFile(path, frame))
        elif patient := match_name(path, set(patients or {})):
            scans = (patients or {})[patient[0]]
            for n, case in enumerate(scans):
                found.setdefault(case, []).append(EditedFile(path, part=(n, len(scans))))
        else:
            shown = ", ".join(sorted(names)[:_MAX_SHOWN])
            problems[path] = f"{path}: its name is that of no case; the cases are {shown}" + (
                f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
            )
    return found, problems


def _stem(path: Path) -> str | None:
    """The name without the ending of a label map; None for any other file."""
    if path.name.startswith("."):
        return None
    lower = path.name.lower()
    return next((path.name[: -len(e)] for e in ENDINGS if lower.endswith(e)), None)


def match_name(path: Path, names: set[str]) -> tuple[str, int | None] | None:
    """The case that a file is called after and the frame in its name; None for any other file."""
    stem = _stem(path) or ""
    for candidate in (stem, stem.removesuffix("_seg")):
        if candidate in names:
            return candidate, None
    for candidate in (stem, stem.removesuffix("_seg")):
        number = _FRAME.search(candidate)
        if number and int(number[1]) > 0 and candidate[: number.start()] in names:
            return candidate[: number.start()], int(number[1]) - 1
    return None


def check_no_rivals(case: str, files: Iterable[EditedFile]) -> None:
    """Check that no frame of a case is in two files.

    Raises:
        InputError: two files hold the same frame, as of two editors.
    """
    seen: list[EditedFile] = []
    for file in files:
        for other in seen:
            if file.frame is None or other.frame in (None, file.frame):
                frame = other.frame if file.frame is None else file.frame
                what = "the labels" if frame is None else f"frame {frame}"
                raise InputError(
                    f"{file.path} and {other.path} both hold {what} of {case}; keep one of them"
                )
        seen.append(file)
