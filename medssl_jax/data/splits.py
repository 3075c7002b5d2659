"""Splits of scans and slides: trained on with labels, trained on without, and kept for testing."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import MANY, SEED, Settings, each, whole, within
from medssl_jax.data.scans.scan_metadata import ScanMetadata

VALIDATION_STREAM = 1  # beside the seed: the draw of validation scans is another than that of labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitSettings(Settings):
    """How many scans of which subsets are trained on, and which are tested on; -1 is all of them."""

    section: ClassVar[str] = "split"
    seed: int = within(SEED)
    train_subsets: tuple[int, ...] = within(each(whole(0), most=MANY))
    test_subsets: tuple[int, ...] = within(each(whole(0), most=MANY))
    labelled: int = within(whole(-1))
    unlabelled: int = within(whole(-1))
    unlabelled_extra: int = within(whole(-1))
    validation: int = within(whole(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("labelled", self.labelled != 0, "1 or more, or -1 for all")
        self.expect(
            "unlabelled", max(self.labelled, self.unlabelled) >= 0, "a number where split.labelled is -1 for all"
        )


@dataclasses.dataclass(frozen=True)
class Split:
    """Series UIDs of each part; no series is in two parts, and no patient both trained and tested or validated on.

    `left_out` are the training scans of patients who are tested on, and unlabelled extra ones of those validated on.
    """

    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    test: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()


def draw_split(
    scans: Mapping[str, ScanMetadata],
    *,
    train_subsets: Sequence[int],
    test_subsets: Sequence[int],
    labelled: int | None,
    unlabelled: int | None,
    unlabelled_extra: int | None = 0,
    validation: int = 0,
    seed: int,
) -> Split:
    """Draws what is trained on; all labelled scans of the test subsets are tested on.

    Labelled scans are taken from the front of one seeded shuffle of the training subsets and `unlabelled` ones, whose
    labels are not looked at, from its back, so that with one seed 25 labelled scans are among the 50 and the 50 among
    the 100, beside the same unlabelled ones. `labelled` None takes every one that is not unlabelled, `unlabelled`
    None every one that is not labelled.
    `unlabelled_extra` scans of those that nobody labelled are added, None adds all. Before all that, `validation`
    scans of the training subsets are kept apart, patient by patient. Raises `InputError` where there are not enough.
    """
    both = sorted(set(train_subsets) & set(test_subsets))
    if both:
        raise InputError(f"split: subsets {both} are in train_subsets and in test_subsets: a scan may be in one only")
    by_subset = sorted((uid, metadata.subset) for uid, metadata in scans.items() if metadata.is_labelled)
    test = tuple(uid for uid, subset in by_subset if subset in test_subsets)
    if not test:
        held = ", ".join(map(str, sorted({subset for _, subset in by_subset})))
        fix = (
            f"labelled scans are in subsets {held}, name some of those" if held else "no scan is labelled, give labels"
        )
        raise InputError(
            f"split.test_subsets {tuple(test_subsets)} hold no labelled scan, expected at least one: {fix}"
        )
    patients = {scans[uid].patient for uid in test} - {""}
    of_subsets = [uid for uid, subset in by_subset if subset in train_subsets]
    nobodys = sorted(uid for uid, metadata in scans.items() if not metadata.is_labelled)
    validated = draw_validation(
        scans, train_subsets=train_subsets, test_subsets=test_subsets, most=validation, seed=seed
    )
    if len(validated) < validation:
        raise InputError(
            f"split.validation: {validation} scans asked for, but whole patients of the {len(of_subsets)} training "
            f"scans give {len(validated)}: ask for that many, or fewer"
        )
    apart = patients | ({scans[uid].patient for uid in validated} - {""})
    left_out = tuple(uid for uid in of_subsets + nobodys if scans[uid].patient in apart and uid not in validated)
    train = [uid for uid in of_subsets if uid not in left_out and uid not in validated]
    extra = [uid for uid in nobodys if uid not in left_out]
    hidden = max(0, len(train) - (labelled or 0)) if unlabelled is None else unlabelled
    count = len(train) - hidden if labelled is None else labelled
    if count < 1 or count + hidden > len(train) or (unlabelled is None and not hidden):
        raise InputError(
            f"split: {count} labelled and {hidden} unlabelled scans asked for, but subsets {tuple(train_subsets)} "
            f"hold {len(train)}: ask for at least 1 labelled scan, and for fewer in all"
        )
    extra_count = len(extra) if unlabelled_extra is None else unlabelled_extra
    if extra_count > len(extra):
        raise InputError(
            f"split.unlabelled_extra: {extra_count} asked for, but {len(extra)} scans without labels are there: ask "
            "for fewer, or -1 for all"
        )
    shuffled, shuffled_extra = (
        [uids[index] for index in np.random.default_rng(seed).permutation(len(uids))] for uids in (train, extra)
    )
    return Split(
        labelled=tuple(shuffled[:count]),
        unlabelled=(*shuffled[len(train) - hidden :], *shuffled_extra[:extra_count]),
        test=test,
        left_out=left_out,
        validation=validated,
    )


def draw_validation(
    scans: Mapping[str, ScanMetadata],
    *,
    train_subsets: Sequence[int],
    test_subsets: Sequence[int],
    most: int,
    seed: int,
) -> tuple[str, ...]:
    """At most so many labelled scans of the training subsets, with all scans of each patient, none of a tested one.

    In a seeded order, whoever still fits. Where `draw_split` is asked to validate on as many as these, it is on these.
    """
    labelled = [(uid, metadata) for uid, metadata in sorted(scans.items()) if metadata.is_labelled]
    tested = {metadata.patient for _, metadata in labelled if metadata.subset in test_subsets} - {""}
    of_patient: dict[str, list[str]] = {}
    for uid, metadata in labelled:
        if metadata.subset in train_subsets and metadata.patient not in tested:
            of_patient.setdefault(metadata.patient or uid, []).append(uid)
    everyone = list(of_patient.values())
    chosen: list[str] = []
    for place in np.random.default_rng((seed, VALIDATION_STREAM)).permutation(len(everyone)):
        if len(chosen) + len(everyone[place]) <= most:
            chosen += everyone[place]
    return tuple(sorted(chosen))


def draw_stratified(labels: Sequence[int], share: float, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Positions in `labels` to train on, and those to validate on: about `share` of each class, both ascending.

    A class of two or more is on both sides, a class of one is trained on. With one seed the positions validated on for
    a smaller share are among those for a larger one. Raises `InputError` unless 0 < `share` < 1.
    """
    if not 0 < share < 1:
        raise InputError(f"validation share: {share}, expected more than 0 and less than 1, such as 0.2")
    validation: list[int] = []
    for label in sorted(set(labels)):
        of_class = [position for position, each in enumerate(labels) if each == label]
        positions = np.random.default_rng((seed, label)).permutation(of_class)
        count = min(max(1, round(share * len(positions))), len(positions) - 1)
        validation += positions[:count].tolist()
    train = sorted(set(range(len(labels))) - set(validation))
    return tuple(train), tuple(sorted(validation))


def as_json(split: Split) -> dict[str, Sequence[str]]:
    """The lists, as they are written with a run."""
    return {part: list(uids) for part, uids in dataclasses.asdict(split).items()}
