from __future__ import annotations

from pathlib import Path

import pytest

from ctct.cases.discover import discover
from ctct.errors import ConfigError, InputError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_folders_are_searched_without_label_maps_and_hidden_files(tmp_path: Path) -> None:
    touch(tmp_path, "b/two.nii", "a/one.nii.gz", "a/one_gt.nii.gz", "c/x_seg.nii.gz")
    touch(tmp_path, "a/notes.txt", ".hidden/three.nii", "a/.four.nii.gz")
    cases, labels = discover([tmp_path])
    assert [case.name for case in cases] == ["a_one", "b_two"]
    assert [path.name for path in labels] == ["one_gt.nii.gz", "x_seg.nii.gz"]


@pytest.mark.parametrize(
    ("name", "is_label_map"),
    [
        *((f"p_{word}", True) for word in ("gt", "seg", "GT", "label", "labels", "mask")),
        *((name, True) for name in ("p_ed_gt", "p_es_gt_cavity", "p.seg", "p-seg")),
        *((name, False) for name in ("p_gtx", "gt", "seg_p", "label_order", "p_mask_2", "p_unseg")),
    ],
)
def test_label_maps_are_known_by_a_word_in_their_name(
    tmp_path: Path, name: str, is_label_map: bool
) -> None:
    touch(tmp_path, f"{name}.nii.gz", "scan.nii")
    cases, labels = discover([tmp_path])
    assert [path.name for path in labels] == [f"{name}.nii.gz"] * is_label_map
    assert len(cases) == 2 - is_label_map


def test_a_named_file_is_one_case_even_with_the_name_of_a_label_map(tmp_path: Path) -> None:
    touch(tmp_path, "x_gt.nii.gz")
    path = tmp_path / "x_gt.nii.gz"
    cases, _ = discover([path, path, tmp_path / "." / "x_gt.nii.gz"])
    assert [case.path for case in cases] == [path]


def test_a_name_does_not_depend_on_the_other_scans(tmp_path: Path) -> None:
    scans = ("a/s/cine.nii.gz", "b/s/cine.nii.gz", "b/s/other.nii.gz", "c/c_single.nii")
    seen: list[str] = []
    for scan, name in zip(scans, ("a_s_cine", "b_s_cine", "b_s_other", "c_single"), strict=True):
        touch(tmp_path, scan)
        seen.append(name)
        assert [case.name for case in discover([tmp_path])[0]] == seen


def test_scans_of_one_name_are_refused_with_both_paths(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.nii", "b/x.nii.gz")
    with pytest.raises(InputError, match=r"a/x\.nii and .*b/x\.nii\.gz would both be called x;"):
        discover([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(InputError, match="would both be called x;"):
        discover([tmp_path], name_from="file")
    assert [case.name for case in discover([tmp_path / "a"], name_from="file")[0]] == ["x"]


def test_no_nifti_file_has_a_study_or_a_patient(tmp_path: Path) -> None:
    touch(tmp_path, "x.nii")
    for rule in ("study", "patient"):
        with pytest.raises(ConfigError, match=rf"is no DICOM.*{rule}.*--name-from path"):
            discover([tmp_path], name_from=rule)
    with pytest.raises(ConfigError, match="--name-from date: choose one of path, file, study"):
        discover([tmp_path], name_from="date")


def test_every_patient_has_a_name_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "siteA/p1_frame01.nii", "siteB/p1_frame07.nii", "siteA/p2.nii", "c/p.nii")
    touch(tmp_path, "c/p_frame01.nii", "d/ED.nii", "d/ES.nii")
    cases, _ = discover([tmp_path])
    patients = ["c_p", "c_p_frame01", "d", "d", "siteA_p1", "siteA_p2", "siteB_p1"]
    assert [case.patient for case in cases] == patients


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "a/one.nii")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert len(discover([tmp_path])[0]) == 1


def test_links_to_one_file_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "a.nii", "c.nii")
    (tmp_path / "b.nii").symlink_to(tmp_path / "a.nii")
    assert [case.name for case in discover([tmp_path])[0]] == ["a", "b", "c"]
    assert f"{tmp_path / 'a.nii'} and {tmp_path / 'b.nii'} are one file" in caplog.text


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        discover([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="no scan found; expected files ending in"):
        discover([tmp_path])


def test_a_named_folder_without_a_scan_gets_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "a/deep/one.nii", "maps/b_seg.nii.gz", "empty/.hidden.nii", "not_named/x.txt")
    (tmp_path / "empty" / "below").mkdir()
    folders = [tmp_path / name for name in ("a", "maps", "empty")]
    assert len(discover(folders)[0]) == 1
    assert caplog.messages == [f"{tmp_path / 'empty'}: no scan found there"]


def test_a_folder_of_label_maps_only(tmp_path: Path) -> None:
    touch(tmp_path, "a_seg.nii.gz", "b_seg.nii.gz")
    with pytest.raises(InputError, match=r"2 label maps such as .*a_seg\.nii\.gz, which are read"):
        discover([tmp_path])
