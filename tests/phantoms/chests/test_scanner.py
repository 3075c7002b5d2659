"""Settings lie in their ranges; noise has the asked strength and grain; slices average planes."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.imaging.geometry import voxel_zyx_to_world_xyz_mm
from medssl_jax.phantoms.chests.scanner import FLIPPED_DIRECTION, as_stored, draw_scanner, reconstruct
from medssl_jax.phantoms.chests.spec import Luna16Phantom

SPEC = Luna16Phantom(chest_zyx_mm=(64.0, 96.0, 112.0))
PLAIN = dataclasses.replace(
    draw_scanner(SPEC, np.random.default_rng(0)),
    spacing_zyx_mm=(2.0, 0.7, 0.7),
    size_zyx=(30, 130, 150),
    flipped=False,
    padding_hu=None,
)


def water(scanner):
    planes = scanner.size_zyx[0] * scanner.planes_per_slice
    return np.zeros((planes, *scanner.size_zyx[1:]), np.float32)


def test_settings_lie_in_the_ranges_of_luna16():
    drawn = [draw_scanner(SPEC, np.random.default_rng(seed)) for seed in range(200)]
    spacing = np.array([scanner.spacing_zyx_mm for scanner in drawn])
    assert spacing[:, 0].min() >= 0.7
    assert spacing[:, 0].max() <= 2.5
    assert spacing[:, 1:].min() >= 0.55
    assert spacing[:, 1:].max() <= 0.85
    assert 0.02 < np.mean([scanner.flipped for scanner in drawn]) < 0.2
    assert {scanner.padding_hu for scanner in drawn} == {None, -2048, -3024}
    for scanner in drawn:
        extent = np.array(scanner.size_zyx) * scanner.spacing_zyx_mm
        np.testing.assert_allclose(extent, SPEC.chest_zyx_mm, atol=max(scanner.spacing_zyx_mm))


def test_wide_chest_never_needs_more_than_512_pixels():
    wide = Luna16Phantom(chest_zyx_mm=(300.0, 300.0, 360.0))
    assert max(max(draw_scanner(wide, np.random.default_rng(seed)).size_zyx[1:]) for seed in range(50)) <= 512


def test_noise_has_the_asked_strength_and_is_alike_in_neighbours_only():
    scanner = dataclasses.replace(PLAIN, noise_hu=30.0, grain_mm=0.6)
    hu = reconstruct(scanner, water(scanner), np.random.default_rng(0)).astype(float)
    noise = hu[:, 20:100, 20:130]
    assert noise.std() == pytest.approx(30, rel=0.25)
    lag = [np.corrcoef(noise[:, :, k:].ravel(), noise[:, :, : noise.shape[2] - k].ravel())[0, 1] for k in (1, 2, 6)]
    # Measured in lidc_idri_0003: 0.68 at one pixel, 0.18 at two, nothing at six.
    assert 0.4 < lag[0] < 0.8
    assert lag[1] < 0.35
    assert abs(lag[2]) < 0.1


def test_thick_slices_average_what_lies_in_them():
    scanner = dataclasses.replace(PLAIN, noise_hu=0.0)
    assert scanner.planes_per_slice == 2
    tissue = water(scanner)
    tissue[31:] = 100  # the lower plane of slice 15 stays empty
    hu = reconstruct(scanner, tissue, np.random.default_rng(0))
    assert hu[14, 50, 50] == pytest.approx(0, abs=4)
    assert hu[15, 50, 50] == pytest.approx(50, abs=4)
    assert hu[16, 50, 50] == pytest.approx(100, abs=4)


def test_padding_is_outside_a_circle_only():
    scanner = dataclasses.replace(PLAIN, padding_hu=-3024, noise_hu=0.0)
    hu = reconstruct(scanner, water(scanner), np.random.default_rng(0))
    assert (hu[:, 0, 0] == -3024).all()
    assert (hu[:, -1, -1] == -3024).all()
    assert (hu[:, 65, :] != -3024).all()


def test_flipping_changes_the_order_of_voxels_but_not_where_they_are():
    turned = dataclasses.replace(PLAIN, flipped=True)
    assert turned.grid.direction == FLIPPED_DIRECTION
    count = np.arange(np.prod(PLAIN.size_zyx)).reshape(PLAIN.size_zyx)
    index = np.array([[3, 7, 11]])
    value = count[3, 7, 11]
    index_turned = np.argwhere(as_stored(turned, count) == value)
    np.testing.assert_allclose(
        voxel_zyx_to_world_xyz_mm(index.astype(float), PLAIN.grid),
        voxel_zyx_to_world_xyz_mm(index_turned.astype(float), turned.grid),
        atol=1e-5,
    )
