"""One CT scan as it lies on disk: what the builders, the checks and detection know of it before a voxel is read."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True, eq=False)
class ScanFiles:
    """The files of one scan and what is known of it; what is left out is not known.

    `path` is a volume file, or a folder that holds the DICOM slices of `series_uid`, perhaps among others. Without
    `lungs_path` the lungs are found from the HU; `lung_labels` are those of the lungs in the mask, None where only the
    mask can tell. `subset` is the fold, -1 where there is none; `patient` is a key (`medssl_jax.imaging.patients`).

    A scan that is labelled and has no lesions is known to have none. Diameters of shape (n,) are those of spheres, of
    shape (n, 3) the x, y, z extents of boxes. `digest` changes with any file or label that the scan is prepared from,
    and does not with where they lie.
    """

    series_uid: str
    path: Path
    lungs_path: Path | None = None
    lung_labels: tuple[int, ...] | None = None
    subset: int = -1
    patient: str = ""
    is_labelled: bool = False
    centres_xyz_mm: Float[np.ndarray, "n 3"] = dataclasses.field(default_factory=lambda: np.zeros((0, 3)))
    diameters_mm: Float[np.ndarray, " n"] | Float[np.ndarray, "n 3"] = dataclasses.field(
        default_factory=lambda: np.zeros(0)
    )
    digest: str = ""
