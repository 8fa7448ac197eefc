"""A series of DICOM images."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from ctct.io.dicom.header import Image
from ctct.io.geometry import SAME_SLICE_MM
from ctct.io.patient_info import PatientInfo

#: Smallest number of slices of a short-axis cine. First-pass perfusion has many phases of three or
#: four slices, late enhancement one phase of many slices.
MIN_SLICES = 5


@dataclass(frozen=True)
class Series:
    """Images of equal matrix, spacing, orientation and kind, from one DICOM series or several.

    Attributes:
        images: in any order.
        others: the other images of the same DICOM series.
        part: distinguishes it from others of the same DICOM series: another patient's, or those of
            another acquisition; "" where there are none.
        notes: what was irregular when the images were grouped, a sentence each.
        unreadable: names of its files that are missing or cannot be read.
    """

    images: tuple[Image, ...]
    others: tuple[Image, ...] = ()
    part: str = ""
    notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def first(self) -> Image:
        """The image that represents the series."""
        return self.images[0]

    @cached_property
    def uids(self) -> tuple[str, ...]:
        """SeriesInstanceUID of each DICOM series that the images come from."""
        return tuple(dict.fromkeys(image.series for image in self.images))

    @property
    def label(self) -> str:
        """Number and part, for messages."""
        return ", ".join(filter(None, (f"series {self.first.number}", self.part)))

    @property
    def left_out(self) -> int:
        """How many of the other images may show the heart where these do not.

        Those of another kind do if they lie elsewhere.
        """
        return sum(
            image.kind == self.first.kind or self._lies_elsewhere(image) for image in self.others
        )

    def _lies_elsewhere(self, image: Image) -> bool:
        if image.missing or not self.positions_mm:
            return False
        position = float(self.normal @ np.array(image.position))
        return min(abs(position - mm) for mm in self.positions_mm) > SAME_SLICE_MM

    @property
    def digest(self) -> str:
        """A hash of the UIDs, for results: a UID itself could identify a patient."""
        parts = sorted(self.uids) + [self.part] * bool(self.part)
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]

    @cached_property
    def path(self) -> Path:
        """The zip or the folder that holds the files."""
        if self.first.file.member:
            return self.first.file.path
        folders = {image.file.path.parent for image in self.images}
        if len(folders) == 1:
            return folders.pop()
        return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))

    @cached_property
    def normal(self) -> npt.NDArray[np.float64]:
        """Unit vector perpendicular to the slices (LPS)."""
        axes = np.reshape(self.first.orientation or (1, 0, 0, 0, 1, 0), (2, 3))
        normal = np.cross(*axes)
        return np.asarray(normal / np.linalg.norm(normal), np.float64)

    @cached_property
    def slices(self) -> list[list[Image]]:
        """The images at each position along the normal, in order; empty without positions."""
        if self.first.missing:
            return []
        images = [(float(self.normal @ np.array(i.position)), i) for i in self.images]
        images.sort(key=lambda positioned: positioned[0])
        slices: list[list[Image]] = []
        previous = -np.inf
        for position, image in images:
            if position - previous > SAME_SLICE_MM:
                slices.append([])
            slices[-1].append(image)
            previous = position
        return slices

    @cached_property
    def positions_mm(self) -> list[float]:
        """Position of each slice along the normal."""
        return [float(self.normal @ np.array(images[0].position)) for images in self.slices]

    @cached_property
    def phases(self) -> int:
        """Number of images in most slices; the higher of two numbers that are equally frequent."""
        counts = Counter(len(images) for images in self.slices)
        return max(counts, key=lambda n: (counts[n], n), default=0)

    @property
    def rank(self) -> tuple[int, int, int]:
        """Of several cines the one of highest rank is taken: the most complete, then the latest."""
        complete = sum(len(images) >= self.phases for images in self.slices)
        return complete, self.phases, self.first.number

    @cached_property
    def info(self) -> PatientInfo:
        """The patient's size, weight and sex, and the median heart rate of all images."""
        info = self.first.info
        rates = [rate for image in self.images if (rate := image.info.heart_rate_bpm)]
        return PatientInfo(
            height_cm=info.height_cm,
            weight_kg=info.weight_kg,
            sex=info.sex,
            heart_rate_bpm=median(rates) if rates else None,
        )


def study_key(image: Image) -> tuple[object, ...]:
    """The zip of an image, if any, its study and patient.

    The same study in a folder and a zip are two, and so are those of two patients with one UID.
    """
    zip_path = image.file.path if image.file.member else None
    return zip_path, image.study, image.acquisition.patient
