"""Real files against their known facts, SimpleITK as the oracle of what is written, and what is no volume at all."""

import math

import numpy as np
import pytest
import SimpleITK as sitk

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.geometry import Grid, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.volumes import Volume, read_labels, read_volume, write_metaimage

FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
OBLIQUE = tuple(sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.3).GetMatrix())


def small_volume(direction=FLIPPED, dtype=np.int16):
    array = np.random.default_rng(0).integers(0, 200, (3, 4, 5)).astype(dtype)
    return Volume(array, Grid((3, 4, 5), (2.5, 0.7, 0.6), (-11.5, 20.0, 1 / 3), direction), "1.2.840.5")


@pytest.fixture
def metaimage(tmp_path):
    write_metaimage(tmp_path / "1.2.840.5.mhd", small_volume())
    return tmp_path / "1.2.840.5.mhd"


class TestReal:
    def test_the_dicom_series_is_where_luna16_says(self, shared_data):
        volume = read_volume(shared_data / "ct" / "lidc_idri_0003")
        assert volume.array_zyx.shape == (11, 512, 512)
        assert volume.array_zyx.dtype == np.int16
        assert volume.array_zyx.min() == -2048
        assert volume.series_uid.endswith("170706757615202213033480003264")
        nodule = world_xyz_mm_to_voxel_zyx(np.array([[72.287, 76.900, -190.459]]), volume.grid)[0]
        np.testing.assert_allclose(nodule, [5.4, 349.7, 367.0], atol=0.1)
        z, y, x = np.rint(nodule).astype(int)
        assert volume.array_zyx[z, y - 3 : y + 4, x - 3 : x + 4].mean() > -200  # solid, in a lung of -850 HU

    def test_the_dicom_grid_is_simpleitks(self, shared_data):
        folder = shared_data / "ct" / "lidc_idri_0003"
        oracle = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
        volume = read_volume(folder)
        np.testing.assert_array_equal(volume.array_zyx, sitk.GetArrayViewFromImage(oracle))
        np.testing.assert_allclose(volume.grid.spacing_zyx_mm, oracle.GetSpacing()[::-1], rtol=1e-6)
        np.testing.assert_allclose(volume.grid.origin_xyz_mm, oracle.GetOrigin(), atol=1e-6)

    def test_a_compressed_one_file_metaimage(self, shared_data):
        volume = read_volume(shared_data / "ct" / "right_lung.mha")
        assert volume.array_zyx.shape == (129, 157, 115)
        assert volume.grid.spacing_zyx_mm == (2.5, 1.366, 1.366)
        assert (volume.array_zyx.min(), volume.array_zyx.max()) == (-1255, 1474)
        assert volume.series_uid == "right_lung"


class TestWriting:
    @pytest.mark.parametrize("direction", [FLIPPED, OBLIQUE])
    @pytest.mark.parametrize("compress", [False, True])
    @pytest.mark.parametrize("dtype", [np.int16, np.uint8])
    def test_comes_back_and_simpleitk_reads_the_same(self, tmp_path, direction, compress, dtype):
        volume = small_volume(direction, dtype)
        write_metaimage(tmp_path / "1.2.840.5.mhd", volume, compress=compress)
        read = (read_volume if dtype == np.int16 else read_labels)(tmp_path / "1.2.840.5.mhd")
        np.testing.assert_array_equal(read.array_zyx, volume.array_zyx)
        np.testing.assert_allclose(read.grid.direction, volume.grid.direction)
        assert (read.grid.origin_xyz_mm, read.series_uid) == (volume.grid.origin_xyz_mm, volume.series_uid)
        oracle = sitk.ReadImage(tmp_path / "1.2.840.5.mhd")
        np.testing.assert_array_equal(sitk.GetArrayViewFromImage(oracle), volume.array_zyx)
        np.testing.assert_allclose(oracle.GetDirection(), volume.grid.direction)
        np.testing.assert_allclose(oracle.GetSpacing(), volume.grid.spacing_zyx_mm[::-1])

    @pytest.mark.parametrize("compress", [False, True])
    def test_gives_the_same_bytes_and_leaves_nothing_else(self, tmp_path, compress):
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            write_metaimage(tmp_path / folder / "1.mhd", small_volume(), compress=compress)
        first, second = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "ab")
        assert first == second
        assert sorted(first) == ["1.mhd", "1.zraw" if compress else "1.raw"]

    def test_header_is_luna16s(self, metaimage):
        keys = [line.split(" = ")[0] for line in metaimage.read_text().splitlines()]
        assert keys == [
            "ObjectType",
            "NDims",
            "BinaryData",
            "BinaryDataByteOrderMSB",
            "CompressedData",
            "TransformMatrix",
            "Offset",
            "CenterOfRotation",
            "AnatomicalOrientation",
            "ElementSpacing",
            "DimSize",
            "ElementType",
            "ElementDataFile",
        ]
        assert "TransformMatrix = -1 0 0 0 -1 0 0 0 1\n" in metaimage.read_text()


