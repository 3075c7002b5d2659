"""Lesions from a mask: every label but 0 is one, in one piece or several."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from etils import epy
from jaxtyping import Bool, Int, UInt8

from data_builders.folder.headers import ScanHeader, volume_files
from data_builders.folder.lesions import Lesions, check_inside, world_extent
from data_builders.folder.reading import read_all
from data_builders.folder.remembered import remembered
from data_builders.folder.tables import expected_id
from data_builders.folder.tree import Notes, PassedOver, name_of, read_tree
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import some
from medssl_jax.core.progress import Progress
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.volumes import Volume, read_grid, read_labels

with epy.lazy_imports():
    from scipy import ndimage

NO_DICOM_MASKS = "DICOM, expected masks in volume files"
SAME_PLACE_VOXELS = 2.0


class MaskLesions(NamedTuple):
    """The lesions of one scan's mask, and how many of them are in separate pieces."""

    series_uid: str
    lesions: Lesions
    in_pieces: int


def read_masks(
    folder: Path,
    scans: Mapping[str, ScanHeader],
    index_dir: Path | None,
    notes: Notes,
    *,
    workers: int,
    progress: Progress,
) -> dict[str, Lesions]:
    """The lesions by the masks below `folder`, each named as one of `scans`; they are remembered in `index_dir`.

    Raises:
      InputError: two masks of a scan; a mask of none; see `read_mask`. Of several bad masks all are told.
    """
    path_of = mask_paths(folder, notes)
    for name, path in path_of.items():
        if name not in scans:
            raise InputError(f"{path}: a mask named {name!r}, {expected_id(name, scans)}")
    jobs = [(path, scans[name]) for name, path in path_of.items()]
    found = read_all(partial(_read_mask, index_dir=index_dir), jobs, workers=workers, progress=progress)
    in_pieces = {str(path_of[each.series_uid]): each.in_pieces for each in found if each.in_pieces}
    if in_pieces:
        notes.remarks.append(
            f"{sum(in_pieces.values())} labels in {len(in_pieces)} masks are in several pieces; each is one lesion "
            "with one box round all: where each piece is a lesion, give it a label of its own: "
            f"{some(sorted(in_pieces))}"
        )
    return {each.series_uid: each.lesions for each in found}


def mask_paths(folder: Path, notes: Notes) -> dict[str, Path]:
    """The mask files below a folder by the id of their scan; `InputError` where two have one name."""
    tree = read_tree(folder, notes)
    notes.passed_over += (PassedOver(place, NO_DICOM_MASKS) for place in tree.dicom_folders)
    path_of: dict[str, Path] = {}
    for path in tree.volume_files:
        other = path_of.setdefault(name_of(path), path)
        if other != path:
            raise InputError(f"{path}: a mask of the same name is also {other}: expected one a scan; remove one")
    return path_of


def read_mask(path: Path, scan: ScanHeader, index_dir: Path | None = None) -> MaskLesions:
    """The lesions of the mask in `path`, whose grid may be another than the scan's.

    Raises:
      InputError: see `read_labels`; the mask has the scan's voxels at another place; a lesion lies outside the scan.
    """
    _check_same_place(path, read_grid(path), scan)
    known = remembered(index_dir, "mask", volume_files(path), lambda: _as_json(read_labels(path)))
    lesions = Lesions.from_corners(
        np.array(known["low_xyz_mm"]).reshape(-1, 3),
        np.array(known["high_xyz_mm"]).reshape(-1, 3),
        tuple(f"{path}: label {label}" for label in known["labels"]),
    )
    check_inside(lesions, scan.grid, str(scan.path))
    return MaskLesions(scan.series_uid, lesions, known["in_pieces"])


def boxes_of_mask(mask: Volume) -> tuple[tuple[int, ...], np.ndarray, np.ndarray]:
    """The labels but 0, and the (n, 3) lowest and highest corners in world mm of the outer edges of their voxels."""
    reach_xyz_mm = np.abs(mask.grid.direction_matrix) @ np.array(mask.grid.spacing_zyx_mm[::-1]) / 2
    labels, low, high = [], [], []
    for label, place in enumerate(ndimage.find_objects(mask.array_zyx), start=1):
        if place is None:
            continue
        ends_zyx = _ends_of_rows(mask.array_zyx[place] == label) + [axis.start for axis in place]
        centres_xyz_mm = voxel_zyx_to_world_xyz_mm(ends_zyx.astype(float), mask.grid)
        labels.append(label)
        low.append(centres_xyz_mm.min(axis=0) - reach_xyz_mm)
        high.append(centres_xyz_mm.max(axis=0) + reach_xyz_mm)
    return tuple(labels), np.array(low).reshape(-1, 3), np.array(high).reshape(-1, 3)


def _ends_of_rows(inside: Bool[np.ndarray, "z y x"]) -> Int[np.ndarray, "ends 3"]:
    """The first and the last voxel of each row, which reach as far as all voxels do, however the grid is turned."""
    z, y = np.nonzero(inside.any(axis=2))
    rows = inside[z, y]
    first, last = rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    return np.concatenate([np.stack([z, y, x], axis=1) for x in (first, last)])


def _read_mask(job: tuple[Path, ScanHeader], index_dir: Path | None) -> MaskLesions:
    path, scan = job
    return read_mask(path, scan, index_dir)


def _as_json(mask: Volume) -> dict[str, Any]:
    labels, low, high = boxes_of_mask(mask)
    return {
        "labels": list(labels),
        "low_xyz_mm": low.tolist(),
        "high_xyz_mm": high.tolist(),
        "in_pieces": _in_pieces(mask.array_zyx),
    }


def _in_pieces(labels_zyx: UInt8[np.ndarray, "z y x"]) -> int:
    touching = np.ones((3, 3, 3))
    objects = enumerate(ndimage.find_objects(labels_zyx), start=1)
    return sum(
        ndimage.label(labels_zyx[place] == label, touching)[1] > 1 for label, place in objects if place is not None
    )


def _check_same_place(path: Path, grid: Grid, scan: ScanHeader) -> None:
    """A program that loses the header keeps the array, so a like array at another place is a lost header."""
    if sorted(grid.size_zyx) != sorted(scan.grid.size_zyx):
        return
    (low, high), (scan_low, scan_high) = world_extent(grid), world_extent(scan.grid)
    apart_mm = max(np.abs(low - scan_low).max(), np.abs(high - scan_high).max())
    if apart_mm > SAME_PLACE_VOXELS * max(scan.grid.spacing_zyx_mm):
        raise InputError(
            f"{path}: has the voxels of its scan {scan.path} but lies {apart_mm:.1f} mm from it (origin "
            f"{grid.origin_xyz_mm}, spacing z, y, x {grid.spacing_zyx_mm}; the scan's {scan.grid.origin_xyz_mm}, "
            f"{scan.grid.spacing_zyx_mm}): save the mask with the scan's geometry"
        )
