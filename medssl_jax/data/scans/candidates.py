"""Places of unlabelled scans at which a detector suspects nodules, round which patches may be drawn."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from medssl_jax.imaging.geometry import Grid, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.submission import Marks

Candidates = Mapping[str, Float[np.ndarray, "n 3"]]  # voxels, z y x, by series


def candidates_of(marks: Marks, grid_of: Callable[[str], Grid], *, most: int) -> Candidates:
    """The centres of the `most` marks of highest score of each scan that has any, in voxels of its grid."""
    places: dict[str, list[int]] = {}
    for place in np.argsort(-marks.score, kind="stable").tolist():
        places.setdefault(marks.series_uid[place], []).append(place)
    return {
        series_uid: world_xyz_mm_to_voxel_zyx(marks.centre_xyz_mm[of_scan[:most]], grid_of(series_uid))
        for series_uid, of_scan in sorted(places.items())
    }
