"""``ctct predict`` from file to file, beside the way research code is usually written.

That way, the reference: the same two networks in PyTorch and float32, one slice at a time, nibabel
to load and save, SciPy's nearest-neighbour zoom to the networks' spacing and back. It is given the
networks' spacing, not the blind resize to a square that such code often has, so that its labels are
as good as they can be. As it makes no report, ctct makes none here either.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from ctct.benchmark.turns import Timing, take_turns
from ctct.errors import InputError, RuntimeUnavailableError
from ctct.evaluation.overlap import dice_by_structure
from ctct.inference.crop import centered_crop
from ctct.inference.segmenter import Segmenter
from ctct.io.case import Case
from ctct.io.files import ENDINGS
from ctct.io.label_maps import read_labels
from ctct.io.nifti import encode_study
from ctct.io.read import read_case
from ctct.labels import STRUCTURES
from ctct.model_files.model_file import locate_model
from ctct.predict.case_files import PredictOptions, output_path
from ctct.predict.folder import predict_folder
from ctct.predict.pipeline import Observer
from ctct.predict.run_manifest import FAILED, MANIFEST
from ctct.runtimes.choose import resolve
from ctct.runtimes.machine import Machine, installed_version
from ctct.synthetic import synthetic_cine

REFERENCE = "reference procedure"

#: Dice that a contestant may lose against the reference before its row is invalid.
TOLERANCE = 0.005


@dataclass(frozen=True)
class Row:
    """One contestant.

    Attributes:
        timing: its rounds; the amount is in slices.
        times_as_fast: as the reference, median over the rounds.
        dice: mean per case and structure against the ``_gt`` files beside the scans; None without.
        valid: whether that is no more than :data:`TOLERANCE` below the reference's.
        busy: share of the time in which the runtime worked, last round; None for the reference.
        stages_s: seconds by stage, last round; those of different cases overlap.
    """

    timing: Timing
    times_as_fast: float
    dice: float | None
    valid: bool
    busy: float | None
    stages_s: dict[str, float]

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {**asdict(self), "slices_per_s": self.timing.rate}


def prediction_speed(
    cases: Sequence[Case],
    models: Sequence[str],
    reference: str = "default",
    device: str = "auto",
    batch: int = 16,
    rounds: int = 3,
    observe: Callable[[str], None] = lambda name: None,
) -> list[Row]:
    """Time whole runs over ``cases`` in turns, in a warm process, reading and writing included.

    Args:
        cases: what to segment.
        models: "default", ``.onnx``, ``.xml`` or ``.engine`` files; one with a bf16
            variant counts twice where the machine would take that variant.
        reference: the pair for the reference: a run folder, "default" or an fp32 ``.onnx``.
        device: "cpu", "cuda" or "auto".
        batch: slices a call.
        rounds: that count.
        observe: told whose turn it is.

    Returns:
        The reference's row first.

    Raises:
        InputError: a case cannot be segmented.
        RuntimeUnavailableError: PyTorch or SciPy, which the reference needs, is missing.
    """
    slices = sum(_slices(case) for case in cases)
    with ExitStack() as stack:
        outputs: dict[str, Path] = {}
        contestants: dict[str, Callable[[], int]] = {}

        def enter(name: str, work: Callable[[Path], object]) -> None:
            out = outputs[name] = Path(stack.enter_context(tempfile.TemporaryDirectory()))

            def turn() -> int:
                shutil.rmtree(out)
                out.mkdir()
                work(out)
                return slices

            contestants[name] = turn

        procedure = ReferenceProcedure(reference, device)
        enter(REFERENCE, lambda out: procedure(cases, out))
        for name, segmenter in _segmenters(models, device, batch):
            enter(name, lambda out, used=segmenter: _predict(cases, out, used))  # type: ignore[misc]
        timings = take_turns(contestants, rounds, observe=observe)
        return _rows(timings, outputs, cases)


def write_synthetic(folder: Path, people: int = 2, frames: int = 4) -> None:
    """Synthetic cines with their true labels, to measure without scans at hand."""
    for seed in range(people):
        for stem, content in encode_study(*synthetic_cine(seed, frames)).items():
            (folder / f"{stem}.nii.gz").write_bytes(content)


def machine() -> dict[str, object]:
    """What the figures depend on: processor, cores, versions."""
    found = Machine()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cuda_devices": found.gpu_count,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "ctct": version("ctct"),
        "runtimes": {name: installed_version(name) for name in found.runtimes},
        "date": datetime.now(UTC).date().isoformat(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor()


def _segmenters(models: Sequence[str], device: str, batch: int) -> Iterator[tuple[str, Segmenter]]:
    """Each model, and its bf16 variant in bfloat16 where this machine would take that."""
    for model in models:
        plans = [resolve(model, device=device, precision=name) for name in ("fp32", "auto")]
        for plan in {plan.model.path: plan for plan in plans}.values():
            segmenter = Segmenter.load(plan, batch)
            precision = plan.model.description.get("precision", "fp32")
            yield f"{model} in {precision} on {segmenter.runtime.name}", segmenter


def _predict(cases: Sequence[Case], out: Path, segmenter: Segmenter) -> None:
    segmenter.busy_s = 0.0
    case_statuses = predict_folder(
        cases,
        out,
        segmenter.model,
        lambda model: segmenter,
        PredictOptions(report=False),
        Observer(),
    )
    for case_status in case_statuses:
        if case_status.status == FAILED:
            raise InputError(case_status.reason)


def _rows(timings: list[Timing], outputs: dict[str, Path], cases: Sequence[Case]) -> list[Row]:
    rows: list[Row] = []
    for timing in timings:
        out = outputs[timing.name]
        dice = _dice(cases, out)
        record = json.loads((out / MANIFEST).read_text()) if (out / MANIFEST).exists() else {}
        stages: dict[str, float] = {}
        for case_status in record.get("cases", ()):
            for stage, seconds in case_status["seconds"].items():
                stages[stage] = round(stages.get(stage, 0.0) + seconds, 3)
        usual = rows[0].dice if rows else dice
        valid = dice is None or usual is None or usual - dice <= TOLERANCE
        times = timing.times_as_fast_as(timings[0])
        rows.append(Row(timing, times, dice, valid, record.get("runtime_busy"), stages))
    return rows


def _slices(case: Case) -> int:
    study = read_case(case)
    return study.frames * study.slices


def _dice(cases: Sequence[Case], out: Path) -> float | None:
    scores: list[float] = []
    for case in cases:
        manual = case.path.with_name(f"{case.name}_gt.nii.gz")
        if manual.exists():
            own, truth = (read_labels(p)[1] for p in (output_path(out, case.name), manual))
            dice = dice_by_structure(own, truth)
            scores += [dice[structure] for structure in STRUCTURES]
    return float(np.mean(scores)) if scores else None


class ReferenceProcedure:
    """The reference for one pair.

    Args:
        model: a run folder, "default" or an fp32 ``.onnx``.
        device: "cpu", "cuda" or "auto".

    Raises:
        RuntimeUnavailableError: PyTorch or SciPy is missing.
    """

    def __init__(self, model: str, device: str = "auto") -> None:
        try:
            import torch
            from scipy import ndimage

            from ctct.models.checkpoint import load_checkpoint as load_pair
        except ImportError as error:
            raise RuntimeUnavailableError(
                f"the reference procedure needs {error.name}; pip install 'ctct[export]' scipy"
            ) from error
        self._torch, self._zoom = torch, ndimage.zoom
        cuda = device != "cpu" and torch.cuda.is_available()
        self._device = "cuda" if cuda else "cpu"
        self._graph = load_pair(locate_model(model))[0].to(self._device)

    def __call__(self, cases: Sequence[Case], out: Path) -> None:
        """Write the label map of each case into ``out``."""
        for case in cases:
            if case.path.name.lower().endswith(ENDINGS):
                self._nifti(case, out)
            else:
                self._other(case, out)

    def _nifti(self, case: Case, out: Path) -> None:
        image = nib.load(case.path)
        voxels = np.asarray(image.dataobj, dtype=np.float32)
        flat = voxels.reshape(*voxels.shape[:2], -1)
        labels = np.zeros(flat.shape, np.uint8)
        for i in range(flat.shape[2]):
            labels[..., i] = self._slice(flat[..., i], image.header.get_zooms()[:2])
        written = nib.Nifti1Image(labels.reshape(voxels.shape), image.affine, image.header)
        written.set_data_dtype(np.uint8)
        nib.save(written, output_path(out, case.name))

    def _other(self, case: Case, out: Path) -> None:
        """Of other scans only the networks' part differs: read and written as by ctct."""
        study = read_case(case)
        labels = np.zeros(study.voxels.shape, np.uint8)
        for at in np.ndindex(*labels.shape[:2]):
            labels[at] = self._slice(study.voxels[at].T, study.spacing_mm[::-1]).T
        assert study.source is not None
        output_path(out, case.name).write_bytes(study.source.encode_labels(labels))

    def _slice(
        self, image: npt.NDArray[np.float32], spacing_mm: Sequence[float]
    ) -> npt.NDArray[np.uint8]:
        torch, grid = self._torch, self._graph.grid
        # Files hold (column, row); the networks were trained on (row, column).
        factors = [mm / grid.spacing_mm for mm in spacing_mm[::-1]]
        resized = self._zoom(image.T, factors, order=0)
        size = [n + (n - grid.size) % 2 for n in resized.shape]  # to be cut on both sides alike
        grown = np.zeros(size, np.float32)
        grown[: resized.shape[0], : resized.shape[1]] = resized
        middle = centered_crop(grown.shape, (grid.size, grid.size))
        seen = middle.cut(grown)
        seen = (seen - seen.mean()) / max(float(seen.std()), 1e-6)
        x = torch.from_numpy(np.ascontiguousarray(seen, np.float32).clip(-4, 4))[None, None]
        with torch.inference_mode():
            x = x.to(self._device)
            each = [self._graph.cnn(x).softmax(1), self._graph.transformer(x).softmax(1)]
            weights = self._graph.member_weights
            mean = weights[0] * each[0] + weights[1] * each[1]
            found = mean.argmax(1)[0].byte().cpu().numpy()
        whole = np.zeros(size, np.uint8)
        middle.paste(found, whole)
        whole = whole[: resized.shape[0], : resized.shape[1]]
        back = [n / m for n, m in zip(image.T.shape, whole.shape, strict=True)]
        return np.asarray(self._zoom(whole, back, order=0).T, np.uint8)
