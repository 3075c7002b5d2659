"""Each defect, read as a user's scan: it is told by name, or does no harm."""

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, read_volume
from medssl_jax.phantoms.dicom_series import (
    CT_IMAGE,
    EXPLICIT_LITTLE_ENDIAN,
    JPEG_LOSSLESS,
    Storage,
    slice_images,
    write_images,
)
from tests.phantoms.series_defects import DEFECTS, SHORT_IMAGES, damage

FIELDS = {
    "SOPClassUID": CT_IMAGE,
    "Modality": "CT",
    "StudyInstanceUID": "2.25.1",
    "SeriesInstanceUID": "2.25.2",
    "PatientID": "100002",
    "GantryDetectorTilt": "0.0",
}
VOLUME = Volume(
    np.random.default_rng(0).integers(-1024, 2000, (12, 8, 10)).astype(np.int16),
    Grid((12, 8, 10), (1.25, 0.7, 0.7), (-30.0, 100.0, -300.0)),
    "2.25.2",
)
TOLD = {
    "duplicate_slice": "duplicate slice",
    "htj2k_compressed": "compression: cannot read",
    "missing_slice": "slice missing: 2.50 mm",
    "mixed_spacing": "PixelSpacing",
    "not_ct": "Modality is OT",
    "tilted_gantry": "tilted gantry",
    "truncated_file": r"in the header of 6\.dcm",
    "uneven_slices": "slice missing: 2.50 mm",
}


def written(folder, transfer_syntax=EXPLICIT_LITTLE_ENDIAN):
    storage = Storage(True, 16, -1024, None, transfer_syntax)
    images = slice_images(VOLUME, storage, FIELDS, [f"2.25.3.{n}" for n in range(12)])
    folder.mkdir()
    write_images({folder / f"{n}.dcm": image for n, image in enumerate(images)})
    return folder


@pytest.mark.parametrize(("defect", "words"), TOLD.items())
def test_is_told_by_name(tmp_path, defect, words):
    folder = written(tmp_path / "ct")
    damage(folder, defect)
    with pytest.raises(InputError, match=words) as caught:
        read_volume(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("transfer_syntax", [EXPLICIT_LITTLE_ENDIAN, JPEG_LOSSLESS])
def test_compression_leaves_the_voxels_alone(tmp_path, transfer_syntax):
    read = read_volume(written(tmp_path / "ct", transfer_syntax))
    np.testing.assert_array_equal(read.array_zyx, VOLUME.array_zyx)


def test_a_short_series_is_the_lowest_slices(tmp_path):
    folder = written(tmp_path / "ct")
    damage(folder, "short_series")
    np.testing.assert_array_equal(read_volume(folder).array_zyx, VOLUME.array_zyx[:SHORT_IMAGES])


def test_a_copy_of_a_series_is_read_as_it_is(tmp_path):
    damage(written(tmp_path / "ct"), "same_series_twice")
    first, second = (read_volume(folder) for folder in sorted(tmp_path.iterdir()))
    np.testing.assert_array_equal(first.array_zyx, second.array_zyx)


def test_no_defect_is_left_untried():
    assert set(DEFECTS) == {*TOLD, "missing_series", "same_series_twice", "short_series"}
