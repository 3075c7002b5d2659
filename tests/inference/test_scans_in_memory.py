"""A detector called with an array and its grid: as with the file of the same, or one line that says what is wrong."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import medssl_jax
from medssl_jax.core.errors import InputError
from medssl_jax.data.scans import preparation
from medssl_jax.data.scans.preparation import prepare_volume
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, write_metaimage
from medssl_jax.inference.sliding import ScanDetections
from medssl_jax.inference.trained_detector import TrainedDetector


def brightest_voxel(params, hu_zyx, lungs_zyx, *, progress):
    centre = np.unravel_index(hu_zyx.argmax(), hu_zyx.shape)
    return ScanDetections(np.array([[*centre, 6, 6, 6]], np.float32), np.array([0.75], np.float32))


DETECTOR = TrainedDetector({}, 1, {}, brightest_voxel, mask_lungs=False)


def array_zyx(dtype=np.int16):
    array = np.full((10, 12, 14), -800, dtype)
    array[3, 4, 5] = 500
    return array


def scan(array=None, spacing_zyx_mm=(2.0, 1.0, 1.5)):
    array = array_zyx() if array is None else array
    return medssl_jax.Volume(array, medssl_jax.Grid(array.shape, spacing_zyx_mm, (-10.0, -20.0, -100.0)), "mine")


@pytest.fixture(autouse=True)
def _all_is_lung(monkeypatch):
    monkeypatch.setattr(preparation, "segment_lungs", lambda volume: np.ones(volume.grid.size_zyx, np.uint8))


def test_the_names_at_the_top_are_those_of_the_rooms():
    assert (medssl_jax.Volume, medssl_jax.Grid) == (Volume, Grid)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_an_array_with_its_grid_has_the_marks_of_its_file(tmp_path, dtype):
    write_metaimage(tmp_path / "mine.mhd", scan())
    of_file, of_array = DETECTOR(tmp_path / "mine.mhd"), DETECTOR(scan(array_zyx(dtype)))
    np.testing.assert_array_equal(of_array.centre_xyz_mm, of_file.centre_xyz_mm)
    np.testing.assert_allclose(of_array.centre_xyz_mm, [[-10 + 5 * 1.5, -20 + 4 * 1.0, -100 + 3 * 2.0]], atol=1.1)
    assert of_array.series_uid == ("mine",)


def with_voxel(value):
    array = array_zyx(np.float32)
    array[1, 2, 3] = value
    return scan(array)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: with_voxel(np.nan),
            r"mine: found 1 voxels that are NaN or infinite, the first at z, y, x = 1, 2, 3",
        ),
        (lambda: with_voxel(-np.inf), r"mine: found 1 voxels that are NaN or infinite"),
        (lambda: scan(array_zyx().view(np.uint16)), r"mine: found voxels of uint16, expected HU as signed integers"),
        (lambda: scan(spacing_zyx_mm=(1.0, 0.0, 1.0)), r"spacing_zyx_mm is \(1\.0, 0\.0, 1\.0\), expected positive"),
        (lambda: scan(spacing_zyx_mm=(1.0, -0.5, 1.0)), r"spacing_zyx_mm is .*, expected positive"),
        (lambda: scan(spacing_zyx_mm=(1.0, np.nan, 1.0)), r"spacing_zyx_mm is .*, expected positive"),
        (
            lambda: Volume(array_zyx().T, scan().grid, "mine"),
            r"array_zyx: found shape \(14, 12, 10\), expected \(10, 12, 14\) \(z, y, x\).*: transpose it",
        ),
        (
            lambda: Volume(array_zyx()[1:], scan().grid, "mine"),
            r"array_zyx: found shape \(9, 12, 14\), .* as its grid says: give the array that the grid is of",
        ),
        (
            array_zyx,
            r"scan: found ndarray, expected the path of a scan; an array of HU needs its place: medssl_",
        ),
    ],
)
def test_what_is_no_scan_is_one_line(make, told):
    with pytest.raises(InputError, match=told) as caught:
        DETECTOR(make())
    assert "\n" not in str(caught.value)


def test_what_the_annotations_of_shapes_would_refuse_in_tests_is_one_line_elsewhere():
    script = """
import numpy as np
from medssl_jax import Grid, Volume
from medssl_jax.core.errors import InputError
from medssl_jax.data.scans.preparation import prepare_volume

array = np.zeros((4, 5, 6), np.int16)
grid = Grid(array.shape, (1.0, 1.0, 1.0))
for make in (
    lambda: Volume(array.tolist(), grid, "mine"),
    lambda: Volume(array[0], grid, "mine"),
    lambda: Grid(array[0].shape, (1.0, 1.0, 1.0)),
    lambda: Grid(array.shape, (1.0, 1.0)),
    lambda: prepare_volume(Volume(array > 0, grid, "mine"), None, np.zeros((0, 3)), np.zeros(0)),
):
    try:
        make()
    except InputError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in told] == [
        "array_zyx",
        "array_zyx",
        "size_zyx has 2 numbers, expected 3",
        "spacing_zyx_mm has 2 numbers, expected 3",
        "mine",
    ]
    assert "found voxels of bool, expected HU" in told[-1]


@pytest.mark.parametrize(
    ("field", "array", "told"),
    [
        ("hu", lambda hu: hu.astype(np.float32), r"mine: hu: found float32 of shape .*, expected int16 of shape"),
        ("hu", lambda hu: hu[..., ::2], r"mine: hu: found int16 of shape .*, expected int16 of shape"),
        ("hu", lambda hu: hu.transpose(2, 1, 0), r"mine: hu: found int16 of shape .* \(z, y, x\), as its grid says"),
        ("lungs", lambda lungs: lungs > 0, r"mine: lungs: found bool of shape .*, expected uint8 of shape"),
    ],
)
def test_a_prepared_scan_that_was_changed_by_hand_is_refused(field, array, told):
    prepared = prepare_volume(scan(), None, np.zeros((0, 3)), np.zeros(0))
    changed = dataclasses.replace(prepared)
    object.__setattr__(changed, field, array(getattr(prepared, field)))
    with pytest.raises(InputError, match=told):
        DETECTOR(changed)
