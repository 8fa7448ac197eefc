from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from ctct.errors import InputError
from ctct.io.nifti import read_nifti
from ctct.io.study import Study

Save = Callable[..., Path]  # the fixture of conftest.py

VOLUME = np.arange(5 * 4 * 3, dtype=np.int16).reshape(5, 4, 3)  # column, row, slice
DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
GEOMETRY = [
    *("dim", "pixdim", "xyzt_units", "qform_code", "sform_code"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
]

# Byte offsets of fields of the NIfTI-1 header (nifti1.h).
DIM, DATATYPE, PIXDIM, VOX_OFFSET, SLOPE, SFORM_CODE, MAGIC = 40, 70, 76, 108, 112, 254, 344

#: A little-endian NIfTI-1 file: 352 bytes of header and 5·4·3·2 of voxels make 472.
GOOD: bytes = nib.Nifti1Image(VOLUME, np.diag([1.4, 1.2, 10.0, 1.0])).to_bytes()


class TestAxes:
    @pytest.mark.parametrize(
        ("size", "mark", "shape", "found"),
        [
            # The file's (column, row, slice, frame) is the study's (frame, slice, row, column).
            ((5, 4), (3, 1), (1, 1, 4, 5), (0, 0, 1, 3)),
            ((5, 4, 3), (3, 1, 2), (1, 3, 4, 5), (0, 2, 1, 3)),
            ((5, 4, 3, 6), (3, 1, 2, 4), (6, 3, 4, 5), (4, 2, 1, 3)),
            ((5, 4, 3, 6, 1), (3, 1, 2, 4, 0), (6, 3, 4, 5), (4, 2, 1, 3)),
        ],
    )
    def test_marked_voxel(
        self,
        save: Save,
        size: tuple[int, ...],
        mark: tuple[int, ...],
        shape: tuple[int, ...],
        found: tuple[int, ...],
    ) -> None:
        array = np.zeros(size, np.int16)
        array[mark] = 7
        study = read_nifti(save(array))
        assert study.voxels.shape == shape
        assert study.voxels.dtype == np.float32
        assert study.voxels.flags.c_contiguous
        assert np.argwhere(study.voxels).tolist() == [list(found)]
        assert study.voxels[found] == 7

    def test_spacing_is_row_then_column(self, save: Save) -> None:
        # The file's first axis runs along a row, from column to column, 1.4 mm apart.
        study = read_nifti(save(VOLUME))
        assert study.spacing_mm == pytest.approx((1.2, 1.4), rel=1e-6)
        assert study.slice_spacing_mm == pytest.approx(10.0, rel=1e-6)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_reordered_slice_axis(self, save: Save, axis: int) -> None:
        array = np.zeros((5, 4, 3), np.int16)
        array[3, 1, 2] = 7  # column, row, slice, before the slice axis is moved
        order = np.insert([0, 1], axis, 2)  # the file's axis i is axis order[i] of (x, y, z)
        affine = np.diag([1.4, 1.2, 10.0, 1.0])
        study = read_nifti(save(array.transpose(order), affine=affine[:, [*order, 3]]))
        assert np.argwhere(study.voxels).tolist() == [[0, 2, 1, 3]]
        assert study.spacing_mm == pytest.approx((1.2, 1.4), rel=1e-6)
        assert study.slice_spacing_mm == pytest.approx(10.0, rel=1e-6)
        np.testing.assert_allclose(study.affine, affine, rtol=1e-6)
        encoded = nib.Nifti1Image.from_bytes(index_map(study))
        assert np.argwhere(np.asarray(encoded.dataobj) == 2 * 20 + 1 * 5 + 3).tolist() == [
            [(3, 1, 2)[i] for i in order]
        ]

    @pytest.mark.parametrize("size", [(5, 4), (5, 4, 1)])
    def test_a_single_slice_keeps_its_axes_for_any_spacing(
        self, save: Save, size: tuple[int, ...]
    ) -> None:
        # 0.8 mm and 1.6 mm: twice as wide one way, and still no slice axis.
        study = read_nifti(save(np.zeros(size, np.int16), affine=np.diag([0.8, 1.6, 1.0, 1.0])))
        assert study.voxels.shape == (1, 1, 4, 5)
        assert study.spacing_mm == pytest.approx((1.6, 0.8), rel=1e-6)

    def test_slice_spacing_of_a_single_image_is_unknown(self, save: Save) -> None:
        assert math.isnan(read_nifti(save(np.zeros((5, 4), np.int16))).slice_spacing_mm)


class TestVoxels:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Nifti2Image])
    def test_every_type_and_byte_order(
        self, tmp_path: Path, dtype: str, order: str, image_class: type[nib.Nifti1Image]
    ) -> None:
        header = image_class.header_class(endianness=order)
        header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
        image = image_class(VOLUME.astype(dtype), np.diag([1.4, 1.2, 10.0, 1.0]), header)
        nib.save(image, tmp_path / "scan.nii")
        study = read_nifti(tmp_path / "scan.nii")
        assert study.voxels.dtype == np.float32
        np.testing.assert_array_equal(study.voxels[0], VOLUME.T)
        assert study.spacing_mm == pytest.approx((1.2, 1.4), rel=1e-6)

    @pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "SCAN.NII.GZ"])
    def test_compressed_or_not(self, save: Save, name: str) -> None:
        study = read_nifti(str(save(VOLUME, name)))
        np.testing.assert_array_equal(study.voxels[0], VOLUME.T)
        assert study.name == name[:4]

    def test_compression_is_detected_by_content(self, save: Save) -> None:
        path = save(VOLUME, "scan.nii.gz")
        path = path.rename(path.with_name("scan.nii"))
        np.testing.assert_array_equal(read_nifti(path).voxels[0], VOLUME.T)

    def test_slope_and_intercept(self, tmp_path: Path) -> None:
        (tmp_path / "scan.nii").write_bytes(patched(SLOPE, "<2f", 0.5, -3.0))
        # Voxel (3, 1, 2) holds 3·12 + 1·3 + 2 = 41; 41 · 0.5 - 3 = 17.5.
        assert read_nifti(tmp_path / "scan.nii").voxels[0, 2, 1, 3] == 17.5

    def test_nan_and_infinity_are_kept(self, save: Save) -> None:
        array = VOLUME.astype(np.float32)
        array[0, 0, 0], array[1, 0, 0] = np.nan, np.inf
        voxels = read_nifti(save(array)).voxels  # the segmenter refuses them, with their number
        assert np.isnan(voxels[0, 0, 0, 0])
        assert np.isposinf(voxels[0, 0, 0, 1])

    def test_a_large_extension_is_skipped(self, tmp_path: Path) -> None:
        image = nib.Nifti1Image(VOLUME, np.diag([1.4, 1.2, 10.0, 1.0]))
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 5000))
        nib.save(image, tmp_path / "scan.nii.gz")
        study = read_nifti(tmp_path / "scan.nii.gz")
        np.testing.assert_array_equal(study.voxels[0], VOLUME.T)
        encoded = nib.Nifti1Image.from_bytes(index_map(study))
        assert np.asarray(encoded.dataobj)[3, 1, 2] == 48


