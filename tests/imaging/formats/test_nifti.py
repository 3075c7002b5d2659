"""NIfTI files of every kind lie where SimpleITK sees them and hold what it reads; what is damaged is refused."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.volumes import read_grid, read_labels, read_volume

# Byte offsets, as https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h has them.
DIM, DATATYPE, PIXDIM, VOX_OFFSET, SCL_SLOPE, SCL_INTER, UNITS, QUATERN, QOFFSET, SROW, MAGIC = (
    *(40, 70, 76, 108, 112, 116, 123, 256, 268, 280, 344),
)
SPACING_XYZ = (0.6, 0.7, 2.5)
ROTATIONS = {
    "straight": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "mirrored": np.diag([-1.0, 1.0, 1.0]),
    "sagittal": np.array([[0.0, 0, -1], [1, 0, 0], [0, 1, 0]]),
    "oblique": np.array(sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.3).GetMatrix()).reshape(3, 3),
    "oblique and mirrored": np.array(sitk.Euler3DTransform((0, 0, 0), 0.4, 0.5, -1.3).GetMatrix()).reshape(3, 3)
    @ np.diag([1.0, -1, 1]),
}
SHEARED = np.array([[1.0, 0.2, 0], [0, 1, 0], [0, 0, 1]])


def transform(rotation, origin=(-11.5, 20.25, 1 / 3)):
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * SPACING_XYZ
    matrix[:3, 3] = origin
    return matrix


def hu(dtype=np.int16):
    return np.random.default_rng(0).integers(0, 200, (5, 4, 3)).astype(dtype)


def write(path, array=None, *, sform=None, sform_code=0, qform=None, qform_code=0, **fields):
    image = nibabel.Nifti1Image(hu() if array is None else array, None)
    image.header.set_zooms((*SPACING_XYZ, *(1,) * (image.ndim - 3)))
    for name, value in fields.items():
        image.header[name] = value
    image.set_sform(sform, sform_code)
    if qform is None:
        image.header["qform_code"] = 0
    else:
        image.set_qform(qform, qform_code)
    nibabel.save(image, path)
    return path


def edited(path, offset, layout, *values):
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, offset, *values)
    path.write_bytes(data)
    return path


def agrees_with_simpleitk(path, atol=1e-5):
    oracle = sitk.ReadImage(path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array_zyx, np.rint(sitk.GetArrayViewFromImage(oracle)).squeeze())
    np.testing.assert_allclose(volume.grid.spacing_zyx_mm, oracle.GetSpacing()[::-1], rtol=1e-6)
    np.testing.assert_allclose(volume.grid.origin_xyz_mm, oracle.GetOrigin(), atol=atol)
    np.testing.assert_allclose(volume.grid.direction, oracle.GetDirection(), atol=atol)
    assert read_grid(path) == volume.grid
    return volume


def refused(path, said, read=read_volume):
    with pytest.raises(InputError, match=said) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path.parent) in str(caught.value)


@pytest.fixture
def nifti(tmp_path):
    straight = transform(ROTATIONS["straight"])
    return write(tmp_path / "scan.nii", sform=straight, sform_code=1, qform=straight, qform_code=1)


@pytest.fixture
def compressed(nifti):
    path = nifti.with_name("scan.nii.gz")
    path.write_bytes(gzip.compress(nifti.read_bytes()))
    return path


class TestGrid:
    @pytest.mark.parametrize(("sform_code", "qform_code"), [(1, 1), (1, 0), (0, 1), (2, 1), (2, 0), (4, 2)])
    @pytest.mark.parametrize("rotation", ROTATIONS)
    def test_is_simpleitks(self, tmp_path, rotation, sform_code, qform_code):
        matrix = transform(ROTATIONS[rotation])
        codes = {"sform_code": sform_code, "qform_code": qform_code}
        agrees_with_simpleitk(write(tmp_path / "1.nii", sform=matrix, qform=matrix, **codes))

    @pytest.mark.parametrize("sform_code", [1, 2, 3])
    @pytest.mark.parametrize("qform_code", [1, 2])
    def test_of_two_transforms_that_differ_is_simpleitks(self, tmp_path, sform_code, qform_code):
        forms = {"sform": transform(ROTATIONS["oblique"], (9, 8, 7)), "qform": transform(ROTATIONS["flipped"])}
        path = write(tmp_path / "1.nii", **forms, sform_code=sform_code, qform_code=qform_code)
        volume = agrees_with_simpleitk(path)
        assert (volume.grid.origin_xyz_mm == (-9, -8, 7)) == (sform_code == 1)

    def test_without_a_transform_is_simpleitks(self, tmp_path):
        assert agrees_with_simpleitk(write(tmp_path / "1.nii")).grid.origin_xyz_mm == (0, 0, 0)

    def test_a_sheared_sform_beside_a_qform_is_left_out(self, tmp_path):
        straight = transform(ROTATIONS["flipped"])
        path = write(tmp_path / "1.nii", sform=transform(SHEARED), sform_code=2, qform=straight, qform_code=1)
        agrees_with_simpleitk(path)

    def test_an_sform_that_is_no_number_beside_a_qform_is_damage(self, tmp_path):
        straight = transform(ROTATIONS["flipped"])
        path = write(tmp_path / "1.nii", sform=straight, sform_code=2, qform=straight, qform_code=1)
        refused(edited(path, SROW + 20, "<f", float("nan")), "no finite axes", read_grid)

    @pytest.mark.parametrize("unit", ["meter", "mm", "micron", "unknown"])
    def test_units_are_turned_into_mm(self, tmp_path, unit):
        matrix = transform(ROTATIONS["oblique"]) * ([[0.01]] * 3 + [[1]])
        path = write(tmp_path / "1.nii", sform=matrix, sform_code=1)
        edited(path, PIXDIM + 4, "<3f", *(0.01 * each for each in SPACING_XYZ))
        in_mm = agrees_with_simpleitk(path).grid.spacing_zyx_mm[0]
        edited(path, UNITS, "B", {"unknown": 0, "meter": 1, "mm": 2, "micron": 3}[unit])
        scale = {"meter": 1000, "micron": 0.001}.get(unit, 1)
        grid = agrees_with_simpleitk(path, atol=1e-5 * scale).grid
        assert grid.spacing_zyx_mm[0] == pytest.approx(in_mm * scale)

    def test_is_where_nibabel_sees_it(self, tmp_path):
        matrix = transform(ROTATIONS["oblique"])
        grid = read_grid(write(tmp_path / "1.nii", sform=matrix, sform_code=1))
        axes = grid.direction_matrix * grid.spacing_zyx_mm[::-1]
        to_ras = np.diag([-1, -1, 1])
        np.testing.assert_allclose(to_ras @ axes, nibabel.load(tmp_path / "1.nii").affine[:3, :3], atol=1e-6)


class TestVoxels:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("code", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
    def test_of_every_kind_are_simpleitks(self, tmp_path, order, code):
        array = hu(np.dtype(order + code)) // 2
        header = nibabel.Nifti1Header(endianness=order)
        header.set_data_dtype(array.dtype)
        nibabel.save(nibabel.Nifti1Image(array, transform(np.eye(3)), header), tmp_path / "1.nii.gz")
        volume = agrees_with_simpleitk(tmp_path / "1.nii.gz")
        np.testing.assert_array_equal(volume.array_zyx, array.T)

    @pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2, 0), (0.1, 0.05), (-1, 100), (1, 0), (0, 0)])
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
    def test_scaled_are_simpleitks(self, nifti, slope, intercept, dtype):
        write(nifti, hu(dtype), sform=transform(np.eye(3)), sform_code=1)
        edited(edited(nifti, SCL_SLOPE, "<f", slope), SCL_INTER, "<f", intercept)
        volume = agrees_with_simpleitk(nifti)
        expected = hu(np.float64).T * np.float32(slope or 1) + np.float32(intercept)
        np.testing.assert_allclose(volume.array_zyx, expected, atol=0.51)

    def test_a_series_of_one_volume_is_a_volume(self, nifti):
        write(nifti, hu()[..., None, None], sform=transform(np.eye(3)), sform_code=1)
        assert agrees_with_simpleitk(nifti).array_zyx.shape == (3, 4, 5)

    def test_lie_behind_extensions(self, nifti):
        image = nibabel.load(nifti)
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 100))
        nibabel.save(image, nifti.with_name("2.nii"))
        agrees_with_simpleitk(nifti.with_name("2.nii"))

    def test_compression_shows_in_the_file_not_in_its_name(self, nifti, compressed):
        plain, packed = nifti.read_bytes(), compressed.read_bytes()
        nifti.write_bytes(packed)
        np.testing.assert_array_equal(read_volume(nifti).array_zyx, hu().T)
        compressed.write_bytes(plain)  # SimpleITK finds zeros in it
        np.testing.assert_array_equal(read_volume(compressed).array_zyx, hu().T)

    def test_a_gzip_file_of_several_members_padded_with_zeros(self, nifti, compressed):
        plain = nifti.read_bytes()
        compressed.write_bytes(b"".join(gzip.compress(part) for part in (plain[:100], plain[100:400], plain[400:])))
        agrees_with_simpleitk(compressed)
        compressed.write_bytes(compressed.read_bytes() + bytes(512))
        np.testing.assert_array_equal(read_volume(compressed).array_zyx, hu().T)


class TestDamage:
    @pytest.mark.parametrize("kept", [0, 100, 347, 352, 400, 471])
    def test_a_cut_file_is_refused_with_its_header_alone(self, nifti, kept):
        nifti.write_bytes(nifti.read_bytes()[:kept])
        for read in (read_volume, read_labels, read_grid):
            refused(
                nifti,
                r"truncated: \d+ bytes of data, expected 120 \(dim 5 x 4 x 3 of int16\)|truncated within the header",
                read,
            )

    def test_a_cut_compressed_file_is_refused_wherever_it_is_cut(self, compressed):
        whole = compressed.read_bytes()
        for kept in range(len(whole)):
            compressed.write_bytes(whole[:kept])
            refused(compressed, "truncated")

    def test_a_changed_bit_of_a_compressed_file_is_never_read(self, compressed):
        whole = compressed.read_bytes()
        expected = read_volume(compressed)
        for place in range(8 * 10, 8 * len(whole), 7):  # beyond the time and system of gzip's own header
            damaged = bytearray(whole)
            damaged[place // 8] ^= 1 << place % 8
            compressed.write_bytes(damaged)
            try:
                volume = read_volume(compressed)
            except InputError:
                continue
            # Deflate itself has a few bits that say nothing.
            assert volume.grid == expected.grid
            np.testing.assert_array_equal(volume.array_zyx, expected.array_zyx)

    def test_a_wrong_checksum_is_told(self, compressed):
        whole = bytearray(compressed.read_bytes())
        whole[-8] ^= 1
        compressed.write_bytes(whole)
        refused(compressed, r"does not decompress \(.*incorrect data check\): copy the file again")

    def test_bytes_too_many_are_refused(self, nifti, compressed):
        plain = nifti.read_bytes()
        nifti.write_bytes(plain + b"\0")
        refused(nifti, "121 bytes of data, expected 120", read_grid)
        compressed.write_bytes(gzip.compress(plain + b"\0"))
        refused(compressed, "more than 120 bytes of voxels")
        compressed.write_bytes(gzip.compress(plain) + b"more")
        refused(compressed, "does not decompress")

    @pytest.mark.parametrize("size", [(1000, 1000, 1000), (32767, 32767, 32767), (500, 500, 2)])
    def test_a_size_that_no_data_is_there_for_is_refused_before_memory_is(self, nifti, compressed, size):
        edited(nifti, DIM, "<4h", 3, *size)
        refused(nifti, f"truncated: 120 bytes of data, expected {2 * np.prod(size, dtype=object)}", read_grid)
        compressed.write_bytes(gzip.compress(nifti.read_bytes()))
        refused(compressed, "expected at most 1032 times as many", read_grid)

    @pytest.mark.parametrize("number", [0.0, -0.7, float("nan"), float("inf")])
    @pytest.mark.parametrize("axis", [1, 2, 3])
    def test_a_spacing_that_is_none(self, nifti, axis, number):
        refused(edited(nifti, PIXDIM + 4 * axis, "<f", number), "pixdim is .* expected positive, finite mm", read_grid)

    @pytest.mark.parametrize(
        ("offset", "layout", "values", "said"),
        [
            (0, "<i", [540], "no header of NIfTI-1"),
            (MAGIC, "4s", [b"ni1\0"], "no header of NIfTI-1 with its voxels in the same file"),
            (DIM, "<h", [0], "0 dimensions"),
            (DIM, "<h", [-3], "-3 dimensions"),
            (DIM, "<h", [9], "9 dimensions"),
            (DIM, "<4h", [3, 5, 12, 0], "dim = 5 x 12 x 0, expected at least 1 voxel"),
            (DIM, "<4h", [3, 5, -12, -1], "expected at least 1 voxel"),
            (DIM, "<5h", [4, 5, 4, 1, 3], "4 dimensions, expected a volume of 3"),
            (DIM, "<4h", [2, 5, 12, 1], "2 dimensions, expected a volume of 3"),
            (DATATYPE, "<h", [128], "datatype = 128, expected one number a voxel"),
            (DATATYPE, "<h", [32], "datatype = 32, expected one number a voxel"),
            (VOX_OFFSET, "<f", [0], "vox_offset = 0, expected a whole number of at least 352"),
            (VOX_OFFSET, "<f", [352.5], "vox_offset = 352.5"),
            (VOX_OFFSET, "<f", [float("nan")], "vox_offset = nan"),
            (VOX_OFFSET, "<f", [float("inf")], "vox_offset = inf"),
            (VOX_OFFSET, "<f", [1e9], "truncated: 0 bytes of data"),
            (SCL_SLOPE, "<f", [float("nan")], "scl_slope = nan"),
            (SCL_SLOPE, "<2f", [0, 5], "scl_slope = 0 and scl_inter = 5"),
            (SCL_SLOPE, "<f", [6.9e-41], "scl_slope = 6.*e-41"),
            (SCL_INTER, "<f", [float("inf")], "scl_inter = inf"),
            (UNITS, "B", [5], "xyzt_units = 5"),
            (UNITS, "B", [1], "its voxels cover 3000 x 2800 x 7500 mm from .*, expected a patient"),
            (SROW + 12, "<f", [3e38], "its voxels cover 3 x 2.8 x 7.5 mm from x, y, z = -3e.38, -20.25, 0.333333 mm"),
            (QUATERN, "<3f", [0.9, 0.9, 0], "quatern_b, c, d = 0.9, 0.9, 0, expected those of a rotation"),
            (QUATERN, "<f", [float("nan")], "quatern_b, c, d = nan"),
            (SROW, "<f", [float("nan")], "no finite axes at right angles"),
            (SROW + 12, "<f", [float("inf")], "no finite axes at right angles"),
            (SROW, "<3f", [0, 0, 0], "no finite axes at right angles"),
            (SROW + 4, "<f", [0.2], "no finite axes at right angles .* tilted gantry"),
            (PIXDIM, "<f", [float("nan")], r"pixdim\[0\] = nan, expected -1, 0 or 1"),
            (SROW, "<f", [0.9], "pixdim is 0.6, 0.7, 2.5, but its sform has axes of 0.9, 0.7, 2.5"),
        ],
    )
    def test_a_header_without_sense(self, nifti, offset, layout, values, said):
        refused(edited(nifti, offset, layout, *values), said, read_grid)

    def test_a_place_that_is_no_number(self, tmp_path):
        straight = transform(ROTATIONS["straight"])
        path = write(tmp_path / "1.nii", qform=straight, qform_code=1)
        refused(edited(path, QOFFSET, "<f", float("nan")), "origin_xyz_mm is .*nan", read_grid)
