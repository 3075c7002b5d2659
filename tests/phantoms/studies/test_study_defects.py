"""Each defect, written as DICOM and read as a user's scan: it is told by name, or does no harm."""

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, read_volume
from medssl_jax.phantoms.dicom_series import CT_IMAGE, Storage, slice_images, write_images
from medssl_jax.phantoms.studies.defects import DEFECTS, IN_IMAGES, SHORT_IMAGES, plant

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
    "uneven_slices": "slice missing: 2.50 mm",
}


def written(folder, defect):
    images = slice_images(VOLUME, Storage(True, 16, -1024, None), FIELDS, [f"2.25.3.{n}" for n in range(12)])
    write_images({folder / f"{n}.dcm": image for n, image in enumerate(plant(defect, images))})
    return folder


@pytest.mark.parametrize(("defect", "words"), TOLD.items())
def test_is_told_by_name(tmp_path, defect, words):
    with pytest.raises(InputError, match=words):
        read_volume(written(tmp_path, defect))


@pytest.mark.parametrize("defect", ["", "jpeg_compressed", "truncated_file"])
def test_others_leave_the_voxels_alone(tmp_path, defect):
    read = read_volume(written(tmp_path, defect))
    np.testing.assert_array_equal(read.array_zyx, VOLUME.array_zyx)


def test_a_short_series_is_the_lowest_slices(tmp_path):
    read = read_volume(written(tmp_path, "short_series"))
    np.testing.assert_array_equal(read.array_zyx, VOLUME.array_zyx[:SHORT_IMAGES])


def test_all_are_known_to_the_spec():
    assert set(IN_IMAGES) == {*TOLD, "jpeg_compressed", "short_series"}
    assert set(DEFECTS) - set(IN_IMAGES) == {"metadata_missing_series", "same_series_twice", "truncated_file"}
