"""Files that hold a scan in a form that ctct does not read: what they are, and what to do."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from isal import igzip, isal_zlib

from ctct.errors import InputError
from ctct.io.dicom.files import DicomFile, is_zip, zip_members
from ctct.io.files import GZIP_MAGIC, open_file

_TO_NIFTI = "convert it: nib-convert FILE scan.nii.gz"
_UNPACK = "unpack it and give the folder"
_UNNAMED = "NIfTI; give it a name that ends in .nii or .nii.gz"
_NO_SIZE = "it does not say how large a voxel is; export the scan as DICOM or NIfTI"

#: Endings of names, as a regular expression; what such a file is, and the remedy. The first that
#: matches counts.
_BY_NAME = {
    r"\.nii\.(bz2|xz|zst|lz4|lzma|br|z|7z)": ("compressed, but not by gzip", "unpack it"),
    r"\.(dcm|ima|dic)\.(gz|bz2|xz|zst|z)": ("a compressed DICOM file", "unpack it"),
    r"\.(tar(\.\w+)?|tgz|tbz2?|txz|7z|rar)": ("an archive", _UNPACK),
    r"\.(hdr|img)(\.gz)?": (
        "Analyze, or NIfTI in two files",
        _TO_NIFTI.replace("FILE", "FILE.hdr"),
    ),
    r"\.(mgz|mgh)": ("FreeSurfer's format", _TO_NIFTI),
    r"\.mnc(\.gz)?": ("MINC", _TO_NIFTI),
    r"\.(head|brik)(\.gz)?": ("AFNI's format", _TO_NIFTI.replace("FILE", "FILE.HEAD")),
    r"\.(par|rec)": ("Philips PAR/REC", "convert it: parrec2nii FILE.PAR"),
    r"\.mif(\.gz)?": ("MRtrix's format", "convert it: mrconvert FILE scan.nii.gz"),
    r"\.(vtk|vti|vtp|vtu|stl|ply)": ("VTK's format or a mesh", "export the scan as NIfTI"),
    r"\.(mat|npy|npz|h5|hdf5)": ("an array", "save it as NIfTI with its voxel size"),
    r"\.(png|jpe?g|tiff?|bmp|gif|avi|mp4|mov|wmv|mkv)": ("a picture or film", _NO_SIZE),
}


def explain_format(path: Path) -> str:
    """What a file is that ctct cannot read, and what to do; "" for any other file."""
    kind = _recognize(path)
    return f"{path}: {kind}" if kind not in ("", _UNNAMED) else ""


def explain_formats(paths: Iterable[Path], pictures: bool = True) -> list[str]:
    """What the files are that have not the names of scans, a sentence for each kind.

    Args:
        paths: the files.
        pictures: name pictures and films too, which are no scans where there is another.
    """
    by_kind: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        kind = _recognize(path)
        if kind and (pictures or not kind.endswith(_NO_SIZE)):
            by_kind[kind].append(path)
    return [
        f"{same[0]}{f' and {len(same) - 1} more' if len(same) > 1 else ''}: {kind}"
        for kind, same in by_kind.items()
    ]


def _recognize(path: Path) -> str:
    if is_zip(path):
        try:
            zip_members(path)
        except InputError as error:
            return str(error).removeprefix(f"{path}: ")
        return ""
    head, is_packed = _read_head(path)
    if head[344:347] == b"n+1" or head[4:7] == b"n+2":
        return _UNNAMED
    if is_packed and head[128:132] == b"DICM":
        return "a compressed DICOM file; unpack it"
    for ending, (what, remedy) in _BY_NAME.items():
        if re.search(rf"{ending}\Z", path.name, re.IGNORECASE):
            return f"{what}, which ctct does not read; {remedy}"
    return ""


def _read_head(path: Path) -> tuple[bytes, bool]:
    """The beginning of a file, unpacked if it is compressed by gzip, and whether it is."""
    try:
        with open_file(path) as raw:
            is_packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            raw.seek(0)
            return (igzip.open(raw) if is_packed else raw).read(348), is_packed
    except (OSError, EOFError, InputError, isal_zlib.IsalError):  # type: ignore[misc]
        return b"", False


def explain_other_kinds(paths: Sequence[Path]) -> str:
    """What files are whose BIDS names are not those of a short axis."""
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}: no short axis by its BIDS name; give the file itself to segment it"


def explain_no_images(dicom: Sequence[DicomFile]) -> str:
    """Why there is no series in ``dicom``, and what to do."""
    where = f"{dicom[0].path}{f' and {len(dicom) - 1} more' if len(dicom) > 1 else ''}"
    if all(file.path.name.upper() == "DICOMDIR" for file in dicom):
        return f"{where}: a list of DICOM files, without the files; copy the whole disc or folder"
    return f"{where}: DICOM without an image that can be read; export the images again"
