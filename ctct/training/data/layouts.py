"""Patients on disk, in the three layouts people keep them in, as one collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctct.errors import InputError
from ctct.labels import LV, MYO, ORDERS, RV, VALUE
from ctct.training.data.collection import Collection, Volume, to_bytes
from ctct.training.data.pack import read_pack

ACDC, NNUNET, PLAIN, PACK = "acdc", "nnunet", "plain", ".npz"
_ENDINGS = (".nii.gz", ".nii")
_FRAME = re.compile(r"[_-](frame\d+|t\d+|ed|es|4d)$", re.IGNORECASE)

#: How far affines of an image and its labels may differ, in mm.
AFFINE_TOLERANCE_MM = 1e-3


@dataclass(frozen=True)
class ScanFiles:
    """The files of a scan: its image, and its labels if it has any."""

    patient: str
    name: str
    image: Path
    labels: Path | None


def read_collection(
    path: str | Path, label_order: str = "acdc", unlabelled: Sequence[str | Path] = ()
) -> Collection:
    """All volumes of a folder, or of a file of ``ctct pack``.

    The layouts, in the order in which they are tried:

    - nnU-Net: ``imagesTr/CASE_0000.nii.gz``, ``labelsTr/CASE.nii.gz``, and ``imagesUn`` for scans
      without labels.
    - ACDC: ``patientNNN/patientNNN_frameYY.nii.gz``, at any depth, with ``_gt`` for the labels.
    - plain: ``X.nii.gz``, at any depth, labelled where ``X_gt.nii.gz`` lies beside it.

    Every frame of a 4-D scan is a volume. The ends of the names tell the frames of a patient, as in
    ``_frame01``, ``_ED``, ``_t05``.

    Args:
        path: the folder or file.
        label_order: numbering of the labels, a key of :data:`ctct.labels.ORDERS`.
        unlabelled: further folders or packs; labels in them are not read.

    Raises:
        InputError: nothing is found, or a file cannot be used; the message names it.
    """
    collection = _read(Path(path), label_order)
    volumes = list(collection.volumes)
    patients = {v.patient for v in volumes}
    for number, folder in enumerate(unlabelled):
        for volume in _read(Path(folder), None).volumes:
            clash = f"unlabelled{number}_" if volume.patient in patients else ""
            patient, name = clash + volume.patient, clash + volume.name
            volumes.append(replace(volume, patient=patient, name=name, labels=None))
    volumes.sort(key=lambda v: (v.patient, v.name))
    return Collection(tuple(volumes), collection.layout)


def _read(path: Path, label_order: str | None) -> Collection:
    """One folder or pack; ``label_order`` None: without labels."""
    if path.suffix == PACK:
        return read_pack(path)
    layout, scans = find_scans(path)
    if label_order is None:
        scans = [replace(scan, labels=None) for scan in scans]
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda scan: list(_volumes(scan, label_order or "acdc")), scans))
    volumes = sorted((v for group in read for v in group), key=lambda v: (v.patient, v.name))
    check_label_order(volumes, path)
    return Collection(tuple(volumes), layout)


def find_scans(root: Path) -> tuple[str, list[ScanFiles]]:
    """The layout of a folder, and its scans."""
    if (root / "imagesTr").is_dir() and (root / "labelsTr").is_dir():
        return NNUNET, _nnunet(root)
    files = [p for ending in _ENDINGS for p in sorted(root.rglob(f"*{ending}")) if _visible(p)]
    images = [p for p in files if not _stem(p).endswith(("_gt", "_seg"))]
    if not images:
        raise InputError(
            f"{root}: no scan to train on; expected the layout of ACDC "
            "(patientNNN/patientNNN_frameYY.nii.gz), of nnU-Net (imagesTr, labelsTr), or files "
            "X.nii.gz with X_gt.nii.gz beside them"
        )
    names = {_stem(p): p for p in images}
    if len(names) < len(images):
        twice = next(p for p in images if names[_stem(p)] != p)
        raise InputError(f"{twice}: has the same name as {names[_stem(twice)]}; rename one")
    scans = []
    for image in images:
        labels = [image.with_name(f"{_stem(image)}_gt{e}") for e in _ENDINGS]
        existing = next((p for p in labels if p.exists()), None)
        scans.append(ScanFiles(_patient(_stem(image)), _stem(image), image, existing))
    if all(re.fullmatch(r"patient\d{3}", scan.patient) for scan in scans):
        single = {scan.patient for scan in scans if not scan.name.endswith("_4d")}
        # ACDC has the cine and, as files of their own, two of its frames: take only these.
        return ACDC, [s for s in scans if s.patient not in single or not s.name.endswith("_4d")]
    return PLAIN, scans


def _nnunet(root: Path) -> list[ScanFiles]:
    scans = []
    labels = {_stem(p): p for p in (root / "labelsTr").iterdir() if p.name.endswith(_ENDINGS)}
    for folder in ("imagesTr", "imagesUn"):
        if not (root / folder).is_dir():
            continue
        for image in sorted(p for p in (root / folder).iterdir() if p.name.endswith(_ENDINGS)):
            name = _stem(image)
            channel = re.search(r"_(\d{4})$", name)
            if channel and channel[1] != "0000":
                raise InputError(f"{image}: a second channel; ctct trains on one image per case")
            name = name.removesuffix("_0000")
            if folder == "imagesTr" and name not in labels:
                raise InputError(
                    f"{image}: no {name}.nii.gz in labelsTr; scans without labels go into imagesUn"
                )
            case_labels = labels.pop(name) if folder == "imagesTr" else None
            scans.append(ScanFiles(_patient(name), name, image, case_labels))
    if labels:
        raise InputError(f"{next(iter(labels.values()))}: its image is not in imagesTr")
    return scans


def _volumes(scan: ScanFiles, label_order: str) -> Iterator[Volume]:
    # Here, because a pack is read without nibabel.
    from ctct.io.label_maps import read_labels
    from ctct.io.nifti import read_nifti

    study = read_nifti(scan.image)
    labels: npt.NDArray[np.uint8] | None = None
    if scan.labels:
        manual, labels = read_labels(scan.labels, label_order)
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
    digits = len(str(study.frames - 1))
    for t in range(study.frames):
        yield Volume(
            scan.patient,
            f"{scan.name}_t{t:0{digits}}" if study.frames > 1 else scan.name,
            to_bytes(study.voxels[t]),
            None if labels is None else labels[t],
            study.spacing_mm,
        )


def check_label_order(volumes: Sequence[Volume], path: Path) -> None:
    """Refuse labels whose numbers look exchanged: the wall lies around the LV, not around the RV.

    Raises:
        InputError: a larger part of the outline of the RV than of the LV touches the wall.
    """
    labels = [v.labels for v in volumes if v.labels is not None]
    around = {name: _share_in_wall(labels, VALUE[name]) for name in (LV, RV)}
    if around[RV] > around[LV]:
        others = [name for name in ORDERS if name != "acdc"]
        raise InputError(
            f"{path}: the wall surrounds the structure labelled RV ({around[RV]:.0%} of its "
            f"outline) rather than LV ({around[LV]:.0%}); try --label-order {others[0]}"
        )


def _share_in_wall(labels: Sequence[npt.NDArray[np.uint8]], value: int) -> float:
    """Share of the steps out of a structure, between neighbors of a slice, that end in MYO."""
    out = wall = 0
    for stack in labels:
        for near, far in (
            (stack[:, 1:], stack[:, :-1]),
            (stack[:, :-1], stack[:, 1:]),
            (stack[..., 1:], stack[..., :-1]),
            (stack[..., :-1], stack[..., 1:]),
        ):
            leaving = (near == value) & (far != value)
            out += int(leaving.sum())
            wall += int((leaving & (far == VALUE[MYO])).sum())
    return wall / out if out else 0.0


def _visible(path: Path) -> bool:
    return path.is_file() and not any(part.startswith(".") for part in path.parts[-3:])


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _patient(name: str) -> str:
    return _FRAME.sub("", name) or name
