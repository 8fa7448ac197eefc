"""Results as BIDS derivatives: label maps and tables of a folder of results under other names.

Results are made and continued in the layout of ctct. The derivatives are written from it, with
hard links to the label maps where the disk allows them.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ctct.cases.bids import DESCRIPTION, BidsName, bids_name
from ctct.errors import ConfigError, OutputError
from ctct.labels import COLORS, ORDERS, STRUCTURES
from ctct.prediction.bids_columns import column_name, describe_columns
from ctct.prediction.case_record import CaseRecord, read_record
from ctct.prediction.quality_record import output_path
from ctct.prediction.results import TableOptions, list_entries
from ctct.prediction.run_manifest import name_model, read_manifests
from ctct.report.tables import FRAMES, SEGMENT_ROWS
from ctct.storage import open_atomic, prepare_folder, strict_json, write_atomic

#: Folder of the results in the layout of ctct, inside the data set.
WORK = "ctct"
_BIDS_VERSION = "1.10.0"
_LINK = "raw"
_TABLES = ("measurements", FRAMES.name, SEGMENT_ROWS.name)
_LABELS = "desc-ctct_dseg.tsv"


@dataclass(frozen=True)
class _Scan:
    """A measured scan and its place in the data set.

    Attributes:
        folder: of its results.
        case: its name.
        patient: name of the patient in tables.
        source: its path in a BIDS data set; "" for a scan from elsewhere.
        name: its parts, in the name of BIDS.
        kind: folder of this kind of data.
    """

    folder: Path
    case: str
    patient: str
    source: str
    name: BidsName
    kind: str

    @property
    def parent(self) -> Path:
        """Folder below the data set."""
        return Path(self.name.subject, self.name.session, self.kind)

    def stem(self, desc: str = "ctct") -> str:
        """Name of the label map, without its ending."""
        entities = re.sub(r"_desc-[A-Za-z0-9]+", "", self.name.entities)
        return f"{self.name.patient}{entities}_desc-{desc}_dseg"


def work_folder(data_set: Path) -> Path:
    """Where the results of a data set lie in the layout of ctct."""
    return data_set / WORK


def check_data_set(folder: Path) -> None:
    """Check that derivatives overwrite no data set of somebody else.

    Raises:
        ConfigError: the folder holds one.
    """
    with suppress(OSError):
        if '"ctct"' not in (folder / DESCRIPTION).read_text("utf-8", "replace"):
            raise ConfigError(
                f"{folder}: holds a BIDS data set that ctct did not make; choose another folder, "
                "as derivatives/ctct"
            )


def write_derivatives(folders: Sequence[Path], tables: Path, out: Path) -> int:
    """Write the derivatives of folders of results.

    Args:
        folders: of results.
        tables: folder with the tables of all of them.
        out: the data set.

    Returns:
        The number of label maps.

    Raises:
        ConfigError: ``out`` holds a data set that ctct did not make.
        OutputError: a file cannot be written.
    """
    check_data_set(out)
    prepare_folder(out)
    scans = list(_place(folders))
    manifest = next(m for folder in folders for m in read_manifests(folder)[-1:])
    options = TableOptions.from_json(manifest.get("tables", {}))
    roots = {root for scan in scans if (root := _root(scan))}
    description: dict[str, object] = {
        "Name": "Segmentations and measurements of cine cardiac MRI",
        "BIDSVersion": _BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {"Name": "ctct", "Version": version("ctct"), "Description": name_model(manifest)}
        ],
    }
    root = roots.pop() if len(roots) == 1 else None
    if root:
        description["DatasetLinks"] = {_LINK: _link(root, out)}
        description["SourceDatasets"] = [{"URL": _link(root, out)}]
    write_atomic(out / DESCRIPTION, strict_json(description))
    write_atomic(out / ".bidsignore", f"{WORK}/\n".encode())
    _write_labels(out / _LABELS, options.label_order)
    taken = Counter((scan.parent, scan.stem()) for scan in scans)
    for scan in scans:
        is_alone = taken[scan.parent, scan.stem()] == 1
        stem = scan.stem() if is_alone else scan.stem(f"ctct{scan.name.suffix}")
        _write_scan(scan, out / scan.parent / stem, root)
    ids = {patient: scan.name for scan in scans for patient in (scan.patient, scan.case)}
    for name in _TABLES:
        if (tables / f"{name}.csv").exists():
            _write_table(tables / f"{name}.csv", out / f"desc-ctct_{name}.tsv", ids)
    return len(scans)


def _place(folders: Iterable[Path]) -> Iterator[_Scan]:
    """All measured scans with their names; one of another data set is called after its patient."""
    found = {}
    for folder in folders:
        for entry in list_entries(folder):
            record = read_record(folder, entry.case)
            if record and record.is_measured:
                found[record.case] = (folder, record)
    others = {record.patient for _, record in found.values() if BidsName.parse(record.case) is None}
    labels = Counter(map(_letters, others))
    for folder, record in found.values():
        name = BidsName.parse(record.case)
        if name is None:
            label = _letters(record.patient)
            if labels[label] > 1 or not label:
                label += hashlib.sha256(record.patient.encode()).hexdigest()[:8]
            rest = _letters(record.case.removeprefix(record.patient))
            name = BidsName(f"sub-{label}", "", f"_acq-{rest}" if rest else "", "cine")
        path = Path(record.path)
        kind = path.parent.name if bids_name(path) else ""
        kind = "anat" if not kind or kind in (name.subject, name.session) else kind
        yield _Scan(folder, record.case, record.patient, _source(record), name, kind)


def _source(record: CaseRecord) -> str:
    return record.path if bids_name(Path(record.path)) else ""


def _letters(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", name)


def _root(scan: _Scan) -> Path | None:
    """The data set that a scan is of."""
    path = Path(scan.source)
    subject = [folder for folder in path.parents[:3] if folder.name == scan.name.subject]
    return subject[0].parent if scan.source and subject else None


def _link(root: Path, out: Path) -> str:
    """The data set of the scans, seen from the derivatives: they may be moved together."""
    try:
        relative = os.path.relpath(root, out.absolute())
    except ValueError:  # another drive of Windows
        return root.absolute().as_uri()
    is_near = out.absolute().is_relative_to(root.absolute())
    return Path(relative).as_posix() if is_near else root.absolute().as_uri()


def _write_scan(scan: _Scan, stem: Path, root: Path | None) -> None:
    if not stem.parent.is_dir():
        prepare_folder(stem.parent)
    _link_file(output_path(scan.folder, scan.case), stem.with_name(f"{stem.name}.nii.gz"))
    side: dict[str, object] = {"Manual": False}
    if root and scan.source:
        below = Path(scan.source).relative_to(root).as_posix()
        side |= {"Sources": [f"bids:{_LINK}:{below}"]}
    write_atomic(stem.with_name(f"{stem.name}.json"), strict_json(side))


def _link_file(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it; nothing is done where that is so already."""
    partial = target.with_name(f".{target.name[:200]}.partial")
    try:
        with suppress(FileNotFoundError):
            one, other = source.stat(), target.stat()
            is_copy = (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
            if os.path.samestat(one, other) or is_copy:
                return
        partial.unlink(missing_ok=True)
        try:
            partial.hardlink_to(source)
        except OSError:  # another disk, or one without hard links
            shutil.copy2(source, partial)
        partial.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _write_labels(path: Path, order: str) -> None:
    rows = [(0, "Background", "BG", "#000000")]
    names = {"RV": "Right ventricle", "MYO": "Myocardium of the left ventricle"}
    for structure in STRUCTURES:
        color = "#{:02X}{:02X}{:02X}".format(*COLORS[structure])
        name = names.get(structure, "Left ventricle")
        rows.append((ORDERS[order][structure], name, structure, color))
    lines = ["index\tname\tabbreviation\tcolor", *("\t".join(map(str, r)) for r in sorted(rows))]
    write_atomic(path, ("\n".join(lines) + "\n").encode())


def _write_table(source: Path, target: Path, ids: Mapping[str, BidsName]) -> None:
    """A table with participant and session, and the dictionary of its columns."""
    with source.open(newline="", encoding="utf-8") as file, open_atomic(target) as out:
        reader = csv.reader(file)
        header = next(reader)
        columns = ["participant_id", "session_id", *header]
        out.write(_line(map(column_name, columns)))
        for row in reader:
            name = ids.get(row[0])
            whose = (name.subject, name.session) if name else ("", "")
            out.write(_line((*whose, *row)))
    write_atomic(target.with_suffix(".json"), strict_json(describe_columns(columns)))


def _line(cells: Iterable[str]) -> bytes:
    return ("\t".join(" ".join(cell.split()) or "n/a" for cell in cells) + "\n").encode()
