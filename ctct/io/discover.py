"""Finding the scans among files and folders, and giving every case a name of its own."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ctct.errors import InputError
from ctct.io.dicom.files import is_zip
from ctct.io.dicom.series import Series, study_of
from ctct.io.nifti import ENDINGS, ITK_ENDINGS, case_name
from ctct.io.survey import survey

log = logging.getLogger(__name__)

#: Bytes of a case's name: file systems allow 255, of which ``_seg.nii.gz`` takes 11.
MAX_NAME_BYTES = 244
#: What cannot be printed: control characters, and bytes of a file name that are not UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_NO_CINE = (
    "none of the DICOM series (%d) is a short-axis cine; ctct info PATH says why of each, "
    "ctct predict --series UID takes any"
)


@dataclass(frozen=True)
class Case:
    """A scan to segment: where it is and the stem its results are written under.

    Attributes:
        path: the file; of DICOM the folder or zip, of a NIfTI file a slice the folder.
        name: unique among the cases of a run.
        series: which of the DICOM series there; None for other scans.
        slices: the NIfTI files of the slices; empty for other scans.
    """

    path: Path
    name: str
    series: Series | None = None
    slices: tuple[Path, ...] = ()

    @property
    def identity(self) -> str:
        """What tells a case from all others on this machine; the UID of a series is hashed."""
        within = f"#{self.series.digest}" if self.series else ""
        within += f"#{self.slices[0].name}" if self.slices else ""
        return str(self.path.absolute()) + within


def discover(
    inputs: Sequence[str | Path], uids: Sequence[str] = ()
) -> tuple[list[Case], list[Path]]:
    """All scans among ``inputs``: files as they are, folders searched recursively.

    Of DICOM, the short-axis cine of each study in a folder or zip; of NIfTI files of one slice that
    lie side by side in a folder, their stack.

    Args:
        inputs: NIfTI, MetaImage or NRRD files, DICOM files, zips of these, folders.
        uids: SeriesInstanceUIDs to take in place of what looks like a short-axis cine.

    Returns:
        The cases, in sorted order with unique names, and the label maps passed over.

    Raises:
        InputError: an input does not exist, there is no scan in any of them, or no such series.
        RuntimeUnavailableError: what reads all that is there is not installed.
    """
    found = survey(inputs)
    taken = [s for s, why in zip(found.series, found.reasons, strict=True) if not why]
    if uids:
        wished = (_series_of(uid, found.series) for uid in uids)
        taken = list({one.digest: one for one in wished}.values())
    where = ", ".join(map(str, inputs))
    others = [*found.files, *found.stacks]
    if not others and not found.series:
        expected = ", ".join(ENDINGS + ITK_ENDINGS)
        raise InputError(f"{where}: no scan found; expected files ending in {expected}, or DICOM")
    if not others and not taken:
        raise InputError(f"{where}: {_NO_CINE % len(found.series)}")
    if not uids:
        studies: dict[object, list[Series]] = defaultdict(list)
        for one in found.series:
            studies[study_of(one.first)].append(one)
        for study in studies.keys() - {study_of(one.first) for one in taken}:
            log.warning("%s: %s", studies[study][0].path, _NO_CINE % len(studies[study]))
    scans = [(path, Case(path, "")) for path in found.files]  # what it is named after, and the case
    scans += [
        (_folder_of(stack, found.stacks), Case(stack[0].parent, "", slices=stack))
        for stack in found.stacks
    ]
    scans += [(_label(one, taken), Case(one.path, "", one)) for one in taken]
    scans = [(Path(os.path.abspath(label)), case) for label, case in scans]
    scans.sort(key=lambda scan: (scan[0], scan[1].identity))
    names = _names([label for label, _ in scans], [case.identity for _, case in scans])
    cases = [replace(case, name=name) for (_, case), name in zip(scans, names, strict=True)]
    return cases, found.labels


def _series_of(uid: str, series: Sequence[Series]) -> Series:
    """The series of that UID; of parts that differ in geometry the largest."""
    matching = [one for one in series if uid in one.uids]
    if not matching:
        raise InputError(f"--series {uid}: not there; ctct info PATH lists the series")
    return max(matching, key=lambda one: len(one.images))


def _label(series: Series, others: Sequence[Series]) -> Path:
    """A path that a series is named after: its folder or zip; if need be with more."""
    path = Path(os.path.abspath(series.path))
    if not path.name:  # the root of the file system
        path = path / "dicom"
    numbers = [one.first.number for one in others if one.path == series.path]
    if len(numbers) == 1:
        return path
    own = series.first.number
    more = f"series{own}" if numbers.count(own) == 1 else series.digest[:8]
    suffix = path.suffix if series.first.file.member else ""
    return path.with_name(f"{path.name.removesuffix(suffix)}_{more}{suffix}")


def _folder_of(stack: tuple[Path, ...], others: Sequence[tuple[Path, ...]]) -> Path:
    """A path that slices are named after: their folder, if need be with the first one's name."""
    folder = Path(os.path.abspath(stack[0].parent))
    alone = sum(other[0].parent == stack[0].parent for other in others) == 1
    return folder if alone else folder.with_name(f"{folder.name}_{case_name(stack[0])}")


def _names(paths: Sequence[Path], identities: Sequence[str]) -> list[str]:
    """The stem of each path; in folders that share a stem with another, preceded by the folder's.

    As many parent folders are put in front as tell them apart, the same for every file of a folder,
    so that the frames of a patient keep a common beginning.
    """
    folders = [Path(os.path.abspath(path)).parent for path in paths]
    twins = Counter((folder, _stem(p)) for p, folder in zip(paths, folders, strict=True))
    stems = [  # x.nii beside x.nii.gz keep their endings
        _stem(p) if twins[folder, _stem(p)] == 1 else p.name.replace(".", "_")
        for p, folder in zip(paths, folders, strict=True)
    ]
    depth = dict.fromkeys(folders, 0)
    while True:
        names = [
            "_".join([*folder.parts[len(folder.parts) - depth[folder] :], stem])
            for stem, folder in zip(stems, folders, strict=True)
        ]
        count = Counter(names)
        clashing = {
            folder
            for name, folder in zip(names, folders, strict=True)
            if count[name] > 1 and depth[folder] < len(folder.parts) - 1
        }
        if not clashing:
            return _usable(names, identities)
        for folder in clashing:
            depth[folder] += 1


def _stem(path: Path) -> str:
    return path.stem if is_zip(path) else case_name(path)


def _usable(names: Sequence[str], identities: Sequence[str]) -> list[str]:
    """Names that a file can have and a table can show, each with one case only.

    One that is too long, holds what cannot be printed, or is still another's too ends in a digest
    of the case's identity instead.
    """
    printable = [_UNPRINTABLE.sub("_", name) for name in names]
    count = Counter(printable)
    return [
        name
        if name == shown and count[name] == 1 and len(name.encode()) <= MAX_NAME_BYTES
        else _with_digest(shown, identity)
        for name, shown, identity in zip(names, printable, identities, strict=True)
    ]


def _with_digest(name: str, identity: str) -> str:
    ending = "_" + hashlib.sha256(os.fsencode(identity)).hexdigest()[:12]
    cut = name.encode()[: MAX_NAME_BYTES - len(ending)].decode(errors="ignore")
    return cut + ending
