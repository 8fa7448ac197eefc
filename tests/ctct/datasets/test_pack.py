from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctct.datasets.collection import Collection, Volume
from ctct.datasets.pack import read_pack, write_pack
from ctct.errors import InputError


def collection() -> Collection:
    draw = np.random.default_rng(0)
    voxels = draw.integers(0, 256, (2, 30, 41), dtype=np.uint8)
    labels = np.zeros_like(voxels)
    labels[:, 14:17, 20] = 3
    corner = np.zeros_like(voxels)
    corner[0, 0, 0] = 1
    return Collection(
        (
            Volume("a", "a_ED", voxels, labels, (1.5, 1.25)),
            Volume("b", "b", voxels[:1], None, (1.0, 1.0)),
            Volume("c", "c", voxels, corner, (1.0, 1.0)),
        ),
        "plain",
    )


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "slices.npz"
    write_pack(collection(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["slices.npz"]
    found = read_pack(path)
    assert found.layout == "plain"
    for one, two in zip(found.volumes, collection().volumes, strict=True):
        assert (one.patient, one.name, one.spacing_mm) == (two.patient, two.name, two.spacing_mm)
        np.testing.assert_array_equal(one.voxels, two.voxels)
        assert (one.labels is None) == (two.labels is None)
        if two.labels is not None:
            np.testing.assert_array_equal(one.labels, two.labels)


def test_what_is_known_of_partial_labels(tmp_path: Path) -> None:
    path, whole = tmp_path / "slices.npz", collection()
    first, *others = whole.volumes
    partly = (replace(first, known=("LV",)), replace(first, name="a_ES", known=("RV", "LV")))
    write_pack(Collection(tuple(others), "plain", partly), path)
    found = read_pack(path)
    assert [(v.name, v.known) for v in found.volumes] == [(v.name, v.known) for v in others]
    assert [(v.name, v.known) for v in found.partly_labelled] == [
        *(("a_ED", ("LV",)), ("a_ES", ("RV", "LV")))
    ]
    np.testing.assert_array_equal(found.partly_labelled[1].labels, first.labels)


def test_a_file_of_an_older_version(tmp_path: Path) -> None:
    path = tmp_path / "slices.npz"
    write_pack(collection(), path)
    content = dict(np.load(path))
    del content["known"], content["partly_labelled"]
    np.savez(path, **content)
    found = read_pack(path)
    assert len(found.volumes) == 3
    assert not found.partly_labelled
    assert found.volumes[0].known == ("RV", "MYO", "LV")
    np.savez(path, **{**content, "format": np.array(3)})
    with pytest.raises(InputError, match="packed by another version of ctct; pack it again"):
        read_pack(path)


def test_the_crop_keeps_the_center(tmp_path: Path) -> None:
    path = tmp_path / "slices.npz"
    write_pack(collection(), path, field_of_view_mm=15)
    first, second, third = read_pack(path).volumes
    # 15 mm are 10 rows of 1.5 mm and 12 columns of 1.25 mm; 41 - 12 leaves 14 on either side.
    np.testing.assert_array_equal(first.voxels, collection().volumes[0].voxels[:, 10:20, 14:27])
    assert second.voxels.shape == (1, 16, 15)  # 15 of 30 rows: 7 off on either side
    assert third.voxels.shape == (2, 30, 41)  # a label lies outside


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 and no more"])
def test_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "slices.npz"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_pack(path)
    assert str(caught.value).startswith(f"{path}: not a file of ctct pack")
    assert "\n" not in str(caught.value)


def test_is_read_without_nibabel(tmp_path: Path) -> None:
    path = tmp_path / "slices.npz"
    write_pack(collection(), path)
    code = (
        "import sys; sys.modules['nibabel'] = None\n"
        "from ctct.datasets.layouts import read_collection\n"
        f"print(len(read_collection({str(path)!r}).volumes))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
