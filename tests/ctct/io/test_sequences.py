from __future__ import annotations

from pathlib import Path

import pytest
from tests_support import write_scan

from ctct.cases.case import Case
from ctct.cases.discover import discover
from ctct.cases.read import read_case, read_study
from ctct.io.sequences import describe_name, note_sequence

pydicom = pytest.importorskip("pydicom")

NO_CINES = {
    "late enhancement": "p01_LGE LGE_sax psir late_gad delayedEnhancement myops_training_101_DE",
    "a map of T1, T2 or extracellular volume": "T1map p_T1_map pt_t2map t2star MOLLI_pre ECV",
    "a T1- or T2-weighted image": "P_T2w STIR HASTE dark_blood",
    "perfusion": "rest_perf perfusion_stress firstPass",
    "a localizer": "localizer 01_scout",
    "flow": "4dflow venc150 cine_flow_sax",
    "tagging": "tagging cine_tag",
    "a view other than the short axis": "2ch_cine 4CH la_2ch 1_LA_ED LAX01 p2_lvot p_vla 3chamber",
}
SHORT_AXIS_CINES = (
    "patient001_frame01 sbj01_LVED 001_SA_ED A0S9V9_sa sax_5 SCD0000301 cine_trufi_retro cine_0 "
    "SSFP-CINE_SAx sub-01_ses-1_t1 sub01_T2 sBTFE_BH tf2d14_retro_iPAT anna_de_la_cruz volunteer2 "
    "cine_sax_post_LGE Tag2_visit FloWers island_04 SAX_long_axis_excluded"
)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [(name, meaning) for meaning, names in NO_CINES.items() for name in names.split()]
    + [(name, "") for name in SHORT_AXIS_CINES.split()],
)
def test_what_a_name_says(name: str, meaning: str) -> None:
    assert describe_name(name) == meaning


def test_the_name_of_a_file_is_a_note_of_the_study(tmp_path: Path) -> None:
    write_scan(tmp_path / "p1_LGE.nii.gz")
    write_scan(tmp_path / "p1_sax.nii.gz")
    cases, _ = discover([tmp_path])
    notes = {case.path.name: read_case(case).notes for case in cases}
    assert notes == {
        "p1_LGE.nii.gz": ("this is no short-axis cine: its name speaks of late enhancement",),
        "p1_sax.nii.gz": (),
    }
    assert read_study(tmp_path / "p1_LGE.nii.gz").notes
    # It is the file's own name that counts, not what the case is called.
    assert read_case(Case(tmp_path / "p1_sax.nii.gz", "x_LGE")).notes == ()


def header(**attributes: object) -> object:
    dataset = pydicom.Dataset()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"SeriesDescription": "LGE_PSIR_sax"}, "its name speaks of late enhancement"),
        ({"ProtocolName": "Perfusion rest"}, "speaks of perfusion"),
        ({"InversionTime": "300"}, "an inversion pulse, 300 ms"),
        ({"ScanningSequence": ["GR", "IR"]}, "an inversion pulse, as"),
        ({"ScanningSequence": "SE"}, "spin echoes"),
        ({"EchoTime": "60"}, "echo time is 60 ms"),
        ({"ImageType": ["DERIVED", "PRIMARY", "M", "T1 MAP"]}, "that of a map"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "PSIR"]}, "late enhancement"),
        # An enhanced file.
        ({"EchoPulseSequence": "SPIN"}, "spin echoes"),
        (
            {
                "SharedFunctionalGroupsSequence": [
                    header(MRModifierSequence=[header(InversionTimes=[280.0, 380.0])])
                ]
            },
            "an inversion pulse, 280 ms",
        ),
        (
            {
                "SharedFunctionalGroupsSequence": [
                    header(MREchoSequence=[header(EffectiveEchoTime=45.0)])
                ]
            },
            "echo time is 45 ms",
        ),
    ],
)
def test_what_the_attributes_of_a_series_say(attributes: dict[str, object], words: str) -> None:
    (note,) = note_sequence(header(**attributes))
    assert note.startswith("this series is not a cine: ")
    assert words in note


def test_attributes_of_cines() -> None:
    for attributes in (
        {},
        # Siemens, GE, Philips.
        {"SeriesDescription": "cine_trufi_retro", "ScanningSequence": "GR", "EchoTime": "1.49"},
        {"SeriesDescription": "SSFP-CINE SAx", "InversionTime": "0", "EchoTime": "2.072"},
        {"SeriesDescription": "sBTFE_BH", "InversionTime": "", "ScanningSequence": "GR"},
        {"SeriesDescription": "cine sax post LGE"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "M", "RETRO", "NORM"]},
    ):
        assert note_sequence(header(**attributes)) == ()


def test_a_dicom_series_with_an_inversion_pulse_is_noted(tmp_path: Path) -> None:
    from dicom_support import write_cine

    study = read_study(write_cine(tmp_path, change=lambda t, z: {"InversionTime": "280"}))
    assert study.notes == (
        "this series is not a cine: it has an inversion pulse, 280 ms, as late enhancement and T1 "
        "maps have",
    )
