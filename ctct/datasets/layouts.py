"""Patients on disk, in the three layouts people keep them in, as one collection."""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.datasets.collection import Collection, Volume, to_bytes
from ctct.datasets.dataset_json import DATASET_FILE, read_label_values
from ctct.datasets.file_names import group_images, pair_labels, patient_name, scan_name
from ctct.datasets.label_checks import check_label_order
from ctct.datasets.pack import read_pack
from ctct.datasets.partial_labels import check_numbers, keep_known
from ctct.errors import InputError
from ctct.io.files import ENDINGS, ITK_ENDINGS, case_name
from ctct.labels import ORDERS

log = logging.getLogger(__name__)

ACDC, NNUNET, PLAIN, PACK = "acdc", "nnunet", "plain", ".npz"

#: How far affines of an image and its labels may differ, in mm.
AFFINE_TOLERANCE_MM = 1e-3
#: Label maps hold no larger numbers, or two values; scans do.
_MAX_LABEL = 20
#: File of ``ctct predict`` beside its label maps, which nobody drew.
_RUN_MANIFEST = "run.json"


@dataclass(frozen=True)
class ScanFiles:
    """The files of a scan: its image, and its labels if it has any."""

    patient: str
    name: str
    image: Path
    labels: Path | None


def read_collection(
    path: str | Path,
    label_order: str = "acdc",
    unlabelled: Sequence[str | Path] = (),
    partly_labelled: Sequence[str | Path] = (),
) -> Collection:
    """All volumes of a folder, or of a file of ``ctct pack``.

    The layouts, in the order in which they are tried:

    - nnU-Net: ``imagesTr/CASE_0000.nii.gz``, ``labelsTr/CASE.nii.gz``, and ``imagesUn`` for scans
      without labels.
    - ACDC: ``patientNNN/patientNNN_frameYY.nii.gz``, at any depth, with ``_gt`` for the labels.
    - plain: ``X.nii.gz``, at any depth, labelled where a label map of this name is beside it or in
      another folder, see :func:`~ctct.datasets.file_names.pair_labels`.

    A ``dataset.json`` as nnU-Net has it tells which number is which structure, in every layout.
    Every frame of a 4-D scan is a volume; frames without any label are unlabelled. The ends of the
    names tell the images of a patient, as in ``_frame01``, ``_ED``, ``_t05``, ``_ses-2``, ``_0``.

    Args:
        path: the folder or file.
        label_order: numbering of the labels, a key of :data:`ctct.labels.ORDERS`.
        unlabelled: further folders or packs; labels in them are not read. A patient whose name is
            also in ``path`` is taken for the same one.
        partly_labelled: further folders whose label maps lack structures, which are unknown there,
            see :func:`~ctct.datasets.partial_labels.keep_known`. Scans without labels in them are
            unlabelled.

    Raises:
        InputError: nothing is found, or a file cannot be used, or a patient of ``path`` with labels
            is also in ``partly_labelled``; the message names it.
    """
    collection = _read(Path(path), label_order)
    check_label_order(collection.volumes, str(path))
    volumes, partly = list(collection.volumes), list(collection.partly_labelled)
    patients = {v.patient for v in (*volumes, *partly)}
    names = {v.name for v in (*volumes, *partly)}
    for prefix, folder, further in _further(unlabelled, partly_labelled, label_order):
        if same := sorted({v.patient for v in further} & patients):
            log.warning(
                "%s: %d patients have names of patients of %s, and are taken for the same: %s",
                *(folder, len(same), path, ", ".join(same)),
            )
        for volume in further:
            name = f"{prefix}_{volume.name}" if volume.name in names else volume.name
            names.add(name)
            (volumes if volume.labels is None else partly).append(replace(volume, name=name))
    grouped = _group([*volumes, *partly])
    parts = grouped[: len(volumes)], grouped[len(volumes) :]
    volumes, partly = (sorted(part, key=lambda v: (v.patient, v.name)) for part in parts)
    complete = {v.patient for v in volumes if v.labels is not None}
    if twice := sorted(complete & {v.patient for v in partly}):
        raise InputError(
            f"{', '.join(twice)}: patients of {path} and of --partly-labelled, by their names; "
            "rename those of one folder, or remove them from one"
        )
    return Collection(tuple(volumes), collection.layout, tuple(partly))


def _further(
    unlabelled: Sequence[str | Path], partly_labelled: Sequence[str | Path], label_order: str
) -> Iterator[tuple[str, Path, list[Volume]]]:
    """The volumes of each further folder, and what tells their names from those of others."""
    for number, path in enumerate(map(Path, unlabelled)):
        found = _read(path, None)
        volumes = [*found.volumes, *found.partly_labelled]
        yield f"unlabelled{number}", path, [replace(v, labels=None) for v in volumes]
    for number, path in enumerate(map(Path, partly_labelled)):
        yield f"partly_labelled{number}", path, _read_partly_labelled(path, label_order)


