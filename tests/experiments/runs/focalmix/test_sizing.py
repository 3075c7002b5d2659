"""What is chosen holds its laws over devices of 2 to 80 GiB, one to twelve of them, and lesions of all sizes."""

import dataclasses
import itertools

import numpy as np
import pytest

from experiments.configs import own
from experiments.runs.focalmix.chosen import _with, _with_region
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.sizing import (
    Devices,
    choose_sizes,
    choose_split,
    choose_validation,
    most_validated,
    validation_in_words,
)
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from

GIB = 2**30
MEMORIES = [2, 4, 8, 16, 24, 80]
COUNTS = [1, 2, 3, 8, 12]
LESIONS = [(3.0, 5.0), (4.0, 8.0, 16.0), (15.0, 60.0), (90.0, 200.0)]
ORDER = [*own.NETWORKS]
OWN = _with_region(own.get_config())


def gpus(memory, count=1):
    return Devices("gpu", "a kind", count, int(memory * GIB))


CPU = Devices("cpu", "cpu", 1, 16 * GIB)


def bytes_like_a_compilers(devices):
    """An account that grows with all that a device holds: its rows, their voxels, the channels over them."""

    def account(fields):
        stages = zip(fields["model.features"], fields["model.blocks"], strict=True)
        channels = fields["model.stem_features"] + sum(
            width * (1 + 2 * blocks) / 8 ** (stage + 1) for stage, (width, blocks) in enumerate(stages)
        )
        rows = (fields["patches.labelled_batch"] + fields["patches.unlabelled_batch"]) // devices.count
        return int(0.2 * GIB + 6 * rows * fields["patches.side"] ** 3 * channels)

    return account


def chosen(devices, lesions=LESIONS[1], *, labelled=30, unlabelled=100, **given):
    return choose_sizes(labelled, unlabelled, lesions, devices, bytes_like_a_compilers(devices), **given).fields


def job(fields):
    network = next(name for name, model in own.NETWORKS.items() if model.features == fields["model.features"])
    return ORDER.index(network), fields["patches.side"], fields["patches.labelled_batch"]


