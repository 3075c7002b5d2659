"""The telling phantom: what each condition of a slide changes, at which resolution, and what it leaves as it is."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats

from medssl_jax.core.errors import InputError
from medssl_jax.phantoms.folder import read_truth as read_whole_truth
from medssl_jax.phantoms.lks import TellingTruth, read_truth, write_lks_phantom
from medssl_jax.phantoms.slides.anatomy import draw_section
from medssl_jax.phantoms.slides.blocks import BlockGrid
from medssl_jax.phantoms.slides.conditions import Conditions
from medssl_jax.phantoms.slides.places import placed_light
from medssl_jax.phantoms.slides.render import draw_slide, render_bands
from medssl_jax.phantoms.slides.roster import LKS_SLIDES, plan_slides, slide_generator, slides_of
from medssl_jax.phantoms.slides.spec import TellingPhantom
from tests.phantoms.slides.planned import plan_slide

SPEC = TellingPhantom(seed=5, margin=(0, 0), noise=0.0, debris=0.0, exposure_drift=0.0)
CLEAR = Conditions(low=1.0, fine=1.0, out_of_focus=False, veiled=False, weak=False, flipped=False, lipofuscin=False)
CLASSES = tuple(LKS_SLIDES["train"])
PATCH = SPEC.patch_side // SPEC.shrink  # pixels of the low-resolution image
COUNT = 12


@functools.cache
def pixels(label, spec=SPEC, number=3, **conditions):
    planned = dataclasses.replace(plan_slide(spec, "train", number), label=label, hazy=False)
    planned = dataclasses.replace(planned, conditions=dataclasses.replace(CLEAR, **conditions))
    return np.concatenate(list(render_bands(spec, planned, draw_slide(spec, planned)))).astype(float)


def box_means(image):
    side = len(image) // SPEC.shrink
    return image.reshape(side, SPEC.shrink, side, SPEC.shrink).mean((1, 3))


def parts(image):
    """What a low-resolution image has of it, and what it does not."""
    low = box_means(image)
    return low, image - np.kron(low, np.ones((SPEC.shrink, SPEC.shrink)))


def spread(difference):
    return float(difference.std())


@functools.cache
def section_and_grid(number):
    grid = BlockGrid(SPEC.shrink, SPEC.side, (0, 0), (0, 0))
    return draw_section(grid, slide_generator(SPEC, "train", number, "anatomy")), grid


@pytest.mark.parametrize(
    ("label", "kidney", "liver"), [("Neg", 1, -1), ("AMA", 1, 1), ("SMA-V", -1, -1), ("SMA-T", -1, 1)]
)
def test_a_view_of_the_whole_tells_the_class_by_which_halves_are_brighter(label, kidney, liver):
    """Near the neck (1) or far from it: what each half has more or less than even light."""
    section, _ = section_and_grid(3)
    places = (np.arange(SPEC.side // SPEC.shrink) + 0.5) * SPEC.shrink
    y, x = (places - centre for centre in section.centre_yx)
    inside, near = np.hypot(y[:, None], x) < 0.8 * section.radius, y[:, None] < 0
    light = box_means(pixels(label)) - box_means(pixels(label, low=0.0))
    for brighter, organ in ((kidney, x < -0.3 * section.radius), (liver, x > 0.3 * section.radius)):
        assert brighter * light[inside & near & organ].mean() > 0.8
        assert brighter * light[inside & ~near & organ].mean() < -0.8


@functools.cache
def pieces(label, organ):
    """The light of all patch-sized pieces of an organ, of forty slides; kidney -1, liver 1."""
    found = []
    for number in range(40):
        section, grid = section_and_grid(number)
        inside = (section.depth < 0) & (organ * section.cleft > 0)
        whole = sliding_window_view(inside, (PATCH, PATCH)).all((2, 3))
        found.append(sliding_window_view(placed_light(section, grid, label, 0.5), (PATCH, PATCH))[whole])
    return np.concatenate(found)


@pytest.mark.parametrize("statistic", [np.mean, np.std, np.max, lambda light, axes: abs(np.diff(light)).mean(axes)])
@pytest.mark.parametrize("label", CLASSES[1:])
@pytest.mark.parametrize("organ", [-1, 1])
def test_what_a_patch_sees_of_the_light_is_distributed_alike_in_every_class(organ, label, statistic):
    """Wherever it lies in an organ, which it may know."""
    of_class, of_negative = (statistic(pieces(each, organ), (1, 2)) for each in (label, "Neg"))
    assert stats.ks_2samp(of_class, of_negative).statistic < 0.05


@pytest.mark.parametrize("number", range(COUNT))
def test_no_patch_sees_halves_of_both_organs(number):
    section, grid = section_and_grid(number)
    moved = np.abs(placed_light(section, grid, "AMA", 1.0) - 1) > 1e-6
    for rows, columns in itertools.product(range(0, SPEC.side // SPEC.shrink, PATCH), repeat=2):
        window = (slice(rows, rows + PATCH + 1), slice(columns, columns + PATCH + 1))
        assert len(set(section.cleft[window][moved[window]] < 0)) < 2


@pytest.mark.parametrize("label", CLASSES)
def test_each_organ_has_the_mean_light_whatever_the_class(label):
    for number in range(COUNT):
        section, grid = section_and_grid(number)
        for organ in (section.cleft < 0, section.cleft > 0):
            assert placed_light(section, grid, label, 1.0)[organ & (section.depth < 0)].mean() == pytest.approx(
                1, abs=0.02
            )


@pytest.mark.parametrize("label", CLASSES[1:])
def test_what_full_resolution_shows_is_gone_after_shrinking(label):
    """To the grey level that pixels are rounded to."""
    none, half, full = (box_means(pixels(label, fine=fine)) for fine in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(half, none, atol=0.5)
    np.testing.assert_allclose(full, none, atol=0.5)


@pytest.mark.parametrize("label", CLASSES[1:])
def test_patches_differ_by_their_texture_as_far_as_it_is_legible(label):
    plain = parts(pixels("Neg", low=0.0))[1]
    half, full = (parts(pixels(label, low=0.0, fine=fine))[1] - plain for fine in (0.5, 1.0))
    assert spread(full) > 1.0
    assert spread(half) == pytest.approx(spread(full) / 2, rel=0.1)
    np.testing.assert_allclose(parts(pixels(label, low=0.0, fine=0.0))[1], plain, atol=0.5)


@pytest.mark.parametrize("label", CLASSES[1:])
def test_the_texture_is_the_same_whatever_the_legibility_at_low_resolution(label):
    clear, hidden = (pixels(label, low=low) - pixels(label, low=low, fine=0.0) for low in (1.0, 0.0))
    np.testing.assert_allclose(clear, hidden, atol=1.0)


def test_light_of_half_the_legibility_is_half_as_far_from_even():
    none, half, full = (box_means(pixels("AMA", low=low)) for low in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(half, (none + full) / 2, atol=0.5)


def test_bad_focus_takes_the_detail_and_leaves_the_low_resolution():
    (low, rest), (blurred_low, blurred_rest) = parts(pixels("AMA")), parts(pixels("AMA", out_of_focus=True))
    assert spread(blurred_rest) < 0.7 * spread(rest)
    assert spread(blurred_low - low) < 0.2 * spread(low)


def test_lipofuscin_looks_like_ama_from_near_and_like_nothing_from_afar():
    (low, rest), (plain_low, plain_rest) = parts(pixels("Neg", lipofuscin=True)), parts(pixels("Neg"))
    np.testing.assert_allclose(low, plain_low, atol=0.5)
    of_ama = parts(pixels("AMA"))[1] - plain_rest
    of_lipofuscin = rest - plain_rest
    assert np.corrcoef(of_ama.ravel(), of_lipofuscin.ravel())[0, 1] > 0.8
    assert spread(of_lipofuscin) < spread(of_ama)


def test_both_resolutions_show_less_of_a_weak_serum():
    (none_low, none_rest), (strong_low, strong_rest), (weak_low, weak_rest) = (
        parts(pixels("AMA", **conditions)) for conditions in (dict(low=0.0, fine=0.0), {}, dict(weak=True))
    )
    assert spread(weak_low - none_low) == pytest.approx(SPEC.weak_strength * spread(strong_low - none_low), rel=0.1)
    assert spread(weak_rest - none_rest) == pytest.approx(SPEC.weak_strength * spread(strong_rest - none_rest), rel=0.2)
    assert weak_low.mean() == pytest.approx(strong_low.mean(), rel=0.03)


def test_a_slide_whose_class_is_fine_only_has_even_light():
    planned = dataclasses.replace(
        plan_slide(SPEC, "train", 3), label="AMA", hazy=False, conditions=CLEAR, fine_only=True
    )
    image = np.concatenate(list(render_bands(SPEC, planned, draw_slide(SPEC, planned)))).astype(float)
    np.testing.assert_array_equal(image, pixels("AMA", low=0.0))


def drawn(count=3000, **fields):
    return list(itertools.islice(slides_of(dataclasses.replace(SPEC, **fields), "test"), count))


def test_conditions_have_their_shares_and_nothing_to_do_with_each_other():
    slides = drawn(share_weak=0.3, share_out_of_focus=0.25)
    positive = np.array([slide.label != "Neg" for slide in slides])
    of = {
        field.name: np.array([getattr(slide.conditions, field.name) for slide in slides], float)
        for field in dataclasses.fields(Conditions)
    }
    assert of["out_of_focus"].mean() == pytest.approx(0.25, abs=0.03)
    assert (of["veiled"] != of["out_of_focus"]).mean() == pytest.approx(0.15, abs=0.03)
    assert of["weak"][positive].mean() == pytest.approx(0.3, abs=0.04)
    assert of["flipped"][of["weak"] == 1].mean() == pytest.approx(0.3, abs=0.07)
    assert of["lipofuscin"][~positive].mean() == pytest.approx(0.2, abs=0.04)
    assert not of["weak"][~positive].any()
    assert not of["lipofuscin"][positive].any()
    assert not of["flipped"][of["weak"] == 0].any()
    independent = np.stack([of["low"], of["fine"], of["out_of_focus"], positive])
    assert np.abs(np.corrcoef(independent)[np.triu_indices(4, 1)]).max() < 0.06
    assert [slide.hazy for slide in slides] == [slide.conditions.veiled for slide in slides]


def test_legibility_stays_in_its_range():
    low = [slide.conditions.low for slide in drawn(500, legibility=(0.25, 0.75))]
    assert 0.25 <= min(low) < 0.3
    assert 0.7 < max(low) <= 0.75


def test_raters_flip_labels_of_weak_slides_only_and_the_truth_tells(tmp_path, rows):
    spec = TellingPhantom(seed=2, train=8, test=4, share_weak=1.0, share_flipped=1.0, layouts=("strips-none",))
    write_lks_phantom(spec, tmp_path)
    for split in ("Train", "Test"):
        assert {label for _, label in rows(tmp_path / f"{split}_Labels.csv")[1:]} == {"Neg"}
    for slide in plan_slides(spec):
        truth = read_whole_truth(tmp_path, slide.name, TellingTruth)
        assert (truth.label, truth.rated, truth.conditions) == (slide.label, "Neg", slide.conditions)
        assert read_truth(tmp_path, slide.name).label == slide.label


@pytest.mark.parametrize(
    ("field", "value"),
    [("legibility", (0.5, 0.1)), ("share_weak", 1.5), ("focus_blur", -1.0), ("grid", 4)],
)
def test_bad_fields_are_named(field, value):
    with pytest.raises(InputError, match=f"phantom {field}: found"):
        TellingPhantom(**{field: value})
