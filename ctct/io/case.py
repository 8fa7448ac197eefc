"""A scan to segment, and the name of its results."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category

from ctct.io.dicom.files import is_zip
from ctct.io.dicom.series import Series
from ctct.io.files import case_name

#: Longest name of a case in bytes: file systems allow 255, and ``_seg.nii.gz`` takes 11.
MAX_NAME_BYTES = 244
#: Unicode categories of characters that cannot be printed: control characters, line ends, bytes of
#: a file name that are not UTF-8, and invisible characters, some of which reorder the text.
_UNPRINTABLE = {"Cc", "Zl", "Zp", "Cs", "Cf"}


@dataclass(frozen=True)
class Case:
    """A scan to segment: its place and the stem of its results.

    Attributes:
        path: the file; for DICOM the folder or zip, for one NIfTI file per slice the folder.
        name: unique among the cases of a run.
        series: the DICOM series in ``path``; None for other scans.
        slices: the NIfTI files of the slices; empty for other scans.
    """

    path: Path
    name: str
    series: Series | None = None
    slices: tuple[Path, ...] = ()

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Files beside the scan that seem to belong to it and cannot be read."""
        return self.series.unreadable if self.series else ()

    @property
    def identity(self) -> str:
        """Distinguishes the case from all others on this machine; holds no UID in plain text.

        That of a DICOM series changes when images are added: earlier results are not its own.
        """
        within = f"#{self.series.digest}-{len(self.series.images)}" if self.series else ""
        within += f"#{self.slices[0].name}" if self.slices else ""
        return str(self.path.absolute()) + within


def case_names(paths: Sequence[Path], identities: Sequence[str]) -> list[str]:
    """A unique name for each path: its stem, preceded by names of its folders where necessary.

    All files of a folder get the same number of parent folders, as few as make the names unique.
    So the names of a patient's frames keep a common beginning.
    """
    folders = [Path(os.path.abspath(path)).parent for path in paths]
    counts = Counter((folder, _stem(p)) for p, folder in zip(paths, folders, strict=True))
    stems = [  # x.nii and x.nii.gz in one folder keep their endings
        _stem(p) if counts[folder, _stem(p)] == 1 else p.name.replace(".", "_")
        for p, folder in zip(paths, folders, strict=True)
    ]
    depth = dict.fromkeys(folders, 0)
    while True:
        names = [
            "_".join([*folder.parts[len(folder.parts) - depth[folder] :], stem])
            for stem, folder in zip(stems, folders, strict=True)
        ]
        count = Counter(names)
        ambiguous = {
            folder
            for name, folder in zip(names, folders, strict=True)
            if count[name] > 1 and depth[folder] < len(folder.parts) - 1
        }
        if not ambiguous:
            return _make_valid(names, identities)
        for folder in ambiguous:
            depth[folder] += 1


def _stem(path: Path) -> str:
    return path.stem if is_zip(path) else case_name(path)


def _make_valid(names: Sequence[str], identities: Sequence[str]) -> list[str]:
    """Names that are unique, printable and short enough for a file.

    Any other name is cut and ends in a digest of the case's identity.
    """
    printable = [
        "".join("_" if category(character) in _UNPRINTABLE else character for character in name)
        for name in names
    ]
    count = Counter(printable)
    return [
        name
        if name == shown and count[name] == 1 and len(name.encode()) <= MAX_NAME_BYTES
        else _with_digest(shown, identity)
        for name, shown, identity in zip(names, printable, identities, strict=True)
    ]


def _with_digest(name: str, identity: str) -> str:
    ending = "_" + hashlib.sha256(os.fsencode(identity)).hexdigest()[:12]
    stem = name.encode()[: MAX_NAME_BYTES - len(ending)].decode(errors="ignore")
    return stem + ending
