"""The telling phantom: what each condition of a slide changes, at which resolution, and what it leaves as it is."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.phantoms.folder import read_truth as read_whole_truth
from medssl_jax.phantoms.lks import TellingTruth, read_truth, write_lks_phantom
from medssl_jax.phantoms.slides.conditions import Conditions
from medssl_jax.phantoms.slides.render import draw_slide, render_bands
from medssl_jax.phantoms.slides.roster import plan_slides, slides_of
from medssl_jax.phantoms.slides.spec import LksPhantom, TellingPhantom
from tests.phantoms.slides.planned import plan_slide

SPEC = TellingPhantom(seed=5, margin=(0, 0), noise=0.0, debris=0.0, exposure_drift=0.0, stain=2.0)
CLEAR = Conditions(low=1.0, fine=1.0, out_of_focus=False, veiled=False, weak=False, flipped=False, lipofuscin=False)


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


@pytest.mark.parametrize("label", ["AMA", "SMA-V", "SMA-T"])
def test_each_legibility_acts_on_its_own_resolution(label):
    """Grey levels are rounded and cut at 0 and 255: hence the tenths."""
    (low, rest), (negative_low, negative_rest) = parts(pixels(label)), parts(pixels("Neg"))
    (unseen, rest_alone), (low_alone, smooth) = parts(pixels(label, low=0.0)), parts(pixels(label, fine=0.0))
    assert spread(unseen - negative_low) < 0.25 * spread(low - negative_low)
    assert spread(rest_alone - rest) < 0.25 * spread(rest - negative_rest)
    assert spread(low_alone - low) < 0.25 * spread(low - negative_low)
    assert spread(smooth - negative_rest) < 0.25 * spread(rest - negative_rest)


def test_light_of_half_the_legibility_is_half_as_strong():
    none, half, full = (box_means(pixels("AMA", low=low)) for low in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(half, (none + full) / 2, atol=3.0)


def test_bad_focus_takes_the_detail_and_leaves_the_low_resolution():
    (low, rest), (blurred_low, blurred_rest) = parts(pixels("AMA")), parts(pixels("AMA", out_of_focus=True))
    assert spread(blurred_rest) < 0.7 * spread(rest)
    assert spread(blurred_low - low) < 0.2 * spread(low)


def test_lipofuscin_looks_like_ama_from_near_and_like_nothing_from_afar():
    (low, rest), (plain_low, plain_rest) = parts(pixels("Neg", lipofuscin=True)), parts(pixels("Neg"))
    assert spread(low - plain_low) < 0.1 * spread(low)
    of_ama = parts(pixels("AMA", low=0.0))[1] - plain_rest
    of_lipofuscin = rest - plain_rest
    assert np.corrcoef(of_ama.ravel(), of_lipofuscin.ravel())[0, 1] > 0.8
    assert spread(of_lipofuscin) < spread(of_ama)


def test_a_weak_serum_is_dimmer():
    negative = box_means(pixels("Neg"))
    strong, weak = (box_means(pixels("AMA", weak=each)) - negative for each in (False, True))
    assert weak.mean() == pytest.approx(SPEC.weak_strength * strong.mean(), rel=0.15)


def test_the_two_kinds_of_sma_differ_by_place_alone():
    """Their stain is strongest near the neck or far from it, by a half at least; taken together it is the same."""
    above, below = [], []
    for number in range(8):
        centre = draw_slide(SPEC, plan_slide(SPEC, "train", number)).section.centre_yx
        rows, columns = (int(place) for place in centre)
        reach, width = int(0.2 * SPEC.side), slice(columns - SPEC.side // 5, columns + SPEC.side // 5)
        stains = [pixels(label, number=number) - pixels("Neg", number=number) for label in ("SMA-V", "SMA-T")]
        above.append([stain[rows - reach : rows, width].mean() for stain in stains])
        below.append([stain[rows : rows + reach, width].mean() for stain in stains])
    (near_above, far_above), (near_below, far_below) = np.mean(above, 0), np.mean(below, 0)
    assert near_above > 1.3 * near_below  # vessel walls are all over
    assert far_below > 1.3 * far_above
    assert near_above + near_below == pytest.approx(far_above + far_below, rel=0.05)


def test_without_place_the_two_kinds_of_sma_are_told_by_what_takes_the_stain():
    spec = dataclasses.replace(SPEC, share_placed=0.0)
    rests = [parts(pixels(label, spec=spec) - pixels("Neg"))[1].ravel() for label in ("SMA-V", "SMA-T")]
    assert np.corrcoef(rests)[0, 1] < 0.9


def drawn(count=3000, **fields):
    return list(itertools.islice(slides_of(dataclasses.replace(SPEC, **fields), "test"), count))


def test_conditions_have_their_shares_and_nothing_to_do_with_each_other():
    slides = drawn(share_weak=0.3)
    positive = np.array([slide.label != "Neg" for slide in slides])
    of = {
        field.name: np.array([getattr(slide.conditions, field.name) for slide in slides], float)
        for field in dataclasses.fields(Conditions)
    }
    assert of["out_of_focus"].mean() == pytest.approx(0.2, abs=0.03)
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


@pytest.mark.parametrize("label", ["Neg", "AMA", "SMA-V", "SMA-T"])
def test_under_clear_conditions_a_slide_is_that_of_the_plain_phantom(label):
    fields = {field.name: getattr(SPEC, field.name) for field in dataclasses.fields(LksPhantom)}
    plain = LksPhantom(**fields)
    planned = dataclasses.replace(plan_slide(plain, "train", 3), label=label)
    assert planned.conditions is None
    image = np.concatenate(list(render_bands(plain, planned, draw_slide(plain, planned)))).astype(float)
    unplaced = dataclasses.replace(SPEC, share_placed=0.0)
    np.testing.assert_allclose(image, pixels(label, spec=unplaced), atol=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("legibility", (0.5, 0.1)), ("share_weak", 1.5), ("focus_blur", -1.0), ("share_placed", -0.1)],
)
def test_bad_fields_are_named(field, value):
    with pytest.raises(InputError, match=f"phantom {field}: found"):
        TellingPhantom(**{field: value})
