from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests_support import GOOD_INDICATORS as GOOD

from ctct.measurement.quality_flags import (
    Flag,
    frame_flags,
    image_flags,
    index_flags,
    judge,
    show_apart,
)
from ctct.measurement.volumes import FrameVolumes, Measurements

FRAMES = tuple(
    FrameVolumes("p", t, {"RV": ml, "MYO": 100.0, "LV": ml}) for t, ml in enumerate((120.0, 50.0))
)
PATIENT = Measurements(FRAMES, 0, 1)


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"missing": ("MYO", "LV")}, "reject", "no MYO and no LV was found"),
        ({"missing": ("RV",)}, "review", "no RV"),
        ({"swapped": True}, "reject", "label order"),
        ({"relative_disagreement": 0.5}, "review", "disagree more than usual (score 0.5)"),
        ({"relative_disagreement": 1.1}, "reject", "score 1.1"),
        ({"open_ring": 0.12, "relative_disagreement": 0.1}, "review", "12 % of the LV's outline"),
        ({"gaps": 2}, "review", "none of it: 2"),
        ({"scattered": 0.1}, "review", "10 % of the labels lay apart"),
        ({"hollow": 0.5}, "review", "holds space that is not LV, 50 % of the LV's volume"),
        ({"ringless": 0.2}, "review", "20 % of the LV lies in slices without a ring"),
        ({"cut_off": 0.05}, "review", "edge of the image"),
        ({"contrast": 0.5}, "review", "hardly brighter"),
    ],
)
def test_each_sign_has_its_flag(change: dict[str, object], level: str, words: str) -> None:
    (flag,) = frame_flags(replace(GOOD, **change))
    assert flag.level == level
    assert words in flag.reason


LOOK = (
    "unless valves leak or there is a shunt, one ventricle is too large or too small at ED or ES; "
    "look at the base of both"
)


@pytest.mark.parametrize(
    ("value", "limit", "decimals", "shown"),
    [
        (0.41, 0.4, 1, "0.41"),
        (0.4004, 0.4, 1, "0.4004"),
        (0.46, 0.4, 1, "0.5"),
        (0.7996, 0.8, 2, "0.7996"),
        (0.4 + 1e-9, 0.4, 1, "0.4000"),
        (10.2, 10.0, 0, "10.2"),
    ],
)
def test_a_number_is_not_shown_as_the_limit_it_passed(
    value: float, limit: float, decimals: int, shown: str
) -> None:
    assert show_apart(value, limit, decimals) == shown


@pytest.mark.parametrize(
    ("rv_es", "ratio"),
    [(60.0, "2.00"), (70.0, "3.00"), (79.0, "above 10"), (200.0, "below 0"), (82.0, "below 0")],
)
def test_a_ratio_of_stroke_volumes_says_where_to_look(rv_es: float, ratio: str) -> None:
    # LVSV is 60 mL, RVEDV 90 mL.
    frames = (
        FrameVolumes("p", 0, {"RV": 90.0 if rv_es != 79 else 80.0, "MYO": 80, "LV": 90.0}),
        FrameVolumes("p", 1, {"RV": rv_es if rv_es != 82 else 91.0, "MYO": 80, "LV": 30.0}),
    )
    reasons = [flag.reason for flag in index_flags(Measurements(frames, 0, 1))]
    assert f"LVSV/RVSV is {ratio}, expected 0.6 to 1.7: {LOOK}" in reasons


def test_an_ejection_fraction_below_0_is_put_in_words() -> None:
    frames = (
        FrameVolumes("p", 0, {"RV": 31.0, "MYO": 80, "LV": 90.0}),
        FrameVolumes("p", 1, {"RV": 731.0, "MYO": 80, "LV": 30.0}),  # RVEF -2258 %
    )
    reasons = [flag.reason for flag in index_flags(Measurements(frames, 0, 1))]
    assert (
        "RVEF (%) is below 0, expected 5 to 90: the RV is larger at ES than at ED; look at its "
        "base in both"
    ) in reasons
    assert not any("2258" in reason for reason in reasons)


def test_no_sign_no_flag_and_undefined_is_none() -> None:
    nan = math.nan
    assert frame_flags(GOOD) == []
    assert frame_flags(replace(GOOD, open_ring=nan, contrast=nan)) == []


def test_images_unlike_the_training() -> None:
    assert image_flags((1.4, 1.4), 10.0, (200, 200)) == []
    small, coarse, close = (flag.reason for flag in image_flags((2.5, 2.5), 2.0, (200, 70)))
    assert "2.50 x 2.50 mm" in small
    assert "2.0 mm apart" in coarse
    assert "field of view of 175 mm" in close
    assert image_flags((1.4, 1.4), math.nan, (200, 200)) == []  # the volumes have a flag


