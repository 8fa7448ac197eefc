from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests_support import phantom

from ctct.io.label_maps import read_labels
from ctct.labels import LV, MYO, RV, VALUE
from ctct.measurement.motion_flags import compare_hearts, motion_flags

MM = (1.5, 1.5)
ACDC = Path(__file__).resolve().parents[4] / "shared" / "acdc"

Labels = npt.NDArray[np.uint8]


def heart(row: int = 0, column: int = 0) -> Labels:
    """Five slices of a round LV with a diameter of 18 mm, moved by so many pixels."""
    return np.roll(phantom(60, 80, 5), (row, column), (-2, -1))


def smaller(labels: Labels) -> Labels:
    """The same with half of the LV turned to myocardium: the innermost rows stay LV."""
    es = labels.copy()
    es[:, :28][es[:, :28] == VALUE[LV]] = VALUE[MYO]
    return es


def reasons(frames: list[Labels], ed: int | None = 0, es: int | None = 1) -> list[str]:
    return [flag.reason for flag in motion_flags(frames, ed, es, MM)]


def test_a_contracting_heart_has_no_flag() -> None:
    ed = heart()
    assert reasons([ed, smaller(ed)]) == []
    assert reasons([ed, np.roll(smaller(ed), 2, -1)]) == []  # moved by 3 mm
    assert reasons([ed], None, None) == []
    assert reasons([ed, np.zeros_like(ed)]) == []  # "no LV was found" is the flag of the frame
    assert reasons([ed, ed[:4]]) == []  # two grids have a flag of their own


def test_two_hearts_at_two_places() -> None:
    (reason,) = reasons([heart(), heart(0, 11)])
    assert reason.startswith("ED and ES hardly show one heart: of the smaller LV, ")
    assert "the LV lies 16 mm away" in reason  # 11 pixels of 1.5 mm
    assert reason.endswith("; check that all are of one patient and one scan")
    # 10 pixels are 15 mm; the LVs, 11 pixels wide, hardly overlap all the same.
    assert "mm away" not in reasons([heart(), heart(0, 10)])[0]


def test_two_hearts_with_walls_of_two_sizes() -> None:
    ed, es = heart(), heart()
    for z in range(3):  # of 5 slices, 2 keep their wall: 40 %
        es[z][es[z] == VALUE[MYO]] = 0
    assert compare_hearts(ed, es, MM) == ["the myocardium has 40 % of its volume"]
    assert compare_hearts(es, ed, MM) == ["the myocardium has 250 % of its volume"]


def test_two_hearts_with_the_rv_on_two_sides() -> None:
    ed = heart()
    es = np.where(ed == VALUE[RV], 0, ed).astype(np.uint8)
    es[:, 45:50, 35:46] = VALUE[RV]  # below the LV, which lies at row 30 and column 40
    assert compare_hearts(ed, es, MM) == ["the RV lies in another direction, turned by 90°"]
    assert compare_hearts(ed, np.flip(ed, -1), MM)[-1].endswith("180°")


def test_a_cine_of_two_hearts_names_the_frames() -> None:
    ed = heart()
    frames = [ed, smaller(ed), *[heart(14, 0)] * 6]
    (reason,) = reasons(frames)
    assert reason.startswith("frames 2, 3, 4, 5, 6, … (from 0) hardly show the heart of the ED fra")
    assert "the LV lies 21 mm away" in reason
    assert reasons(frames, 0, 5)[0].startswith("ED and ES hardly show one heart")


@pytest.mark.parametrize("structure", [LV, RV])
def test_a_ventricle_that_is_larger_at_es_in_a_slice(structure: str) -> None:
    ed = heart()
    es = smaller(ed)
    ed[4][ed[4] == VALUE[structure]] = 0
    full = int((ed[0] == VALUE[structure]).sum())
    es[4][es[4] == VALUE[structure]] = 0
    es[4].flat[: full // 10] = VALUE[structure]  # 10 %: no flag
    assert reasons([ed, es]) == []
    es[4].flat[: full // 2] = VALUE[structure]
    share = f"{100 * (full // 2) / full:.0f}"
    assert reasons([ed, es]) == [
        f"the {structure} is larger at ES than at ED in slice 4 (from 0), by up to {share} % of "
        "its largest area: at the base an atrium, or the outflow tract, may be labelled as "
        f"{structure}"
    ]


@pytest.mark.real_data
def test_manual_labels_of_one_heart_have_no_flag_and_of_two_hearts_mostly_have() -> None:
    if not ACDC.is_dir():
        pytest.skip("needs the ACDC scans")
    hearts = {}
    for patient in json.loads((ACDC / "splits.json").read_text())["validation"]:
        maps = sorted((ACDC / "training" / patient).glob("*_gt.nii.gz"))
        (study, ed), (_, es) = (read_labels(path) for path in maps)
        hearts[patient] = (ed[0], es[0], study.spacing_mm)
    for patient, (ed, es, mm) in hearts.items():
        assert motion_flags([ed, es], 0, 1, mm) == [], patient
    pairs = [
        (one, other)
        for one in hearts
        for other in hearts
        if one != other and hearts[one][0].shape == hearts[other][1].shape
    ]
    assert all(motion_flags([hearts[a][0], hearts[b][1]], 0, 1, hearts[a][2]) for a, b in pairs)
