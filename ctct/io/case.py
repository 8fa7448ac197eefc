"""A scan to segment, and the name its results are written under."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctct.io.dicom.files import is_zip
from ctct.io.dicom.series import Series
from ctct.io.files import case_name

#: Bytes of a case's name: file systems allow 255, of which ``_seg.nii.gz`` takes 11.
MAX_NAME_BYTES = 244
#: What cannot be printed: control characters, and bytes of a file name that are not UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


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


def case_names(paths: Sequence[Path], identities: Sequence[str]) -> list[str]:
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
