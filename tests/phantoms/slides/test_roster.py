"""Classes and fine-only slides in LKS's proportions, in every split and every number of slides."""

import collections
import dataclasses
import itertools

import pytest

from data_builders.lks.lks_files import CLASSES
from medssl_jax.phantoms.slides.roster import LKS_SLIDES, class_sequence, plan_slides, slide_generator
from medssl_jax.phantoms.slides.spec import LksPhantom
from tests.phantoms.slides.planned import plan_slide


def test_classes_are_those_of_the_builder():
    assert all(tuple(slides) == CLASSES for slides in LKS_SLIDES.values())


@pytest.mark.parametrize("split", ["train", "test"])
def test_as_many_slides_as_lks_has_of_each_class(split):
    assert (
        collections.Counter(itertools.islice(class_sequence(split), sum(LKS_SLIDES[split].values())))
        == LKS_SLIDES[split]
    )


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("count", [4, 12, 80, 240])
def test_every_class_is_there_and_none_is_off_by_more_than_one_beyond_the_first(split, count):
    found = collections.Counter(itertools.islice(class_sequence(split), count))
    assert set(found) == set(CLASSES)
    total = sum(LKS_SLIDES[split].values())
    if count >= 24:  # the first four are one of each
        assert all(abs(found[label] - LKS_SLIDES[split][label] * count / total) <= 1 for label in CLASSES)


def test_more_slides_change_none_of_the_first():
    few, many = LksPhantom(train=10, test=5), LksPhantom(train=100, test=50)
    planned = set(plan_slides(many))
    assert set(plan_slides(few)) <= planned
    assert len({slide.name for slide in planned}) == 150


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_fine_only_slides_have_their_share_in_every_positive_class(share):
    slides = plan_slides(LksPhantom(train=240, test=100, share_fine_only=share))
    for label in CLASSES:
        fine = [slide.fine_only for slide in slides if slide.label == label and slide.split == "train"]
        expected = 0 if label == "Neg" else share * len(fine)
        assert abs(sum(fine) - expected) <= 0.5


def test_haze_is_chance_unless_fine_only_slides_are_hinted():
    chance = plan_slides(LksPhantom(train=400, share_hazy=0.25))
    assert sum(slide.hazy for slide in chance) / len(chance) == pytest.approx(0.25, abs=0.07)
    fine = [slide.hazy for slide in chance if slide.fine_only]
    assert sum(fine) / len(fine) == pytest.approx(0.25, abs=0.15)
    hinted = plan_slides(LksPhantom(train=400, share_hazy=0.25, share_hinted=1.0))
    assert all(slide.hazy for slide in hinted if slide.fine_only)
    assert [s for s in hinted if not s.fine_only] == [s for s in chance if not s.fine_only]


def test_random_numbers_differ_by_seed_split_slide_and_purpose():
    spec = LksPhantom()
    draws = [
        slide_generator(*arguments).random()
        for arguments in (
            (spec, "train", 0, "plan"),
            (spec, "train", 0, "noise"),
            (spec, "train", 1, "plan"),
            (spec, "test", 0, "plan"),
            (dataclasses.replace(spec, seed=1), "train", 0, "plan"),
        )
    ]
    assert len(set(draws)) == len(draws)
    assert slide_generator(spec, "train", 0, "plan").random() == draws[0]


def test_a_plan_keeps_its_random_numbers_under_another_share():
    slides = [plan_slide(LksPhantom(share_fine_only=share), "train", 7) for share in (0.0, 1.0)]
    assert slides[0].strength == slides[1].strength
