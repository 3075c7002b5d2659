"""What the classes look like: measured by statistics that know nothing of how they were drawn."""

import dataclasses
import functools

import numpy as np
import pytest
from scipy import ndimage

from medssl_jax.phantoms.slides import render
from medssl_jax.phantoms.slides.render import draw_slide, render_bands
from medssl_jax.phantoms.slides.roster import slide_generator
from medssl_jax.phantoms.slides.spec import LksPhantom
from tests.phantoms.slides.planned import plan_slide

SPEC = LksPhantom(seed=11, grid=4, patch_side=64, shrink=4, margin=(0, 0))
POSITIVE = ("AMA", "SMA-V", "SMA-T")
COUNT = 40


def render_slide(spec, planned):
    return np.concatenate(list(render_bands(spec, planned, draw_slide(spec, planned))))


@functools.cache
def slide(number, label, fine_only=False, spec=SPEC):
    planned = dataclasses.replace(plan_slide(spec, "train", number), label=label, fine_only=fine_only)
    return render_slide(spec, planned)


def low_resolution(pixels, shrink=SPEC.shrink):
    side = len(pixels) // shrink
    return np.floor(pixels.reshape(side, shrink, side, shrink).mean((1, 3)) + 0.5)


def negatives(spec=SPEC):
    return [slide(number, "Neg", spec=spec) for number in range(COUNT)]


def positives(label, fine_only, spec=SPEC):
    return [slide(COUNT + number, label, fine_only, spec) for number in range(COUNT)]


def accuracy_left_out(features, labels):
    """Of ridge regression, each sample judged by a fit to all the others."""
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    kernel = features @ features.T / features.shape[1]
    hat = kernel @ np.linalg.inv(kernel + 0.3 * np.eye(len(labels)))
    target = 2.0 * labels - 1
    left_out = (hat @ target - np.diag(hat) * target) / (1 - np.diag(hat))
    return ((left_out > 0) == labels).mean()


def low_resolution_accuracy(label, fine_only):
    images = [low_resolution(pixels) for pixels in (*negatives(), *positives(label, fine_only))]
    blocks = np.stack(images).reshape(len(images), 16, 4, 16, 4)
    features = np.concatenate([blocks.mean((2, 4)), blocks.std((2, 4))], axis=1).reshape(len(images), -1)
    return accuracy_left_out(features, np.arange(len(images)) >= COUNT)


def fine_detail(pixels):
    """How far the brightest details stand out of their neighbourhood, in noise; specks left out."""
    grey = pixels.astype(float)
    blurred, around = ndimage.gaussian_filter(grey, 1), ndimage.gaussian_filter(grey, 3)
    tissue = (around > 8) & ~ndimage.maximum_filter(pixels > 120, 9)
    return np.percentile(((blurred - around) / np.sqrt(around + 1))[tissue], 99)


def share_above(a, b):
    """Area under the curve that tells `a` from `b`."""
    return (np.array(a)[:, None] > np.array(b)[None]).mean()


@pytest.mark.parametrize("label", POSITIVE)
def test_a_fine_only_slide_is_nearer_to_its_negative_twin_than_noise_brings_it(label, monkeypatch):
    planned = plan_slide(SPEC, "train", 3)
    twin = dataclasses.replace(planned, label="Neg", fine_only=False)
    low_twin = low_resolution(render_slide(SPEC, twin))
    difference = low_resolution(slide(3, label, fine_only=True)) - low_twin

    def other_noise(spec, split, number, stream):
        return slide_generator(spec, split, number + (1000 if stream == "noise" else 0), stream)

    monkeypatch.setattr(render, "slide_generator", other_noise)
    by_noise = low_resolution(render_slide(SPEC, twin)) - low_twin
    assert difference.std() < 0.5 * by_noise.std()
    assert abs(difference.mean()) < 0.02
    assert np.abs(difference).max() <= np.abs(by_noise).max()


@pytest.mark.parametrize("label", POSITIVE)
def test_a_slide_that_is_not_fine_only_differs_from_its_twin_at_low_resolution(label):
    difference = low_resolution(slide(3, label)) - low_resolution(slide(3, "Neg"))
    assert difference.std() > 2
    assert difference.mean() > 0.5


@pytest.mark.parametrize("label", POSITIVE)
def test_low_resolution_tells_positive_from_negative_slides_but_for_the_fine_only(label):
    assert low_resolution_accuracy(label, fine_only=False) > 0.85
    # Three standard deviations of a coin tossed for 80 slides.
    assert abs(low_resolution_accuracy(label, fine_only=True) - 0.5) < 0.17


