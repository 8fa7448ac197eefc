"""What is stored of a file of a single frame, to compare it with the patient's other frames."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ctct.measurement.motion_flags import motion_flags
from ctct.measurement.quality_flags import Flag
from ctct.measurement.stack_flags import beat_flags, coarsen
from ctct.measurement.volumes import Measurements


@dataclass(frozen=True, eq=False)
class SingleFrame:
    """Labels and a small picture of one frame.

    Attributes:
        labels: (Z, H, W) uint8.
        picture: (Z, h, w) uint8, means of blocks of pixels; None where the scan was not read.
    """

    labels: npt.NDArray[np.uint8]
    picture: npt.NDArray[np.uint8] | None

    @classmethod
    def of(cls, labels: npt.NDArray[np.uint8], voxels: npt.NDArray[np.float32] | None) -> Self:
        """The frame with labels (Z, H, W) and intensities (Z, H, W), or None."""
        if voxels is None:
            return cls(labels, None)
        means = coarsen(voxels[None])[0]
        low, high = means.min(), means.max()
        return cls(labels, (255 * (means - low) / ((high - low) or 1)).astype(np.uint8))

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads; some kilobytes."""
        return {
            "labels": _encode(self.labels),
            "picture": None if self.picture is None else _encode(self.picture),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`."""
        picture = content["picture"]
        return cls(_decode(content["labels"]), None if picture is None else _decode(picture))


def compare_frames(
    frames: Sequence[SingleFrame], measurements: Measurements, spacing_mm: tuple[float, float]
) -> list[Flag]:
    """Flags of files of single frames that hardly show one heart.

    Args:
        frames: of one patient, in the order of ``measurements``.
        measurements: tell which is ED and which is ES.
        spacing_mm: of rows and of columns.
    """
    labels = [frame.labels for frame in frames]
    flags = motion_flags(labels, measurements.ed, measurements.es, spacing_mm)
    pictures = [frame.picture for frame in frames if frame.picture is not None]
    if len(pictures) == len(frames) and len({picture.shape for picture in pictures}) == 1:
        flags += beat_flags(np.stack(pictures).astype(np.float32))
    return flags


def _encode(array: npt.NDArray[np.uint8]) -> dict[str, Any]:
    data = b64encode(zlib.compress(np.ascontiguousarray(array).tobytes())).decode()
    return {"shape": list(array.shape), "data": data}


def _decode(content: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    data = zlib.decompress(b64decode(content["data"]))
    return np.frombuffer(data, np.uint8).reshape(content["shape"])
