"""What the fuzzers share: mutations of bytes, the loop over the inputs, and its outcomes."""

from __future__ import annotations

import argparse
import logging
import os
import random
import resource
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ctct.errors import CtctError
from ctct.io.study import Study

#: Numbers at the limits of fields of every width.
ODD_INTEGERS = (0, 1, -1, 2, 7, 8, 127, 128, 255, 348, 540, 32767, -32768, 2**31 - 1, -(2**31))
ODD_LARGE = (2**32, 2**40, 2**62, 2**63 - 1, -(2**63))
ODD_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e38, -1e38, float("inf"), float("-inf"), float("nan"))


@dataclass
class Tally:
    """The outcomes of all inputs.

    Attributes:
        outcomes: how many inputs gave a "Study", or which error of ctct.
        failures: the seed of each input with another outcome, and its exception.
        slowest_s: longest processor time of one input.
        peak_mb: peak memory of the process.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_mb: int = 0

    def add(self, other: Tally) -> None:
        """Add the outcomes of other inputs."""
        self.outcomes += other.outcomes
        self.failures += other.failures
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.peak_mb = max(self.peak_mb, other.peak_mb)


def flip(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """Flip bits in some bytes, mostly in the first 600."""
    for _ in range(rng.randint(1, 8)):
        if content:
            reach = min(len(content), 600) if rng.random() < 0.8 else len(content)
            content[rng.randrange(reach)] ^= 1 << rng.randrange(8)


def truncate(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """Cut off the end."""
    del content[rng.randint(0, len(content)) :]


def extend(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """Insert random bytes, at the end or elsewhere."""
    at = rng.choice((len(content), rng.randint(0, len(content))))
    content[at:at] = rng.randbytes(rng.randint(1, 2000))


def splice(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """Replace a part by the same part of another file."""
    other = rng.choice(files)
    begin, end = sorted(rng.randint(0, len(other)) for _ in range(2))
    content[begin:end] = other[begin:end]


def repeat(rng: random.Random, content: bytearray, files: list[bytes]) -> None:
    """Repeat the file, as in a gzip file of several members."""
    content *= rng.randint(2, 5)


def processor_s() -> float:
    """Processor time of this process and its children, independent of other processes."""
    return sum(os.times()[:4])


def run_each(
    seeds: Iterable[int], name: str, make: Callable[[int], bytes], read: Callable[[Path], Study]
) -> Tally:
    """Read the content from ``make`` for each seed, as a file named ``name``, and encode labels."""
    tally = Tally()
    logging.disable(logging.ERROR)  # of the packages that read the files
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / name
        for seed in seeds:
            path.write_bytes(make(seed))
            begun = processor_s()
            try:
                study = read(path)
                assert study.label_encoder is not None
                study.label_encoder.encode_labels(np.zeros(study.voxels.shape, np.uint8))
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
    """Run a fuzzer from the command line, with at most 2 GiB of memory."""
    parser = argparse.ArgumentParser(description=(explanation or "").splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0, help="seed of the first input")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (2**31, 2**31))
    print(run(options.count, options.first))  # noqa: T201
