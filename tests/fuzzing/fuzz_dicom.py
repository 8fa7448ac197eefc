"""Reads damaged DICOM: each input must give a study or an error of ctct."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from functools import partial

import fuzzing
import imagecodecs
import numpy as np
from dicom_support import coded, enhanced, frame, image, packed
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from ctct.cases.read import read_study

PHASES, PLACES = 6, 5

#: Elements that the reader uses.
ELEMENTS = (
    *((0x0028, n) for n in (0x02, 0x08, 0x10, 0x11, 0x30, 0x100, 0x101, 0x102, 0x103, 0x1052)),
    *((0x0020, n) for n in (0x0D, 0x0E, 0x11, 0x13, 0x32, 0x37, 0x9113, 0x9116)),
    *((0x0018, n) for n in (0x1060, 0x1062, 0x1088, 0x9153)),
    *((0x5200, n) for n in (0x9229, 0x9230)),
    *((0x0002, n) for n in (0x00, 0x10)),
    *((0x0008, n) for n in (0x08, 0x60)),
    (0x7FE0, 0x10),
)
ODD_TEXTS = (b"nan", b"inf", b"-1", b"0", b"1e308", b"1e-308", b"", b"\\\\\\", b"\xff\xfe", b"x")


def good_files() -> list[list[bytes]]:
    """Sets of valid files, one study each: plain, implicit VR, deflated, compressed, enhanced."""
    plain = [image(t, z) for t in range(PHASES) for z in range(PLACES)]
    implicit = [image(t, z) for t in range(PHASES) for z in range(PLACES)]
    run_length = [image(t, z) for t in range(PHASES) for z in range(PLACES)]
    for one in implicit:
        one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    for one in run_length:
        one.compress(RLELossless)
    deflated = [image(t, z) for t in range(PHASES) for z in range(PLACES)]
    for one in deflated:
        one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    sets = [plain, implicit, run_length, deflated, [enhanced()]]
    pixels = frame(0, 0).astype(np.uint8)
    for syntax, stream in (
        (JPEGBaseline8Bit, coded("JPEG")),
        (JPEG2000Lossless, coded("JPEG2000")),
        (JPEGLosslessSV1, imagecodecs.jpeg8_encode(pixels, lossless=True)),
        (JPEGLSLossless, imagecodecs.jpegls_encode(pixels)),
        (HTJ2KLossless, imagecodecs.htj2k_encode(pixels, reversible=True)),
    ):
        sets.append(
            [packed(syntax, stream, phase=t, place=z) for t in range(PHASES) for z in range(PLACES)]
        )
    return [[_bytes(dataset) for dataset in datasets] for datasets in sets]


def _bytes(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def odd_element(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """Put an odd number or text into the length or the value of an element."""
    places = []
    for tag in rng.sample(ELEMENTS, 5):
        at = content.find(struct.pack("<HH", *tag))
        places += [at] if at >= 0 else []
    for at in places[:1]:
        number = rng.choice(fuzzing.ODD_INTEGERS + fuzzing.ODD_LARGE) % 2**32
        odd = rng.choice((struct.pack("<I", number), struct.pack("<H", number % 2**16)))
        odd = rng.choice((odd, rng.choice(ODD_TEXTS)))
        begin = at + rng.choice((4, 6, 8, 8, 12))
        content[begin : begin + len(odd)] = odd


MUTATIONS = (odd_element, odd_element, odd_element, fuzzing.flip, fuzzing.truncate, fuzzing.extend)


def damaged(sets: list[list[bytes]], seed: int) -> bytes:
    """A zip of one of ``sets``, damaged itself or in some files; the seed determines it."""
    rng = random.Random(seed)
    files = list(rng.choice(sets))
    every = rng.random() < 0.5  # the same damage in all files, so that they still are a series
    for n in range(len(files)) if every else rng.sample(range(len(files)), min(2, len(files))):
        content, own = bytearray(files[n]), random.Random(seed) if every else rng
        for _ in range(own.randint(1, 3)):
            own.choice((*MUTATIONS, fuzzing.splice))(own, content, files)
        files[n] = bytes(content)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as z:
        for n, content in enumerate(files):
            z.writestr(f"IM{n}", content)
    packed = bytearray(stream.getvalue())
    if rng.random() < 0.2:
        rng.choice((fuzzing.flip, fuzzing.truncate, fuzzing.extend))(rng, packed, files)
    return bytes(packed)


def run(count: int, first: int = 0) -> fuzzing.Tally:
    """Read ``count`` damaged zips, and encode labels for each that is a study."""
    sets = good_files()
    return fuzzing.run_each(
        range(first, first + count), "s.zip", partial(damaged, sets), read_study
    )


if __name__ == "__main__":
    fuzzing.main(__doc__, run)
