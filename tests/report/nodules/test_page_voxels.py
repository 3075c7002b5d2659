"""The voxels that a page holds are the scan's, at the place that is said, within the size that is allowed."""

import numpy as np
import pytest

from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume
from medssl_jax.report.nodules import page_voxels
from medssl_jax.report.nodules.page_voxels import CODES, HU_OF_CODES, codes_of, native_patches, whole_stack


def volume_of(array, spacing_zyx_mm=(2.5, 0.8, 0.8)):
    return Volume(array.astype(np.int16), Grid(array.shape, spacing_zyx_mm), "1.2.3")


def slices_of_one_value(depth=300, height=50, width=70):
    """Slice k is of -1000 + 4 k HU."""
    return np.broadcast_to((-1000 + 4 * np.arange(depth))[:, None, None], (depth, height, width))


def plane(z, y, x):
    """HU that rise along each axis."""
    return np.add.outer(z * 20, np.add.outer(y * 9, x * 5)) - 1000


def test_codes_tell_hu_as_finely_as_their_window_shows_them():
    hu = np.arange(-1200, 601)
    back = np.interp(codes_of(hu), CODES, HU_OF_CODES)
    assert (np.diff(codes_of(hu).astype(int)) >= 0).all()
    assert np.abs(back - hu)[hu < -160].max() <= 4
    assert np.abs(back - hu)[(hu >= -160) & (hu <= 240)].max() <= 2
    np.testing.assert_array_equal(codes_of(np.array([-3024, 3000])), [0, 255])


def test_every_slice_is_in_its_place_over_several_sheets(levels_of, monkeypatch):
    monkeypatch.setattr(page_voxels, "SHEET_SIDE", 400)
    block = whole_stack(volume_of(slices_of_one_value()), 0)
    assert (block.reduction_zyx, block.size_zyx) == ((1, 1, 1), (300, 50, 70))
    assert len(block.sheets) == 9  # of 7 x 5 tiles of 56 x 72 pixels
    levels = levels_of(block.as_json())
    expected = codes_of(slices_of_one_value()[:, 0, 0]).astype(float)
    np.testing.assert_allclose(levels.mean(axis=(1, 2)), expected, atol=1)


def test_a_large_scan_is_the_mean_of_two_by_two_in_its_own_slices(levels_of, monkeypatch):
    monkeypatch.setattr(page_voxels, "NATIVE_VOXELS", 100)
    smooth = plane(*map(np.arange, (8, 34, 22)))
    for axis in range(3):
        block = whole_stack(volume_of(smooth), axis)
        reduction = [1 if each == axis else 2 for each in range(3)]
        assert list(block.reduction_zyx) == reduction
        middles = (np.arange(0, n, f) + (f - 1) / 2 for n, f in zip(smooth.shape, reduction, strict=True))
        expected = np.interp(plane(*middles), HU_OF_CODES, CODES)
        np.testing.assert_allclose(levels_of(block.as_json()), expected, atol=4)


def test_half_resolution_is_the_mean_and_neither_the_lightest_nor_the_first(levels_of, monkeypatch):
    monkeypatch.setattr(page_voxels, "NATIVE_VOXELS", 100)
    stripes = np.broadcast_to(np.where(np.arange(40) % 2, 100, -900), (4, 40, 40))
    levels = levels_of(whole_stack(volume_of(stripes), 0).as_json())
    np.testing.assert_allclose(levels, codes_of(np.array([-400]))[0], atol=2)


def test_half_a_pair_at_the_end_is_a_voxel_too(levels_of, monkeypatch):
    monkeypatch.setattr(page_voxels, "NATIVE_VOXELS", 100)
    smooth = plane(*map(np.arange, (3, 33, 21)))
    levels = levels_of(whole_stack(volume_of(smooth), 0).as_json())
    assert levels.shape == (3, 17, 11)
    np.testing.assert_allclose(levels[:, -1, -1], codes_of(smooth[:, -1, -1]), atol=4)


@pytest.mark.parametrize("most", [200_000, 60_000, 20_000])
def test_no_scan_takes_more_than_its_room(monkeypatch, most):
    monkeypatch.setattr(page_voxels, "NATIVE_VOXELS", 1000)
    monkeypatch.setattr(page_voxels, "STACK_BYTES", most)
    noise = volume_of(np.random.default_rng(0).integers(-1200, 600, (40, 90, 110)))
    block = whole_stack(noise, 0)
    assert 1000 < block.length <= most
    assert block.size_zyx[0] == 40


def test_the_room_of_all_parts_is_below_eight_megabytes():
    assert page_voxels.STACK_BYTES + page_voxels.PATCHES_BYTES < 7e6


def test_patches_are_the_scan_fifteen_mm_to_each_side(levels_of):
    array = np.random.default_rng(1).integers(-3, 4, (30, 60, 60)).cumsum(0).cumsum(1).cumsum(2)
    array = array * (1000 / np.abs(array).max()) - 300
    volume = volume_of(array)
    inner, corner = native_patches(volume, [np.array([15.0, 30, 30]), np.array([29.0, 0, 59])])
    assert (inner.low_zyx, inner.size_zyx) == ((9, 11, 11), (13, 39, 39))
    assert (corner.low_zyx, corner.size_zyx) == ((23, 0, 40), (7, 20, 20))
    for patch in (inner, corner):
        part = array[tuple(slice(a, a + n) for a, n in zip(patch.low_zyx, patch.size_zyx, strict=True))]
        assert np.abs(levels_of(patch.as_json()) - codes_of(np.rint(part)).astype(float)).mean() < 2


def test_as_many_patches_as_there_is_room_for(monkeypatch):
    volume = volume_of(np.random.default_rng(0).integers(-1000, 400, (20, 40, 40)))
    centres = [np.array([10.0, 20, 20])] * 6
    one = native_patches(volume, centres[:1])[0].length
    monkeypatch.setattr(page_voxels, "PATCHES_BYTES", int(3.5 * one))
    assert len(native_patches(volume, centres)) == 3
