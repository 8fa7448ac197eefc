"""Reads damaged NIfTI files: each must give a study or an error of ctct."""

from __future__ import annotations

import gzip
import random
import struct
from functools import partial

import fuzzing
import nibabel as nib
import numpy as np

from ctct.io.nifti import read_nifti


def good_files() -> list[bytes]:
    """Valid files, unpacked: both versions and byte orders, several types, some extensions."""
    rng = np.random.default_rng(0)
    files = []
    for image_class in (nib.Nifti1Image, nib.Nifti2Image):
        for order in "<>":
            for kind, shape in (("i2", (9, 8, 3, 2)), ("f4", (9, 8, 3)), ("u1", (9, 8))):
                header = image_class.header_class(endianness=order)
                header.set_data_dtype(np.dtype(kind).newbyteorder(order))
                voxels = rng.integers(0, 200, shape).astype(kind)
                image = image_class(voxels, np.diag([1.4, 1.2, 10.0, 1.0]), header)
                image.header.set_xyzt_units("mm", "sec")
                if kind == "i2":
                    note = nib.nifti1.Nifti1Extension("comment", b"a cine of a heart")
                    image.header.extensions.append(note)
                    image.header.set_slope_inter(0.5, -3)
                files.append(image.to_bytes())
    return files


def damaged(files: list[bytes], seed: int) -> bytes:
    """One of ``files`` after one to four mutations, packed or not; the seed determines it."""
    rng = random.Random(seed)
    content = bytearray(rng.choice(files))
    for _ in range(rng.randint(1, 4)):
        rng.choice(MUTATIONS)(rng, content, files)
    if rng.random() < 0.5:
        return bytes(content)
    content = bytearray(gzip.compress(bytes(content), mtime=0))
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 3)):
            rng.choice(PACKED_MUTATIONS)(rng, content, files)
    return bytes(content)


def odd_field(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """Put an odd number into a field of the header."""
    if len(content) < 352:
        return
    order = "<" if content[0] in (348 % 256, 540 % 256) else ">"
    second = 540 in struct.unpack_from("<i", content) + struct.unpack_from(">i", content)
    header_class = nib.Nifti2Header if second else nib.Nifti1Header
    fields = header_class.template_dtype.newbyteorder(order).fields
    assert fields is not None
    dtype, offset = fields[rng.choice([*fields, "dim", "pixdim", "vox_offset", "datatype"])][:2]
    base = dtype.base
    at = offset + base.itemsize * rng.randrange(max(dtype.itemsize // base.itemsize, 1))
    if base.kind == "f":
        value = np.array(rng.choice(fuzzing.ODD_FLOATS + fuzzing.ODD_INTEGERS), base).tobytes()
    elif base.kind in "iu":
        wide = rng.choice(fuzzing.ODD_INTEGERS + fuzzing.ODD_LARGE) % 2 ** (8 * base.itemsize)
        value = wide.to_bytes(base.itemsize, "little" if order == "<" else "big")
    else:
        value = rng.randbytes(base.itemsize)
    if at + len(value) <= len(content):
        content[at : at + len(value)] = value


BYTE_MUTATIONS = (fuzzing.flip, fuzzing.truncate, fuzzing.extend)
MUTATIONS = (odd_field, odd_field, odd_field, *BYTE_MUTATIONS, fuzzing.splice)
PACKED_MUTATIONS = (*BYTE_MUTATIONS, fuzzing.repeat)


def run(count: int, first: int = 0) -> fuzzing.Tally:
    """Read ``count`` damaged NIfTI files, and encode labels for each that is a study."""
    files = good_files()
    seeds = range(first, first + count)
    return fuzzing.run_each(seeds, "scan.nii.gz", partial(damaged, files), read_nifti)


if __name__ == "__main__":
    fuzzing.main(__doc__, run)
