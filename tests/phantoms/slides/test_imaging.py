"""Noise by its moments; black where no field was taken."""

import numpy as np
import pytest

from medssl_jax.phantoms.slides.blocks import BlockGrid
from medssl_jax.phantoms.slides.imaging import FIELDS_YX, draw_microscope, expose, mosaic_gain
from medssl_jax.phantoms.slides.spec import LksPhantom
from tests.phantoms.slides.planned import plan_slide

GRID = BlockGrid(block=8, side=480, before_yx=(8, 0), after_yx=(0, 8))
SPEC = LksPhantom(grid=4, patch_side=120, debris=0.0)


def microscope(seed=0, spec=SPEC, hazy=False):
    slide = plan_slide(spec, "train", 0)
    slide = type(slide)(**{**vars(slide), "hazy": hazy})
    return draw_microscope(spec, slide, GRID, np.random.default_rng(seed))


@pytest.mark.parametrize("grey", [5.0, 20.0, 80.0])
def test_noise_is_unbiased_and_grows_with_the_root_of_the_light(grey):
    seen = expose(np.full((400, 400), grey, np.float32), 2.0, np.random.default_rng(0)).astype(float)
    assert seen.mean() == pytest.approx(grey, abs=0.05)
    assert seen.var() == pytest.approx(4 * grey / 20 + 1 / 12, rel=0.05)


def test_no_light_gives_no_noise_and_much_light_saturates():
    light = np.array([[0.0, -3.0, 900.0]], np.float32)
    assert expose(light, 2.0, np.random.default_rng(0)).tolist() == [[0, 0, 255]]


def test_gain_is_zero_exactly_where_no_field_was_taken():
    taken = microscope()
    gain = mosaic_gain(taken, GRID, slice(0, GRID.blocks_yx[0] * GRID.block))
    assert gain.shape == (488, 488)
    pixels = gain[8:, :480].reshape(FIELDS_YX[0], 48, FIELDS_YX[1], 40)
    np.testing.assert_array_equal((pixels > 0).all(axis=(1, 3)), taken.field_gains > 0)
    np.testing.assert_array_equal((pixels > 0).any(axis=(1, 3)), taken.field_gains > 0)
    assert (taken.field_gains[0, :1] == 0).all()
    assert 0.05 < (taken.field_gains == 0).mean() < 0.35


def test_gain_by_bands_is_that_of_the_whole():
    taken = microscope()
    whole = mosaic_gain(taken, GRID, slice(0, 488))
    np.testing.assert_array_equal(
        np.concatenate([mosaic_gain(taken, GRID, slice(top, top + 61)) for top in range(0, 488, 61)]), whole
    )


def test_exposure_drifts_between_slides_as_much_as_asked():
    for drift in (0.0, 0.3):
        spec = LksPhantom(grid=4, patch_side=120, exposure_drift=drift)
        logs = np.log([microscope(seed, spec).exposure for seed in range(60)])
        assert logs.std() == pytest.approx(drift, abs=0.08)


def test_haze_adds_light_to_the_same_slide():
    clear, hazy = (microscope(hazy=each) for each in (False, True))
    assert (hazy.stray >= clear.stray).all()
    assert (hazy.stray - clear.stray).max() > 5
    assert hazy.exposure == clear.exposure
    np.testing.assert_array_equal(hazy.sharpness, clear.sharpness)