class TestOtherFormats:
    @pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.nrrd", "scan.mha"])
    def test_the_grid_survives(self, tmp_path, name, metaimage):
        sitk.WriteImage(sitk.ReadImage(metaimage), tmp_path / name)
        volume, read = small_volume(), read_volume(tmp_path / name)
        np.testing.assert_array_equal(read.array_zyx, volume.array_zyx)
        np.testing.assert_allclose(read.grid.spacing_zyx_mm, volume.grid.spacing_zyx_mm, rtol=1e-6)
        np.testing.assert_allclose(read.grid.origin_xyz_mm, volume.grid.origin_xyz_mm, rtol=1e-6)
        np.testing.assert_allclose(read.grid.direction, volume.grid.direction, atol=1e-6)
        assert read.series_uid == "scan"

    def test_fractions_are_rounded_in_a_scan_and_refused_in_a_mask(self, tmp_path):
        path = tmp_path / "scan.nrrd"
        sitk.WriteImage(sitk.GetImageFromArray(np.full((2, 3, 4), 1.6, np.float32)), path)
        assert (read_volume(path).array_zyx == 2).all()
        with pytest.raises(InputError, match="labels between whole numbers"):
            read_labels(path)

    @pytest.mark.parametrize("value", [math.nan, 40000.0])
    def test_what_is_no_hu_is_refused(self, tmp_path, value):
        path = tmp_path / "scan.nrrd"
        sitk.WriteImage(sitk.GetImageFromArray(np.full((2, 3, 4), value, np.float32)), path)
        with pytest.raises(InputError, match=r"values from .* expected -32768 to 32767"):
            read_volume(path)

    @pytest.mark.parametrize(
        ("array", "is_vector", "said"),
        [
            (np.zeros((2, 2, 2, 2), np.int16), False, "4 dimensions"),
            (np.zeros((4, 4), np.int16), False, "2 dimensions"),
            (np.zeros((2, 3, 4, 3), np.uint8), True, "3 numbers a voxel"),
        ],
    )
    def test_what_is_no_volume_is_refused(self, tmp_path, array, is_vector, said):
        path = tmp_path / "scan.nrrd"
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=is_vector), path)
        with pytest.raises(InputError, match=said):
            read_volume(path)


class TestBrokenFiles:
    def refused(self, path, said):
        with pytest.raises(InputError, match=said) as caught:
            read_volume(path)
        assert "\n" not in str(caught.value)
        assert str(path.parent) in str(caught.value)

    def test_no_file(self, tmp_path):
        self.refused(tmp_path / "1.mhd", "no such file")

    def test_unknown_extension(self, tmp_path):
        self.refused(tmp_path / "1.jpg", "no such file or folder")
        (tmp_path / "1.jpg").touch()
        self.refused(tmp_path / "1.jpg", "unknown kind of file")

    @pytest.mark.parametrize("extension", [".mhd", ".mha", ".nii", ".nii.gz", ".nrrd"])
    def test_noise(self, tmp_path, extension):
        path = tmp_path / f"1{extension}"
        path.write_bytes(np.random.default_rng(0).bytes(3000))
        self.refused(path, r"cannot be read|not a MetaImage header")
