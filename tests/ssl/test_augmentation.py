"""Strong augmentation: each change alone, by its law or beside SciPy, and keys of each patch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medssl_jax.ssl.augmentation import augment, gaussian_blur

NOTHING = dict.fromkeys(("intensity_scale", "intensity_shift", "blur", "noise", "cut_out"), 0.0)
PATCHES = jnp.asarray(np.random.default_rng(0).normal(size=(4, 12, 12, 12, 1)), jnp.float32)


def changed(seed=0, patches=PATCHES, **strengths):
    return np.asarray(augment(jax.random.key(seed), patches, **(NOTHING | strengths)))


def test_nothing_is_changed_where_all_is_off():
    np.testing.assert_array_equal(changed(), PATCHES)


def test_contrast_is_a_line_through_the_mean_within_its_bounds():
    slopes = []
    for seed in range(20):
        for before, after in zip(np.asarray(PATCHES), changed(seed, intensity_scale=0.3), strict=True):
            slope, offset = np.polyfit(before.ravel(), after.ravel(), 1)
            np.testing.assert_allclose(slope * before + offset, after, atol=1e-5)
            assert after.mean() == pytest.approx(before.mean(), abs=1e-5)
            slopes.append(slope)
    assert 0.7 <= min(slopes) < 0.75
    assert 1.25 < max(slopes) <= 1.3


def test_brightness_is_one_shift_a_patch_within_its_bounds():
    shifts = np.concatenate([changed(seed, intensity_shift=0.2) - PATCHES for seed in range(20)])
    of_patch = shifts.reshape(len(shifts), -1)
    np.testing.assert_allclose(of_patch - of_patch[:, :1], 0, atol=1e-6)
    assert -0.2 <= of_patch.min() < -0.15
    assert 0.15 < of_patch.max() <= 0.2


@pytest.mark.parametrize("sigma", [0.7, 1.5])
def test_blur_is_scipy_s_gaussian_away_from_the_border(sigma):
    patch = np.random.default_rng(1).normal(size=(40, 40, 40)).astype(np.float32)
    ours = gaussian_blur(jnp.asarray(patch)[..., None], jnp.array(sigma))[..., 0]
    inner = (slice(14, -14),) * 3
    np.testing.assert_allclose(ours[inner], gaussian_filter(patch, sigma, truncate=9)[inner], atol=1e-4)


def test_blur_keeps_a_constant_and_none_is_the_identity():
    constant = jnp.full((9, 9, 9, 2), 0.3)
    np.testing.assert_allclose(gaussian_blur(constant, jnp.array(2.0)), constant, rtol=1e-5)
    np.testing.assert_array_equal(gaussian_blur(PATCHES[0], jnp.array(0.0)), PATCHES[0])


def test_noise_has_its_own_size_in_each_patch():
    deviations = np.concatenate([(changed(seed, noise=0.4) - PATCHES).std((1, 2, 3, 4)) for seed in range(20)])
    assert deviations.max() <= 0.4 * 1.1
    assert deviations.min() < 0.05
    assert deviations.mean() == pytest.approx(0.2, abs=0.05)


def test_a_cut_is_one_cube_of_the_mean_and_no_larger_than_told():
    sizes = []
    for seed in range(30):
        for before, after in zip(np.asarray(PATCHES), changed(seed, cut_out=0.5), strict=True):
            places = np.argwhere(after[..., 0] != before[..., 0])
            if not len(places):
                continue
            extent = np.ptp(places, axis=0) + 1
            assert len(places) == extent.prod()  # a whole box
            sizes.append(extent.max())
            np.testing.assert_allclose(after[tuple(places.T)], before.mean(), atol=1e-6)
    assert 4 <= max(sizes) <= 7  # half of 12, to the voxel


def test_each_patch_has_a_key_of_its_own_and_a_key_repeats_itself():
    everything = {"intensity_scale": 0.2, "intensity_shift": 0.1, "blur": 1.0, "noise": 0.1, "cut_out": 0.3}
    same = jnp.broadcast_to(PATCHES[:1], PATCHES.shape)
    found = changed(3, same, **everything)
    np.testing.assert_array_equal(found, changed(3, same, **everything))
    assert len({patch.tobytes() for patch in found}) == len(found)
    assert not np.array_equal(found, changed(4, same, **everything))
