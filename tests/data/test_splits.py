"""The lists a run trains and tests on."""

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.data.scans.scan_metadata import ScanMetadata
from medssl_jax.data.splits import as_json, draw_split, draw_stratified, draw_validation

SUBSET_OF = {f"1.2.{index}": index % 10 for index in range(888)}
PAPER = {"train_subsets": (0, 1, 2, 3, 4, 9), "test_subsets": (5, 6, 7, 8)}


def metadata(subset=-1, patient="", is_labelled=True):
    return ScanMetadata(subset, patient, is_labelled, (1, 1, 1))


def draw(labelled, unlabelled=400, seed=0, subset_of=SUBSET_OF, others=None, **options):
    scans = {uid: metadata(subset) for uid, subset in subset_of.items()} | (others or {})
    return draw_split(scans, **(PAPER | options), labelled=labelled, unlabelled=unlabelled, seed=seed)


def test_the_papers_counts():
    split = draw(25)
    assert (len(split.labelled), len(split.unlabelled), len(split.test)) == (25, 400, 355)
    assert len(draw(None, unlabelled=0).labelled) == 533


def test_the_real_subsets_give_533_and_355(shared_data):
    rows = (shared_data / "luna16" / "subsets.csv").read_text().split()[1:]
    subset_of = {row.split(",")[0]: int(row.split(",")[1]) for row in rows}
    assert len(draw(None, unlabelled=0, subset_of=subset_of).labelled) == 533
    assert len(draw(None, unlabelled=0, subset_of=subset_of).test) == 355


def patients_of_two(count=40):
    """Of every four scans two are of one patient, and two of patients of their own; all are trained on."""
    return {
        f"1.{index}": metadata(0, patient=f"p{index - index % 4 if index % 4 < 2 else index}") for index in range(count)
    }


def test_validation_keeps_whole_patients_apart():
    scans = patients_of_two() | {"2.0": metadata(5)} | {f"9.{i}": metadata(-1, f"p{i}", False) for i in range(40)}
    for count in range(1, 30):
        split = draw_split(
            scans, **PAPER, labelled=3, unlabelled=None, unlabelled_extra=None, validation=count, seed=count
        )
        assert len(split.validation) == count
        of_part = [
            {scans[uid].patient for uid in part} for part in ((*split.labelled, *split.unlabelled), split.validation)
        ]
        assert not of_part[0] & of_part[1]
        assert draw_validation(scans, **PAPER, most=count, seed=count) == split.validation
        parts = (split.labelled, split.unlabelled, split.test, split.left_out, split.validation)
        assert sorted(uid for part in parts for uid in part) == sorted(scans)


def test_as_many_as_whole_patients_give_can_be_asked_for():
    """Of three scans a patient; one patient is tested on, and has no part in it."""
    scans = {f"1.{index}": metadata(0, patient=f"p{index // 3}") for index in range(12)} | {"2.0": metadata(5, "p0")}
    for most, given in ((0, 0), (2, 0), (3, 3), (8, 6), (9, 9), (100, 9)):
        drawn = draw_validation(scans, **PAPER, most=most, seed=most)
        assert len(drawn) == given
        assert not {f"1.{index}" for index in range(3)} & {*drawn}
        if given < 9:
            asked = draw_split(scans, **PAPER, labelled=1, unlabelled=0, validation=given, seed=most)
            assert asked.validation == drawn


def test_without_validation_the_lists_are_as_ever_and_with_it_the_seed_draws_them():
    assert draw(25, validation=0) == draw(25)
    first, again, other = (draw(25, unlabelled=100, seed=seed, validation=50) for seed in (0, 0, 1))
    assert first == again
    assert set(first.validation) != set(other.validation)
    assert set(draw(50, unlabelled=100, validation=50).labelled) > set(first.labelled)


def test_too_many_validation_scans_are_refused():
    pairs = {f"1.{index}": metadata(0, patient=f"p{index // 2}") for index in range(8)} | {"2.0": metadata(5)}
    with pytest.raises(InputError, match=r"split\.validation: 3 scans asked for.*of the 8 training scans give 2: ask"):
        draw_split(pairs, **PAPER, labelled=1, unlabelled=0, validation=3, seed=0)
    with pytest.raises(InputError, match="1 labelled and 0 unlabelled scans asked for"):
        draw_split(pairs, **PAPER, labelled=1, unlabelled=0, validation=8, seed=0)


def test_all_others_are_unlabelled():
    split = draw(25, unlabelled=None)
    assert split.labelled == draw(25).labelled
    assert len(split.unlabelled) == 533 - 25
    assert set(draw(25).unlabelled) < set(split.unlabelled)
    for labelled in (533, 600):
        with pytest.raises(InputError, match=rf"{labelled} labelled and 0 unlabelled scans asked for.*hold 533"):
            draw(labelled, unlabelled=None)


def test_labelled_lists_are_nested_beside_the_same_unlabelled():
    splits = [draw(count) for count in (25, 50, 100)]
    assert set(splits[0].labelled) < set(splits[1].labelled) < set(splits[2].labelled)
    assert splits[0].unlabelled == splits[1].unlabelled == splits[2].unlabelled


