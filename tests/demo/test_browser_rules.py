"""The rules of the page in the browser against those of Python, on the same input."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from browser_support import call_all, need_node
from tests_support import phantom, scan_of

from ctct.errors import InputError
from ctct.inference.clean_up import clean_up
from ctct.inference.crop import heart_crop, visible_crop
from ctct.inference.segmentation import Segmentation, clean_components
from ctct.inference.segmenter import Segmenter
from ctct.inference.stack_context import remove_rv_above_base
from ctct.io.nifti import encode_labels, read_nifti
from ctct.io.orientation import LONG_AXIS, find_orientation
from ctct.io.patient_info import parse_name
from ctct.io.sequences import describe_name
from ctct.io.study import Study
from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.phases import find_phases
from ctct.measurement.predicted_dice import MODELS
from ctct.measurement.rv_base import MODEL
from ctct.model_files.model_file import ModelFile
from ctct.prediction.case_result import analyze_case
from ctct.runtimes.base import Prediction
from ctct.synthetic import synthetic_cine
from ctct.synthetic.damage import DAMAGES


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    need_node()


def spoiled_labels(generator: np.random.Generator) -> np.ndarray:
    """Two frames of a heart with holes, gaps in the ring, islands and exchanged labels."""
    slices, height, width = (
        int(generator.integers(*span)) for span in ((3, 9), (40, 60), (44, 64))
    )
    labels = np.stack([phantom(height, width, slices)] * 2)
    for _ in range(int(generator.integers(1, 30))):
        t, z = int(generator.integers(2)), int(generator.integers(slices))
        row, column = int(generator.integers(height)), int(generator.integers(width))
        size = int(generator.integers(1, 7))
        labels[
            t, z : z + int(generator.integers(1, 3)), row : row + size, column : column + size
        ] = generator.integers(4)
    labels[:, : int(generator.integers(2))] = 0
    return labels


NAMES = (
    *(
        "patient001_frame01",
        "P1_ED",
        "P1-LVES",
        "case_dia_0000",
        "x.end-systole_sax",
        "P_phase03_b",
    ),
    *("cine", "ED", "P1_4ch_ED", "wed", "frame01", "P1_end_diastolic", "P1_sys"),
)


def test_names_tell_patient_and_frame_as_in_python() -> None:
    got = call_all(*(("frame_names", "parseName", [name]) for name in NAMES))
    for name, parts in zip(NAMES, got, strict=True):
        expected = parse_name(name)
        assert parts == {
            "patient": expected.patient,
            "number": expected.number,
            "phase": expected.phase,
        }, name


def test_frames_of_one_patient_are_put_in_order() -> None:
    numbered, named, twice, mixed = call_all(
        ("frame_names", "joinNames", [["p_frame12", "p_frame01"]]),
        ("frame_names", "joinNames", [["p_ES", "p_ED"]]),
        ("frame_names", "joinNames", [["p_ED", "p_dia"]]),
        ("frame_names", "joinNames", [["p_ED", "p_frame02"]]),
    )
    assert numbered == {"patient": "p", "order": [1, 0], "given": {"ed": None, "es": None}}
    assert named == {"patient": "p", "order": [1, 0], "given": {"ed": 0, "es": 1}}
    assert twice is None
    assert mixed is None


def test_numbers_are_rounded_and_printed_as_in_python() -> None:
    generator = np.random.default_rng(0)
    values = [*(generator.normal(0, 10**k) for k in range(-6, 9)), 0.5, 1.5, 2.5, 0.25, 0.75, 1e5]
    shares = generator.random(200).astype(np.float32)
    sums = [generator.random(n) for n in (1, 7, 8, 9, 17, 127, 129, 300)]
    got = call_all(
        *(("numbers", "fixed", [v, d]) for v in values for d in (0, 1, 2)),
        *(("numbers", "general", [v, d]) for v in values for d in (4, 6)),
        *(("numbers", "toHalf", [s]) for s in shares),
        *(("numbers", "sum", [v]) for v in sums),
    )
    expected = [
        *(f"{v:.{d}f}" for v in values for d in (0, 1, 2)),
        *(f"{v:.{d}g}" for v in values for d in (4, 6)),
        *shares.astype(np.float16).tolist(),
        *(float(v.sum()) for v in sums),
    ]
    for a, b in zip(got, expected, strict=True):
        assert a == b or (a, b) == ("0", "-0") or {a, b} == {"0.0", "-0.0"}


def test_clean_up_is_the_same() -> None:
    generator = np.random.default_rng(1)
    scans = [spoiled_labels(generator) for _ in range(60)]
    scans.append(np.zeros((1, 2, 40, 40), np.uint8))
    for labels, got in zip(
        scans, call_all(*(("clean_up", "cleanUp", [s, s.shape]) for s in scans)), strict=True
    ):
        expected = clean_up(labels)
        np.testing.assert_array_equal(got["labels"].reshape(labels.shape), expected)
        assert got["removed"] == np.count_nonzero(labels != expected, axis=(1, 2, 3)).tolist()


def base_labels(generator: np.random.Generator) -> np.ndarray:
    """Frames of a heart whose RV is cut down in the slice nearest the base, in some of them."""
    frames, slices = (int(generator.integers(*span)) for span in ((1, 9), (4, 12)))
    labels = np.stack([phantom(48, 52, slices)] * frames)
    labels[:, -1] = np.where(labels[:, -1] == VALUE[LV], VALUE[MYO], 0)
    for frame in labels:
        cut = frame[0, :, : int(generator.integers(0, 24))]
        if generator.random() < 0.7:
            cut[cut == VALUE[RV]] = 0
    return labels[:, ::-1] if generator.random() < 0.5 else labels


def test_the_rv_above_the_base_is_the_same() -> None:
    generator = np.random.default_rng(7)
    calls, expected = [], []
    for n in range(60):
        labels = base_labels(generator)
        voxels = np.cumsum(generator.normal(0, 1, labels.shape), axis=1).astype(np.float32)
        if n % 6 == 0:
            voxels = generator.permutation(voxels, axis=1)
        study = Study("scan", voxels, (1.5, 1.4), 8.0)
        calls.append(
            ("rv_base", "removeRvAboveBase", [labels, voxels, labels.shape, 8.0, asdict(MODEL)])
        )
        expected.append((labels, remove_rv_above_base(labels, study)))
    changed = 0
    for got, (labels, trimmed) in zip(call_all(*calls), expected, strict=True):
        np.testing.assert_array_equal(got.reshape(labels.shape), trimmed)
        changed += trimmed is not labels
    assert 10 <= changed <= 50


def test_crops_are_the_same() -> None:
    generator = np.random.default_rng(2)
    calls, expected = [], []
    for n in range(60):
        labels = spoiled_labels(generator)[0]
        spacing = tuple(generator.uniform(0.7, 2.2, 2))
        grid = {"size": 96, "spacing_mm": 1.5} | ({"heart_extent_mm": 90.0} if n % 2 else {})
        whole = {"size": 160, "spacing_mm": 1.5, "stretch": n % 7 == 0}
        calls += [
            ("crop", "heartCrop", [labels, labels.shape, spacing, grid]),
            ("crop", "visibleCrop", [labels.shape[1:], spacing, whole, 1.6]),
        ]
        expected += [
            heart_crop(labels, spacing, grid),
            visible_crop(labels.shape[1:], spacing, whole, 1.6),
        ]
    for got, crop in zip(call_all(*calls), expected, strict=True):
        if crop is None:
            assert got is None
        else:
            assert got == {
                "start": list(crop.start),
                "size": list(crop.size),
                "onHeart": crop.on_heart,
                "scale": crop.scale,
            }


def short_axis_affines() -> list[np.ndarray]:
    """Affines of short-axis slices stored in all 48 ways, an axial one and one without rotation."""
    normal = LONG_AXIS * [-1, -1, 1]
    left = np.cross(normal, [0.0, 0.0, 1.0])
    left /= np.linalg.norm(left)
    axes = np.stack([left * 1.4, np.cross(normal, left) * 1.2, normal * 9])
    affines = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = (axes[list(order)] * np.array(signs)[:, None]).T
            affines.append(affine)
    return [*affines, np.diag([1.4, 1.4, 8, 1]), np.diag([-1.0, -1, 8, 1])]


def test_orientation_is_the_same() -> None:
    affines = short_axis_affines()
    calls = [("orientation", "findOrientation", [affine[:3].tolist()]) for affine in affines]
    for got, affine in zip(call_all(*calls), affines, strict=True):
        expected = find_orientation(affine)
        assert got["transposed"] == expected.transposed
        assert got["reversed"] == [axis in expected.reversed_axes for axis in (-3, -2, -1)]


def test_phases_are_the_same() -> None:
    generator = np.random.default_rng(3)
    curves = []
    for _ in range(80):
        count = int(generator.integers(2, 32))
        angle = 2 * np.pi * np.arange(count) / count
        curve = 100 + generator.uniform(0, 60) * np.cos(angle + generator.uniform(0, 6))
        curve += generator.uniform(0, 25) * generator.standard_normal(count)
        curve[generator.random(count) < generator.choice([0, 0, 0.3])] = generator.choice(
            [0, np.nan]
        )
        curves.append(curve)
    curves += [np.zeros(5), np.full(12, np.nan), np.array([90.0, 50.0])]
    for got, curve in zip(
        call_all(*(("phases", "findPhases", [c.tolist()]) for c in curves)), curves, strict=True
    ):
        expected = find_phases(curve.tolist())
        assert (got["ed"], got["es"]) == (expected.ed, expected.es)
        assert got["warnings"] == list(expected.warnings)
        np.testing.assert_allclose(
            np.array(got["smoothMl"], float), expected.smooth_ml, rtol=1e-6, atol=1e-6
        )


def test_names_that_speak_against_a_cine_are_the_same() -> None:
    names = [
        *("p01_LGE", "p01_cine_4ch", "p01_cine_sax", "patient001", "T1 map post", "DE_sax"),
        *("scanT2Weighted", "flow_sax_cine", "vla", "Bilan_de_la_coupe", "cine-tag", "perfusion"),
        *("localizer 3", "2 chamber", "short axis lax", "Études_LGE", "", "sa_cine_DE"),
    ]
    calls = [("sequences", "describeName", [name]) for name in names]
    assert call_all(*calls) == [describe_name(name) for name in names]


def to_browser(study: Study) -> dict[str, Any]:
    return {
        "voxels": study.voxels,
        "shape": list(study.voxels.shape),
        "spacingMm": list(study.spacing_mm),
        "sliceSpacingMm": study.slice_spacing_mm,
        "affine": study.affine[:3].tolist(),
        "notes": list(study.notes),
        "voxelMl": study.voxel_ml,
    }


def judged_scans() -> list[Segmentation]:
    """Hearts, damaged in every way that ctct knows, and scans that are no cine."""
    generator = np.random.default_rng(4)
    scans = []
    study, labels = synthetic_cine(0, 6)
    coarse = replace(study, voxels=study.voxels[..., ::2, ::2], spacing_mm=(2.4, 2.4))
    for damage in DAMAGES.values():
        study, damaged = damage(coarse, labels[..., ::2, ::2], generator)
        damaged = np.ascontiguousarray(damaged)
        doubt = generator.uniform(0, 0.02, damaged.shape).astype(np.float16)
        scans.append(Segmentation(study, damaged, doubt, (0,) * len(damaged)))
    for _ in range(15):
        labels = spoiled_labels(generator)
        voxels = scan_of(labels)
        study = Study("spoiled", voxels, (1.4, 1.5), float(generator.choice([8, 3, 30])))
        doubt = generator.uniform(0, 0.3, labels.shape).astype(np.float16)
        scans.append(clean_components(Segmentation(study, labels, doubt)))
    beat = np.repeat(phantom(60, 70, 9)[None], 12, 0)
    rows, columns = np.indices((60, 70))
    radius = np.hypot(rows - 30, columns - 35)
    for t, frame in enumerate(beat):
        frame[:, (radius < 6) & (radius > 4.5 + 1.4 * np.cos(t * np.pi / 6))] = VALUE[MYO]
    shifted = np.concatenate([beat[:6], np.zeros_like(beat[:6])])
    shifted[:, 3:5] = shifted[::-1, 3:5]
    for labels in (beat, shifted, beat[:1], np.zeros_like(beat), beat[:, :1]):
        slice_mm = 8.0 if labels.shape[1] > 1 else np.nan
        study = Study("phantom", scan_of(labels), (1.5, 1.5), slice_mm, notes=("a note",))
        unknown = np.full(labels.shape, np.nan, np.float16)
        scans += [
            Segmentation(study, labels, np.full(labels.shape, 0.01, np.float16)),
            Segmentation(study, labels, unknown),
        ]
    scans += covering_scans(generator)
    jumbled = scan_of(beat)[:, [0, 2, 4, 6, 8, 1, 3, 5, 7]]
    jumbled[0, 2] = jumbled[0, 1]
    slow = np.repeat(np.linspace(1, 2, 9, dtype=np.float32)[None, :, None, None], 2, 0)
    for voxels in (jumbled, scan_of(beat)[:2].swapaxes(0, 1), slow * scan_of(beat)[:2, :1]):
        labels = np.ascontiguousarray(beat[: voxels.shape[0], : voxels.shape[1]])
        study = Study("no cine", np.ascontiguousarray(voxels), (1.5, 1.5), 8.0)
        scans.append(Segmentation(study, labels, np.full(labels.shape, 0.01, np.float16)))
    return scans


def covering_scans(generator: np.random.Generator) -> list[Segmentation]:
    """Hearts whose LV narrows and widens along the stack in many ways, some slices empty."""
    rows, columns = np.indices((60, 70))
    radius = np.hypot(rows - 30, columns - 40)
    scans = []
    for n in range(20):
        slices = int(generator.integers(3, 13))
        widths = 15 * np.sin(np.linspace(*generator.uniform(0, 3.1, 2), slices)) + 2
        if n % 3 == 0:
            widths = generator.permutation(widths)
        labels = np.zeros((2, slices, 60, 70), np.uint8)
        for frame, scale in zip(labels, (1.0, 0.8), strict=True):
            for plane, width in zip(frame, widths, strict=True):
                plane[radius < width] = VALUE[MYO]
                plane[radius < scale * 0.7 * width] = VALUE[LV]
                plane[np.hypot(rows - 30, columns - 15) < 0.4 * width] = VALUE[RV]
        labels[:, slices - n % 2 :] = 0
        voxels = scan_of(labels)
        voxels[n % 2 :, slices - int(generator.integers(3)) :] = 0
        if n % 5 == 0:
            voxels[:, 1] = voxels[:, 0] + generator.normal(0, 1, voxels[:, 0].shape)
        study = Study("cover", voxels, (1.5, 1.5), float(generator.choice([4.0, 8.0, 15.0])))
        scans.append(Segmentation(study, labels, np.full(labels.shape, 0.01, np.float16)))
    return scans


def test_measurements_flags_and_verdict_are_the_same() -> None:
    scans = judged_scans()
    calls = [
        (
            "analyze",
            "analyze",
            [
                to_browser(s.study),
                s.labels,
                s.disagreement.astype(np.float32),
                list(s.removed or (0,) * s.study.frames),
                {structure: asdict(model) for structure, model in MODELS.items()},
            ],
        )
        for s in scans
    ]
    reasons = set()
    for got, scan in zip(call_all(*calls), scans, strict=True):
        expected = analyze_case(scan)
        judgement, measured = expected.judgement, expected.measurements
        flags = [{"level": flag.level, "reason": flag.reason} for flag in judgement.flags]
        reasons |= {flag.reason.rpartition(": ")[2][:12] for flag in judgement.flags}
        assert got["judgement"]["flags"] == flags, scan.study.name
        assert got["judgement"]["verdict"] == judgement.verdict
        np.testing.assert_allclose(got["judgement"]["score"], judgement.score, rtol=1e-9)
        assert got["judgement"]["predictedDice"] == pytest.approx(dict(judgement.predicted_dice))
        assert (got["measured"]["ed"], got["measured"]["es"]) == (measured.ed, measured.es)
        assert list(got["measured"]["indices"]) == list(measured.indices)
        np.testing.assert_allclose(
            list(got["measured"]["indices"].values()), list(measured.indices.values()), rtol=1e-12
        )
    assert len(reasons) >= 15  # most flags there are


class ByValue:
    """A runtime whose labels are the intensities."""

    name, device = "value", "CPU"

    def __init__(self) -> None:
        self.crops: list[list[float]] = []

    def __call__(self, slices: np.ndarray, spacing_mm: np.ndarray) -> Prediction:
        self.crops += [[*slices.shape[2:], *row] for row in spacing_mm.tolist()]
        values = slices[:, 0]
        labels = np.where(values >= 0.5, np.minimum(np.round(values), 3), 0).astype(np.uint8)
        return Prediction(labels, np.abs(values) / 16)


def test_stages_and_crops_of_a_scan_are_the_same() -> None:
    generator = np.random.default_rng(5)
    whole, heart = {"size": 160, "spacing_mm": 1.5}, {"size": 96, "spacing_mm": 1.5}
    cases = []
    for n, affine in enumerate(short_axis_affines()[::5]):
        labels = np.stack([phantom(100, 121, 7)] * (8 if n % 2 else 3)).astype(np.float32)
        if n % 3 == 2:
            labels[:, 4] = np.roll(labels[:, 4], 46, -1)  # beyond the crop
        noise = generator.normal(0, 0.02, labels.shape).astype(np.float32)
        spacing = (1.2, 1.4) if n % 4 else (2.9, 2.8)
        voxels = labels + np.where(labels > 0, noise, 0)
        voxels[1, 3] = voxels[0, 6] = 2  # slices without a picture
        study = Study("scan", voxels, spacing, 8.0, affine)
        small = [None, heart, heart | {"heart_extent_mm": 80.0}][n % 3]
        cases.append((study, small))
    for n, (row, column) in enumerate([(0, 28), (30, -24), (-60, 0), (4, 8), (62, 60), (30, 0)]):
        labels = np.zeros((6 if n == 5 else 2, 4, 144, 136), np.float32)
        labels[:, :, 42:102, 38:98] = phantom(60, 60, 4)
        labels = np.roll(labels, (row, column), (-2, -1))  # away from the middle of a wide scan
        study = Study("scan", 1.01 * labels, (2.5, 2.5), 8.0, np.diag([-2.5, -2.5, 8, 1]))
        cases.append((study, [None, heart, heart | {"heart_extent_mm": 80.0}][n % 3]))
    calls = [
        ("segment", "segmentByValue", [to_browser(study), {"whole": whole, "heart": small}])
        for study, small in cases
    ]
    for got, (study, small) in zip(call_all(*calls), cases, strict=True):
        crop = ModelFile(Path("heart.onnx"), {"grid": small}) if small else None
        model = ModelFile(Path("whole.onnx"), {"grid": whole}, "", crop)
        runtime = ByValue()
        segmenter = Segmenter(model, runtime, 4, (lambda r=runtime: r) if small else None)
        expected = segmenter.segment(study, clean_up=False)
        np.testing.assert_array_equal(got["labels"].reshape(study.voxels.shape), expected.labels)
        np.testing.assert_array_equal(
            got["disagreement"].reshape(study.voxels.shape),
            expected.disagreement.astype(np.float32),
        )
        assert {tuple(c[1:]) for c in got["crops"]} == {tuple(c) for c in runtime.crops}


def nifti_files(folder: Path) -> list[Path]:
    """NIfTI files of all kinds of voxels, headers and axis orders."""
    generator = np.random.default_rng(6)
    affines = [np.diag([1.5, 1.25, 8, 1]), *short_axis_affines()[::7]]
    files = []

    def save(image: Any) -> None:
        files.append(folder / f"{len(files)}.nii")
        nib.save(image, files[-1])

    for dtype in ("u1", "i2", "i4", "f4", "f8", "i1", "u2", "u4", "i8", "u8"):
        array = generator.integers(0, 100, (36, 40, 3, 2)).astype(dtype)
        image = nib.Nifti1Image(array, affines[len(files) % len(affines)], dtype=dtype)
        if dtype == "i2":
            image.header.set_slope_inter(0.37, -5)
        save(image)
    for affine in affines:
        for nifti in (nib.Nifti1Image, nib.Nifti2Image):
            for axes in ((0, 1, 2), (2, 0, 1), (0, 2, 1)):
                array = generator.integers(0, 900, (36, 40, 3)).astype(np.int16).transpose(axes)
                turned = affine[:, [*axes, 3]]
                image = nifti(array, turned)
                for code, wrong in ((0, 2), (1, 0), (1, 1)):
                    image.set_sform(turned, code)
                    image.set_qform(turned, wrong)
                    save(image)
    image = nib.Nifti1Image(generator.integers(0, 900, (36, 40, 3, 4)).astype(np.int16), affines[1])
    for zooms in ((1.5, 1.5, 8, 1), (1, 1, 1, 0), (0.0015, 0.0015, 0.008, 1), (1.4, 1.4, 5, 0.1)):
        image.header["pixdim"][1:5] = zooms
        save(image)
    image.header.set_xyzt_units("meter")
    save(image)
    image = nib.Nifti1Image(np.ones((40, 50), np.int16), np.eye(4))
    image.header["pixdim"][1:3] = 1.5
    save(image)
    sheared = np.diag([1.5, 1.5, 8, 1.0])
    sheared[0, 2] = 3
    save(nib.Nifti1Image(generator.integers(0, 900, (36, 40, 3)).astype(np.int16), sheared))
    skewed = np.diag([1.5, 1.5, 8, 1.0])
    skewed[0, 1] = 0.4
    save(nib.Nifti1Image(generator.integers(0, 900, (36, 40, 3)).astype(np.int16), skewed))
    big = nib.Nifti1Image(
        generator.integers(0, 900, (36, 40, 3)).astype(">i2"),
        affines[2],
        nib.Nifti1Header(endianness=">"),
    )
    save(big)
    save(nib.Nifti1Image(np.zeros((8, 8, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")]), np.eye(4)))
    save(nib.Nifti1Image(np.zeros((8, 8, 3), np.complex64), np.eye(4)))
    save(nib.Nifti1Image(np.zeros((8, 8, 3, 2, 2), np.int16), np.eye(4)))
    return files


def test_nifti_is_read_and_written_the_same(tmp_path: Path) -> None:
    files = nifti_files(tmp_path)
    generator = np.random.default_rng(7)
    maps = [generator.integers(0, 4, nib.load(f).shape, np.uint8) for f in files]
    calls = [
        ("nifti", "readAndLabel", [path.read_bytes(), labels])
        for path, labels in zip(files, maps, strict=True)
    ]
    refused = 0
    for got, path, labels in zip(call_all(*calls), files, maps, strict=True):
        try:
            study = read_nifti(path)
        except InputError:
            refused += 1
            assert isinstance(got, str) and "at " not in got, path
            continue
        assert not isinstance(got, str), (path, got)
        assert got["shape"] == list(study.voxels.shape)
        np.testing.assert_array_equal(got["voxels"].reshape(study.voxels.shape), study.voxels)
        np.testing.assert_allclose(got["spacingMm"], study.spacing_mm, rtol=1e-12)
        np.testing.assert_allclose(got["sliceSpacingMm"], study.slice_spacing_mm, rtol=1e-12)
        if any(nib.load(path).header[f"{form}_code"] > 0 for form in ("sform", "qform")):
            np.testing.assert_allclose(got["affine"], study.affine[:3], atol=1e-6)
        assert got["notes"] == list(study.notes)
        own = nib.Nifti1Image if nib.load(path).header["sizeof_hdr"] == 348 else nib.Nifti2Image
        mine = own.from_bytes(got["encoded"].tobytes())
        stored = labels.reshape(study.voxels.shape)
        theirs = own.from_bytes(_gunzip(encode_labels(study, stored)))
        np.testing.assert_array_equal(np.asarray(mine.dataobj), np.asarray(theirs.dataobj))
        np.testing.assert_allclose(mine.affine, theirs.affine)
        assert mine.header.get_zooms() == theirs.header.get_zooms()
    assert refused >= 4


def _gunzip(content: bytes) -> bytes:
    import gzip

    return gzip.decompress(content)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda c: b"hello" * 200, "not a NIfTI file"),
        (lambda c: c[:300], "truncated"),
        (lambda c: c[:-5], "truncated"),
        (lambda c: c[:40] + b"\xff" * 16 + c[56:], "dim"),
        (lambda c: c[:108] + b"\x00" * 4 + c[112:], "header"),
        (lambda c: c[:42] + b"\xff\x7f" * 4 + c[50:], "too many for a browser"),
    ],
)
def test_a_damaged_file_is_refused_with_a_reason(damage: Any, word: str, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((36, 40, 3, 2), np.int16), np.eye(4)), tmp_path / "a.nii")
    content = damage((tmp_path / "a.nii").read_bytes())
    (got,) = call_all(("nifti", "readNifti", [content, "a"]))
    assert isinstance(got, str) and word in got and " at " not in got
