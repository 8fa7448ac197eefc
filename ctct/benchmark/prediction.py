"""Speed of ``ctct predict``, from file to file, relative to how research code is often written.

The reference procedure runs the same two networks in PyTorch and float32, one slice at a time. It
loads and saves with nibabel, and resamples to the networks' spacing and back with SciPy's
nearest-neighbor zoom. Research code often resizes to a square whatever the spacing; the reference
does not, so that its labels are as good as they can be. It makes no report, so ctct makes none here
either.
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

from ctct.benchmark.timing import Timing, time_in_turns
from ctct.cases.case import Case
from ctct.cases.read import read_case
from ctct.errors import ConfigError, InputError, RuntimeUnavailableError
from ctct.evaluation.overlap import dice_by_structure
from ctct.inference.crop import centered_crop
from ctct.inference.segmenter import Segmenter
from ctct.installation import how_to_install
from ctct.io.files import ENDINGS, case_name
from ctct.io.label_maps import read_labels
from ctct.io.nifti import encode_study
from ctct.labels import STRUCTURES
from ctct.model_files.model_file import locate_model
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.folder import predict_folder
from ctct.prediction.pipeline import Observer
from ctct.prediction.quality_record import output_path
from ctct.prediction.run_manifest import FAILED, MANIFEST
from ctct.runtimes.choose import resolve
from ctct.runtimes.machine import Machine, installed_version
from ctct.synthetic import synthetic_cine

REFERENCE = "reference procedure"

#: A row is invalid when its Dice is this much below the reference's.
TOLERANCE = 0.005


@dataclass(frozen=True)
class PredictionRow:
    """Speed and Dice of one model, or of the reference.

    Attributes:
        timing: one run over all cases per round; the amount is in slices.
        times_as_fast: speed relative to the reference, median over the rounds.
        dice: mean over cases and structures against the ``_gt`` files next to the scans; None
            without such files.
        valid: whether ``dice`` is at most :data:`TOLERANCE` below the reference's.
        busy: share of the time in which the runtime worked, last round; None for the reference.
        stages_s: seconds per stage, last round; stages of different cases overlap.
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
    on_stage: Callable[[str], None] = lambda name: None,
) -> list[PredictionRow]:
    """Time whole runs over ``cases`` in turns, in a warm process, reading and writing included.

    Args:
        cases: what to segment.
        models: "default", ``.onnx``, ``.xml`` or ``.engine`` files; a bf16 variant is measured too
            where this machine would choose it.
        reference: the pair for the reference: a run folder, "default" or an fp32 ``.onnx``.
        device: "cpu", "cuda" or "auto".
        batch: slices per call.
        rounds: rounds that count, after one to warm up.
        on_stage: called with the name of each model before its turn.

    Returns:
        The reference's row first.

    Raises:
        InputError: a case cannot be segmented.
        ModelError: a model cannot be read.
        RuntimeUnavailableError: PyTorch or SciPy, which the reference needs, is missing.
    """
    slices = sum(_slices(case) for case in cases)
    with ExitStack() as stack:
        outputs: dict[str, Path] = {}
        procedures: dict[str, Callable[[], int]] = {}

        def add(name: str, segment_cases: Callable[[Path], object]) -> None:
            out = outputs[name] = Path(stack.enter_context(tempfile.TemporaryDirectory()))

            def run() -> int:
                shutil.rmtree(out)
                out.mkdir()
                segment_cases(out)
                return slices

            procedures[name] = run

        reference_procedure = ReferenceProcedure(reference, device)
        add(REFERENCE, lambda out: reference_procedure(cases, out))
        for name, segmenter in _segmenters(models, device, batch):
            add(name, lambda out, segmenter=segmenter: _predict(cases, out, segmenter))  # type: ignore[misc]
        timings = time_in_turns(procedures, rounds, on_stage=on_stage)
        return _rows(timings, outputs, cases)


def write_synthetic(folder: Path, people: int = 2, frames: int = 4) -> None:
    """Write synthetic cines and their true labels, to measure without real scans."""
    for seed in range(people):
        for stem, content in encode_study(*synthetic_cine(seed, frames)).items():
            (folder / f"{stem}.nii.gz").write_bytes(content)


def describe_machine() -> dict[str, object]:
    """What the measured times depend on: processor, cores, versions."""
    machine = Machine()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cuda_devices": machine.gpu_count,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "ctct": version("ctct"),
        "runtimes": {name: installed_version(name) for name in machine.runtimes},
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
    """Each model, and its bf16 variant where this machine would choose it."""
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


def _rows(
    timings: list[Timing], outputs: dict[str, Path], cases: Sequence[Case]
) -> list[PredictionRow]:
    rows: list[PredictionRow] = []
    for timing in timings:
        out = outputs[timing.name]
        dice = _dice(cases, out)
        manifest = json.loads((out / MANIFEST).read_text()) if (out / MANIFEST).exists() else {}
        stages: dict[str, float] = {}
        for case_status in manifest.get("cases", ()):
            for stage, seconds in case_status["seconds"].items():
                stages[stage] = round(stages.get(stage, 0.0) + seconds, 3)
        reference_dice = rows[0].dice if rows else dice
        valid = dice is None or reference_dice is None or reference_dice - dice <= TOLERANCE
        ratio = timing.times_as_fast_as(timings[0])
        rows.append(PredictionRow(timing, ratio, dice, valid, manifest.get("runtime_busy"), stages))
    return rows