@pytest.mark.parametrize("label", POSITIVE)
def test_low_resolution_is_separable_by_one_number_but_not_trivially(label):
    def contrast(pixels):
        low = low_resolution(pixels)
        return np.percentile(low, 95) / low.mean()

    share = share_above([contrast(p) for p in positives(label, False)], [contrast(p) for p in negatives()])
    assert share > 0.85
    brightness = share_above([p.mean() for p in positives(label, False)], [p.mean() for p in negatives()])
    assert brightness < 0.95  # exposure drifts


@pytest.mark.parametrize("label", POSITIVE)
def test_full_resolution_tells_fine_only_from_negative_slides(label):
    spec = dataclasses.replace(SPEC, patch_side=128, shrink=8)
    positive = [fine_detail(slide(COUNT + number, label, True, spec)) for number in range(10)]
    negative = [fine_detail(slide(number, "Neg", spec=spec)) for number in range(10)]
    assert share_above(positive, negative) > 0.9


def test_classes_differ_from_each_other_at_low_resolution():
    strong = {label: np.mean([low_resolution(p) / p.mean() for p in positives(label, False)], 0) for label in POSITIVE}
    plain = np.mean([low_resolution(p) / p.mean() for p in negatives()], 0)
    gains = np.array([(image - plain).ravel() for image in strong.values()])
    assert np.abs(np.corrcoef(gains)[np.triu_indices(3, 1)]).max() < 0.95


def test_slides_are_dark_with_black_corners_and_a_few_saturated_specks():
    slides = np.stack(negatives())
    assert 8 < slides.mean() < 25
    assert 0.03 < np.mean(slides == 0) < 0.5
    assert 0 < np.mean(slides == 255) < 0.02
    assert (slides[:, :20, :12] == 0).all(axis=(1, 2)).mean() > 0.9
    assert all((pixels[128 - 40 : 128 + 40, 128 - 40 : 128 + 40] > 0).mean() > 0.97 for pixels in slides)


def test_bands_are_the_slide_cut_from_top_to_bottom(monkeypatch):
    spec = dataclasses.replace(SPEC, margin=(3, 9))
    planned = plan_slide(spec, "test", 1)
    drawn = draw_slide(spec, planned)
    whole = render_slide(spec, planned)
    assert whole.shape == drawn.shape_yx
    before, after = drawn.grid.before_yx, drawn.grid.after_yx
    assert all(0 <= a - b <= 1 for a, b in zip(after, before, strict=True))
    # LKS is cropped at floor((size - side) / 2).
    assert before == tuple((size - spec.side) // 2 for size in whole.shape)
    monkeypatch.setattr(render, "BAND_PIXELS", 4096)
    bands = list(render_bands(spec, planned, drawn))
    assert max(band.size for band in bands) <= 8192
    assert np.array_equal(np.concatenate(bands), whole)


def test_a_slide_depends_on_its_spec_and_number_only():
    planned = plan_slide(SPEC, "train", 2)
    pixels = render_slide(SPEC, planned)
    same = dataclasses.replace(SPEC, train=99, test=1, layouts=("tiles-none",))
    np.testing.assert_array_equal(render_slide(same, plan_slide(same, "train", 2)), pixels)
    for field, value in (("seed", 12), ("noise", 1.0), ("exposure_drift", 0.5), ("stain", 2.0)):
        other = dataclasses.replace(SPEC, **{field: value})
        assert (render_slide(other, plan_slide(other, "train", 2)) != pixels).any(), field
    assert (slide(2, "Neg") != slide(3, "Neg")).any()


def test_without_stain_every_slide_is_its_negative_twin():
    spec = dataclasses.replace(SPEC, stain=0.0)
    np.testing.assert_array_equal(slide(5, "AMA", spec=spec), slide(5, "Neg", spec=spec))


def test_organs_grow_with_the_slide_and_cells_with_the_shrink_only():
    radius, cells = {}, {}
    for grid, shrink in ((4, 8), (8, 8), (8, 16)):
        spec = LksPhantom(seed=3, grid=grid, patch_side=64, shrink=shrink, margin=(0, 0))
        drawn = draw_slide(spec, plan_slide(spec, "train", 0))
        radius[grid, shrink] = drawn.section.radius / spec.side
        tile = drawn.parenchyma.relief - ndimage.gaussian_filter(drawn.parenchyma.relief, 8, mode="wrap")
        power = np.abs(np.fft.rfft(tile, axis=1)).mean(0)
        cells[grid, shrink] = (power * np.fft.rfftfreq(tile.shape[1])).sum() / power.sum()
    assert len({round(share, 9) for share in radius.values()}) == 1
    assert cells[4, 8] == pytest.approx(cells[8, 8], rel=0.05)
    assert cells[8, 16] < 0.9 * cells[8, 8]
