"""Reads damaged MetaImage and NRRD files: each must give a study or an error of ctct."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import fuzzing
import numpy as np
import SimpleITK

from ctct.cases.case import Case
from ctct.cases.read import read_case
from ctct.io.study import Study

ENDINGS = ("mha", "nrrd")
NUMBERS = (b"0", b"-1", b"1", b"2", b"7", b"1e308", b"nan", b"99999999999", b"", b"16384", b"True")


def good_files(ending: str) -> list[bytes]:
    """Valid files: three and four dimensions, vectors, several types, packed or not."""
    rng = np.random.default_rng(0)
    files = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scan.{ending}"
        for kind in (np.int16, np.float32, np.uint8):
            for shape, vector in (((6, 3, 9, 8), False), ((3, 9, 8), False), ((3, 9, 8, 6), True)):
                voxels = rng.integers(0, 200, shape).astype(kind)
                image = SimpleITK.GetImageFromArray(voxels, isVector=vector)
                for packed in (False, True):
                    SimpleITK.WriteImage(image, str(path), packed)
                    files.append(path.read_bytes())
    return files


def odd_field(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """Put an odd value after one of the separators in the header."""
    head = bytes(content[:600])
    places = [at for at in range(len(head)) if head[at : at + 1] in b"=:"]
    if places:
        at = rng.choice(places) + 1
        end = head.find(b"\n", at)
        words = head[at:end].split(b" ") if end > 0 else [b""]
        words[rng.randrange(len(words))] = rng.choice(NUMBERS)
        content[at : max(end, at)] = b" ".join(words)


def insert_line(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """Insert a line of this or another header at the second line."""
    lines = rng.choice((bytes(content), rng.choice(files)))[:600].split(b"\n")
    at = content.find(b"\n") + 1
    content[at:at] = rng.choice(lines) + b"\n"


MUTATIONS: tuple[Callable[[random.Random, bytearray, list[bytes]], None], ...] = (
    *(odd_field, odd_field, odd_field, insert_line),
    *(fuzzing.flip, fuzzing.truncate, fuzzing.extend, fuzzing.splice),
)


def damaged(files: list[bytes], seed: int) -> bytes:
    """One of ``files`` after one to four mutations; the seed determines it."""
    rng = random.Random(seed)
    content = bytearray(rng.choice(files))
    for _ in range(rng.randint(1, 4)):
        rng.choice(MUTATIONS)(rng, content, files)
    return bytes(content)


def read(path: Path) -> Study:
    """Read a file as ``ctct predict`` does, in another process."""
    return read_case(Case(path, "scan"), deadline_s=10)


def run(count: int, first: int = 0) -> fuzzing.Tally:
    """Read ``count`` damaged files, half of each format, and encode labels for each study."""
    total = fuzzing.Tally()
    for n, ending in enumerate(ENDINGS):
        seeds = range(first + n, first + count, len(ENDINGS))
        make = partial(damaged, good_files(ending))
        total.add(fuzzing.run_each(seeds, f"scan.{ending}", make, read))
    return total


if __name__ == "__main__":
    fuzzing.main(__doc__, run)
