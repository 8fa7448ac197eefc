from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests_support import phantom as heart
from tests_support import write_partly_labelled

from ctct.datasets.collection import to_bytes
from ctct.datasets.layouts import _read_partly_labelled, read_collection
from ctct.datasets.pack import write_pack
from ctct.errors import InputError


def save(path: Path, array: np.ndarray, mm: float = 1.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([mm, mm, 10, 1])), path)


def phantom(frames: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(x, y, z[, t]) image and labels: an LV with its wall around it, an RV beside."""
    labels = np.zeros((20, 20, 2), np.uint8)
    labels[6:14, 6:14] = 2
    labels[8:12, 8:12] = 3
    labels[2:6, 8:12] = 1
    image = labels.astype(np.int16) * 300
    if frames:
        image = np.stack([image + t for t in range(frames)], -1)
    return image, labels


class TestAcdc:
    def test_every_frame(self, acdc: Path) -> None:
        collection = read_collection(acdc.parent)  # found below the folder, too
        assert collection.layout == "acdc"
        assert [(v.patient, v.name) for v in collection.volumes] == [
            (f"patient{n}", f"patient{n}_frame{frame}")
            for n, es in (("002", "12"), ("038", "11"), ("099", "09"))
            for frame in ("01", es)
        ]
        first = collection.volumes[0]
        assert first.labels is not None
        assert first.voxels.shape == first.labels.shape == (3, 36, 40)
        assert first.spacing_mm == pytest.approx((1.367, 1.367), rel=1e-6)
        # The phantom's blood is 200 in the LV and 180 in the RV, its wall 80.
        means = [first.voxels[first.labels == value].mean() for value in range(4)]
        assert means == pytest.approx([20, 180, 80, 200], abs=3)

    def test_a_cine_alone_gives_every_frame(self, acdc: Path) -> None:
        image, _ = phantom(12)
        save(acdc / "patient050" / "patient050_4d.nii.gz", image)
        save(acdc / "patient038" / "patient038_4d.nii.gz", image)  # frame01 stands beside it
        collection = read_collection(acdc)
        assert collection.layout == "acdc"
        names = [v.name for v in collection.volumes if v.patient == "patient050"]
        assert names == [f"patient050_4d_t{t:02}" for t in range(12)]
        assert sum(v.patient == "patient038" for v in collection.volumes) == 2


class TestOtherLayouts:
    def test_nnunet(self, tmp_path: Path) -> None:
        image, labels = phantom()
        for frame in ("01", "12"):
            save(tmp_path / "imagesTr" / f"p1_frame{frame}_0000.nii.gz", image)
            save(tmp_path / "labelsTr" / f"p1_frame{frame}.nii.gz", labels)
        save(tmp_path / "imagesUn" / "p2_0000.nii.gz", phantom(3)[0])
        collection = read_collection(tmp_path)
        assert collection.layout == "nnunet"
        found = [(v.patient, v.name, v.labels is not None) for v in collection.volumes]
        assert found == [
            ("p1", "p1_frame01", True),
            ("p1", "p1_frame12", True),
            *(("p2", f"p2_t{t}", False) for t in range(3)),
        ]

    def test_nnunet_with_a_file_missing(self, tmp_path: Path) -> None:
        image, labels = phantom()
        save(tmp_path / "imagesTr" / "p1_0000.nii.gz", image)
        save(tmp_path / "labelsTr" / "p2.nii.gz", labels)
        with pytest.raises(InputError, match=r"p1_0000.nii.gz: no p1.nii.gz in labelsTr"):
            read_collection(tmp_path)
        save(tmp_path / "labelsTr" / "p1.nii.gz", labels)
        with pytest.raises(InputError, match=r"p2.nii.gz: its image is not in imagesTr"):
            read_collection(tmp_path)

    def test_plain(self, tmp_path: Path) -> None:
        image, labels = phantom()
        save(tmp_path / "one" / "anna_ED.nii.gz", image)
        save(tmp_path / "one" / "anna_ED_gt.nii.gz", labels)
        save(tmp_path / "two" / "anna_ES.nii", image)
        collection = read_collection(tmp_path)
        assert collection.layout == "plain"
        found = [(v.patient, v.name, v.labels is not None) for v in collection.volumes]
        assert found == [("anna", "anna_ED", True), ("anna", "anna_ES", False)]

    def test_labels_of_the_unlabelled_are_not_read(self, acdc: Path, tmp_path: Path) -> None:
        shutil.copytree(acdc, tmp_path / "more")
        for path in (tmp_path / "more").rglob("*_gt.nii.gz"):
            path.write_bytes(b"not a scan")
        collection = read_collection(acdc, unlabelled=[tmp_path / "more"])
        assert len({v.name for v in collection.volumes}) == len(collection.volumes) == 12
        assert len({v.patient for v in collection.volumes}) == 3  # of one name, so of one person
        assert sum(v.labels is None for v in collection.volumes) == 6


class TestPartlyLabelled:
    def test_each_stack_shows_what_it_shows(self, acdc: Path, tmp_path: Path) -> None:
        write_partly_labelled(tmp_path / "children")
        save(tmp_path / "children" / "sbj03_LVED.nii.gz", phantom()[0])  # nobody labelled it
        collection = read_collection(acdc, partly_labelled=[tmp_path / "children"])
        assert collection.layout == "acdc"
        found = {v.name: v for v in collection.partly_labelled}
        assert {name: (v.patient, v.known) for name, v in found.items()} == {
            "sbj01_LVED": ("sbj01", ("LV",)),
            "sbj01_RVED": ("sbj01", ("RV",)),
            "sbj02_LVED": ("sbj02", ("LV",)),
            "sbj02_RVED": ("sbj02", ("RV",)),
        }
        np.testing.assert_array_equal(found["sbj01_LVED"].labels, 3 * (heart(36, 40, 2) == 3))
        unlabelled = [v.name for v in collection.volumes if v.labels is None]
        assert unlabelled == ["sbj03_LVED"]
        assert {v.known for v in collection.volumes} == {("RV", "MYO", "LV")}

    def test_an_lv_of_number_1_is_not_learned_as_rv(self, acdc: Path, tmp_path: Path) -> None:
        children = tmp_path / "children"
        write_partly_labelled(children, values=(1, 3))
        with pytest.raises(
            InputError, match=r"sbj01_LVED are read as RV, but.*Write dataset\.json"
        ):
            read_collection(acdc, partly_labelled=[children])
        (children / "dataset.json").write_text('{"labels": {"background": 0, "LV": 1, "RV": 3}}')
        # The file decides for its own folder, whatever --label-order says of the others.
        for volumes in (
            read_collection(acdc, partly_labelled=[children]).partly_labelled,
            _read_partly_labelled(children, "mnms"),
        ):
            assert [v.known for v in volumes] == [("LV",), ("RV",)] * 2
        (children / "dataset.json").write_text('{"labels": {"background": 0, "LV": 1}}')
        with pytest.raises(InputError, match=r"RVED_gt.*holds 3; expected 0 and 1 \(LV\)"):
            read_collection(acdc, partly_labelled=[children])

    def test_a_patient_with_all_labels_is_refused(self, acdc: Path, tmp_path: Path) -> None:
        image, labels = phantom()
        save(tmp_path / "more" / "patient002_LV.nii.gz", image)  # who validates
        save(tmp_path / "more" / "patient002_LV_gt.nii.gz", np.uint8(3) * (labels == 3))
        with pytest.raises(InputError, match="patient002: patients of"):
            read_collection(acdc, partly_labelled=[tmp_path / "more"])

    def test_beside_scans_without_labels_of_the_same_patient(
        self, acdc: Path, tmp_path: Path
    ) -> None:
        write_partly_labelled(tmp_path / "one")
        write_partly_labelled(tmp_path / "two")
        further = {"unlabelled": [tmp_path / "one"], "partly_labelled": [tmp_path / "two"]}
        collection = read_collection(acdc, **further)
        assert [v.name for v in collection.volumes if v.labels is None] == [
            *("sbj01_LVED", "sbj01_RVED", "sbj02_LVED", "sbj02_RVED")
        ]
        assert collection.partly_labelled[0].name == "partly_labelled0_sbj01_LVED"
        assert {v.patient for v in collection.partly_labelled} == {"sbj01", "sbj02"}

    def test_a_folder_without_labels(self, acdc: Path, tmp_path: Path) -> None:
        save(tmp_path / "more" / "a_LV.nii.gz", phantom()[0])
        with pytest.raises(InputError, match=r"more: no scan has labels; give it with --unlabell"):
            read_collection(acdc, partly_labelled=[tmp_path / "more"])

    def test_a_packed_file(self, acdc: Path, tmp_path: Path) -> None:
        write_partly_labelled(tmp_path / "children")
        both = read_collection(acdc, partly_labelled=[tmp_path / "children"])
        write_pack(both, tmp_path / "both.npz")
        packed = read_collection(tmp_path / "both.npz")
        assert [v.known for v in packed.partly_labelled] == [("LV",), ("RV",)] * 2
        assert len(packed.volumes) == len(both.volumes)
        without = read_collection(acdc, unlabelled=[tmp_path / "both.npz"])
        assert len(without.volumes) == 6 + 6 + 4
        assert not without.partly_labelled
        with pytest.raises(InputError, match=r"a packed file; .*ctct pack --partly-labelled"):
            read_collection(acdc, partly_labelled=[tmp_path / "both.npz"])


class TestLabels:
    @pytest.mark.parametrize("label", ["a_mask.nii.gz", "labels/a.nii.gz"])
    def test_of_another_name(self, tmp_path: Path, label: str) -> None:
        image, labels = phantom()
        save(tmp_path / "a.nii.gz", image)
        save(tmp_path / label, labels)
        (volume,) = read_collection(tmp_path).volumes
        np.testing.assert_array_equal(volume.labels, labels.transpose(2, 1, 0))

    def test_frames_without_any_are_unlabelled(self, tmp_path: Path) -> None:
        image, _ = phantom(4)
        empty, labels = np.zeros_like(phantom()[1]), phantom()[1]
        save(tmp_path / "a_sa.nii.gz", image)
        save(tmp_path / "a_sa_gt.nii.gz", np.stack([labels, empty, empty, labels], -1))
        volumes = read_collection(tmp_path).volumes
        assert [v.labels is not None for v in volumes] == [True, False, False, True]

    def test_a_file_without_any_is_refused(self, tmp_path: Path) -> None:
        image, labels = phantom()
        save(tmp_path / "a.nii.gz", image)
        save(tmp_path / "a_gt.nii.gz", labels * 0)
        with pytest.raises(InputError, match=r"a_gt\.nii\.gz: holds no label; remove it"):
            read_collection(tmp_path)
        save(tmp_path / "a.nii.gz", image[:, :, :1])
        save(tmp_path / "a_gt.nii.gz", labels[:, :, :1] * 0)  # one slice may lie beyond the heart
        assert read_collection(tmp_path).volumes[0].labels is not None

    @pytest.mark.parametrize("values", [[0, 1, 2, 3], [0, 0, 0, 255], [0, 0, 1, 1]])
    def test_a_label_map_of_unknown_name_is_no_scan(
        self, tmp_path: Path, values: list[int]
    ) -> None:
        image, labels = phantom()
        save(tmp_path / "a.nii.gz", image)
        save(tmp_path / "a-lv.nii.gz", np.array(values, np.uint8)[labels])
        for folders in ({"path": tmp_path}, {"path": tmp_path / "more", "unlabelled": [tmp_path]}):
            save(tmp_path / "more" / "b.nii.gz", image)
            with pytest.raises(InputError, match=r"a-lv\.nii\.gz: looks like a label map"):
                read_collection(**folders)

    def test_of_ctct_predict_are_not_trained_on(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        image, labels = phantom()
        save(tmp_path / "a.nii.gz", image)
        save(tmp_path / "a_gt.nii.gz", labels)
        save(tmp_path / "out" / "a_seg.nii.gz", labels)
        with pytest.raises(InputError, match=r"a_seg\.nii\.gz: .*a_gt.nii.gz is a label map"):
            read_collection(tmp_path)
        (tmp_path / "out" / "run.json").write_text("{}")
        assert len(read_collection(tmp_path).volumes) == 1
        assert "label maps of ctct predict are not trained on: 1" in caplog.text

    def test_numbers_by_dataset_json(self, tmp_path: Path) -> None:
        image, labels = phantom()
        save(tmp_path / "imagesTr" / "a_0000.nii.gz", image)
        save(tmp_path / "labelsTr" / "a.nii.gz", np.array([0, 3, 1, 2], np.uint8)[labels])
        names = '{"labels": {"background": 0, "MYO": 1, "left ventricle": 2, "RV": 3}}'
        (tmp_path / "dataset.json").write_text(names)
        found = read_collection(tmp_path).volumes[0].labels
        np.testing.assert_array_equal(found, labels.transpose(2, 1, 0))
        with pytest.raises(InputError, match="--label-order mnms says"):
            read_collection(tmp_path, "mnms")
        (tmp_path / "dataset.json").unlink()
        with pytest.raises(InputError, match="labels look exchanged"):
            read_collection(tmp_path)

    def test_of_other_formats_are_refused(self, tmp_path: Path) -> None:
        save(tmp_path / "a.nii.gz", phantom()[0])
        (tmp_path / "a.seg.nrrd").touch()
        with pytest.raises(InputError, match=r"a\.seg\.nrrd: training reads \.nii\.gz alone"):
            read_collection(tmp_path)


class TestPatients:
    def test_several_images_are_of_one(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "ctct")
        image, _ = phantom()
        for name in ("P1_0", "P1_1", "P2"):
            save(tmp_path / "a" / f"{name}.nii.gz", image)
        save(tmp_path / "b" / "P2_4.nii.gz", image)
        volumes = read_collection(tmp_path / "a", unlabelled=[tmp_path / "b"]).volumes
        assert [v.patient for v in volumes] == ["P1", "P1", "P2", "P2"]
        assert "several images of one patient, by their names: P1 (P1_0, P1_1); P2" in caplog.text

    def test_a_data_set_of_nnunet_within(self, tmp_path: Path) -> None:
        save(tmp_path / "Dataset5" / "imagesTr" / "a_0000.nii.gz", phantom()[0])
        save(tmp_path / "Dataset5" / "labelsTr" / "a.nii.gz", phantom()[1])
        with pytest.raises(InputError, match=r"nnU-Net within; give .*Dataset5"):
            read_collection(tmp_path)


@pytest.mark.parametrize("frames", [0, 3])
def test_rounding_noise_of_labels_is_removed(tmp_path: Path, frames: int) -> None:
    image, labels = phantom(frames)
    if frames:
        labels = np.stack([labels] * frames, -1)
    save(tmp_path / "a.nii.gz", image)
    save(tmp_path / "a_gt.nii.gz", labels * 0.9999998)
    for volume in read_collection(tmp_path).volumes:
        np.testing.assert_array_equal(volume.labels, phantom()[1].transpose(2, 1, 0))


class TestRefused:
    def test_empty(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no scan to train on; expected the layout of ACDC"):
            read_collection(tmp_path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda labels: (labels[:-1], 1.5), "labels are (1, 2, 20, 19)"),
            (lambda labels: (labels, 1.4), "its affine differs from that of"),
            (lambda labels: (labels + np.uint8(4) * (labels == 3), 1.5), "label map holds 7"),
        ],
    )
    def test_labels(self, tmp_path: Path, change: object, message: str) -> None:
        image, labels = phantom()
        save(tmp_path / "a.nii.gz", image)
        save(tmp_path / "a_gt.nii.gz", *change(labels))
        with pytest.raises(InputError) as caught:
            read_collection(tmp_path)
        assert str(caught.value).startswith(f"{tmp_path / 'a_gt.nii.gz'}: ")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("value", [1.4, 2.5, 65537.0, -1.0, np.nan, np.inf])
    def test_values_that_are_no_labels(self, tmp_path: Path, value: float) -> None:
        image, labels = phantom()
        labels = labels.astype(np.float32)
        labels[0, 0] = value
        save(tmp_path / "a.nii.gz", image)
        save(tmp_path / "a_gt.nii.gz", labels)
        with pytest.raises(InputError, match=rf"a_gt\.nii\.gz: .*holds \[?{value:g}"):
            read_collection(tmp_path)

    def test_labels_of_another_order(self, tmp_path: Path) -> None:
        image, labels = phantom()
        mnms = np.array([0, 3, 2, 1], np.uint8)[labels]
        save(tmp_path / "a.nii.gz", image)
        save(tmp_path / "a_gt.nii.gz", mnms)
        # Outline of the RV: 16 steps, 4 of them into the wall; of the LV all 16.
        with pytest.raises(InputError, match=r"\(RV 100%, LV 25%.*try --label-order mnms"):
            read_collection(tmp_path)
        found = read_collection(tmp_path, "mnms").volumes[0].labels
        np.testing.assert_array_equal(found, labels.transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("voxels", "expected"),
    [
        ([0.0, 7.0, 255.0], [0, 7, 255]),  # bytes stay
        ([0.0, 0.25, 0.5, 1.0], [0, 64, 128, 255]),
        ([-100.0, 0.0, 100.0], [0, 128, 255]),
        ([5.5, 5.5], [255, 255]),
        ([np.nan, 1.0, 3.0], [0, 1, 3]),
    ],
)
def test_to_bytes(voxels: list[float], expected: list[int]) -> None:
    assert to_bytes(np.array(voxels, np.float32)).tolist() == pytest.approx(expected, abs=1)


@pytest.mark.real_data
def test_the_real_patients(acdc: Path, request: pytest.FixtureRequest) -> None:
    folder = request.config.rootpath.parent / "shared" / "acdc" / "training"
    if not folder.is_dir():
        pytest.skip(f"needs the ACDC data in {folder}")
    collection = read_collection(folder)
    assert collection.layout == "acdc"
    assert len(collection.volumes) == 160
    assert len({v.patient for v in collection.volumes}) == 80


def test_a_header_that_contradicts_itself_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image, labels = phantom()
    scan = nib.Nifti1Image(image, np.diag([1.5, 1.5, 10, 1]))
    scan.header.set_zooms((1.5, 1.5, 8))
    nib.save(scan, tmp_path / "a.nii.gz")
    save(tmp_path / "a_gt.nii.gz", labels)
    read_collection(tmp_path)
    assert "a.nii.gz: the header contradicts itself" in caplog.text
