"""Models in a notebook: from a path to numbers, from several threads, in other processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import ctct
from ctct.errors import ConfigError, InputError, ModelError
from ctct.io.nifti import encode_study


@pytest.fixture(scope="module")
def model() -> Iterator[ctct.Model]:
    with ctct.load_model(device="cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def study() -> ctct.Study:
    return ctct.sample_study(frames=2, slices=5)


@pytest.fixture(scope="module")
def result(model: ctct.Model, study: ctct.Study) -> ctct.Result:
    return model.segment(study)


@pytest.fixture
def path(study: ctct.Study, tmp_path: Path) -> Path:
    content = encode_study(study, np.zeros(study.voxels.shape, np.uint8))[study.name]
    (tmp_path / "cine.nii.gz").write_bytes(content)
    return tmp_path / "cine.nii.gz"


def test_a_path_and_an_array_give_the_same_labels(
    model: ctct.Model, study: ctct.Study, path: Path
) -> None:
    from_path = model.segment(path)
    assert from_path.name == "cine"
    spacing_mm = (study.slice_spacing_mm, *study.spacing_mm)
    from_array = model.segment(study.voxels.round(), spacing_mm)
    np.testing.assert_array_equal(from_path.labels, from_array.labels)
    assert from_array.labels.max() == 3
    assert from_path.indices == pytest.approx(from_array.indices)


def test_phases_may_be_named(model: ctct.Model, study: ctct.Study) -> None:
    result = model.segment(study, ed=1, es=0)
    assert (result.ed, result.es) == (1, 0)
    for wrong in (True, "1", 0.5, -1):
        with pytest.raises(ConfigError, match="counted from 0"):
            model.segment(study, es=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"ed=2: .* has 2 frames, counted from 0"):
        model.segment(study, ed=2)


def test_many_scans_share_batches_and_keep_their_order(
    model: ctct.Model, study: ctct.Study, path: Path, result: ctct.Result
) -> None:
    large = ctct.sample_study(frames=1, slices=4)
    results = list(model.segment_many([study, path, large, study]))
    assert [one.name for one in results] == [study.name, "cine", large.name, study.name]
    for one in (results[0], results[3]):
        np.testing.assert_array_equal(one.labels, result.labels)


def test_a_scan_that_fails_among_many(model: ctct.Model, study: ctct.Study) -> None:
    scans = [study, "missing.nii.gz", study]
    first, second, third = model.segment_many(scans, errors="return")
    assert isinstance(second, InputError)
    assert isinstance(first, ctct.Result)
    assert isinstance(third, ctct.Result)
    many = model.segment_many(scans)
    next(many)
    with pytest.raises(InputError, match=r"missing\.nii\.gz"):
        next(many)


@pytest.mark.parametrize(
    ("scans", "message"),
    [([], "empty list"), ("cine.nii.gz", "use segment"), (7, "several scans"), (None, "several")],
)
def test_bad_lists_fail_at_once(model: ctct.Model, scans: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.segment_many(scans)  # type: ignore[arg-type]


def test_four_threads_at_once(model: ctct.Model, study: ctct.Study, result: ctct.Result) -> None:
    with ThreadPoolExecutor(4) as threads:
        labels = list(threads.map(lambda _: model.segment(study).labels, range(20)))
    for one in labels:
        np.testing.assert_array_equal(one, result.labels)


def test_a_pickled_model_is_loaded_again(
    model: ctct.Model, study: ctct.Study, result: ctct.Result
) -> None:
    copy = pickle.loads(pickle.dumps(model))
    assert copy.spec == model.spec
    np.testing.assert_array_equal(copy.segment(study).labels, result.labels)
    assert len(pickle.dumps(model)) < 10_000


def test_in_another_process(model: ctct.Model, result: ctct.Result) -> None:
    program = (
        "import pickle, sys, ctct\n"
        "model = pickle.load(sys.stdin.buffer)\n"
        "result = model.segment(ctct.sample_study(frames=2, slices=5))\n"
        "print(result.indices['LVEDV (mL)'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(model), capture_output=True, check=True
    )
    assert float(done.stdout) == pytest.approx(result.indices["LVEDV (mL)"])


def test_a_closed_model_says_so(study: ctct.Study) -> None:
    with ctct.load_model(device="cpu") as model:
        assert "openvino" in repr(model)
    with pytest.raises(ModelError, match="closed"):
        model.segment(study)
    with pytest.raises(ModelError, match="closed"):
        model.segment_many([study])
    with pytest.raises(ModelError, match="closed"):
        model.segment("missing.nii.gz")
    assert repr(model).endswith("closed)")
    model.close()  # a second time is nothing


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "missing.onnx"}, ModelError, "no such model"),
        ({"runtime": "caffe"}, ConfigError, "caffe: choose one of"),
        ({"device": "tpu"}, ConfigError, "tpu: choose one of"),
        ({"precision": "fp8"}, ConfigError, "fp8: choose one of"),
        ({"batch": 0}, ConfigError, "^batch 0"),
        ({"batch": 1.5}, ConfigError, "^batch 1.5"),
        ({"batch": None}, ConfigError, "^batch None"),
        ({"gpus": 5}, ConfigError, "gpus=5"),
        ({"model": ""}, InputError, "give a path"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ctct.load_model(**arguments)  # type: ignore[arg-type]


def test_no_scan_is_harmed_by_nan_or_emptiness(model: ctct.Model) -> None:
    spacing_mm = (8.0, 1.5, 1.5)
    with pytest.raises(InputError, match="NaN"):
        model.segment(np.full((3, 64, 64), np.nan, np.float32), spacing_mm)
    with pytest.raises(InputError, match="empty"):
        model.segment(np.zeros((3, 64, 64), np.float32), spacing_mm)
    with pytest.raises(InputError, match="expected at least"):
        model.segment(np.random.default_rng(0).random((3, 16, 16)), spacing_mm)
