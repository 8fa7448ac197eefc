"""From which scan a label map was made: recorded with it, and compared with the scan that is there.

A scan is the same if its content is, wherever it lies. Content is only read where place, size and
times do not settle the question.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ctct.cases.case import Case
from ctct.cases.index_row import digest_files
from ctct.io.files import open_file

log = logging.getLogger(__name__)

_CHUNK = 2**20


@dataclass(frozen=True)
class ScanRecord:
    """A scan as it was when its label map was made.

    Attributes:
        place: the identity of the case.
        bytes: size of all files.
        stamp: a hash of the name, size and times of each file.
        digest: a hash of the content of all files, whatever their names.
        listing: a hash of the name, size and time of each file, as an index has it.
    """

    place: str
    bytes: int
    stamp: str
    digest: str
    listing: str = ""

    @classmethod
    def of(cls, case: Case) -> ScanRecord:
        """The record of a scan as it is.

        Raises:
            OSError: a file cannot be read.
            InputError: a file is a pipe or a device, whose content may never end.
        """
        size, stamp = _stamp(case.files)
        listing = case.origin.digest if case.origin else digest_files(case.files)[-1]
        return cls(case.identity, size, stamp, _digest(case.files), listing)

    def is_untouched(self, case: Case) -> bool:
        """Whether the scan lies where it did, and none of its files was written since."""
        return self.place == case.identity and _stamp(case.files)[1] == self.stamp

    def is_as_listed(self, case: Case) -> bool:
        """Whether an index tells of the same files in the same place; they are not looked at."""
        row = case.row
        return row is not None and (self.place, self.listing) == (row.place, row.digest)

    def has_content_of(self, case: Case) -> bool:
        """Whether the files hold the same, whatever their names and times."""
        return _stamp(case.files)[0] == self.bytes and _digest(case.files) == self.digest


def _stamp(files: Sequence[Path]) -> tuple[int, str]:
    """Size of all files, and a hash of their names, sizes and times.

    The time of the last change of the status tells a file that was replaced by one of an equal
    size and time, as an unpacked archive has.
    """
    found = [(path.name, path.stat()) for path in files]
    rows = [(name, f.st_size, f.st_mtime_ns, f.st_ctime_ns) for name, f in found]
    return sum(f.st_size for _, f in found), hashlib.sha256(repr(rows).encode()).hexdigest()


def _digest(files: Sequence[Path]) -> str:
    digests = []
    for path in files:
        with open_file(path) as file:
            digest = hashlib.blake2b()
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            digests.append(digest.hexdigest())
    return hashlib.sha256(" ".join(sorted(digests)).encode()).hexdigest()


def keep_names(cases: Sequence[Case], complete: Mapping[str, str]) -> list[Case]:
    """The cases, those that have a label map under another name with that name.

    So a scan has one label map in a folder, whichever version of ctct named it.

    Args:
        cases: of the next run.
        complete: case to scan, for each label map in the folder.
    """
    names: dict[str, list[str]] = {}
    for name, place in complete.items():
        names.setdefault(place, []).append(name)
    patients = {case.patient for case in cases}
    kept, renamed = [], []
    for case in cases:
        name, *others = sorted(names.get(case.identity, [case.name]), key=case.name.__ne__)
        if others:
            log.warning(
                "%s: has results under several names; those of %s are not used, remove them",
                case.path,
                ", ".join(others),
            )
        if name != case.name:
            renamed.append(f"{case.path} is called {name}")
            is_own = case.patient == case.name and name not in patients
            patient = name if is_own else case.patient
            case = replace(case, name=name, patient=patient)
        kept.append(case)
    if renamed:
        log.warning(
            "scans keep the names that their results here have: %s%s",
            renamed[0],
            f", and {len(renamed) - 1} more" if len(renamed) > 1 else "",
        )
    return kept
