"""Marks as a label map on the scan's own grid: a ball for each, its label the number of the mark."""

import numpy as np

from medssl_jax.imaging.volumes import Volume
from medssl_jax.report.nodules.scan_report import ScanReport


def label_map(detections: ScanReport, *, min_score: float | None) -> Volume:
    """The marks of at least `min_score` as labels 1, 2, ... of a uint16 volume, the best mark 1; 0 is none.

    A ball holds the voxels whose centres are at most half the mark's diameter, in mm, from its centre, and the voxel
    that holds the centre, however thick slices are. Where balls meet, the better mark has the voxel.
    """
    grid = detections.grid
    labels = np.zeros(grid.size_zyx, np.uint16)
    spacing_zyx_mm = np.array(grid.spacing_zyx_mm)
    for k in reversed(range(detections.count_from(min_score))):
        centre_zyx, radius_mm = detections.centre_voxel_zyx[k], detections.diameter_mm[k] / 2
        reach_zyx = radius_mm / spacing_zyx_mm
        low = np.floor(centre_zyx - reach_zyx).astype(int).clip(0, grid.size_zyx)
        high = (np.ceil(centre_zyx + reach_zyx).astype(int) + 1).clip(0, grid.size_zyx)
        # The axes of a grid are at right angles, so distances need its spacing only.
        offsets_mm = [
            (np.arange(a, b) - c) * mm for a, b, c, mm in zip(low, high, centre_zyx, spacing_zyx_mm, strict=True)
        ]
        squares = [offset**2 for offset in np.ix_(*offsets_mm)]
        block = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        block[sum(squares) <= radius_mm**2] = k + 1
        middle = np.rint(centre_zyx).astype(int)
        if ((middle >= 0) & (middle < grid.size_zyx)).all():
            labels[tuple(middle)] = k + 1
    return Volume(labels, grid, detections.series_uid)