def test_no_scan_is_in_two_parts():
    split = draw(133)
    parts = [set(part) for part in (split.labelled, split.unlabelled, split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 888


def test_the_seed_and_nothing_else_decides():
    shuffled = dict(sorted(SUBSET_OF.items(), reverse=True))
    assert draw(25) == draw(25, subset_of=shuffled)
    assert draw(25) != draw(25, seed=1)


def test_extra_scans_are_unlabelled_only_and_change_nothing_else():
    others = {f"9.{index}": metadata(is_labelled=False) for index in range(50)}
    plain, some, every = draw(25), *(draw(25, others=others, unlabelled_extra=count) for count in (20, None))
    assert (some.labelled, some.test) == (plain.labelled, plain.test)
    assert some.unlabelled[:400] == plain.unlabelled
    assert len(some.unlabelled) == 420
    assert set(some.unlabelled) < set(every.unlabelled) == set(plain.unlabelled) | set(others)
    with pytest.raises(InputError, match=r"split\.unlabelled_extra: 51 asked for, but 50 scans without labels"):
        draw(25, others=others, unlabelled_extra=51)


def test_no_patient_is_on_two_sides():
    others = {
        "9.0": metadata(subset=5, patient="twice"),
        "9.1": metadata(subset=0, patient="twice"),
        "9.2": metadata(patient="twice", is_labelled=False),
        "9.3": metadata(subset=0, patient="once"),
    }
    split = draw(None, unlabelled=0, others=others, unlabelled_extra=None)
    assert split.left_out == ("9.1", "9.2")
    assert "9.0" in split.test
    assert "9.3" in split.labelled
    assert not {"9.1", "9.2"} & {*split.labelled, *split.unlabelled, *split.test}


def test_scans_of_unknown_patients_are_not_taken_for_one_patient():
    assert draw(25).left_out == ()


def test_a_scan_without_labels_is_never_tested_on():
    assert "9.0" not in draw(25, others={"9.0": metadata(subset=5, is_labelled=False)}).test


def test_too_few_scans_are_an_error():
    with pytest.raises(InputError, match=r"200 labelled and 400 unlabelled scans asked for.*hold 533"):
        draw(200)


def test_a_subset_on_both_sides_is_an_error():
    with pytest.raises(InputError, match=r"subsets \[5\] are in train_subsets and in test_subsets"):
        draw(25, train_subsets=(0, 5))


def test_absent_test_subsets_are_an_error():
    with pytest.raises(InputError, match=r"split.test_subsets \(11,\) hold no labelled scan.* in subsets 0, 1, 2, 3,"):
        draw(25, test_subsets=(11,))
    with pytest.raises(InputError, match="no scan is labelled, give labels"):
        draw(25, subset_of={}, others={"1.3": metadata(is_labelled=False)})


def test_lists_are_written_as_they_are():
    assert list(as_json(draw(25))) == ["labelled", "unlabelled", "test", "left_out", "validation"]


LKS_TRAIN = [0] * 239 + [1] * 106 + [2] * 107 + [3] * 27


class TestStratified:
    def test_takes_its_share_of_each_class(self):
        train, validation = draw_stratified(LKS_TRAIN, 0.2, seed=0)
        counts = np.bincount([LKS_TRAIN[position] for position in validation])
        np.testing.assert_array_equal(counts, [48, 21, 21, 5])
        assert sorted((*train, *validation)) == list(range(479))

    def test_both_lists_ascend(self):
        for part in draw_stratified(LKS_TRAIN, 0.3, seed=0):
            assert list(part) == sorted(part)

    def test_the_seed_decides(self):
        assert draw_stratified(LKS_TRAIN, 0.2, seed=0) == draw_stratified(tuple(LKS_TRAIN), 0.2, seed=0)
        assert draw_stratified(LKS_TRAIN, 0.2, seed=0) != draw_stratified(LKS_TRAIN, 0.2, seed=1)

    def test_a_smaller_share_is_part_of_a_larger_one(self):
        small, large = (set(draw_stratified(LKS_TRAIN, share, seed=3)[1]) for share in (0.1, 0.25))
        assert small < large

    def test_one_class_does_not_depend_on_the_others(self):
        _, validation = draw_stratified(LKS_TRAIN, 0.2, seed=0)
        _, fewer = draw_stratified(LKS_TRAIN[:345], 0.2, seed=0)
        assert [position for position in validation if position < 345] == list(fewer)

    def test_small_classes_are_on_both_sides_where_they_can_be(self):
        train, validation = draw_stratified([0, 1, 1, 2, 2, 2], 0.1, seed=0)
        assert 0 in train
        assert len({1, 2} & set(validation)) == 1
        assert len({3, 4, 5} & set(validation)) == 1

    def test_nothing_to_draw_from(self):
        assert draw_stratified([], 0.5, seed=0) == ((), ())

    @pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
    def test_a_wrong_share(self, share):
        with pytest.raises(InputError, match="validation share"):
            draw_stratified(LKS_TRAIN, share, seed=0)
