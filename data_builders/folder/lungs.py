"""The lung masks that come with scans; the lungs of the others are found from their HU."""

from collections.abc import Collection
from pathlib import Path

from data_builders.folder.masks import mask_paths
from data_builders.folder.tables import expected_id
from data_builders.folder.tree import Notes, PassedOver
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import some

MASK_OF_NO_SCAN = "lung mask of no scan"


def find_lung_masks(folder: Path, scans: Collection[str], notes: Notes) -> dict[str, Path]:
    """The masks below `folder` that are named as one of `scans`; who has none, and what else lies there, is noted.

    Raises:
      InputError: no such folder; two masks of one name; none that has the name of a scan.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one of lung masks named as the scans")
    masks = mask_paths(folder, notes)
    path_of = {name: path for name, path in masks.items() if name in scans}
    if not masks:
        raise InputError(f"{folder}: no lung mask below it, expected volume files named as the scans: put masks there")
    if not path_of:
        name, path = next(iter(masks.items()))
        raise InputError(
            f"{path}: none of the {len(masks)} lung masks in {folder} is of a scan, {expected_id(name, scans)}"
        )
    notes.passed_over += (PassedOver(path, MASK_OF_NO_SCAN) for name, path in masks.items() if name not in scans)
    if without := sorted(set(scans) - set(path_of)):
        notes.remarks.append(
            f"lung masks of {len(path_of)} scans are given, the lungs of the other {len(without)} are found from their "
            f"HU: {some(without)}"
        )
    return path_of
