"""Zips of at most 4 kB that cost the demo as much as possible: what each costs is printed.

PYTHONPATH=tests/fuzzing:tests/support python -m costly_zips
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
from dicom_support import enhanced, image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless

from ctct.demo.handlers import visit_program
from ctct.demo.worker import EngineChoice, Worker
from ctct.errors import CtctError

MAX_BYTES = 4096


def encode(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def pack(*members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for number, content in enumerate(members):
            archive.writestr(str(number), content)
    return stream.getvalue()


def zeros() -> bytes:
    """A member of 3.5 MB of nothing."""
    return pack(bytes(3_500_000))


def overlapping() -> bytes:
    """Many members that share 2 MB of content, which unpacks for each of them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    plain = encode(image(0, 0)) + bytes(1_200_000)
    content = packer.compress(plain) + packer.flush()
    head = (20, 0, 8, 0, 33, zlib.crc32(plain), len(content), len(plain), 1, 0)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", *head) + b"a" + content
    count = (MAX_BYTES - len(local) - 22) // 47
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *head[:9], 0, 0, 0, 0, 0, 0) + b"a"
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, count * 47, len(local), 0)
    return local + entry * count + end


def deflated_twice() -> bytes:
    """A deflated data set of 100 times its size, in a zip."""
    one = image(0, 0)
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    one.Rows = one.Columns = 2048
    return pack(encode_large(one, bytes(2 * 2048 * 2048)))


def encode_large(one: Dataset, pixels: bytes) -> bytes:
    one.PixelData = pixels
    return encode(one)


def many_items() -> bytes:
    """A sequence of as many empty items as there is room for."""
    plain = encode(image(0, 0, PixelData=b""))
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 250_000
    sequence = struct.pack("<2H2sHI", 0x0040, 0xA730, b"SQ", 0, len(items)) + items
    return pack(plain + sequence)


def large_cine(phases: int = 6, places: int = 5, size: int = 1280) -> bytes:
    """A cine as large as the demo takes, half of it dark."""
    one = enhanced(phases, places)
    pixels = np.zeros((size, size), np.uint16)
    pixels[:, size // 2 :] = 200
    stream = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k")
    one.Rows = one.Columns = size
    one.PixelRepresentation = 0
    measures = one.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [320 / size] * 2
    one.file_meta.TransferSyntaxUID = JPEG2000Lossless
    one.PixelData = encapsulate([stream] * one.NumberOfFrames)
    one["PixelData"].VR = "OB"
    return pack(encode(one))


def many_frames() -> bytes:
    """A cine of as many frames as one file may have, of the largest images."""
    return large_cine(10, 10, 2048)


KINDS: tuple[Callable[[], bytes], ...] = (
    zeros,
    overlapping,
    deflated_twice,
    many_items,
    many_frames,
    large_cine,
)


def descendants(pid: int) -> Iterator[int]:
    """This process and those that it has started, and so on."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from descendants(int(child))


def resident_mb(pid: int) -> float:
    """Memory of a process and its descendants."""
    pages = 0
    for one in descendants(pid):
        try:
            pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
        except OSError:  # it has just ended
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(worker: Worker, content: bytes) -> str:
    """What a zip costs the process that labels, and how it ends."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scan.zip")
        path.write_bytes(content)
        done, before = threading.Event(), resident_mb(os.getpid())
        peak = [before]

        def watch() -> None:
            while not done.wait(0.01):
                peak[0] = max(peak[0], resident_mb(os.getpid()))

        free = os.statvfs(tempfile.gettempdir())
        watcher = threading.Thread(target=watch)
        watcher.start()
        begun = time.perf_counter()
        try:
            *_, answer = worker.run(visit_program, path, worker.first, on_stage=lambda *_: None)
            end = f"a result, {answer['verdict']}"
        except CtctError as error:
            end = str(error).replace(folder, "")[:90]
        seconds = time.perf_counter() - begun
        done.set()
        watcher.join()
        after = os.statvfs(tempfile.gettempdir())
    disk = (free.f_bavail - after.f_bavail) * after.f_frsize / 2**20
    return (
        f"{len(content)} B, {seconds:.1f} s, {peak[0] - before:+.0f} MB, disk {disk:+.0f} MB: {end}"
    )


def main() -> None:
    worker = Worker(EngineChoice(runtime="openvino"))
    try:
        measure(worker, pack(encode(image(0, 0))))  # starts what reads
        for kind in KINDS:
            content = kind()
            small = "" if len(content) <= MAX_BYTES else " (larger than 4 kB)"
            print(f"{kind.__name__}{small}: {measure(worker, content)}", flush=True)  # noqa: T201
    finally:
        worker.close()


if __name__ == "__main__":
    main()
