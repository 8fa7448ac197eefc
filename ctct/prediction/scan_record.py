"""From which scan a label map was made: recorded with it, and compared with the scan that is there.

A scan is the same if its content is, wherever it lies. Content is only read where place, size and
times do not settle the question.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ctct.cases.case import Case
from ctct.errors import InputError
from ctct.io.files import open_file
from ctct.prediction.quality_record import indicators_path, output_path
from ctct.prediction.run_manifest import another_run
from ctct.storage import strict_json, write_atomic

log = logging.getLogger(__name__)

_CHUNK = 2**20
_SCAN, _LABEL_MAP = "scan", "label_map_sha256"


@dataclass(frozen=True)
class ScanRecord:
    """A scan as it was when its label map was made.

    Attributes:
        place: the identity of the case.
        bytes: size of all files.
        stamp: a hash of the name, size and times of each file.
        digest: a hash of the content of all files, whatever their names.
    """

    place: str
    bytes: int
    stamp: str
    digest: str

    @classmethod
    def of(cls, case: Case) -> ScanRecord:
        """The record of a scan as it is.

        Raises:
            OSError: a file cannot be read.
            InputError: a file is a pipe or a device, whose content may never end.
        """
        size, stamp = _stamp(case.files)
        return cls(case.identity, size, stamp, _digest(case.files))

    def is_untouched(self, case: Case) -> bool:
        """Whether the scan lies where it did, and none of its files was written since."""
        return self.place == case.identity and _stamp(case.files)[1] == self.stamp

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


def describe(scan: Mapping[str, Any], label_map: bytes) -> dict[str, Any]:
    """What is stored with the indicators of a case: its scan, and a hash of its label map."""
    return {_SCAN: scan, _LABEL_MAP: hashlib.sha256(label_map).hexdigest()}


def read_record(folder: Path, case: str) -> tuple[ScanRecord | None, str]:
    """The scan of a label map in ``folder`` and the hash of the latter; None and "" if unknown."""
    content = _read(folder, case)
    try:
        return ScanRecord(**content[_SCAN]), str(content[_LABEL_MAP])
    except (KeyError, TypeError):
        return None, ""


def _read(folder: Path, case: str) -> dict[str, Any]:
    try:
        content = json.loads(indicators_path(folder, case).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


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


def find_changed(
    complete: Sequence[Case], folder: Path, earlier: Mapping[str, str]
) -> tuple[list[Case], dict[str, str]]:
    """Compare the scans of label maps in ``folder`` with those they were made from.

    The record of a scan that only moved is brought up to date.

    Args:
        complete: cases with a label map.
        folder: of results.
        earlier: case to scan in the manifest, for label maps without a record.

    Returns:
        Cases whose scan was overwritten, and for each of those that must not be segmented again,
        because someone corrected its label map, the reason.

    Raises:
        ConfigError: a label map was made from another scan.
    """
    changed: list[Case] = []
    reasons: dict[str, str] = {}
    moved: list[Case] = []
    for case in complete:
        record, _ = read_record(folder, case.name)
        place = record.place if record else earlier.get(case.name)
        try:
            if record is None:
                is_same = place == case.identity
            elif record.is_untouched(case):
                continue
            elif is_same := record.has_content_of(case):
                moved.append(case)
        except (OSError, InputError) as error:  # reading the scan will say why
            log.debug("%s: %s", case.path, error)
            continue
        if is_same:
            continue
        if place != case.identity:
            raise another_run(folder, case.name, place, case.identity)
        changed.append(case)
        if is_corrected(folder, case.name):
            reasons[case.name] = (
                f"{case.path}: was overwritten after {output_path(folder, case.name).name} was "
                "made, which was then corrected by hand; move that file away to segment the new "
                "scan"
            )
    for case in moved:
        _replace_scan(folder, case)
    return changed, reasons


def is_corrected(folder: Path, case: str) -> bool:
    """Whether a label map is not the one that was written with its record."""
    _, written = read_record(folder, case)
    content = output_path(folder, case).read_bytes()
    return written != "" and hashlib.sha256(content).hexdigest() != written


def is_scan_newer(folder: Path, case: Case) -> bool:
    """Whether a scan was written after its label map, of which nothing says which scan it is of."""
    if read_record(folder, case.name)[0]:
        return False
    labelled = output_path(folder, case.name).stat().st_mtime
    try:
        return any(path.stat().st_mtime > labelled for path in case.files)
    except OSError:
        return False


def _replace_scan(folder: Path, case: Case) -> None:
    content = _read(folder, case.name)
    content[_SCAN] = asdict(ScanRecord.of(case))
    write_atomic(indicators_path(folder, case.name), strict_json(content))
