from __future__ import annotations

from pathlib import Path

import pytest

from ctct.datasets.file_names import group_images, pair_labels, patient_name, scan_name
from ctct.errors import InputError

ROOT = Path("data")


def pairs(*names: str) -> dict[str, str | None]:
    found = pair_labels(ROOT, [ROOT / name for name in names])
    return {
        image.relative_to(ROOT).as_posix(): label and label.relative_to(ROOT).as_posix()
        for image, label in found.items()
    }


class TestPairs:
    @pytest.mark.parametrize(
        "label",
        [
            *("P1_gt.nii.gz", "P1_GT.nii", "P1_seg.nii.gz", "P1-seg.nii.gz", "P1.seg.nii.gz"),
            *("P1_mask.nii.gz", "P1_label.nii.gz", "P1.label.nii.gz", "P1_Labels.nii.gz"),
            *("P1_segmentation.nii.gz", "P1_ground_truth.nii.gz", "P1_manual_mask.nii.gz"),
            *("label_P1.nii.gz", "mask-P1.nii.gz", "labels/P1.nii.gz", "seg/P1_seg.nii.gz"),
            *("labelsTr/P1.nii.gz", "contour_files/P1.nii.gz", "deep/masks/P1.nii"),
        ],
    )
    def test_a_label_map_beside_or_in_another_folder(self, label: str) -> None:
        assert pairs("P1.nii.gz", "P2.nii.gz", label) == {"P1.nii.gz": label, "P2.nii.gz": None}

    @pytest.mark.parametrize(
        ("image", "label"),
        [
            ("images/P1.nii.gz", "labels/P1.nii.gz"),
            ("img/P1.nii.gz", "seg/P1.nii.gz"),
            ("imagesTr/P1_0000.nii.gz", "labelsTr/P1.nii.gz"),
            ("images/img_1.nii.gz", "masks/mask_1.nii.gz"),
            ("P1_image.nii.gz", "P1_label.nii.gz"),
            ("img0001.nii.gz", "label0001.nii.gz"),
            ("volume-1.nii.gz", "segmentation-1.nii.gz"),
            ("P1/image.nii.gz", "P1/label.nii.gz"),
            ("P1/image/ED.nii.gz", "P1/mask/ED.nii.gz"),
            ("P1/ED.nii.gz", "P1/ED_gt.nii.gz"),
            ("A0S9V9_sa.nii.gz", "A0S9V9_sa_gt.nii.gz"),
        ],
    )
    def test_of_several_patients(self, image: str, label: str) -> None:
        second = [name.replace("1", "2").replace("A0", "B0") for name in (image, label)]
        assert pairs(image, label, *second) == {image: label, second[0]: second[1]}

    @pytest.mark.parametrize("name", ["unlabelled_1", "labelled/P1", "x7Gt9", "segment4", "roid"])
    def test_names_of_scans(self, name: str) -> None:
        assert pairs(f"{name}.nii.gz") == {f"{name}.nii.gz": None}

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["P1", "P2_gt"], "P2_gt.nii.gz: a label map by its name, but no scan belongs to it"),
            (["P1", "P1_gt_LV"], "P1_gt_LV.nii.gz: a label map by its name, but no scan"),
            (["P1", "P1_gt", "P1_seg"], "P1_seg.nii.gz: data/P1_gt.nii.gz is a label map of P1"),
            (["P1", "P1_gt", "labels/P1"], "labels/P1.nii.gz: data/P1_gt.nii.gz is a label map"),
            (["P1_img", "P1_scan", "P1_gt"], "P1_gt.nii.gz: may belong to data/P1_img.nii.gz or"),
        ],
    )
    def test_refused_by_name(self, names: list[str], message: str) -> None:
        with pytest.raises(InputError) as caught:
            pairs(*(f"{name}.nii.gz" for name in names))
        assert f"data/{message}" in str(caught.value)

    def test_a_folder_of_scans_and_label_maps(self) -> None:
        assert pairs("manual/P1.nii", "manual/P1_gt.nii") == {"manual/P1.nii": "manual/P1_gt.nii"}

    def test_label_maps_are_left_out_where_labels_are_not_read(self) -> None:
        files = [ROOT / "P1.nii", ROOT / "P1_mask.nii", ROOT / "P2_gt.nii"]
        assert pair_labels(ROOT, files, with_labels=False) == {ROOT / "P1.nii": None}