def _read_partly_labelled(path: Path, label_order: str) -> list[Volume]:
    """The volumes of one folder, each with the structures that its labels show as known.

    Raises:
        InputError: no volume has labels, or their numbers are doubtful.
    """
    if path.suffix == PACK:
        raise InputError(
            f"--partly-labelled {path}: a packed file; pack the folder into the file of the other "
            "patients, with ctct pack --partly-labelled"
        )
    volumes = [keep_known(v) for v in _read(path, label_order, complete=False).volumes]
    labelled = [v for v in volumes if v.labels is not None]
    if not labelled:
        raise InputError(f"{path}: no scan has labels; give it with --unlabelled")
    check_label_order(labelled, str(path))
    if not (path / DATASET_FILE).exists():
        check_numbers(labelled, str(path))
    kinds = Counter(" and ".join(v.known) for v in labelled)
    log.info(
        "%s: labels show %s",
        *(path, "; ".join(f"{known} in {count} volumes" for known, count in kinds.items())),
    )
    return volumes


def _group(volumes: Sequence[Volume]) -> list[Volume]:
    """The volumes, with one name for the patient of several images; says whose they are."""
    common = group_images(v.patient for v in volumes)
    images: dict[str, list[str]] = defaultdict(list)
    for name, patient in common.items():
        images[patient].append(name)
    if images:
        listed = "; ".join(f"{patient} ({', '.join(names)})" for patient, names in images.items())
        log.info("several images of one patient, by their names: %s", listed)
    return [replace(v, patient=common.get(v.patient, v.patient)) for v in volumes]


def _read(path: Path, label_order: str | None, complete: bool = True) -> Collection:
    """One folder or pack; without labels if ``label_order`` is None; see :func:`_label_values`."""
    if path.suffix == PACK:
        return read_pack(path)
    layout, scans = find_scans(path, label_order is not None)
    values = {} if label_order is None else _label_values(path, label_order, complete)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda scan: list(_volumes(scan, values)), scans))
    volumes = sorted((v for group in read for v in group), key=lambda v: (v.patient, v.name))
    return Collection(tuple(volumes), layout)


def _label_values(root: Path, label_order: str, complete: bool) -> Mapping[str, int]:
    """The number of each structure by ``dataset.json``, or by ``label_order`` without one.

    If not ``complete``, ``dataset.json`` may lack structures, and decides alone: ``label_order`` is
    that of other folders.

    Raises:
        InputError: an order other than the default contradicts ``dataset.json``.
    """
    if label_order not in ORDERS:
        raise InputError(f"unknown label order {label_order!r}; choose one of {', '.join(ORDERS)}")
    values = read_label_values(root, complete)
    if values is None:
        return ORDERS[label_order]
    if complete and label_order != "acdc" and values != ORDERS[label_order]:
        raise InputError(
            f"{root / DATASET_FILE}: says {values}, --label-order {label_order} says "
            f"{dict(ORDERS[label_order])}; leave out the option, or correct the file"
        )
    log.info("numbers of the labels by %s: %s", root / DATASET_FILE, values)
    return values


def find_scans(root: Path, with_labels: bool = True) -> tuple[str, list[ScanFiles]]:
    """The layout of a folder, and its scans; without their labels if not ``with_labels``."""
    if (root / "imagesTr").is_dir() and (root / "labelsTr").is_dir():
        scans = _nnunet(root)
        return NNUNET, scans if with_labels else [replace(s, labels=None) for s in scans]
    for folder in root.rglob("imagesTr"):
        if (folder.parent / "labelsTr").is_dir():
            raise InputError(f"{root}: has a data set of nnU-Net within; give {folder.parent}")
    visible = sorted(path for path in root.rglob("*") if _visible(path))
    if others := [path for path in visible if _ends_with(path, ITK_ENDINGS)]:
        raise InputError(
            f"{others[0]}: training reads {ENDINGS[0]} alone; convert it, or remove it"
        )
    files = [path for path in visible if _ends_with(path, ENDINGS)]
    if results := [path for path in files if _is_result(path)]:
        log.warning(
            "label maps of ctct predict are not trained on: %d, as %s", len(results), results[0]
        )
    pairs = pair_labels(root, [p for p in files if p not in results], with_labels)
    if not pairs and results:
        raise InputError(
            f"{root}: results of ctct predict without a corrected label map; put corrected ones "
            f"into {root / 'edited'}, called as the automatic ones"
        )
    if not pairs:
        raise InputError(
            f"{root}: no scan to train on; expected the layout of ACDC "
            "(patientNNN/patientNNN_frameYY.nii.gz), of nnU-Net (imagesTr, labelsTr), or files "
            "X.nii.gz with X_gt.nii.gz beside them"
        )
    names: dict[str, Path] = {}
    for image in pairs:
        first = names.setdefault(scan_name(image, root), image)
        if first != image:
            raise InputError(f"{image}: has the same name as {first}; rename one")
    scans = [
        ScanFiles(patient_name(image, name), name, image, pairs[image])
        for name, image in names.items()
    ]
    if all(re.fullmatch(r"patient\d{3}", scan.patient) for scan in scans):
        single = {scan.patient for scan in scans if not scan.name.endswith("_4d")}
        # ACDC has the cine and, as files of their own, two of its frames: take only these.
        return ACDC, [s for s in scans if s.patient not in single or not s.name.endswith("_4d")]
    return PLAIN, scans


