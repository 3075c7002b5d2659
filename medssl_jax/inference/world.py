"""From boxes in the voxels of a scan to marks in the world."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.submission import Marks
from medssl_jax.inference.sliding import ScanDetections


def rows_in_world(found: ScanDetections, grid: Grid) -> Float[np.ndarray, "n 5"]:
    """Of each mark of one scan x, y, z in mm, score, diameter in mm, best first; `grid` has cubic voxels."""
    boxes_zyxdhw = found.boxes_zyxdhw_voxel.astype(np.float64)
    centres = voxel_zyx_to_world_xyz_mm(boxes_zyxdhw[:, :3], grid)
    return np.column_stack([centres, found.score, boxes_zyxdhw[:, 3:].mean(1) * grid.spacing_zyx_mm[0]])


def as_marks(rows_of: Mapping[str, Float[np.ndarray, "_n 5"]]) -> Marks:
    """The `rows_in_world` of several scans, by series, as one list in their order."""
    rows = np.concatenate([np.zeros((0, 5)), *rows_of.values()])
    return Marks(
        series_uid=tuple(uid for uid, rows_of_scan in rows_of.items() for _ in rows_of_scan),
        centre_xyz_mm=rows[:, :3],
        score=rows[:, 3],
        diameter_mm=rows[:, 4],
    )