def test_numbers_that_no_heart_has() -> None:
    tiny = Measurements(
        tuple(FrameVolumes("p", t, {"RV": 50.0 - 20 * t, "MYO": 100, "LV": 20}) for t in (0, 1)),
        0,
        1,
        warnings=("odd curve",),
    )
    reasons = [flag.reason for flag in index_flags(tiny)]
    assert reasons == [
        "LVEDV (mL) is 20, expected 30 to 500",
        "LVEF (%) is 0, expected 5 to 90",
        f"LVSV/RVSV is 0.00, expected 0.6 to 1.7: {LOOK}",
        "odd curve",
    ]


def single_frame(**volume_ml: float) -> Measurements:
    return Measurements(
        (FrameVolumes("p", 0, {"RV": 90, "MYO": 80, "LV": 90} | volume_ml),), None, None
    )


def test_volumes_that_no_heart_has() -> None:
    (one_frame,) = index_flags(single_frame())
    assert (one_frame.level, one_frame.reason[:14]) == ("ok", "a single frame")
    flag, _ = index_flags(single_frame(LV=2354, RV=2524))
    assert flag.level == "reject"
    assert flag.reason.startswith("LV is 2354 mL and RV is 2524 mL, which no heart has")
    flag, _ = index_flags(single_frame(LV=600))
    assert (flag.level, flag.reason) == ("review", "LV is 600 mL, expected 2 to 500")
    assert index_flags(single_frame(RV=0)) == [
        one_frame
    ]  # "no RV was found" is the flag of the frame
    # Any frame counts: frames.csv has them all.
    frames = (*FRAMES, FrameVolumes("p", 2, {"RV": 90, "MYO": 80, "LV": 1200}))
    (flag,) = index_flags(Measurements(frames, 0, 1))
    assert (flag.level, flag.reason[:13]) == ("reject", "LV is 1200 mL")


def test_a_missing_value_has_its_cause_in_words() -> None:
    unknown = tuple(
        FrameVolumes("p", t, dict.fromkeys(("RV", "MYO", "LV"), math.nan)) for t in (0, 1)
    )
    for measurements in (Measurements(unknown, 0, 1), Measurements(unknown[:1], None, None)):
        flag = index_flags(measurements)[0]
        assert flag.reason == "the slice spacing is not known, so no volume is, and no index"
    no_rv = tuple(replace(f, volume_ml=f.volume_ml | {"RV": 0.0}) for f in FRAMES)
    reasons = [flag.reason for flag in index_flags(Measurements(no_rv, 0, 1))]
    assert reasons == [
        "RVEDV (mL) is 0, expected 30 to 500",
        "no RVEF (%) and no LVSV/RVSV, because the volume to divide by is 0",
    ]


def test_the_gravest_flag_is_the_verdict() -> None:
    indicators = [GOOD, GOOD]
    found = judge(PATIENT, indicators)
    assert (found.verdict, found.flags) == ("ok", ())
    assert found.score == pytest.approx(0.2)
    indicators[1] = replace(GOOD, relative_disagreement=1.0)
    found = judge(PATIENT, indicators, [Flag("review", "image")])
    assert (found.verdict, found.score) == ("review", 1.0)
    assert found.flags[1].reason.startswith("ES: the networks disagree")
    indicators[0] = replace(GOOD, swapped=True)
    found = judge(PATIENT, indicators)
    assert found.verdict == "reject"
    assert found.flags[0].reason.startswith("ED: RV and LV")


def test_only_frames_that_numbers_come_from_count() -> None:
    three = Measurements((*FRAMES, FRAMES[1]), 0, 1)
    assert judge(three, [GOOD, GOOD, replace(GOOD, swapped=True)]).verdict == "ok"


def test_a_single_frame_and_one_without_indicators() -> None:
    lone = Measurements(FRAMES[:1], None, None)
    found = judge(lone, [GOOD])
    assert found.verdict == "ok"
    assert [flag.reason for flag in found.flags] == [
        "a single frame and no cine, so there is no ejection fraction"
    ]
    assert judge(lone, [replace(GOOD, gaps=1)]).flags[0].reason.endswith(": 1")
    for indicators in (None, replace(GOOD, relative_disagreement=math.nan)):
        unknown = judge(lone, [indicators])
        assert unknown.verdict == "review"
        assert math.isnan(unknown.score)
        assert "not known" in unknown.flags[0].reason
