"""The network of a MONAI bundle: cines in, label maps out, by the fused graph in ONNX Runtime.

``ctct export`` copies this file into the bundle as ``scripts/network.py``, beside the module of
ctct that it imports. There it needs MONAI, nibabel and ONNX Runtime, and nothing of ctct.
"""
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from pathlib import Path
from typing import Any, Protocol

import nibabel as nib
import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from monai.data import MetaTensor, decollate_batch
from monai.utils import convert_to_dst_type

from ctct.io.orientation import find_orientation

#: What :mod:`ctct.io.study` and :mod:`ctct.inference.segmentation` refuse, too.
IN_PLANE_MM, MIN_PIXELS, MAX_LABEL = (0.2, 5.0), 32, 15
PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


class TrainedPair(torch.nn.Module):
    """The fused graph of both networks, applied to every slice.

    Slices of a single gray value, in which the networks would see a heart, are background.

    Args:
        model_file: the graph, ``models/model.onnx``.
        device: "cpu" or "cuda", where ONNX Runtime is to run it.
        batch: slices per call.

    Shape:
        - ``image``: (B, T, X, Y, Z) raw intensities; the channels are the frames of a cine, and
          the last axis holds the slices.
        - result: (B, T, X, Y, Z) uint8 labels, with the meta data of ``image``.
    """

    def __init__(self, model_file: str | Path, device: str = "cpu", batch: int = 16) -> None:
        super().__init__()
        providers = [PROVIDERS[name] for name in dict.fromkeys((device, "cpu"))]
        self.session = onnxruntime.InferenceSession(str(model_file), providers=providers)
        self.batch = batch

    def forward(self, image: torch.Tensor, affine: npt.ArrayLike | None = None) -> torch.Tensor:
        """Label every slice.

        Args:
            image: a MetaTensor, or any tensor beside its ``affine``.
            affine: (4, 4) or (B, 4, 4), voxel index to millimeters (RAS+); that of ``image`` where
                left out.

        Raises:
            ValueError: it cannot be a short-axis scan; the message says why.
        """
        if image.ndim != 5:
            raise ValueError(f"image is {tuple(image.shape)}; expected (batch, frames, X, Y, Z)")
        if affine is None:
            if not isinstance(image, MetaTensor):
                raise ValueError("the image has no affine: its voxel size is unknown; give affine")
            affine = image.affine
        affines = np.broadcast_to(np.asarray(affine, np.float64), (len(image), 4, 4))
        volumes = image.detach().cpu().numpy().astype(np.float32)
        labels = np.stack([self._label(*pair) for pair in zip(volumes, affines, strict=True)])
        result: torch.Tensor = convert_to_dst_type(labels, image, dtype=torch.uint8)[0]
        return result

    def _label(
        self, volume: npt.NDArray[np.float32], affine: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.uint8]:
        """Labels (T, X, Y, Z) of one cine of that shape."""
        check(volume, affine)
        orientation = find_orientation(affine)
        voxels = orientation.to_usual(volume.transpose(0, 3, 2, 1))  # (T, slices, rows, columns)
        column_mm, row_mm, _ = voxel_sizes(affine)
        spacing_mm = (column_mm, row_mm) if orientation.transposed else (row_mm, column_mm)
        slices = voxels.reshape(-1, 1, *voxels.shape[2:])
        labels = np.zeros(voxels.shape, np.uint8)
        flat = labels.reshape(-1, *voxels.shape[2:])
        with_picture = np.flatnonzero(np.ptp(slices, axis=(1, 2, 3)) > 0)
        for at in range(0, len(with_picture), self.batch):
            numbers = with_picture[at : at + self.batch]
            inputs = {
                "slices": slices[numbers],
                "spacing_mm": np.array([spacing_mm] * len(numbers), np.float32),
            }
            (flat[numbers],) = self.session.run(["labels"], inputs)
        return orientation.to_stored(labels).transpose(0, 3, 2, 1)


def check(volume: npt.NDArray[np.float32], affine: npt.NDArray[np.float64]) -> None:
    """Refuse what the networks cannot segment.

    Raises:
        ValueError: the volume (T, X, Y, Z) is none of short-axis slices along Z.
    """
    sizes_mm = voxel_sizes(affine)
    *_, second_mm, widest_mm = sorted(sizes_mm)
    if widest_mm >= 1.5 * max(second_mm, sizes_mm[2]) and volume.shape[3] > 1:
        raise ValueError(
            f"voxels of {' × '.join(f'{size:g}' for size in sizes_mm)} mm: the third axis must be "
            "that of the slices; reorder the axes"
        )
    low, high = IN_PLANE_MM
    if not all(low <= size <= high for size in sizes_mm[:2]):
        raise ValueError(
            f"pixels of {sizes_mm[0]:g} × {sizes_mm[1]:g} mm, expected {low:g} to {high:g} mm; "
            "correct the voxel size, or its unit, in the header"
        )
    if min(volume.shape[1:3]) < MIN_PIXELS:
        raise ValueError(f"slices of {volume.shape[1]} × {volume.shape[2]} pixels are too small")
    if not np.isfinite(volume).all():
        raise ValueError("voxels are NaN or infinite; replace them first")
    low, high = volume.min(), volume.max()
    if 0 <= low < high <= MAX_LABEL and (volume == volume.round()).all():
        raise ValueError(
            f"holds the whole numbers {low:g} to {high:g} only, as a label map does; give the scan"
        )


def voxel_sizes(affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Distance between voxels along X, Y and Z in millimeters."""
    return np.asarray(np.linalg.norm(affine[:3, :3], axis=0))


def check_header(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """A transform before ``LoadImaged``, which takes one of two contradictory voxel sizes.

    Args:
        item: with the path of a NIfTI file as "image".

    Returns:
        The same item.

    Raises:
        ValueError: pixdim and affine give different voxel sizes.
    """
    header = nib.load(item["image"]).header
    stored = np.abs(header.get_zooms()[:3])
    by_affine = voxel_sizes(header.get_best_affine())[: len(stored)]
    if not np.allclose(stored, by_affine, rtol=0.005):
        raise ValueError(
            f"{item['image']}: voxels of {stored} mm by pixdim, of {by_affine} mm by the affine; "
            "correct the header"
        )
    return item


class SizedLoader(Iterable[Mapping[str, Any]], Sized, Protocol):
    """Batches of items, as those of MONAI's DataLoader."""


class Evaluator:
    """Segments every image of a data loader. MONAI's own evaluators need Ignite, this one does not.

    Args:
        dataloader: gives batches with "image".
        network: such as :class:`TrainedPair`.
        inferer: calls the network.
        postprocessing: gets each item with "image" and "pred".
    """

    def __init__(
        self,
        dataloader: SizedLoader,
        network: torch.nn.Module,
        inferer: Callable[[torch.Tensor, torch.nn.Module], torch.Tensor],
        postprocessing: Callable[[Mapping[str, Any]], object],
    ) -> None:
        self.dataloader = dataloader
        self.network = network
        self.inferer = inferer
        self.postprocessing = postprocessing

    @torch.inference_mode()
    def run(self) -> None:
        """Segment all.

        Raises:
            ValueError: there is no image, or one cannot be a short-axis scan.
        """
        if not len(self.dataloader):
            raise ValueError("there are no NIfTI files; give their folder as dataset_dir")
        for batch in self.dataloader:
            pred = self.inferer(batch["image"], self.network)
            for item in decollate_batch({**batch, "pred": pred}):
                self.postprocessing(item)
