"""A loaded model: scans in, results out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from ctct.api.arguments import as_path
from ctct.api.inputs import as_study
from ctct.api.messages import naming_arguments
from ctct.api.result import Result
from ctct.choices import Device, Precision, RuntimeName
from ctct.errors import ConfigError, CtctError, InputError
from ctct.inference.segmentation import Outcome, check_segmentable, clean_components
from ctct.inference.segmenter import ModelSpec, Segmenter
from ctct.io.study import Study
from ctct.model_files.model_file import DEFAULT
from ctct.prediction.case_result import analyze_case
from ctct.prediction.patients import PatientContext


class Model:
    """Segments scans and measures them; made by :func:`ctct.load_model`.

    A model may be used from several threads at once. It can be pickled: what is pickled is how it
    was loaded (:attr:`spec`), and each process loads it again. ``with`` closes it at the end.

    >>> import ctct
    >>> with ctct.load_model() as model:
    ...     result = model.segment(ctct.sample_study(frames=2, slices=5))
    >>> int(result.labels.max())
    3
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    @property
    def spec(self) -> ModelSpec:
        """How the model was loaded; small and picklable. ``spec.load()`` loads it again."""
        return self._segmenter.spec

    @property
    def segmenter(self) -> Segmenter:
        """What runs the networks; shared with this model, which closes it."""
        return self._segmenter

    @property
    def runtime(self) -> str:
        """Name of the runtime, for instance "openvino"."""
        return self._segmenter.runtime.name

    @property
    def device(self) -> str:
        """Where it runs: "cpu" or "cuda"."""
        return self._segmenter.runtime.device

    @property
    def description(self) -> dict[str, Any]:
        """The model's metadata: network grid, training data, license, validation Dice."""
        return dict(self._segmenter.model.description)

    @naming_arguments
    def segment(
        self,
        scan: object,
        spacing_mm: Sequence[float] | None = None,
        *,
        name: str | None = None,
        series: str | None = None,
        ed: int | None = None,
        es: int | None = None,
        clean_up: bool = True,
    ) -> Result:
        """Label every slice of every frame, and measure the result.

        Args:
            scan: the path of a NIfTI, MHA or NRRD file, of a DICOM folder or zip; a nibabel or
                SimpleITK image; a :class:`ctct.Study`; or an array (T, Z, H, W), (Z, H, W) or
                (H, W) of raw intensities.
            spacing_mm: of an array: distance between slices, rows and columns in millimeters, as in
                (8.0, 1.4, 1.4); for a single (H, W) slice also (row, column).
            name: name of the scan in results.
            series: SeriesInstanceUID to take from a DICOM folder or zip.
            ed: number of the end-diastolic frame, from 0; found from the LV volume where left out.
            es: number of the end-systolic frame, likewise.
            clean_up: keep only what belongs to the heart, without RV above its base, and fill the
                ring of myocardium.

        Raises:
            InputError: the scan cannot be read or segmented; the message names the remedy.
            RuntimeUnavailableError: a library that reads this kind of file is not installed.
            ModelError: the model has been closed.
        """
        _ = self._segmenter.runtime  # raises at once if the model is closed
        study = as_study(scan, spacing_mm, name, series)
        for flag, number in (("ed", ed), ("es", es)):
            if number is None:
                continue
            if not is_index(number) or not 0 <= number < study.frames:
                raise ConfigError(
                    f"{flag}={number!r}: {study.name} has {study.frames} frames, counted from 0"
                )
        segmentation = self._segmenter.segment(study, clean_up)
        return Result(analyze_case(segmentation, context=PatientContext(ed, es)))

    def segment_many(
        self,
        scans: Iterable[object],
        *,
        clean_up: bool = True,
        errors: Literal["raise", "return"] = "raise",
    ) -> Iterator[Result | CtctError]:
        """Segment many scans, whose slices share batches; results come in the order of ``scans``.

        Scans are read when their turn comes, so ``scans`` may be a generator of any length.

        Args:
            scans: paths, images or studies, as :meth:`segment` takes them.
            clean_up: keep only what belongs to the heart, without RV above its base, and fill the
                ring of myocardium.
            errors: "raise" stops at a scan that fails; "return" yields its error in its place.

        Yields:
            A result for each scan.

        Raises:
            InputError: ``scans`` is an empty list, a single path, or one of them cannot be used.
        """
        if isinstance(scans, str | bytes | Path | Study) or not isinstance(scans, Iterable):
            raise InputError(
                f"segment_many takes several scans, got {type(scans).__name__}; use segment for one"
            )
        if isinstance(scans, Sized) and not len(scans):
            raise InputError("segment_many got an empty list; give the scans to segment")
        _ = self._segmenter.runtime  # raises at once if the model is closed
        if errors not in ("raise", "return"):
            raise ConfigError(f'errors={errors!r}: choose "raise" or "return"')
        return self._segment_many(iter(scans), clean_up, errors)

    def _segment_many(
        self, scans: Iterator[object], clean_up: bool, errors: str
    ) -> Iterator[Result | CtctError]:
        done: dict[int, Result | CtctError] = {}  # by position
        positions: dict[int, int] = {}  # by the identity of the study

        def studies() -> Iterator[Study]:
            for position, scan in enumerate(scans):
                try:
                    study = as_study(scan)
                    check_segmentable(study)
                except CtctError as error:
                    done[position] = error
                    continue
                study = study.renamed(study.name)  # another object: a study may occur twice
                positions[id(study)] = position
                yield study

        def finish(outcome: Outcome) -> Result | CtctError:
            if outcome.segmentation is None:
                error = outcome.error
                return (
                    error
                    if isinstance(error, CtctError)
                    else InputError(
                        f"{outcome.study.name}: unexpected {type(error).__name__}: {error}"
                    )
                )
            labels = outcome.segmentation
            return Result(analyze_case(clean_components(labels) if clean_up else labels))

        waiting = 0
        for outcome in self._segmenter.segment_all(studies()):
            done[positions.pop(id(outcome.study))] = finish(outcome)
            while waiting in done:
                yield _unwrap(done.pop(waiting), errors)
                waiting += 1
        for position in sorted(done):
            yield _unwrap(done[position], errors)

    def close(self) -> None:
        """Free the runtime; a closed model raises :class:`ctct.errors.ModelError` when used."""
        self._segmenter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self.spec,)

    def __repr__(self) -> str:
        where = "closed" if self._segmenter.is_closed else f"on {self.runtime}, {self.device}"
        return f"Model({self._segmenter.model.path.name!r} {where})"


