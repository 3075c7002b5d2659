"""Defects between scans: the same voxels under two names, and one patient on both sides of the split."""

import collections
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from medssl_jax.core.names import some
from medssl_jax.data_check.defects import CheckedScan, Defect

UNLABELLED = -1  # the subset of scans that nobody labelled: all may be trained on


class Sides(NamedTuple):
    """The subsets that are trained on and those that are tested on."""

    train: frozenset[int] = frozenset()
    test: frozenset[int] = frozenset()

    def both_have(self, scans: Sequence[CheckedScan]) -> bool:
        """True where one of the scans may be trained on, and one is tested on."""
        subsets = {each.scan.subset for each in scans}
        return bool(subsets & {*self.train, UNLABELLED}) and bool(subsets & self.test)

    def told(self, scans: Sequence[CheckedScan]) -> str:
        """Those of the scans that are used, each with its subset."""
        used = [each.scan for each in scans if each.scan.subset in {*self.train, *self.test, UNLABELLED}]
        places = [
            f"{scan.series_uid}, unlabelled"
            if scan.subset == UNLABELLED
            else f"{scan.series_uid} in subset {scan.subset}"
            for scan in sorted(used, key=lambda scan: (scan.subset, scan.series_uid))
        ]
        return some(places, most=4)


NO_SPLIT = Sides()


def split_defects(
    scans: Sequence[CheckedScan], *, train_subsets: Collection[int], test_subsets: Collection[int]
) -> Iterator[Defect]:
    """Yields all that is wrong between the scans of a data set that is split by its subsets."""
    sides = Sides(frozenset(train_subsets), frozenset(test_subsets))
    yield from duplicate_defects(scans, sides)
    yield from _patient_defects(scans, sides)
    yield from _empty_sides(scans, sides)


def duplicate_defects(scans: Sequence[CheckedScan], sides: Sides = NO_SPLIT) -> Iterator[Defect]:
    """Yields scans of the same voxels; it blocks where one is trained on and another tested on."""
    for same in _groups((each.sample.digest, each) for each in scans if each.sample):
        names = sorted({each.scan.series_uid for each in same})
        if len(names) < 2:
            continue
        if sides.both_have(same):
            told = f"the same voxels are trained on and tested on: {sides.told(same)}"
            yield Defect("scan on both sides", names[0], f"{told}: take one of them away", True)
        else:
            told = f"the same voxels as {some(names[1:], most=4)}"
            yield Defect("same voxels", names[0], f"{told}: take one of them away, or it counts twice", False)


def _patient_defects(scans: Sequence[CheckedScan], sides: Sides) -> Iterator[Defect]:
    """Patients with scans on both sides; `medssl_jax.data.splits` leaves their training scans out, so none blocks."""
    for same in _groups((each.scan.patient, each) for each in scans if each.scan.patient):
        if sides.both_have(same):
            told = f"one patient has scans on both sides: {sides.told(same)}: the split leaves those to train on out"
            yield Defect("patient on both sides", same[0].scan.patient, told, False)


def _empty_sides(scans: Sequence[CheckedScan], sides: Sides) -> Iterator[Defect]:
    held = ", ".join(map(str, sorted({each.scan.subset for each in scans} - {UNLABELLED})))
    for doing, subsets in sides._asdict().items():
        if any(each.scan.subset in subsets for each in scans):
            continue
        kind, named = f"nothing to {doing} on", f"subsets {', '.join(map(str, sorted(subsets)))}"
        if held:
            names = f"--{doing}_subsets and config.split.{doing}_subsets"
            told = (
                f"no labelled scan is in them, expected at least one (labelled scans are in subsets {held}): "
                f"name others by {names}"
            )
            yield Defect(kind, named, told, True)
        else:
            told = "no scan is labelled, expected at least one: give lesions by --labels and config.data.options.labels"
            yield Defect(kind, named if subsets else "all scans", told, True)


def _groups(pairs: Iterable[tuple[str, CheckedScan]]) -> list[list[CheckedScan]]:
    by_key: dict[str, list[CheckedScan]] = collections.defaultdict(list)
    for key, each in pairs:
        by_key[key].append(each)
    return [group for group in by_key.values() if len(group) > 1]
