"""Which scans and slides are trained on, which of them with labels, and which are kept for testing."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from medssl_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Split:
    """Series UIDs of each part; no series is in two parts."""

    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    test: tuple[str, ...]


def draw_split(
    subset_of: Mapping[str, int],
    *,
    train_subsets: Sequence[int],
    test_subsets: Sequence[int],
    labelled: int | None,
    unlabelled: int,
    seed: int,
) -> Split:
    """Draws labelled and unlabelled scans from the training subsets; all scans of the test subsets are tested on.

    Labelled scans are taken from the front of one seeded shuffle and unlabelled ones from its back, so that with one
    seed 25 labelled scans are among the 50 and the 50 among the 100, beside the same unlabelled ones. `labelled` None
    takes every training scan that is not unlabelled. Raises `InputError` where the subsets do not hold enough scans.
    """
    both = sorted(set(train_subsets) & set(test_subsets))
    if both:
        raise InputError(f"split: subsets {both} are in train_subsets and in test_subsets: a scan may be in one only")
    train = sorted(uid for uid, subset in subset_of.items() if subset in train_subsets)
    test = tuple(sorted(uid for uid, subset in subset_of.items() if subset in test_subsets))
    if not test:
        raise InputError(f"split.test_subsets {tuple(test_subsets)} hold no scan: name subsets that are on disk")
    count = len(train) - unlabelled if labelled is None else labelled
    if count < 1 or count + unlabelled > len(train):
        raise InputError(
            f"split: {count} labelled and {unlabelled} unlabelled scans asked for, but subsets {tuple(train_subsets)} "
            f"hold {len(train)}: ask for at least 1 labelled scan, and for fewer in all"
        )
    shuffled = [train[index] for index in np.random.default_rng(seed).permutation(len(train))]
    return Split(tuple(shuffled[:count]), tuple(shuffled[len(train) - unlabelled :]), test)


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
