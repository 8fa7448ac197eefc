"""Segmenting and measuring a cohort, as a function."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from ctct.api.arguments import (
    OneOrMore,
    as_names,
    as_optional_path,
    as_path,
    as_paths,
    as_places,
    as_tuple,
    needs,
)
from ctct.api.messages import naming_arguments
from ctct.api.model import Model
from ctct.cases.case import Case
from ctct.cases.index import Shard, read_index
from ctct.cases.read_apart import DEADLINE_S
from ctct.cases.remote import limit_cache
from ctct.cases.survey import JOURNAL, Request, find_cases
from ctct.choices import Device, LabelOrder, Layout, NameFrom, Papillary, Precision, RuntimeName
from ctct.errors import ConfigError
from ctct.inference.segmenter import ModelSpec, Segmenter
from ctct.io.remote import is_url
from ctct.model_files.model_file import DEFAULT, ModelFile, locate_model, read_model
from ctct.model_files.variant import Variant
from ctct.prediction.case_files import PredictOptions
from ctct.prediction.cluster import Cluster, connect
from ctct.prediction.folder import Part, predict_folder
from ctct.prediction.follow_ups import BY_DICOM, with_follow_ups
from ctct.prediction.output import Output
from ctct.prediction.participants import find_participants
from ctct.prediction.patients import Overrides, read_overrides
from ctct.prediction.pipeline import Limits, Observer
from ctct.prediction.run_manifest import CaseStatus
from ctct.runtimes.choose import resolve

log = logging.getLogger(__name__)


@naming_arguments
def predict(
    scans: OneOrMore | None,
    out: str | Path,
    *,
    index: str | Path | None = None,
    shard: str = "",
    ray: str = "",
    ray_cpus: int = 1,
    model: str | Path | Model = DEFAULT,
    runtime: RuntimeName = "auto",
    device: Device = "auto",
    batch: int | str = 16,
    precision: Precision = "auto",
    gpus: Sequence[int] = (),
    heart_crop: bool = True,
    members: str | Sequence[str] = ("cnn", "transformer"),
    tta: bool = False,
    series: str | Sequence[str] = (),
    name_from: NameFrom = "path",
    label_order: LabelOrder = "acdc",
    clean_up: bool = True,
    pictures: bool = False,
    report: bool = True,
    formats: str | Sequence[str] = ("nifti",),
    layout: Layout = "ctct",
    subjects: str | Path | None = None,
    ed: int | None = None,
    es: int | None = None,
    papillary: Papillary = "labels",
    follow_up: str | Sequence[str] = (),
    compare: OneOrMore = (),
    keep_identifiers: bool = False,
    de_identify: bool = False,
    overwrite: bool = False,
    deadline_s: float = DEADLINE_S,
    case_deadline_s: float | None = None,
    max_failures: int | None = None,
    cache_gb: float | None = None,
    stop: Event | None = None,
    observer: Observer | None = None,
    on_export: Callable[[str], None] = lambda stage: None,
) -> list[CaseStatus]:
    """Segment and measure all scans in files and folders; what ``ctct predict`` does.

    Run it again to continue where it stopped. A scan that fails does not stop the others.

    Args:
        scans: a file or folder, or several; folders are searched recursively. Or URLs of object
            storage ("s3://…"), which need the extra ``storage``. None with an index.
        out: folder of the results: label maps, tables, report and ``run.json``; or its URL.
        index: file of ``ctct index`` that lists the scans; needs the extra ``cohort``.
        shard: share of the index, as "3/64"; a shard writes no tables, ``ctct report`` does.
        ray: address of a Ray cluster whose nodes share the scans: "auto", "ray://host:10001" or
            host:port; needs the extra ``cluster``. Scans and ``out`` are on disks that all nodes
            share.
        ray_cpus: CPUs that each worker of the cluster takes.
        model: see :func:`ctct.load_model`, as are ``runtime`` to ``heart_crop``; or a model that it
            loaded, to which these do not apply.
        runtime: see there.
        device: see there.
        batch: see there.
        precision: see there.
        gpus: see there.
        heart_crop: see there.
        members: the networks that run; one alone needs the extra ``export``.
        tta: mean over eight orientations; needs the extra ``export``.
        series: SeriesInstanceUIDs to take in place of what looks like a short-axis cine.
        name_from: what a case is called after: "path" (below the folder in ``scans``), "file" (or
            folder, alone), or of DICOM "study" (a hash of the UID) or "patient" (the PatientID).
        label_order: numbering of the label maps.
        clean_up: keep only what belongs to the heart, without RV above its base, and fill the ring
            of myocardium.
        pictures: write a picture of each case.
        report: write ``report.html`` and ``segments.csv``.
        formats: "nifti", "seg-nrrd", which 3D Slicer edits, and for scans from DICOM: "seg",
            "seg-cine", "sr", "pdf", "sc".
        layout: "bids" makes ``out`` a data set of BIDS derivatives, with the results of ctct in
            ``out/ctct``.
        subjects: CSV table of the patients: id, sex, height_cm, weight_kg, heart_rate_bpm; or
            ``participants.tsv``, which is taken by itself where the scans are BIDS.
        ed: number of the ED frame of every cine, from 0; found where left out.
        es: number of the ES frame, likewise.
        papillary: what papillary muscles count with in volumes and mass: "labels" (as they are),
            "cavity" or "myocardium"; the label maps stay.
        follow_up: studies of one patient to compare: "dicom" for those of one PatientID, or their
            names, the earliest first and commas between them; several of these.
        compare: folders of results of other models on the same scans.
        keep_identifiers: put name, ID and study date of DICOM headers into tables and report.
        de_identify: leave all that DICOM headers say of patient, study, hospital and staff out of
            the DICOM objects; the UIDs stay, for they refer to the images.
        overwrite: segment cases again that an earlier run completed.
        deadline_s: seconds that reading a scan may take; one that takes longer fails.
        case_deadline_s: seconds that segmenting a scan may take, likewise.
        max_failures: take no more scans after more failures than that.
        cache_gb: scans at URLs are fetched ahead up to that size; 4 where left out.
        stop: the run ends soon after it is set, and can be continued.
        observer: told about the progress.
        on_export: told about the export that ``members`` and ``tta`` may need.

    Returns:
        One status per case, in order: ``status`` is "done", "skipped" or "failed", ``reason`` says
        why it failed, ``output`` names the label map.

    Raises:
        InputError: there is no scan, two have the same name, or ``subjects`` is not a table.
        ConfigError: an argument has an unknown value, or ``out`` holds other results.
        OutputError: ``out`` cannot be written.
        RuntimeUnavailableError: the runtime, the device or a package is missing.
        StoppedError: ``stop`` was set.

    >>> import ctct, pathlib, tempfile
    >>> from ctct.io.nifti import encode_study
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> study = ctct.sample_study(frames=2, slices=5)
    >>> for stem, content in encode_study(study, study.voxels.astype("uint8")).items():
    ...     _ = (folder / f"{stem}.nii.gz").write_bytes(content)
    >>> (case,) = ctct.predict(folder, folder / "out", report=False)
    >>> case.status, case.output
    ('done', 'synthetic_0_seg.nii.gz')
    """
    if de_identify and name_from == "patient":
        raise ConfigError("--de-identify and --name-from patient exclude each other")
    if ray and gpus:
        raise ConfigError("--devices and --ray exclude each other; a worker has one GPU")
    if ray and is_url(out):
        raise ConfigError(f"--ray needs a folder that all nodes share; got -o {out}")
    if cache_gb is not None:
        limit_cache(cache_gb)
    limits = Limits(case_deadline_s, max_failures, stop or Event())
    place = str(out) if is_url(out) else as_path(out, "out")
    output = Output.at(place, layout, is_shard=bool(shard))
    if index is None:
        if scans is None:
            raise ConfigError("Missing argument: give INPUT, or --index with a file of ctct index")
        if shard:
            raise ConfigError(f"--shard {shard}: is a share of an index; give --index too")
        request = Request.of(as_places(scans), as_names(series), name_from, deadline_s)
        found = _search(request, output.folder / JOURNAL, at_once=BY_DICOM in as_tuple(follow_up))
    else:
        if scans is not None or series or name_from != "path":
            raise ConfigError(
                f"--index {index}: says which scans there are; leave out INPUT, --series and "
                "--name-from, or give them to ctct index"
            )
        found = _take_from_index(as_path(index, "index"), Shard.parse(shard) if shard else None)
    options = PredictOptions(
        clean_up=clean_up,
        label_order=label_order,
        pictures=pictures,
        report=report,
        overwrite=overwrite,
        overrides=_overrides(found, subjects, ed, es, compare, as_tuple(follow_up)),
        keep_identifiers=keep_identifiers,
        de_identify=de_identify,
        formats=as_names(formats),
        deadline_s=deadline_s,
        papillary=papillary,
    )
    variant = Variant(as_names(members), tta)
    if isinstance(model, Model):
        if variant != Variant():
            raise ConfigError("members and tta need the name of a model, not a loaded one")
        if ray:
            raise ConfigError("ray needs the name of a model, not a loaded one")
        workers = _loaded(model)
    else:
        if ray and precision == "auto":
            precision = "fp32"  # for the nodes may differ, and all results are to be of one kind
        spec = ModelSpec(model, runtime, device, batch, precision, tuple(gpus), heart_crop)
        if variant != Variant():
            spec = _export_variant(spec, variant, on_export)
        workers = _cluster(ray, spec, ray_cpus) if ray else _this_process(spec)
    with workers as (file, load_segmenter, cluster), output:
        return predict_folder(
            found.cases,
            output.folder,
            file,
            load_segmenter,
            options,
            output.watch(observer),
            limits,
            found.part,
            cluster,
        )


@dataclass(frozen=True)
class _Found:
    """The scans to segment.

    Attributes:
        cases: all of them, or an iterator over those of a large cohort.
        roots: the folders in which they lie.
        part: the part of an index that they are.
    """

    cases: Sequence[Case] | Iterator[Case]
    roots: list[Path]
    part: Part | None = None

    @property
    def known(self) -> Sequence[Case] | None:
        """The cases, if all are known before the first is segmented."""
        return self.cases if isinstance(self.cases, Sequence) else None


def _search(request: Request, journal: Path, at_once: bool) -> _Found:
    # At once: headers of all scans are compared before the first one is segmented.
    cases, label_maps = find_cases(request, journal, at_once)
    if label_maps:
        log.info("label maps left out (*_gt, *_seg, *_label, *_mask): %d", len(label_maps))
    return _Found(cases, request.roots)


def _take_from_index(path: Path, share: Shard | None) -> _Found:
    index = read_index(path)
    roots = [Path(root) for root in index.key["roots"] if not is_url(root)]
    return _Found(index.cases(share), roots, Part(index.digest, share, index.count(share)))


def _overrides(
    found: _Found,
    subjects: str | Path | None,
    ed: int | None,
    es: int | None,
    compare: OneOrMore,
    follow_up: tuple[str, ...],
) -> Overrides:
    """What is known of the patients beside their scans."""
    table = as_optional_path(subjects)
    overrides, problems = read_overrides(
        found.known,
        table or find_participants(found.roots),
        ed,
        es,
        as_paths(compare, "compare") if compare else [],
    )
    overrides, unlinked = with_follow_ups(overrides, follow_up, found.known, table)
    for problem in problems + unlinked:
        log.warning("%s", problem)
    return overrides


#: A model, how it is loaded, and the cluster whose workers load it, if there is one.
_Workers = tuple[ModelFile, Callable[[ModelFile], Segmenter], Cluster | None]


@contextmanager
def _loaded(model: Model) -> Iterator[_Workers]:
    yield model.segmenter.model, lambda _: model.segmenter, None


@contextmanager
def _this_process(spec: ModelSpec) -> Iterator[_Workers]:
    plan = spec.plan()
    yield plan.model, lambda _: Segmenter.load(plan, spec.batch), None


@contextmanager
def _cluster(address: str, spec: ModelSpec, cpus: int) -> Iterator[_Workers]:
    # The file and its precision are the same everywhere; runtime and device are each worker's own.
    file = resolve(spec.model, precision=spec.precision, heart_crop=spec.heart_crop).model
    with connect(address, spec, cpus) as cluster:
        yield file, lambda _: spec.load(), cluster


def _export_variant(
    spec: ModelSpec, variant: Variant, on_export: Callable[[str], None]
) -> ModelSpec:
    """The variant of a model, at the precision in which the model itself would run."""
    with needs("train"):
        from ctct.exporters.variants import export_variant_once

        file = read_model(locate_model(spec.model), heart_crop=False)
        plan = resolve(file, spec.runtime, spec.device, spec.precision, heart_crop=False)
        precision = plan.model.description.get("precision", "fp32")
        file = export_variant_once(file, variant, precision, on_export)
    return replace(spec, model=file.path, precision="auto")  # which takes the file as it is
