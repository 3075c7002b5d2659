"""The lung masks that come with scans; the lungs of the others are found from their HU."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from data_builders.folder.masks import NO_DICOM_MASKS, mask_paths
from data_builders.folder.tables import expected_id
from data_builders.folder.tree import PassedOver, Tree, read_tree
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import some

MASK_OF_NO_SCAN = "lung mask of no scan"


class LungMasks(NamedTuple):
    """The mask of each scan that has one, what else lies in their folder, and what the user should know."""

    path_of: dict[str, Path]
    passed_over: list[PassedOver]
    remarks: tuple[str, ...]


def find_lung_masks(folder: Path, scans: Collection[str]) -> LungMasks:
    """The masks below `folder` that are named as one of `scans`.

    Raises:
      InputError: no such folder; two masks of one name; none that has the name of a scan.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one of lung masks named as the scans")
    tree = read_tree(folder)
    masks = mask_paths(tree)
    path_of = {name: path for name, path in masks.items() if name in scans}
    if not masks:
        raise InputError(f"{folder}: no lung mask below it, expected volume files named as the scans: put masks there")
    if not path_of:
        name, path = next(iter(masks.items()))
        raise InputError(
            f"{path}: none of the {len(masks)} lung masks in {folder} is of a scan, {expected_id(name, scans)}"
        )
    return LungMasks(path_of, _passed_over(tree, masks, scans), _remarks(path_of, scans))


def _passed_over(tree: Tree, masks: Mapping[str, Path], scans: Collection[str]) -> list[PassedOver]:
    of_no_scan = [PassedOver(path, MASK_OF_NO_SCAN) for name, path in masks.items() if name not in scans]
    return [*tree.passed_over, *(PassedOver(place, NO_DICOM_MASKS) for place in tree.dicom_folders), *of_no_scan]


def _remarks(path_of: Collection[str], scans: Collection[str]) -> tuple[str, ...]:
    without = sorted(set(scans) - set(path_of))
    if not without:
        return ()
    return (
        f"lung masks of {len(path_of)} scans are given, the lungs of the other {len(without)} are found from their HU: "
        f"{some(without)}",
    )