@pytest.mark.parametrize(
    ("path", "name", "patient"),
    [
        ("P1.nii.gz", "P1", "P1"),
        ("patient001/patient001_frame01.nii.gz", "patient001_frame01", "patient001"),
        ("sbj01_RVES.nii.gz", "sbj01_RVES", "sbj01"),
        ("001/001_SA_ED.nii.gz", "001_SA_ED", "001"),
        ("001/001_LA_CINE_2.nii.gz", "001_LA_CINE_2", "001"),
        ("sub-01/ses-2/sub-01_ses-2_sax.nii.gz", "sub-01_ses-2_sax", "sub-01"),
        ("P1_visit2_ED.nii.gz", "P1_visit2_ED", "P1"),
        ("P1-baseline.nii.gz", "P1-baseline", "P1"),
        ("Pat1_MRT2.nii.gz", "Pat1_MRT2", "Pat1"),
        ("case_01_before_surgery.nii.gz", "case_01_before_surgery", "case_01"),
        ("2023_P1.nii.gz", "2023_P1", "2023_P1"),
        ("P1_slice03.nii.gz", "P1_slice03", "P1"),
        ("P1_ED_0001.nii.gz", "P1_ED_0001", "P1"),
        ("P1/ses-1/image.nii.gz", "P1_ses-1_image", "P1"),
        ("P1/ED.nii.gz", "P1_ED", "P1"),
        ("P1/img_0.nii.gz", "P1_img_0", "P1"),
        ("images/img_1.nii.gz", "img_1", "img_1"),
        ("site1/site1_P1.nii.gz", "site1_P1", "site1_P1"),
        ("la_003.nii.gz", "la_003", "la_003"),
        ("ED.nii.gz", "ED", "ED"),
    ],
)
def test_scan_and_patient(path: str, name: str, patient: str) -> None:
    assert scan_name(ROOT / path, ROOT) == name
    assert patient_name(ROOT / path, name) == patient


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("P1_0 P1_1 P2_0 P2_1", "P1 P1 P2 P2"),
        ("P1_0 P1_1", "P1 P1"),
        ("P1_0 P2_1", "P1_0 P2_1"),
        ("P1 P1_2 P2", "P1 P1 P2"),
        ("P1a P1b P2", "P1 P1 P2"),
        ("P1_scan1 P1_scan2", "P1 P1"),
        ("P1_000 P1_001 P1_002 P2_000", "P1 P1 P1 P2_000"),
        ("case_01_1 case_01_2 case_02_1", "case_01 case_01 case_02_1"),
        ("anna_0 anna_1 bert_0", "anna anna bert_0"),
        ("P1_img_0 P1_img_1 P2_img_0", "P1 P1 P2_img_0"),
        # Patients of their own:
        ("case_1 case_2 case_3", "case_1 case_2 case_3"),
        ("patient001 patient002", "patient001 patient002"),
        ("ACDC17_001 ACDC17_002 ACDC17_003", "ACDC17_001 ACDC17_002 ACDC17_003"),
        ("Dataset5_01 Dataset5_02", "Dataset5_01 Dataset5_02"),
        ("site1_01 site1_02 site2_01 site2_02", "site1_01 site1_02 site2_01 site2_02"),
        ("A_01 A_02 A_03 B_01", "A_01 A_02 A_03 B_01"),
        ("A0S9V9 A0S9V8", "A0S9V9 A0S9V8"),
    ],
)
def test_images_of_one_patient(names: str, expected: str) -> None:
    common = group_images(names.split())
    assert [common.get(name, name) for name in names.split()] == expected.split()
