"""Finding the scans among files and folders, and giving every case a name of its own."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctct.errors import InputError
from ctct.io.nifti import ENDINGS, case_name

log = logging.getLogger(__name__)

#: Bytes of a case's name: file systems allow 255, of which ``_seg.nii.gz`` takes 11.
MAX_NAME_BYTES = 244
#: What cannot be printed: control characters, and bytes of a file name that are not UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

#: Stems that end like this are label maps: skipped in a folder, taken when named.
LABEL_SUFFIXES = ("_gt", "_seg")


@dataclass(frozen=True)
class Case:
    """A scan to segment: its file and the stem its results are written under."""

    path: Path
    name: str


def discover(inputs: Sequence[str | Path]) -> tuple[list[Case], list[Path]]:
    """All scans among ``inputs``: files as they are, folders searched recursively.

    Hidden files and folders are passed over, links to folders are not followed.

    Returns:
        The cases, in sorted order with unique names, and the label maps passed over.

    Raises:
        InputError: an input does not exist, or there is no scan in any of them.
    """
    paths: list[Path] = []
    labels: list[Path] = []
    for item in map(Path, inputs):
        if item.is_dir():
            for path in _walk(item):
                (labels if case_name(path).endswith(LABEL_SUFFIXES) else paths).append(path)
        elif item.exists() or item.is_symlink():
            paths.append(item)
        else:
            raise InputError(f"{item}: no such file or folder")
    unique = sorted({Path(os.path.abspath(path)): path for path in paths}.values())
    if not unique:
        where = ", ".join(map(str, inputs))
        raise InputError(f"{where}: no scan found; expected files ending in {' or '.join(ENDINGS)}")
    return [Case(p, n) for p, n in zip(unique, _names(unique), strict=True)], labels


def _walk(folder: Path) -> Iterable[Path]:
    def warn(error: OSError) -> None:
        log.warning("%s: cannot be read (%s); passed over", error.filename, error.strerror)

    for parent, folders, files in os.walk(folder, onerror=warn):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                yield Path(parent) / name


def _names(paths: Sequence[Path]) -> list[str]:
    """The stem of each path; in folders that share a stem with another, preceded by the folder's.

    As many parent folders are put in front as tell them apart, the same for every file of a folder,
    so that the frames of a patient keep a common beginning.
    """
    folders = [Path(os.path.abspath(path)).parent for path in paths]
    twins = Counter((folder, case_name(p)) for p, folder in zip(paths, folders, strict=True))
    stems = [  # x.nii beside x.nii.gz keep their endings
        case_name(p) if twins[folder, case_name(p)] == 1 else p.name.replace(".", "_")
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
            return _usable(names, paths)
        for folder in clashing:
            depth[folder] += 1


def _usable(names: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Names that a file can have and a table can show, each with one case only.

    One that is too long, holds what cannot be printed, or is still another's too ends in a digest
    of the file's path instead.
    """
    printable = [_UNPRINTABLE.sub("_", name) for name in names]
    count = Counter(printable)
    return [
        name
        if name == shown and count[name] == 1 and len(name.encode()) <= MAX_NAME_BYTES
        else _with_digest(shown, path)
        for name, shown, path in zip(names, printable, paths, strict=True)
    ]


def _with_digest(name: str, path: Path) -> str:
    ending = "_" + hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:12]
    cut = name.encode()[: MAX_NAME_BYTES - len(ending)].decode(errors="ignore")
    return cut + ending
