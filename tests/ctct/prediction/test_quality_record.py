from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from tests_support import GOOD_INDICATORS

from ctct.measurement.quality_flags import Flag
from ctct.prediction.quality_record import (
    CaseIndicators,
    disagreement_path,
    indicators_path,
    read_indicators,
    write_indicators,
)

FRAMES = (
    GOOD_INDICATORS,
    replace(
        GOOD_INDICATORS, missing=("RV",), slice_disagreement=(0.1, math.nan), contrast=math.nan
    ),
)
INDICATORS = CaseIndicators((Flag("review", "a small image"),), FRAMES)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    write_indicators(tmp_path, "a", INDICATORS, b"picture")
    # repr, because NaN is not equal to itself.
    assert repr(read_indicators(tmp_path, "a")) == repr(INDICATORS)
    assert disagreement_path(tmp_path, "a").read_bytes() == b"picture"


def test_without_a_picture_no_file_is_written(tmp_path: Path) -> None:
    write_indicators(tmp_path, "a", INDICATORS)
    assert not disagreement_path(tmp_path, "a").exists()


def test_indicators_that_are_missing_or_of_another_version_are_not_known(tmp_path: Path) -> None:
    assert read_indicators(tmp_path, "a") is None
    write_indicators(tmp_path, "a", INDICATORS)
    path = indicators_path(tmp_path, "a")
    text = path.read_text()
    path.write_text(text.replace("open_ring", "closed_ring"))
    assert read_indicators(tmp_path, "a") is None
    path.write_text(text.replace('"open_ring"', '"of_an_earlier_version": 0, "open_ring"'))
    assert read_indicators(tmp_path, "a") is None
