"""The check of one scan, its mask and its nodules; nothing raises, all defects are collected."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress
from medssl_jax.core.worker_pool import results_as_completed
from medssl_jax.data.scans.preparation import LUNG_DILATION_MM, LUNGS, labels_searched
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.data_check import found_lungs
from medssl_jax.data_check.defects import CheckedScan, Defect
from medssl_jax.data_check.lung_defects import LOOK, SMALL_MASK, least_lung_litres, litres_of, lung_defects
from medssl_jax.data_check.sampling import VolumeSample, sample_of_volume, sample_volume
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.volumes import Volume, has_label, read_labels, read_volume

# Our choice: no CT has more than air above or less than soft tissue below these, and metal stays under the last.
AIR_BELOW_HU, TISSUE_ABOVE_HU = -500, -100
POSSIBLE_HU = (-1500, 20_000)
SAME_GRID_VOXELS = 0.1
LABELS_SAMPLED_EVERY = 8  # slices

Read = TypeVar("Read")


def check_scans(
    scans: Sequence[ScanFiles], *, find_lungs: bool, workers: int, progress: Progress, region: str = LUNGS
) -> tuple[CheckedScan, ...]:
    """Checks every scan in processes of its own; in the order of `scans`."""
    check = partial(check_scan, find_lungs=find_lungs, region=region)
    checked = progress(results_as_completed(check, scans, workers=workers), total=len(scans)) if scans else ()
    by_place = {(each.scan.path, each.scan.series_uid): each for each in checked}
    return tuple(by_place[scan.path, scan.series_uid] for scan in scans)


def check_scan(scan: ScanFiles, *, find_lungs: bool, region: str = LUNGS) -> CheckedScan:
    """Samples the scan, reads its mask, and looks where its nodules lie.

    `find_lungs`: without a mask the scan is read whole and its lungs are found, as preparing will have to. Where the
    `region` to search is the body, lungs play no part, and every label of a mask counts.
    """
    defects: list[Defect] = []
    whole = find_lungs and scan.lungs_path is None and region == LUNGS
    sample, volume = _attempt(lambda: _read(scan, whole=whole), "unreadable scan", scan, defects) or (None, None)
    if sample:
        defects += value_defects(scan.series_uid, sample)
        defects += _outside_volume(scan, sample.grid)
    found = None
    if volume and not any(defect.blocks for defect in defects):
        found = found_lungs.find_lungs(volume)
        defects += lung_defects(scan.series_uid, found)
    if (lungs_path := scan.lungs_path) is not None:
        lungs = _attempt(lambda: read_labels(lungs_path), "unreadable mask", scan, defects)
        labels = labels_searched(scan, lungs, region) if lungs else None
        defects += _mask_defects(scan, lungs, sample, labels) if lungs else ()
        defects += _small_mask(scan, lungs, labels) if lungs and region == LUNGS else ()
    return CheckedScan(scan, sample, found, tuple(defects))


def value_defects(name: str, sample: VolumeSample) -> Iterator[Defect]:
    """Yields the defects of a scan's values."""
    low, high = sample.lowest_hu, sample.highest_hu
    if sample.has_nan:
        yield Defect("NaN", name, "voxels that are no number (NaN), expected HU: convert it again", True)
    elif not (low < AIR_BELOW_HU and high > TISSUE_ABOVE_HU):
        expected = f"expected air below {AIR_BELOW_HU} and tissue above {TISSUE_ABOVE_HU} HU"
        hint = "was RescaleIntercept applied?"
        yield Defect("not in HU", name, f"values from {low:g} to {high:g}, {expected}: {hint}", True)
    elif low < POSSIBLE_HU[0] or high > POSSIBLE_HU[1]:
        expected = f"expected {POSSIBLE_HU[0]} to {POSSIBLE_HU[1]} HU and one padding value"
        yield Defect("HU out of range", name, f"values from {low:g} to {high:g}, {expected}; they are clipped", False)


def distance_to_mask_mm(centre_xyz_mm: Float[np.ndarray, "3"], mask: Volume, labels: tuple[int, ...] | None) -> float:
    """From a point to the nearest voxel, edges included, with one of `labels`; infinite beyond the lungs' dilation."""
    spacing = np.array(mask.grid.spacing_zyx_mm)
    centre = world_xyz_mm_to_voxel_zyx(centre_xyz_mm[None], mask.grid)[0]
    reach = LUNG_DILATION_MM / spacing + 1
    low = np.clip(np.floor(centre - reach), 0, mask.grid.size_zyx).astype(int)
    high = np.clip(np.ceil(centre + reach) + 1, 0, mask.grid.size_zyx).astype(int)
    window = mask.array_zyx[tuple(map(slice, low, high))]
    inside = np.argwhere(has_label(window, labels)) + low
    if not len(inside):
        return np.inf
    apart_mm = np.maximum(np.abs(inside - centre) - 0.5, 0) * spacing
    return float(np.linalg.norm(apart_mm, axis=1).min())


