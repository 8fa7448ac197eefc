"""Which phase a DICOM segmentation is of, by the images that it refers to."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from ctct.correction.edited_files import DICOM, EditedFile, match_name
from ctct.io.dicom.suppress_warnings import suppress_pydicom_warnings

log = logging.getLogger(__name__)

#: An image: SOPInstanceUID, and the number of the frame from 1, 0 in a file of one frame.
Reference = tuple[str, int]
#: Share of the images of a segmentation that must be those of the phase.
_MIN_SHARE = 0.5


def match_references(
    paths: Iterable[Path], automatic: Path, cases: Iterable[str]
) -> dict[Path, tuple[str, EditedFile]]:
    """Case and frame of segmentations that viewers saved under names of their own.

    Args:
        paths: files, of which those that are no DICOM are left out.
        automatic: folder of the segmentations that ``ctct predict`` wrote, which refer to the same
            images.
        cases: names of all cases.

    Returns:
        Path to case and file, of those that refer to the images of one phase, or to those of one
        cine.
    """
    unknown = [path for path in paths if path.name.lower().endswith(DICOM)]
    if not unknown or not automatic.is_dir() or find_spec("pydicom") is None:
        return {}
    names = set(cases)
    phases: dict[Reference, tuple[str, int]] = {}
    for path in sorted(automatic.glob(f"*{DICOM}")):
        if (match := match_name(path, names)) and match[1] is not None:
            phases |= dict.fromkeys(_read_references(path), (match[0], match[1]))
    found = {}
    for path in unknown:
        references = _read_references(path)
        of_phase = [phases[reference] for reference in references if reference in phases]
        own = {case for case, _ in of_phase}
        if len(own) == 1 and len(of_phase) >= _MIN_SHARE * len(references):
            frames = {frame for _, frame in of_phase}
            frame = frames.pop() if len(frames) == 1 else None  # of the cine
            found[path] = own.pop(), EditedFile(path, frame)
    return found


def _read_references(path: Path) -> set[Reference]:
    """The images that the frames of a segmentation are of; empty where it names none."""
    from pydicom import dcmread

    found: set[Reference] = set()
    try:
        with suppress_pydicom_warnings:
            dataset = dcmread(path, stop_before_pixels=True)
            for frame in dataset.PerFrameFunctionalGroupsSequence:
                for derivation in frame.get("DerivationImageSequence", ()):
                    for source in derivation.get("SourceImageSequence", ()):
                        number = source.get("ReferencedFrameNumber") or 0
                        numbers = [number] if isinstance(number, int) else number
                        uid = str(source.ReferencedSOPInstanceUID)
                        found |= {(uid, int(n)) for n in numbers}
    except Exception as error:  # damage can make pydicom raise any exception; reading says why
        log.debug("%s: %s", path, error)
        return set()
    return found
