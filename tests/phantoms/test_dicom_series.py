"""DICOM files as GDCM and pydicom read them: HU, places, and the same bytes each time."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.geometry import IDENTITY_DIRECTION, Grid
from medssl_jax.imaging.volumes import Volume
from medssl_jax.phantoms.chests.scanner import FLIPPED_DIRECTION
from medssl_jax.phantoms.dicom_series import CT_IMAGE, JPEG_LOSSLESS, Storage, decimals, slice_images, write_images

sitk = pytest.importorskip("SimpleITK")

SIGNED = Storage(signed=True, bits=16, intercept=-1024, padding_hu=-3024)
UNSIGNED = Storage(signed=False, bits=12, intercept=-1024, padding_hu=None)
PLAIN = Storage(signed=True, bits=16, intercept=0, padding_hu=-2048)
FIELDS = {"SOPClassUID": CT_IMAGE, "Modality": "CT", "StudyInstanceUID": "2.25.1", "SeriesInstanceUID": "2.25.2"}
UIDS = [f"2.25.3.{number}" for number in range(6)]


def volume(lowest_hu=-1024, direction=FLIPPED_DIRECTION):
    hu = np.random.default_rng(0).integers(lowest_hu, 3072, (6, 8, 10)).astype(np.int16)
    hu[0, 0, :2] = lowest_hu, 3071
    return Volume(hu, Grid((6, 8, 10), (1.25, 0.671875, 0.7), (-31.5, 102.25, -300.125), direction), "2.25.2")


def write(folder, made, storage):
    images = slice_images(made, storage, FIELDS, UIDS)
    # The last letters count down: by name they run from top to bottom.
    write_images({folder / f"{9 - number}.dcm": image for number, image in enumerate(images)})
    return folder


@pytest.mark.parametrize("direction", [FLIPPED_DIRECTION, IDENTITY_DIRECTION])
@pytest.mark.parametrize("storage", [SIGNED, UNSIGNED, PLAIN])
@pytest.mark.parametrize("compressed", [False, True])
def test_gdcm_reads_what_was_given(tmp_path, storage, compressed, direction):
    if compressed:
        storage = dataclasses.replace(storage, transfer_syntax=JPEG_LOSSLESS)
    made = volume(storage.padding_hu or -1024, direction)
    write(tmp_path, made, storage)
    assert sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(tmp_path)) == ("2.25.2",)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path), "2.25.2")
    assert [name[-5] for name in names] == list("987654")
    image = sitk.ReadImage(names)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), made.array_zyx)
    np.testing.assert_allclose(image.GetSpacing()[::-1], made.grid.spacing_zyx_mm, atol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), made.grid.origin_xyz_mm, atol=1e-6)
    np.testing.assert_allclose(image.GetDirection(), direction, atol=1e-6)


@pytest.mark.parametrize(("storage", "signed", "padding"), [(SIGNED, 1, -2000), (UNSIGNED, 0, None), (PLAIN, 1, -2048)])
def test_headers_say_how_numbers_are_stored(tmp_path, storage, signed, padding):
    pydicom = pytest.importorskip("pydicom")
    made = volume()
    write(tmp_path, made, storage)
    for number, plane in enumerate(made.array_zyx):
        file = pydicom.dcmread(tmp_path / f"{9 - number}.dcm")
        assert file.PixelRepresentation == signed
        assert file.get("PixelPaddingValue") == padding
        assert file.BitsStored == file.HighBit + 1 == storage.bits
        assert file.InstanceNumber == 6 - number
        np.testing.assert_array_equal(file.pixel_array.astype(int) + int(file.RescaleIntercept), plane)


def test_the_same_volume_gives_the_same_bytes(tmp_path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, volume(), SIGNED)
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert contents[0] == contents[1]
    assert len(set(contents[0])) == 6


def test_decimal_strings_fit_and_have_no_negative_zero():
    texts = decimals([-0.0, -4e-8, -399.1234567, 1 / 3])
    assert texts == ["0.000000", "0.000000", "-399.123457", "0.333333"]
    assert max(map(len, texts)) <= 16


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        write(tmp_path / "nowhere", volume(), SIGNED)
