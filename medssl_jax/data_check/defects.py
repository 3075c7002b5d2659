"""What a check of a data set finds, and what the whole of it says."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from medssl_jax.data_check.found_lungs import FoundLungs
from medssl_jax.data_check.sampling import VolumeSample


@dataclasses.dataclass(frozen=True, order=True)
class Defect:
    """Something wrong with the data.

    `subject` is the series, patient, file or folder it is about; `message` one line with what was found and what to do.
    It `blocks` where preparing would stop at it, or a result would be wrong because of it.
    """

    kind: str
    subject: str
    message: str
    blocks: bool


@dataclasses.dataclass(frozen=True, eq=False)
class ScanToCheck:
    """One scan as a data set lists it; what is not known is None, "" or -1, and no nodules are (0, 3) and (0,).

    `scan_path` is a file or folder that `medssl_jax.imaging.volumes` reads; in a folder `name` is the series UID.
    `lung_labels` None: every label but 0. `find_lungs`: preparing will find them, because there is no mask. Diameters
    of shape (n, 3) are extents of boxes in x, y, z.
    """

    name: str
    scan_path: Path
    lungs_path: Path | None = None
    lung_labels: tuple[int, ...] | None = None
    find_lungs: bool = False
    subset: int = -1
    patient: str = ""
    centres_xyz_mm: Float[np.ndarray, "n 3"] = dataclasses.field(default_factory=lambda: np.zeros((0, 3)))
    diameters_mm: Float[np.ndarray, " n"] | Float[np.ndarray, "n 3"] = dataclasses.field(
        default_factory=lambda: np.zeros(0)
    )


@dataclasses.dataclass(frozen=True, eq=False)
class CheckedScan:
    """A scan, what was sampled of it (None where it cannot be read), and what is wrong with it alone.

    `lungs` is None where none were looked for, or the scan cannot be used.
    """

    scan: ScanToCheck
    sample: VolumeSample | None
    lungs: FoundLungs | None
    defects: tuple[Defect, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class CheckReport:
    """All that was found in one data set. `facts` are what was looked for and found, in words.

    `notices` are worth knowing and not wrong.
    """

    dataset: str
    folder: Path
    facts: Mapping[str, str]
    notices: tuple[str, ...]
    defects: tuple[Defect, ...]
    scans: tuple[CheckedScan, ...]

    @property
    def can_start(self) -> bool:
        """Whether training can start."""
        return not any(defect.blocks for defect in self.defects)
