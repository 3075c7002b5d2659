"""Defects between scans: the same voxels under two names, and one patient on both sides of the split."""

import collections
from collections.abc import Collection, Iterable, Sequence

from medssl_jax.core.names import some
from medssl_jax.data.scan_files import ScanFiles
from medssl_jax.data_check.defects import CheckedScan, Defect

UNLABELLED = -1  # the subset of scans that nobody labelled: all may be trained on


def split_defects(
    scans: Sequence[CheckedScan], *, train_subsets: Collection[int], test_subsets: Collection[int]
) -> tuple[Defect, ...]:
    """All that is wrong between the scans of a data set that is split by its subsets."""
    sides = {"train_subsets": train_subsets, "test_subsets": test_subsets}
    return (*duplicate_defects(scans, **sides), *patient_defects(scans, **sides), *side_defects(scans, **sides))


def duplicate_defects(
    scans: Sequence[CheckedScan], *, train_subsets: Collection[int] = (), test_subsets: Collection[int] = ()
) -> tuple[Defect, ...]:
    """Scans of the same voxels; it blocks where one is trained on and another tested on."""
    defects = []
    for same in _groups((each.sample.digest, each) for each in scans if each.sample):
        names = sorted({each.scan.series_uid for each in same})
        if len(names) < 2:
            continue
        if _is_on_both_sides(same, train_subsets, test_subsets):
            told = f"the same voxels are trained on and tested on: {_sides(same, train_subsets, test_subsets)}"
            defects.append(Defect("scan on both sides", names[0], f"{told}: take one of them away", True))
        else:
            told = f"the same voxels as {some(names[1:], most=4)}"
            defects.append(Defect("same voxels", names[0], f"{told}: take one of them away, or it counts twice", False))
    return tuple(defects)


def patient_defects(
    scans: Sequence[CheckedScan], *, train_subsets: Collection[int], test_subsets: Collection[int]
) -> tuple[Defect, ...]:
    """Patients with scans on both sides; `medssl_jax.data.splits` leaves their training scans out, so none blocks."""
    return tuple(
        Defect(
            "patient on both sides",
            same[0].scan.patient,
            f"one patient has scans on both sides: {_sides(same, train_subsets, test_subsets)}: "
            "the split leaves those to train on out",
            False,
        )
        for same in _groups((each.scan.patient, each) for each in scans if each.scan.patient)
        if _is_on_both_sides(same, train_subsets, test_subsets)
    )


def _groups(pairs: Iterable[tuple[str, CheckedScan]]) -> list[list[CheckedScan]]:
    by_key: dict[str, list[CheckedScan]] = collections.defaultdict(list)
    for key, each in pairs:
        by_key[key].append(each)
    return [group for group in by_key.values() if len(group) > 1]


def _is_on_both_sides(
    scans: Sequence[CheckedScan], train_subsets: Collection[int], test_subsets: Collection[int]
) -> bool:
    subsets = {each.scan.subset for each in scans}
    return bool(subsets & {*train_subsets, UNLABELLED}) and bool(subsets & set(test_subsets))


def _sides(scans: Sequence[CheckedScan], train_subsets: Collection[int], test_subsets: Collection[int]) -> str:
    used = [each.scan for each in scans if each.scan.subset in {*train_subsets, *test_subsets, UNLABELLED}]
    return some([_told(scan) for scan in sorted(used, key=lambda scan: (scan.subset, scan.series_uid))], most=4)


def _told(scan: ScanFiles) -> str:
    return (
        f"{scan.series_uid}, unlabelled" if scan.subset == UNLABELLED else f"{scan.series_uid} in subset {scan.subset}"
    )


def side_defects(
    scans: Sequence[CheckedScan], *, train_subsets: Collection[int], test_subsets: Collection[int]
) -> tuple[Defect, ...]:
    """A side of the split without a labelled scan, which blocks."""
    return tuple(
        Defect(
            f"nothing to {doing} on",
            f"subsets {', '.join(map(str, sorted(subsets)))}",
            f"no labelled scan is in them, expected at least one: name others by --{flag} and config.split.{flag}",
            True,
        )
        for doing, flag, subsets in (("train", "train_subsets", train_subsets), ("test", "test_subsets", test_subsets))
        if not any(each.scan.subset in subsets for each in scans)
    )