@pytest.mark.parametrize(("memory", "count"), [*itertools.product(MEMORIES, COUNTS)])
def test_it_fits_is_shared_evenly_and_is_a_sound_config(memory, count):
    devices = gpus(memory, count)
    for lesions, unlabelled in zip(LESIONS, (0, 100, 0, 100), strict=True):
        validation = 5 if unlabelled else 0
        fields = chosen(devices, lesions, unlabelled=unlabelled, is_validated=validation > 0)
        assert bytes_like_a_compilers(devices)(fields) <= own.MEMORY_SHARE * devices.memory_bytes
        split = {**choose_split({0: 20, 9: 10}, unlabelled).fields, "split.validation": validation}
        folders = dict.fromkeys(own.FOLDERS, "folder")
        settings = settings_from(FocalMixConfig, _with(OWN, {**split, **fields, **folders}))
        rows = settings.patches.labelled_batch
        assert rows % count == 0
        assert rows >= 2
        assert settings.patches.unlabelled_batch == rows * (unlabelled > 0)
        assert rows * settings.optimiser.accumulate == max(own.BATCH, -(-own.BATCH // count) * count)
        assert settings.steps // settings.optimiser.accumulate == 200 * 30


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("lesions", LESIONS)
def test_more_memory_never_gives_less(lesions, count):
    jobs = [job(chosen(gpus(memory, count), lesions)) for memory in MEMORIES]
    assert jobs == sorted(jobs)
    assert jobs[-1] == (ORDER.index("large"), 160, max(own.BATCH, -(-own.BATCH // count) * count))
    assert jobs[0] < jobs[-1]


@pytest.mark.parametrize("devices", [CPU, gpus(8), gpus(80, 8)])
def test_larger_lesions_never_get_smaller_patches_and_fill_half_of_one_at_most(devices):
    sides = []
    for largest in (4, 8, 15, 17, 24, 30, 33, 50, 64, 79):
        fields = chosen(dataclasses.replace(devices, memory_bytes=devices.memory_bytes * 100), [2.0, float(largest)])
        sides.append(fields["patches.side"])
        assert 2 * largest <= sides[-1]
        assert fields["inference.overlap"] >= largest
    assert sides == sorted(sides)
    assert chosen(dataclasses.replace(devices, memory_bytes=10**15), [300.0])["patches.side"] == own.SIDES[-1]


@pytest.mark.parametrize("lesions", [*LESIONS[:3], tuple(np.geomspace(4, 100, 50))])
def test_every_lesion_has_an_anchor_near_its_size(lesions):
    anchors = [side for sides in chosen(CPU, lesions)["anchors.sides_mm"] for side in sides]
    for lesion in lesions[2:-2] if len(lesions) > 9 else lesions:
        if lesion > own.ANCHOR_SIDES[0]:
            assert min(max(lesion / side, side / lesion) for side in anchors) < 1.26
    assert anchors == sorted(anchors)


@pytest.mark.parametrize("devices", [CPU, gpus(8), gpus(80, 8)])
@pytest.mark.parametrize("spacing_mm", [0.5, 2.0])
def test_lesions_and_voxels_that_grow_alike_are_the_same_job(devices, spacing_mm):
    """Anchors are in mm and grow too; all else counts voxels."""
    for lesions in LESIONS:
        same, grown = chosen(devices, lesions), [spacing_mm * mm for mm in lesions]
        fields = dict(chosen(devices, grown, spacing_mm=spacing_mm))
        of_anchors = [[spacing_mm * side for side in sides] for sides in same["anchors.sides_mm"]]
        np.testing.assert_allclose(np.concatenate(fields.pop("anchors.sides_mm")), np.concatenate(of_anchors))
        assert fields == {name: value for name, value in same.items() if name != "anchors.sides_mm"}
    told = choose_sizes(3, 3, [8.0, 16.0], CPU, lambda _: 0, spacing_mm=2.0).reasons[0]
    assert told.startswith("lesions: 2 to train on, 8 to 16 mm (5 to 95 %): patches of 64 mm, anchors of 9 to 20 mm")


def test_a_fine_anchor_stands_on_a_fine_stride():
    fields = chosen(CPU, [4.6, 30.0])
    assert fields["anchors.strides"] == (4, 8, 16)
    assert fields["anchors.sides_mm"] == ((4.5, 7.0, 10.0), (14.0, 20.0), (28.0, 40.0))
    assert chosen(CPU, [14.0, 19.0])["anchors.sides_mm"] == ((14.0, 20.0),)


def test_a_cpu_trains_the_smallest_in_minutes_whatever_its_memory():
    small, large = (chosen(dataclasses.replace(CPU, memory_bytes=memory * GIB)) for memory in (2, 1000))
    assert small == large
    assert job(small) == (0, 32, own.BATCH_ON_CPU)
    assert small["steps"] == own.MOST_ON_CPU
    assert chosen(CPU, [20.0, 70.0])["steps"] == own.FEWEST_ON_CPU


def test_steps_accumulate_where_a_cpu_has_little_memory_too():
    one = bytes_like_a_compilers(CPU)(chosen(CPU))
    fields = chosen(dataclasses.replace(CPU, memory_bytes=2 * one - 2))
    assert (fields["patches.labelled_batch"], fields["optimiser.accumulate"]) == (2, 2)
    assert fields["steps"] == 2 * own.MOST_ON_CPU
    assert fields["logging.save_every"] % 2 == 0


@pytest.mark.parametrize(("devices", "saved"), [(CPU, 100), (gpus(80), 500), (gpus(8), 500)])
def test_what_follows_from_rows_side_and_accumulation(devices, saved):
    for lesions in LESIONS[:3]:
        fields = chosen(devices, lesions)
        rows, side = fields["patches.labelled_batch"], fields["patches.side"]
        assert fields["inference.window_batch"] == 2 * rows  # as many windows as a step has patches
        assert fields["mixup.object_window"] == min(48, side)
        assert fields["logging.save_every"] == saved * fields["optimiser.accumulate"]


@pytest.mark.parametrize(("labelled", "updates"), [(1, 3000), (20, 4000), (1000, 30000)])
def test_more_scans_are_trained_on_for_longer(labelled, updates):
    assert chosen(gpus(80), labelled=labelled)["steps"] == updates


def test_the_compiler_is_asked_few_times():
    for memory, lesions in zip(MEMORIES, LESIONS * 2, strict=False):
        devices, asked = gpus(memory), []
        account = bytes_like_a_compilers(devices)
        choose_sizes(30, 100, lesions, devices, lambda fields: asked.append(1) or account(fields))  # noqa: B023
        assert len(asked) <= 6
    asked.clear()
    choose_sizes(30, 100, LESIONS[1], CPU, lambda fields: asked.append(1) or 0)
    assert len(asked) == 1


def test_a_side_that_is_given_is_kept():
    assert chosen(gpus(80), side=64)["patches.side"] == 64


@pytest.mark.parametrize(
    ("lesions", "devices", "told"),
    [
        ([], CPU, "no labelled scan that is trained on holds a lesion"),
        (
            [5.0],
            gpus(0.1),
            r"the smallest job, patches of 32 mm, needs 0\.\d\d GiB .* a kind has 0\.09 may",
        ),
    ],
)
def test_what_cannot_be_trained_is_said(lesions, devices, told):
    with pytest.raises(InputError, match=told):
        chosen(devices, lesions)


def test_the_reasons_say_what_was_found_and_chosen():
    account = bytes_like_a_compilers(gpus(8))
    lesions, devices, steps = choose_sizes(30, 100, [4.0, 8.0, 16.0], gpus(8), account).reasons
    assert lesions.startswith("lesions: 3 to train on, 4 to 16 mm (5 to 95 %): patches of ")
    assert devices.startswith("devices: 1 x a kind with 8.0 GiB each: the large network, ")
    assert steps == "steps: 24000, 4 of which make one update"
    assert "fill more than half" in choose_sizes(30, 100, [200.0], gpus(80), lambda _: 0).reasons[0]


def test_the_split_by_hand():
    choice = choose_split({0: 3, 3: 2, 8: 1, 9: 1}, 10)
    assert choice.fields == {
        "split.train_subsets": (0, 3),
        "split.test_subsets": (8, 9),
        "split.unlabelled_extra": -1,
    }
    told = "scans: 7 labelled, of which 5 are trained on and 2 tested on (folds 8, 9); 10 unlabelled"
    assert choice.reasons == (told,)
    assert choose_split({0: 1, 9: 1}, 0).fields["split.unlabelled_extra"] == 0


def test_the_split_of_any_folds():
    rng = np.random.default_rng(0)
    for _ in range(300):
        counts = {fold: int(rng.integers(0, 5)) for fold in range(10)}
        held = {fold for fold, count in counts.items() if count}
        if len(held) < 2:
            continue
        fields = choose_split(counts, 0).fields
        train, test = fields["split.train_subsets"], fields["split.test_subsets"]
        assert {*train} | {*test} == held
        assert train
        assert max(train) < min(test)
        tested, total = sum(counts[fold] for fold in test), sum(counts.values())
        assert tested >= own.TESTED_SHARE * total or len(train) == 1
        assert tested - counts[min(test)] < own.TESTED_SHARE * total


@pytest.mark.parametrize(
    ("trainable", "asked", "most"),
    [
        (2, (-1, 0), 0),
        (20, (-1, 0), 0),
        (21, (-1, 0), 5),
        (40, (-1, 0), 8),
        (41, (-1, 0), 9),
        (4000, (-1, 0), 50),
        (40, (34, 0), 6),
        (40, (36, 0), 0),
        (40, (30, 4), 6),
        (40, (33, -1), 6),
        (40, (-1, 33), 6),
    ],
)
def test_a_fifth_validates_where_that_is_enough_and_leaves_what_is_asked_for(trainable, asked, most):
    labelled, unlabelled = asked
    assert most_validated(trainable, labelled=labelled, unlabelled=unlabelled) == most


@pytest.mark.parametrize(
    ("validated", "trained", "kept"),
    [
        ([1, 1, 1, 1, 1], 5, 5),
        ([1, 1, 1, 1, 0], 50, 0),  # four lesions: steps of a fourth
        ([9, 1, 0, 0, 0, 0], 10, 6),
        ([9, 1, 0, 0, 0, 0], 9, 0),  # training has fewer than validation
        ([3, 3, 3, 3], 50, 0),  # one patient less would fit
        ([], 50, 0),
    ],
)
def test_validation_wants_scans_and_lesions_and_leaves_as_many(validated, trained, kept):
    choice = choose_validation(30, validated, trained)
    assert choice.fields == {"split.validation": kept}
    assert choice.reasons[0].startswith("validation: none" if kept == 0 else f"validation: {kept} of the 30 labelled")


@pytest.mark.parametrize(("devices", "scores"), [(CPU, own.VALIDATIONS_ON_CPU), (gpus(80), own.VALIDATIONS)])
@pytest.mark.parametrize("labelled", [1, 21, 77, 1000])
def test_a_run_is_scored_a_few_times_and_where_it_is_saved(devices, scores, labelled):
    fields = chosen(devices, labelled=labelled, is_validated=True)
    every, steps = fields["validation.every"], fields["steps"]
    assert every % fields["logging.save_every"] == 0
    # One is at the end, wherever that is.
    assert {*range(every, steps + 1, every), steps} == {min(each * every, steps) for each in range(1, scores + 1)}
    assert chosen(devices, labelled=labelled)["validation.every"] == 0


@pytest.mark.parametrize(("folds", "where"), [({}, "no fold"), ({-1: 0}, "no fold"), ({4: 12, 5: 0}, "fold 4 alone")])
def test_folds_that_cannot_be_split(folds, where):
    with pytest.raises(InputError, match=rf"labelled scans in {where}, expected some to train on and others"):
        choose_split(folds, 3)


def test_a_small_set_is_told_that_it_will_not_be_validated_and_how_many_scans_it_lacks():
    told = validation_in_words(4)
    assert told.startswith(
        "validation: none of the 4 labelled scans outside the tested folds, since a fifth of them is"
    )
    assert "label 17 more, or keep N of them apart by --config.split.validation=N" in told
    assert "label 1 more" in validation_in_words(20)
    assert validation_in_words(21) == ""