def _unwrap(result: Result | CtctError, errors: str) -> Result | CtctError:
    if errors == "raise" and isinstance(result, CtctError):
        raise result
    return result


def is_index(number: object) -> bool:
    """Whether it is a whole number, of Python or NumPy; True and False are not."""
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def _load(spec: ModelSpec) -> Model:
    return Model(spec.load())


@naming_arguments
def load_model(
    model: str | Path = DEFAULT,
    runtime: RuntimeName = "auto",
    device: Device = "auto",
    batch: int | str = 16,
    precision: Precision = "auto",
    gpus: Sequence[int] = (),
    heart_crop: bool = True,
) -> Model:
    """Load a model into a runtime.

    Args:
        model: "default" (the bundled model), an ``.onnx``, ``.xml`` or ``.engine`` file, or the
            folder of a training run.
        runtime: "auto" takes the fastest one found.
        device: "auto", "cpu" or "cuda".
        batch: slices per call of the runtime, or "auto" to find the fastest number once.
        precision: "auto" takes the bf16 variant where the CPU computes in bfloat16.
        gpus: numbers of the GPUs that share the batches; empty: the first, where a GPU is used.
        heart_crop: run most slices of a cine on a smaller grid around the heart, which is faster.

    Raises:
        ModelError: the file is missing or is not a model of ctct.
        ConfigError: an argument has an unknown value.
        RuntimeUnavailableError: the runtime or device is not on this machine.

    >>> import ctct
    >>> ctct.load_model(device="cpu").device
    'cpu'
    """
    if not isinstance(gpus, Sequence) or not all(map(is_index, gpus)):
        raise ConfigError(f"gpus={gpus!r}: give the numbers of GPUs, as in (0, 1)")
    path = str(as_path(model, "model"))
    return _load(ModelSpec(path, runtime, device, batch, precision, tuple(gpus), heart_crop))