def _slices(case: Case) -> int:
    study = read_case(case)
    return study.frames * study.slices


def _dice(cases: Sequence[Case], out: Path) -> float | None:
    scores: list[float] = []
    for case in cases:
        manual = case.path.with_name(f"{case_name(case.path)}_gt.nii.gz")
        if manual.exists():
            predicted, truth = (read_labels(p)[1] for p in (output_path(out, case.name), manual))
            dice = dice_by_structure(predicted, truth)
            scores += [dice[structure] for structure in STRUCTURES]
    return float(np.mean(scores)) if scores else None


class ReferenceProcedure:
    """The reference procedure with one pair.

    Args:
        model: a run folder, "default" or an fp32 ``.onnx``.
        device: "cpu", "cuda" or "auto".

    Raises:
        ConfigError: the pair lays slices on its grid in another way.
        ModelError: the pair cannot be read.
        RuntimeUnavailableError: PyTorch or SciPy is missing.
    """

    def __init__(self, model: str, device: str = "auto") -> None:
        try:
            import torch
            from scipy import ndimage

            from ctct.models.checkpoint import load_checkpoint as load_pair
        except ImportError as error:
            raise RuntimeUnavailableError(
                f"the reference procedure needs {error.name}; {how_to_install('export')} scipy"
            ) from error
        self._torch, self._zoom = torch, ndimage.zoom
        cuda = device != "cpu" and torch.cuda.is_available()
        self._device = "cuda" if cuda else "cpu"
        self._graph = load_pair(locate_model(model))[0].to(self._device)
        if self._graph.grid.stretch or self._graph.grid.intensities != "z_score":
            raise ConfigError(
                f"{model}: the reference procedure is for pairs with --grid spacing and "
                "--intensities z_score only"
            )

    def __call__(self, cases: Sequence[Case], out: Path) -> None:
        """Write the label map of each case into ``out``."""
        for case in cases:
            if case.path.name.lower().endswith(ENDINGS):
                self._segment_nifti(case, out)
            else:
                self._segment_other(case, out)

    def _segment_nifti(self, case: Case, out: Path) -> None:
        image = nib.load(case.path)
        voxels = np.asarray(image.dataobj, dtype=np.float32)
        flat = voxels.reshape(*voxels.shape[:2], -1)
        labels = np.zeros(flat.shape, np.uint8)
        for i in range(flat.shape[2]):
            labels[..., i] = self._segment_slice(flat[..., i], image.header.get_zooms()[:2])
        written = nib.Nifti1Image(labels.reshape(voxels.shape), image.affine, image.header)
        written.set_data_dtype(np.uint8)
        nib.save(written, output_path(out, case.name))

    def _segment_other(self, case: Case, out: Path) -> None:
        """Scans of other formats are read and written as ctct does."""
        study = read_case(case)
        labels = np.zeros(study.voxels.shape, np.uint8)
        for at in np.ndindex(*labels.shape[:2]):
            labels[at] = self._segment_slice(study.voxels[at].T, study.spacing_mm[::-1]).T
        assert study.label_encoder is not None
        output_path(out, case.name).write_bytes(study.label_encoder.encode_labels(labels))

    def _segment_slice(
        self, image: npt.NDArray[np.float32], spacing_mm: Sequence[float]
    ) -> npt.NDArray[np.uint8]:
        torch, grid = self._torch, self._graph.grid
        # Files hold (column, row); the networks were trained on (row, column).
        factors = [mm / grid.spacing_mm for mm in spacing_mm[::-1]]
        resized = self._zoom(image.T, factors, order=0)
        size = [n + (n - grid.size) % 2 for n in resized.shape]  # so that both sides are cut alike
        padded = np.zeros(size, np.float32)
        padded[: resized.shape[0], : resized.shape[1]] = resized
        crop = centered_crop(padded.shape, (grid.size, grid.size))
        cropped = crop.cut(padded)
        cropped = (cropped - cropped.mean()) / max(float(cropped.std()), 1e-6)
        x = torch.from_numpy(np.ascontiguousarray(cropped, np.float32).clip(-4, 4))[None, None]
        with torch.inference_mode():
            x = x.to(self._device)
            cnn, transformer = self._graph.cnn(x).softmax(1), self._graph.transformer(x).softmax(1)
            weights = self._graph.member_weights
            mean = weights[0] * cnn + weights[1] * transformer
            predicted = mean.argmax(1)[0].byte().cpu().numpy()
        labels = np.zeros(size, np.uint8)
        crop.paste(predicted, labels)
        labels = labels[: resized.shape[0], : resized.shape[1]]
        factors = [n / m for n, m in zip(image.T.shape, labels.shape, strict=True)]
        return np.asarray(self._zoom(labels, factors, order=0).T, np.uint8)
