"""Areas by formula, and that a stroke does not notice the bands it is drawn in."""

import numpy as np
import pytest

from medssl_jax.phantoms.slides.strokes import Stroke, paint_strokes


def painted(stroke, shape=(64, 80), first=(0, 0), base=10.0):
    tissue, stain = np.full(shape, base, np.float32), np.full(shape, 5, np.float32)
    paint_strokes([stroke], tissue, stain, *first)
    return tissue, stain


@pytest.mark.parametrize(("end", "length"), [((30.0, 40.0), 0), ((30.0, 60.0), 20)])
def test_the_light_given_is_that_of_a_disc_or_a_line_with_round_ends(end, length):
    radius = 8.0
    tissue, stain = painted(Stroke((30.0, 40.0), end, radius, brighten=100.0))
    assert (tissue - 10).sum() / 100 == pytest.approx(np.pi * radius**2 + 2 * radius * length, rel=0.02)
    assert (stain == 5).all()


def test_darkening_takes_its_share_of_tissue_and_stain():
    tissue, stain = painted(Stroke((30.0, 40.0), (30.0, 40.0), 8.0, darken=0.4))
    assert tissue[30, 40] == pytest.approx(6)
    assert stain[30, 40] == pytest.approx(3)
    assert tissue[0, 0] == 10


def test_a_rim_is_brightest_on_the_outline():
    tissue, _ = painted(Stroke((30.0, 40.0), (30.0, 40.0), 10.0, rim=50.0, rim_width=2.0))
    assert np.argmax(tissue[30, 40:]) == 10
    assert tissue[30, 50] == pytest.approx(60)
    assert tissue[30, 40] < 10.1


def test_bands_do_not_show():
    stroke = Stroke((30.0, 40.0), (25.0, 70.0), 6.0, darken=0.3, brighten=20.0, rim=9.0, rim_width=2.0)
    whole = painted(stroke)
    bands = [painted(stroke, (8, 80), (top, 0)) for top in range(0, 64, 8)]
    for each in range(2):
        np.testing.assert_allclose(np.concatenate([band[each] for band in bands]), whole[each], atol=1e-4)


def test_what_lies_elsewhere_is_left_alone():
    tissue, _ = painted(Stroke((-30.0, 40.0), (-30.0, 40.0), 6.0, brighten=20.0))
    assert (tissue == 10).all()
