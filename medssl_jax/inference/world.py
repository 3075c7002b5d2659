"""From boxes in the voxels of a scan to marks in the world."""

from collections.abc import Sequence

import numpy as np

from medssl_jax.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.inference.sliding import ScanDetections
from medssl_jax.metrics.marks import Marks


def marks_in_world(series_uid: str, found: ScanDetections, grid: Grid) -> Marks:
    """The marks of one scan, best first; `grid` has voxels of 1 mm, so extents are mm."""
    boxes_zyxdhw = found.boxes_zyxdhw_voxel.astype(np.float64)
    return Marks(
        series_uid=(series_uid,) * len(boxes_zyxdhw),
        centre_xyz_mm=voxel_zyx_to_world_xyz_mm(boxes_zyxdhw[:, :3], grid),
        probability=found.probability.astype(np.float64),
        diameter_mm=boxes_zyxdhw[:, 3:].mean(1),
    )


def join_marks(marks: Sequence[Marks]) -> Marks:
    """The marks of several scans as one list; all must have diameters."""
    nothing = Marks((), np.zeros((0, 3)), np.zeros(0), np.zeros(0))
    parts = [nothing, *marks]
    return Marks(
        series_uid=tuple(uid for part in parts for uid in part.series_uid),
        centre_xyz_mm=np.concatenate([part.centre_xyz_mm for part in parts]),
        probability=np.concatenate([part.probability for part in parts]),
        diameter_mm=np.concatenate([part.diameter_mm for part in parts]),
    )
