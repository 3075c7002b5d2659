"""Real files against their known facts, SimpleITK as the oracle of what is written, and every kind of broken input."""

import math
import shutil

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


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


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

    def test_missing_raw(self, metaimage):
        metaimage.with_suffix(".raw").unlink()
        self.refused(metaimage, r"data file 1\.2\.840\.5\.raw is missing")

    def test_truncated_raw(self, metaimage):
        raw = metaimage.with_suffix(".raw")
        raw.write_bytes(raw.read_bytes()[:-7])
        self.refused(metaimage, r"truncated: 113 bytes of data, expected 120 \(DimSize 5 x 4 x 3 of MET_SHORT\)")

    def test_truncated_zraw(self, tmp_path):
        write_metaimage(tmp_path / "1.mhd", small_volume(), compress=True)
        data = (tmp_path / "1.zraw").read_bytes()
        (tmp_path / "1.zraw").write_bytes(data[:-7])
        self.refused(tmp_path / "1.mhd", f"truncated: {len(data) - 7} bytes of data, expected {len(data)}")

    @pytest.mark.parametrize("kept", [0.3, 0.9])
    def test_zraw_that_does_not_decompress_to_the_whole_volume(self, tmp_path, kept):
        write_metaimage(tmp_path / "1.mhd", small_volume(), compress=True)
        data = (tmp_path / "1.zraw").read_bytes()
        (tmp_path / "1.zraw").write_bytes(data[: int(kept * len(data))])
        # ITK fills the rest with what lies in memory and says nothing.
        header = [line for line in (tmp_path / "1.mhd").read_text().splitlines() if "CompressedDataSize" not in line]
        (tmp_path / "1.mhd").write_text("\n".join(header))
        self.refused(tmp_path / "1.mhd", "does not decompress")

    @pytest.mark.parametrize("spacing", ["0.6 -0.7 2.5", "0.6 0 2.5", "nan 0.7 2.5", "0.6 inf 2.5"])
    def test_impossible_spacing(self, metaimage, spacing):
        edit(metaimage, "ElementSpacing = 0.6 0.7 2.5", f"ElementSpacing = {spacing}")
        self.refused(metaimage, "ElementSpacing is")

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("NDims = 3", "NDims = 4", "NDims = 4, expected 3"),
            ("DimSize = 5 4 3", "DimSize = 5 4", "DimSize = 5 4, expected 3 numbers"),
            ("DimSize = 5 4 3", "DimSize = 5 4 0", "at least 1 voxel"),
            ("DimSize = 5 4 3\n", "", "no DimSize"),
            ("ElementSpacing = 0.6 0.7 2.5\n", "", "no ElementSpacing"),
            ("ElementSpacing = 0.6 0.7 2.5", "ElementSpacing = a b c", "expected 3 numbers"),
            ("MET_SHORT", "MET_STRANGE", "ElementType = MET_STRANGE"),
            ("TransformMatrix = -1 0 0 0 -1 0 0 0 1", "TransformMatrix = 1 1 0 0 1 0 0 0 1", "direction is"),
            ("ElementDataFile = 1.2.840.5.raw\n", "", "ends without ElementDataFile"),
            ("NDims = 3", "nothing", "not a MetaImage header"),
        ],
    )
    def test_impossible_header(self, metaimage, old, new, said):
        edit(metaimage, old, new)
        self.refused(metaimage, said)

    @pytest.mark.parametrize("extension", [".mhd", ".mha", ".nii", ".nii.gz", ".nrrd"])
    def test_noise(self, tmp_path, extension):
        path = tmp_path / f"1{extension}"
        path.write_bytes(np.random.default_rng(0).bytes(3000))
        self.refused(path, r"cannot be read|not a MetaImage header")


class TestDicomFolder:
    @pytest.fixture
    def folder(self, shared_data, tmp_path):
        for path in (shared_data / "ct" / "lidc_idri_0003").glob("*.dcm"):
            shutil.copy(path, tmp_path)
        return tmp_path

    def change(self, path, **fields):
        import pydicom

        header = pydicom.dcmread(path)
        for name, value in fields.items():
            delattr(header, name) if value is None else setattr(header, name, value)
        header.save_as(path)

    def refused(self, folder, said):
        with pytest.raises(InputError, match=said) as caught:
            read_volume(folder)
        assert "\n" not in str(caught.value)

    def test_order_does_not_come_from_names(self, folder):
        expected = read_volume(folder)
        for index, path in enumerate(sorted(folder.iterdir())):
            path.rename(folder / f"{(index * 7) % 11:02d}")
        renamed = read_volume(folder)
        np.testing.assert_array_equal(renamed.array_zyx, expected.array_zyx)
        assert renamed.grid == expected.grid

    def test_a_missing_slice(self, folder):
        (folder / "-189.000000.dcm").unlink()
        self.refused(folder, r"5\.00 mm between -191\.5.*dcm and -186\.5.*dcm, 2\.50 mm elsewhere")

    def test_a_slice_twice(self, folder):
        shutil.copy(folder / "-189.000000.dcm", folder / "copy.dcm")
        self.refused(folder, r"lie at the same place \(-189\.00 mm\)")

    def test_two_series(self, folder):
        for number, path in enumerate(sorted(folder.iterdir())[:6]):
            shutil.copy(path, folder / f"other{number}.dcm")
            self.change(folder / f"other{number}.dcm", SeriesInstanceUID="1.2.3")
        self.refused(folder, r"2 series, expected one: .*1\.2\.3 \(6 images\)")

    def test_a_localizer_and_other_files_beside_the_series(self, folder):
        expected = read_volume(folder)
        shutil.copy(folder / "-189.000000.dcm", folder / "scout.dcm")
        self.change(folder / "scout.dcm", SeriesInstanceUID="1.2.3", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
        (folder / "LICENSE").write_text("a text")
        np.testing.assert_array_equal(read_volume(folder).array_zyx, expected.array_zyx)

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"Modality": "MR"}, "Modality is MR, expected CT"),
            ({"ImagePositionPatient": None}, "no ImagePositionPatient"),
            ({"RescaleIntercept": None}, "no RescaleIntercept"),
            ({"PixelSpacing": [0.7, 0.7]}, "PixelSpacing is"),
            ({"ImageOrientationPatient": [1, 0, 0, 0, 0.9848, 0.1736]}, "ImageOrientationPatient is"),
        ],
    )
    def test_a_slice_that_does_not_fit(self, folder, fields, said):
        self.change(folder / "-184.000000.dcm", **fields)
        self.refused(folder, said)

    def test_a_tilted_gantry(self, folder):
        for path in folder.iterdir():
            z = float(path.stem)
            self.change(path, ImagePositionPatient=[-228.8, -210 + 0.2 * z, z])
        self.refused(folder, r"shift by 5\.00 mm sideways")

    def test_truncated_pixels(self, folder):
        path = folder / "-184.000000.dcm"
        path.write_bytes(path.read_bytes()[:100_000])
        self.refused(folder, r"truncated file: -184.* has 9\d+ bytes of pixels, too few for 512 x 512 voxels")

    def test_not_dicom_though_named_so(self, folder):
        (folder / "x.dcm").write_text("nothing")
        self.refused(folder, "not a DICOM file")

    def test_empty_folder(self, tmp_path):
        self.refused(tmp_path, "no DICOM slices")
