"""Damaged NIfTI files by the thousand: each must end as a study or as one of ctct's errors.

The long run::

    PYTHONPATH=tests/support python -m fuzz 25000
"""

from __future__ import annotations

import argparse
import gzip
import logging
import os
import random
import resource
import struct
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

from ctct.errors import CtctError
from ctct.io.nifti import read_nifti
from ctct.io.study import Study

#: Numbers at which code that counts goes wrong, for fields of every width.
ODD_INTEGERS = (0, 1, -1, 2, 7, 8, 127, 128, 255, 348, 540, 32767, -32768, 2**31 - 1, -(2**31))
ODD_LARGE = (2**32, 2**40, 2**62, 2**63 - 1, -(2**63))
ODD_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e38, -1e38, float("inf"), float("-inf"), float("nan"))


@dataclass
class Tally:
    """What became of the inputs.

    Attributes:
        outcomes: how many ended in which way: "Study", or the name of an error of ctct.
        failures: seeds of the inputs that ended in any other way, with what happened.
        slowest_s: the longest time of a processor that one input took.
        peak_mb: most memory that the process has held.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_mb: int = 0

    def add(self, other: Tally) -> None:
        """Count what became of other inputs too."""
        self.outcomes += other.outcomes
        self.failures += other.failures
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.peak_mb = max(self.peak_mb, other.peak_mb)


def good_files() -> list[bytes]:
    """Whole files, unpacked: both versions, both byte orders, many types, one with an extension."""
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
    """One of ``files`` after one to four mutations, packed or not; the same for the same seed."""
    rng = random.Random(seed)
    content = bytearray(rng.choice(files))
    for _ in range(rng.randint(1, 4)):
        rng.choice(MUTATIONS)(rng, content, files)
    if rng.random() < 0.5:
        return bytes(content)
    content = bytearray(gzip.compress(bytes(content), mtime=0))
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 3)):
            rng.choice((flip, truncate, extend, repeat))(rng, content, files)
    return bytes(content)


def odd_field(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """An odd number in a field of the header."""
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
        value = np.array(rng.choice(ODD_FLOATS + ODD_INTEGERS), base).tobytes()
    elif base.kind in "iu":
        wide = rng.choice(ODD_INTEGERS + ODD_LARGE) % 2 ** (8 * base.itemsize)
        value = wide.to_bytes(base.itemsize, "little" if order == "<" else "big")
    else:
        value = rng.randbytes(base.itemsize)
    if at + len(value) <= len(content):
        content[at : at + len(value)] = value


def flip(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """Bits turned in some bytes, most in the first 600."""
    for _ in range(rng.randint(1, 8)):
        if content:
            reach = min(len(content), 600) if rng.random() < 0.8 else len(content)
            content[rng.randrange(reach)] ^= 1 << rng.randrange(8)


def truncate(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """The end lost."""
    del content[rng.randint(0, len(content)) :]


def extend(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """Something added, at the end or between."""
    at = rng.choice((len(content), rng.randint(0, len(content))))
    content[at:at] = rng.randbytes(rng.randint(1, 2000))


def splice(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """A part of another file in place of one's own."""
    other = rng.choice(files)
    begin, end = sorted(rng.randint(0, len(other)) for _ in range(2))
    content[begin:end] = other[begin:end]


def repeat(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """The file after itself, as in a gzip file of many members."""
    content *= rng.randint(2, 5)


MUTATIONS = (odd_field, odd_field, odd_field, flip, truncate, extend, splice)


def processor_s() -> float:
    """Seconds of a processor that this process and its children have had: others do not count."""
    return sum(os.times()[:4])


def run(count: int, first: int = 0) -> Tally:
    """Read ``count`` damaged NIfTI files; and write the labels of each that can be read."""
    files = good_files()
    return run_each(range(first, first + count), "scan.nii.gz", partial(damaged, files), read_nifti)


def run_each(
    seeds: Iterable[int], name: str, make: Callable[[int], bytes], read: Callable[[Path], Study]
) -> Tally:
    """Read what ``make`` gives for each seed, as a file of that name; write labels if it can be."""
    tally = Tally()
    logging.disable(logging.ERROR)  # the readers' packages say something of most of them
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / name
        for seed in seeds:
            path.write_bytes(make(seed))
            begun = processor_s()
            try:
                study = read(path)
                assert study.source is not None
                study.source.encode_labels(np.zeros(study.voxels.shape, np.uint8))
                tally.outcomes["Study"] += 1
            except CtctError as error:
                tally.outcomes[type(error).__name__] += 1
            except Exception as error:
                tally.failures.append((seed, f"{type(error).__name__}: {error}"))
            tally.slowest_s = max(tally.slowest_s, processor_s() - begun)
    logging.disable(logging.NOTSET)
    tally.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return tally


def main(explanation: str | None, run: Callable[[int, int], Tally]) -> None:
    """The long run from the command line, with 2 GiB for all that the process allocates."""
    parser = argparse.ArgumentParser(description=(explanation or "").splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0, help="seed of the first input")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (2**31, 2**31))
    print(run(options.count, options.first))  # noqa: T201


if __name__ == "__main__":
    main(__doc__, run)
