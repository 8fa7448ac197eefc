from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tests_support import phantom

from ctct.inference.segmentation import Segmentation
from ctct.io.case import Case
from ctct.io.study import Study
from ctct.predict.quality_record import (
    case_indicators,
    disagreement_path,
    indicators_path,
    read_indicators,
    write_indicators,
)

CASE = Case(Path("a.nii.gz"), "a")


def segmentation() -> Segmentation:
    labels = np.repeat(phantom(40, 50)[None], 2, 0)
    labels[1, 0] = 0  # a slice without anything, so that something is undefined
    voxels = np.array([20, 180, 80, 200], np.float32)[labels]
    study = Study("a", voxels, (1.5, 1.25), 8.0)
    return Segmentation(study, labels, np.full(labels.shape, 0.1, np.float16), (0, 7))


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    own = segmentation()
    write_indicators(tmp_path, CASE, own)
    assert disagreement_path(tmp_path, CASE).read_bytes().startswith(b"\xff\xd8")
    kept = read_indicators(tmp_path, CASE)
    # repr, because NaN is not equal to itself.
    assert repr(kept) == repr(case_indicators(own))
    assert kept is not None
    assert kept.frames[1].scattered > 0 == kept.frames[0].scattered
    assert [flag.reason for flag in kept.image] == [
        "a field of view of 60 mm, less than in any training scan"
    ]


def test_what_is_not_there_or_of_another_kind_is_not_known(tmp_path: Path) -> None:
    assert read_indicators(tmp_path, CASE) is None
    write_indicators(tmp_path, CASE, segmentation())
    path = indicators_path(tmp_path, CASE)
    path.write_text(path.read_text().replace("open_ring", "closed_ring"))
    assert read_indicators(tmp_path, CASE) is None


def test_a_network_alone_has_no_picture_of_a_disagreement(tmp_path: Path) -> None:
    own = segmentation()
    alone = replace(own, disagreement=np.full_like(own.disagreement, np.nan))
    write_indicators(tmp_path, CASE, alone)
    assert not disagreement_path(tmp_path, CASE).exists()
    kept = read_indicators(tmp_path, CASE)
    assert kept is not None
    assert np.isnan(kept.frames[0].score)
