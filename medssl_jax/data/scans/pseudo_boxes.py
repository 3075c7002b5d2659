"""Labels that a detector gives to unlabelled scans: its best marks for nodules, its doubtful ones for neither.

Self-training on whole scans, as of lesions in Frazier (arXiv 2504.05201) and Bai (arXiv 2303.15024). How many marks are
taken is ours: a share of the nodules that there must be, if unlabelled scans hold as many as labelled ones, so that no
threshold of a score is needed, which means another thing for every detector.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from medssl_jax.imaging.geometry import Grid, boxes_from_points
from medssl_jax.imaging.submission import Marks


class PseudoBoxes(NamedTuple):
    """Boxes of one scan in its voxels: those taken for nodules, and those that may hold one and are not learnt from."""

    found_zyxdhw: Float[np.ndarray, "n 6"]
    doubtful_zyxdhw: Float[np.ndarray, "m 6"]


NO_BOXES = PseudoBoxes(np.zeros((0, 6), np.float32), np.zeros((0, 6), np.float32))


def pseudo_boxes_of(
    marks: Marks,
    grid_of: Callable[[str], Grid],
    *,
    expected: float,
    found_share: float,
    doubtful_share: float,
) -> Mapping[str, PseudoBoxes]:
    """The boxes of all scans that have any, where `expected` nodules are to be found in all of them together.

    Of all marks, the best `found_share * expected` are taken for nodules, and the best `doubtful_share * expected`
    beside them are doubtful; what ranks below is background.
    """
    assert marks.diameter_mm is not None
    ranked = np.argsort(-marks.score, kind="stable")
    found, doubtful = round(found_share * expected), round(doubtful_share * expected)
    places: dict[str, tuple[list[int], list[int]]] = {}
    for rank, place in enumerate(ranked[: max(found, doubtful)].tolist()):
        places.setdefault(marks.series_uid[place], ([], []))[rank >= found].append(place)
    return {
        series_uid: PseudoBoxes(
            *(
                boxes_from_points(marks.centre_xyz_mm[each], marks.diameter_mm[each], grid_of(series_uid))
                for each in both
            )
        )
        for series_uid, both in sorted(places.items())
    }