def _read(scan: ScanFiles, *, whole: bool) -> tuple[VolumeSample, Volume | None]:
    if not whole:
        return sample_volume(scan.path, scan.series_uid), None
    volume = read_volume(scan.path, series_uid=scan.series_uid)
    return sample_of_volume(volume), volume


def _attempt(read: Callable[[], Read], kind: str, scan: ScanFiles, defects: list[Defect]) -> Read | None:
    """The result of `read()`; None, and one more defect, where it fails."""
    try:
        return read()
    except InputError as error:
        defects.append(Defect(kind, scan.series_uid, str(error), True))
    except OSError as error:
        path = error.filename or scan.path
        told = f"{path}: cannot be read: {error.strerror or error}: copy it again"
        defects.append(Defect(kind, scan.series_uid, told, True))
    return None


def _outside_volume(scan: ScanFiles, grid: Grid) -> Iterator[Defect]:
    for centre in scan.centres_xyz_mm[~_is_inside(scan.centres_xyz_mm, grid)]:
        yield Defect(
            "nodule outside the volume",
            scan.series_uid,
            f"a nodule at {_point(centre)} lies outside the scan: correct its coordinates or the scan's header",
            True,
        )


def _mask_defects(
    scan: ScanFiles, lungs: Volume, sample: VolumeSample | None, labels: tuple[int, ...] | None
) -> Iterator[Defect]:
    if sample and not _same_grid(lungs.grid, sample.grid):
        yield Defect(
            "mask on another grid",
            scan.series_uid,
            f"the mask has {_in_words(lungs.grid)}, the scan {_in_words(sample.grid)}: "
            "it is laid over the scan by its own header",
            False,
        )
    few = lungs.array_zyx[::LABELS_SAMPLED_EVERY]
    if not any(has_label(part, labels).any() for part in (few, lungs.array_zyx)):
        wanted = "other than 0" if labels is None else " or ".join(map(str, labels))
        yield Defect(
            "mask without lungs",
            scan.series_uid,
            f"{scan.lungs_path}: no label {wanted}, expected two lungs: unzip it again, or take it away",
            True,
        )
        return
    if sample is None:
        return
    for centre in scan.centres_xyz_mm[_is_inside(scan.centres_xyz_mm, sample.grid)]:
        if distance_to_mask_mm(centre, lungs, labels) > LUNG_DILATION_MM:
            yield Defect(
                "nodule outside the lungs",
                scan.series_uid,
                f"a nodule at {_point(centre)} lies more than {LUNG_DILATION_MM:g} mm outside the lung mask: "
                "it is trained on and scored, but blanked out where data.mask_lungs is on",
                False,
            )


def _small_mask(scan: ScanFiles, lungs: Volume, labels: tuple[int, ...] | None) -> Iterator[Defect]:
    litres = has_label(lungs.array_zyx, labels).sum().item() * litres_of(lungs.grid)
    if 0 < litres < (least := least_lung_litres(lungs.grid)):
        told = f"its lung mask holds {litres:.2g} l, expected at least {least:.2g} l, as of two lungs"
        yield Defect(SMALL_MASK, scan.series_uid, f"{told}: {LOOK}", False)


def _is_inside(points_xyz_mm: Float[np.ndarray, "n 3"], grid: Grid) -> Bool[np.ndarray, " n"]:
    points_zyx = world_xyz_mm_to_voxel_zyx(points_xyz_mm, grid)
    return np.all((points_zyx >= -0.5) & (points_zyx < np.array(grid.size_zyx) - 0.5), axis=1)


def _same_grid(one: Grid, other: Grid) -> bool:
    if one.size_zyx != other.size_zyx:
        return False
    corners = np.array([(0, 0, 0), one.size_zyx], float)
    apart_mm = voxel_zyx_to_world_xyz_mm(corners, one) - voxel_zyx_to_world_xyz_mm(corners, other)
    return bool((np.abs(apart_mm) <= SAME_GRID_VOXELS * min(other.spacing_zyx_mm)).all())


def _point(centre_xyz_mm: Iterable[float]) -> str:
    return "x, y, z = (" + ", ".join(f"{number:.1f}" for number in centre_xyz_mm) + ") mm"


def _in_words(grid: Grid) -> str:
    size, spacing = _by(grid.size_zyx), _by(grid.spacing_zyx_mm)
    return f"{size} voxels of {spacing} mm (z, y, x) from {_point(grid.origin_xyz_mm)}"


def _by(numbers: Iterable[int | float]) -> str:
    return " x ".join(f"{number:.6g}" for number in numbers)
