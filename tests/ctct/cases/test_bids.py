"""What a path in a BIDS data set says of a scan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests_support import write_scan

from ctct.cases.bids import BidsName, bids_name, is_of_another_kind, participant_of
from ctct.cases.discover import discover


def test_a_name_has_subject_session_entities_and_suffix() -> None:
    name = BidsName.parse("sub-01_ses-b_acq-sax_run-2_bold")
    assert name == BidsName("sub-01", "ses-b", "_acq-sax_run-2", "bold")
    assert name and name.patient == "sub-01_ses-b"
    assert BidsName.parse("patient007_frame01") is BidsName.parse("sub-01") is None


def test_a_name_counts_in_the_folder_of_its_subject_only() -> None:
    assert bids_name(Path("sub-01/ses-b/cmr/sub-01_ses-b_bold.nii.gz"))
    assert bids_name(Path("sub-01/anat/sub-01_cine.nii"))
    assert not bids_name(Path("sub-02/anat/sub-01_cine.nii"))
    assert not bids_name(Path("downloads/sub-01_cine.nii"))


@pytest.mark.parametrize(
    ("path", "is_other"),
    [
        ("sub-1/cmr/sub-1_acq-sax_bold.nii.gz", False),
        ("sub-1/cmr/sub-1_acq-2ch_bold.nii.gz", True),
        ("sub-1/cmr/sub-1_acq-la_run-1_bold.nii.gz", True),
        ("sub-1/cmr/sub-1_acq-lad_bold.nii.gz", False),
        ("sub-1/anat/sub-1_T1w.nii.gz", True),
        ("sub-1/dwi/sub-1_dwi.nii.gz", True),
        ("elsewhere/sub-1_acq-2ch_bold.nii.gz", False),
    ],
)
def test_other_kinds_are_told_by_name(path: str, is_other: bool) -> None:
    assert is_of_another_kind(Path(path)) == is_other


def test_a_session_belongs_to_its_participant() -> None:
    assert participant_of("sub-01_ses-2_bold") == participant_of("sub-01") == "sub-01"
    assert participant_of("sub-01-x") == "sub-01-x"


def test_short_axis_scans_of_a_data_set_are_found_under_their_own_names(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text(json.dumps({"Name": "x"}))
    for path in (
        "sub-1/ses-a/cmr/sub-1_ses-a_acq-sax_bold.nii.gz",
        "sub-1/ses-b/cmr/sub-1_ses-b_acq-sax_bold.nii.gz",
        "sub-1/ses-b/cmr/sub-1_ses-b_acq-4ch_bold.nii.gz",
        "sub-2/anat/sub-2_ED.nii.gz",
        "sub-2/anat/sub-2_ES.nii.gz",
        "sub-2/anat/sub-2_desc-manual_dseg.nii.gz",
        "derivatives/other/sub-1/sub-1_bold.nii.gz",
    ):
        write_scan(tmp_path / path)
    cases, label_maps = discover([tmp_path])
    assert [(case.name, case.patient, case.phase) for case in cases] == [
        ("sub-1_ses-a_acq-sax_bold", "sub-1_ses-a", ""),
        ("sub-1_ses-b_acq-sax_bold", "sub-1_ses-b", ""),
        ("sub-2_ED", "sub-2", "ED"),
        ("sub-2_ES", "sub-2", "ES"),
    ]
    assert len(label_maps) == 1
    part, _ = discover([tmp_path / "sub-1" / "ses-a"])
    assert [case.name for case in part] == ["sub-1_ses-a_acq-sax_bold"]