class TestGeometry:
    @pytest.mark.parametrize(
        ("code", "factor"),
        # NIFTI_UNITS_METER 1, _MM 2, _MICRON 3; 0 is unknown, 7 undefined: both taken as mm.
        # 16 is NIFTI_UNITS_MSEC, in the upper bits; 64 is undefined there.
        [(1, 1000.0), (2, 1.0), (3, 0.001), (0, 1.0), (7, 1.0), (2 + 16, 1.0), (3 + 64, 0.001)],
    )
    def test_units(self, save: Save, code: int, factor: float) -> None:
        affine = np.diag([1.4 / factor, 1.2 / factor, 10.0 / factor, 1.0])
        affine[0, 3] = -70 / factor
        study = read_nifti(save(VOLUME, affine=affine, xyzt_units=code))
        assert study.spacing_mm == pytest.approx((1.2, 1.4), rel=1e-6)
        assert study.slice_spacing_mm == pytest.approx(10.0, rel=1e-6)
        assert study.affine[0] == pytest.approx([1.4, 0, 0, -70], rel=1e-6)

    def test_the_sign_of_pixdim_is_ignored(self, tmp_path: Path) -> None:
        path = tmp_path / "scan.nii"
        path.write_bytes(patched(PIXDIM, "<2f", 1.0, -1.4))
        assert read_nifti(path).spacing_mm == pytest.approx((1.2, 1.4), rel=1e-6)


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """Rotation about x, then y, then z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def affine_of(degrees: tuple[float, float, float], indicators: tuple[int, int, int]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ np.diag(indicators) @ np.diag([1.4, 1.2, 10.0])
    affine[:3, 3] = 12.5, -80.25, 33.0
    return affine


AFFINES = {
    "plain": affine_of((0, 0, 0), (1, 1, 1)),
    "flipped": affine_of((0, 0, 0), (-1, -1, 1)),
    "mirrored": affine_of((0, 0, 0), (-1, 1, 1)),
    "rotated": affine_of((0, 0, 90), (1, 1, 1)),
    "oblique": affine_of((35, -50, 20), (1, 1, 1)),
    "oblique and mirrored": affine_of((35, -50, 20), (1, -1, 1)),
}


class TestLabels:
    @pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
    @pytest.mark.parametrize("codes", [(1, 1), (0, 2), (1, 0), (0, 0), (4, 3)])
    @pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Nifti2Image])
    def test_the_geometry_equals_that_of_the_source_bit_for_bit(
        self,
        tmp_path: Path,
        affine: np.ndarray,
        codes: tuple[int, int],
        image_class: type[nib.Nifti1Image],
    ) -> None:
        image = image_class(np.zeros((5, 4, 3, 2), np.float32), None)
        header = image.header
        header.set_qform(affine, codes[0])
        header.set_sform(affine, codes[1])
        header.set_xyzt_units("mm", "sec")
        header["pixdim"][1:5] = 1.4, 1.2, 10.0, 0.035
        path = tmp_path / "scan.nii.gz"
        path.write_bytes(gzip.compress(image.to_bytes()))

        study = read_nifti(path)
        if codes != (0, 0):  # without any code NIfTI has the spacing only
            np.testing.assert_allclose(study.affine, affine, atol=1e-5)
        encoded = image_class.from_bytes(index_map(study)).header
        for field in GEOMETRY:
            assert encoded[field].tobytes() == header[field].tobytes(), field

    @pytest.mark.parametrize("size", [(5, 4), (5, 4, 1), (5, 4, 3), (5, 4, 3, 2), (5, 4, 3, 2, 1)])
    @pytest.mark.parametrize("order", "<>")
    def test_every_label_lies_on_its_voxel(
        self, tmp_path: Path, size: tuple[int, ...], order: str
    ) -> None:
        # Each voxel holds its own index: reading and encoding it must give the file's array back.
        array = np.arange(np.prod(size), dtype=np.int16).reshape(size)
        header = nib.Nifti1Header(endianness=order)
        header.set_data_dtype(np.dtype(np.int16).newbyteorder(order))
        nib.save(nib.Nifti1Image(array, np.diag([1.4, 1.2, 10.0, 1.0]), header), tmp_path / "a.nii")
        study = read_nifti(tmp_path / "a.nii")
        assert study.label_encoder is not None
        encoded = nib.Nifti1Image.from_bytes(
            gzip.decompress(study.label_encoder.encode_labels(study.voxels.astype(np.uint8)))
        )
        np.testing.assert_array_equal(np.asarray(encoded.dataobj), array)

    def test_the_header_describes_the_labels(self, save: Save) -> None:
        path = save(VOLUME, cal_max=500, cal_min=10, descrip=b"cine")
        encoded = nib.Nifti1Image.from_bytes(index_map(read_nifti(path)))
        assert encoded.header.get_data_dtype() == np.uint8
        assert encoded.header.get_slope_inter() in {(1.0, 0.0), (None, None)}
        assert (float(encoded.header["cal_min"]), float(encoded.header["cal_max"])) == (0, 0)

    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
    def test_no_text_of_the_scan_is_copied(
        self, tmp_path: Path, kind: type[nib.Nifti1Image], order: str
    ) -> None:
        header = kind.header_class(endianness=order)
        texts = ["descrip", "aux_file", "intent_name"]
        texts += ["db_name", "data_type"] if kind is nib.Nifti1Image else ["unused_str"]
        header.set_xyzt_units("mm", "sec")
        header.set_data_dtype(np.dtype(np.int16).newbyteorder(order))
        for code, content in ((4, b"DOE^JANE"), (6, b"DOE JANE"), (44, b"{'n': 'DOE'}")):
            header.extensions.append(nib.nifti1.Nifti1Extension(code, content))
        image = kind(VOLUME, np.diag([1.4, 1.2, 10.0, 1.0]), header)
        for field in texts:
            image.header[field] = b"DOE JANE 1"
        (tmp_path / "scan.nii").write_bytes(image.to_bytes())
        scan = kind.from_filename(tmp_path / "scan.nii")
        assert len(scan.header.extensions) == 3
        study = read_nifti(tmp_path / "scan.nii")
        packed_labels = index_map(study)
        assert b"DOE" not in packed_labels
        encoded = kind.from_bytes(packed_labels)
        assert [bytes(encoded.header[field].item()) for field in texts] == [b""] * len(texts)
        assert not encoded.header.extensions
        for field in (*GEOMETRY, "magic"):
            np.testing.assert_array_equal(encoded.header[field], scan.header[field])
        # (T, Z, H, W) of the study is (slice, row, column) of the file.
        np.testing.assert_array_equal(
            np.asarray(encoded.dataobj), np.arange(60).reshape(3, 4, 5).transpose(2, 1, 0)
        )
        # The scan itself keeps its header, for another label map.
        assert study.label_encoder is not None
        assert study.label_encoder.header["descrip"].item() == b"DOE JANE 1"
        assert index_map(study) == packed_labels

    def test_what_lies_between_the_header_and_the_voxels_is_not_copied(
        self, tmp_path: Path
    ) -> None:
        data = bytearray(GOOD)
        struct.pack_into("<f", data, VOX_OFFSET, 400.0)
        data[352:352] = b"DOE JANE".ljust(48, b"\0")
        (tmp_path / "scan.nii").write_bytes(data)
        assert b"DOE" not in index_map(read_nifti(tmp_path / "scan.nii"))

    def test_the_slope_of_the_source_is_not_applied_to_labels(self, tmp_path: Path) -> None:
        (tmp_path / "scan.nii").write_bytes(patched(SLOPE, "<2f", 0.5, -3.0))
        encoded = nib.Nifti1Image.from_bytes(index_map(read_nifti(tmp_path / "scan.nii")))
        assert np.asarray(encoded.dataobj)[3, 1, 2] == 48  # 2·20 + 1·5 + 3


def index_map(study: Study) -> bytes:
    """The unpacked label file in which each voxel holds its index in (T, Z, H, W), modulo 256."""
    assert study.label_encoder is not None
    shape = study.voxels.shape
    labels = np.arange(np.prod(shape)).astype(np.uint8).reshape(shape)
    return gzip.decompress(study.label_encoder.encode_labels(labels))


def patched(offset: int, form: str, *values: object) -> bytes:
    """:data:`GOOD` with some bytes of its header replaced."""
    data = bytearray(GOOD)
    struct.pack_into(form, data, offset, *values)
    return bytes(data)


def sized(*pixdim: float) -> bytes:
    """:data:`GOOD` without a form, so that pixdim holds."""
    data = bytearray(patched(SFORM_CODE, "<h", 0))
    struct.pack_into(f"<{len(pixdim)}f", data, PIXDIM + 4, *pixdim)
    return bytes(data)


def packed(middle: int = 0, keep: float = 1.0) -> bytes:
    """A good .nii.gz, ``middle`` of its bytes flipped and only the first part of it kept."""
    noise = np.random.default_rng(0).integers(0, 1000, (32, 32, 4)).astype(np.int16)
    data = bytearray(gzip.compress(nib.Nifti1Image(noise, np.diag([1.4, 1.2, 10, 1])).to_bytes()))
    for i in range(middle):
        data[len(data) // 2 + i] ^= 0xFF
    return bytes(data[: int(keep * len(data))])


def zeros(dtype: npt.DTypeLike) -> bytes:
    return bytes(nib.Nifti1Image(np.zeros((5, 4, 3), dtype), np.eye(4)).to_bytes())


#: Content of a file, and what its message must say of it.
BAD = {
    "empty": (b"", "not a NIfTI file (starts with b'')"),
    "text": (b"patient;ED;ES\n1;1;12\n", "starts with b'patient;'"),
    "half a header": (GOOD[:200], "not a usable NIfTI file"),
    "half the voxels": (GOOD[:-60], "412 of 472 bytes"),
    "truncated gzip": (packed(keep=0.5), "copy or download it again"),
    "gzip without its end": (packed()[:-4], "copy or download it again"),
    "gzip of nothing but its magic": (packed()[:2], "copy or download it again"),
    "corrupt gzip": (packed(middle=8), "copy or download it again"),
    "gzip of text": (gzip.compress(b"not a scan"), "starts with b'not a sc'"),
    "negative dim": (patched(DIM, "<2h", 3, -5), "dim [3, -5, 4, 3"),
    "dim of zero": (patched(DIM, "<2h", 3, 0), "dim [3, 0, 4, 3"),
    "no dimensions": (patched(DIM, "<h", 0), "dim [0, 5, 4, 3"),
    "nine dimensions": (patched(DIM, "<h", 9), "dim [9, 5, 4, 3"),
    # 32000 · 32000 · 600 · 2 bytes = 1.2288e12 bytes = 1144.4 GiB
    "a terabyte": (patched(DIM, "<4h", 3, 32000, 32000, 600), "1144.4 GiB"),
    "unknown type": (patched(DATATYPE, "<h", 9999), "9999"),
    "zero pixel": (sized(0), "1.2 × 0 mm"),
    "zero slices": (sized(1.4, 1.2, 0), "slice spacing is 0 mm"),
    "absurd pixel": (sized(1000), "1.2 × 1000 mm"),
    "tiny pixel": (sized(0.01), "1.2 × 0.01 mm"),
    "infinite pixel": (sized(math.inf), "1.2 × inf mm"),
    "pixel not a number": (sized(math.nan), "1.2 × nan mm"),
    "absurd slices": (sized(1.4, 1.2, 90), "slice spacing is 90 mm"),
    "voxels in the header": (patched(VOX_OFFSET, "<f", 0), "start at byte 0"),
    "voxels before the file": (patched(VOX_OFFSET, "<f", -16), "start at byte -16"),
    "voxels at infinity": (patched(VOX_OFFSET, "<f", math.inf), "start at byte inf"),
    "voxels nowhere": (patched(VOX_OFFSET, "<f", math.nan), "start at byte nan"),
    "wrong magic": (patched(MAGIC, "4s", b"abcd"), "abcd"),
    "colors": (zeros([("R", "u1"), ("G", "u1"), ("B", "u1")]), "RGB"),
    "complex": (zeros("c8"), "complex64"),
    "one dimension": (patched(DIM, "<2h", 1, 5), "1-D (5,)"),
    "five dimensions": (patched(DIM, "<6h", 5, 2, 3, 2, 1, 3), "5-D (2, 3, 2, 1, 3)"),
}


class TestBadFiles:
    @pytest.mark.parametrize(("content", "named"), BAD.values(), ids=BAD)
    def test_message_names_file_and_value(self, tmp_path: Path, content: bytes, named: str) -> None:
        path = tmp_path / "scan.nii.gz"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_nifti(path)
        assert_names(caught.value, path, named)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError) as caught:
            read_nifti(tmp_path / "none.nii.gz")
        assert_names(caught.value, tmp_path / "none.nii.gz", "no such file")

    def test_directory(self, tmp_path: Path) -> None:
        with pytest.raises(InputError) as caught:
            read_nifti(tmp_path)
        assert_names(caught.value, tmp_path, "irectory")

    @pytest.mark.parametrize("position", [0, 1, 2, 3, 10, -8, -1])
    def test_one_flipped_byte_of_a_gzip_file_is_noticed(
        self, tmp_path: Path, position: int
    ) -> None:
        # Bytes 4 to 9 are the time stamp and origin, which nothing checks; -8 is in the CRC.
        data = bytearray(packed())
        data[position] ^= 0x55
        (tmp_path / "scan.nii.gz").write_bytes(data)
        with pytest.raises(InputError):
            read_nifti(tmp_path / "scan.nii.gz")


def assert_names(error: InputError, path: Path, value: str) -> None:
    message = str(error)
    assert message.startswith(f"{path}: ")
    assert value in message
    assert "\n" not in message