def _is_result(path: Path) -> bool:
    """Whether ``ctct predict`` wrote this label map."""
    return case_name(path).endswith("_seg") and (path.parent / _RUN_MANIFEST).exists()


def _nnunet(root: Path) -> list[ScanFiles]:
    if tests := _files_of(root / "imagesTs"):
        log.info("%s: not trained on, %d files", tests[0].parent, len(tests))
    scans = []
    labels: dict[str, Path] = {}
    for path in _files_of(root / "labelsTr"):
        if (first := labels.setdefault(case_name(path), path)) != path:
            raise InputError(f"{path}: {first} has labels of this case too; remove one")
    images: dict[str, Path] = {}
    for folder in ("imagesTr", "imagesUn"):
        for image in _files_of(root / folder):
            name = case_name(image)
            channel = re.search(r"_(\d{4})$", name)
            if channel and channel[1] != "0000":
                raise InputError(f"{image}: a second channel; ctct trains on one image per case")
            name = name.removesuffix("_0000")
            if (first := images.setdefault(name, image)) != image:
                raise InputError(f"{image}: {first} is an image of this case too; remove one")
            if folder == "imagesTr" and name not in labels:
                raise InputError(
                    f"{image}: no {name}.nii.gz in labelsTr; scans without labels go into imagesUn"
                )
            case_labels = labels.pop(name) if folder == "imagesTr" else None
            scans.append(ScanFiles(patient_name(image, name), name, image, case_labels))
    if labels:
        raise InputError(f"{next(iter(labels.values()))}: its image is not in imagesTr")
    return scans


def _files_of(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*") if _ends_with(p, ENDINGS) and _visible(p))


def _volumes(scan: ScanFiles, values: Mapping[str, int]) -> Iterator[Volume]:
    # Here, because a pack is read without nibabel.
    from ctct.io.label_maps import read_labels
    from ctct.io.nifti import read_nifti

    study = read_nifti(scan.image)
    for note in study.notes:
        log.warning("%s: %s", scan.image, note)
    labels: npt.NDArray[np.uint8] | None = None
    if scan.labels:
        manual, labels = read_labels(scan.labels, values)
        if manual.voxels.shape != study.voxels.shape:
            raise InputError(
                f"{scan.labels}: labels are {manual.voxels.shape}, "
                f"the image is {study.voxels.shape} (frames, slices, rows, columns)"
            )
        if not np.allclose(manual.affine, study.affine, atol=AFFINE_TOLERANCE_MM):
            raise InputError(
                f"{scan.labels}: its affine differs from that of {scan.image.name}; "
                "resample the labels onto the image, or correct the header"
            )
        if not labels.any() and study.voxels.shape[1] > 1:
            raise InputError(
                f"{scan.labels}: holds no label; remove it if nobody labelled the scan"
            )
    elif _looks_like_labels(study.voxels):
        raise InputError(
            f"{scan.image}: looks like a label map, not like a scan; name it as its scan, followed "
            "by _gt, or remove it"
        )
    digits = len(str(study.frames - 1))
    for t in range(study.frames):
        # Often only ED and ES of a cine are labelled, and the other frames of the file are zero.
        is_labelled = labels is not None and (study.frames == 1 or labels[t].any())
        yield Volume(
            scan.patient,
            f"{scan.name}_t{t:0{digits}}" if study.frames > 1 else scan.name,
            to_bytes(study.voxels[t]),
            labels[t] if labels is not None and is_labelled else None,
            study.spacing_mm,
        )


def _looks_like_labels(voxels: npt.NDArray[np.float32]) -> bool:
    """Whether voxels (T, Z, H, W) are a few small whole numbers, or two values."""
    values = np.unique(voxels[voxels.shape[0] // 2, voxels.shape[1] // 2].round(3))
    if len(values) > _MAX_LABEL:
        return False  # decided by one slice, because sorting all voxels takes time
    values = np.unique(voxels.round(3))
    is_small = values[0] >= 0 and values[-1] <= _MAX_LABEL and bool((values % 1 == 0).all())
    return len(values) == 2 or (len(values) > 2 and is_small)


def _ends_with(path: Path, endings: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(endings)


def _visible(path: Path) -> bool:
    return path.is_file() and not any(part.startswith(".") for part in path.parts[-3:])
