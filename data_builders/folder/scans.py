"""One scan of a user's folder: what is known of it before it is read, and how it is prepared."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from data_builders.folder.lesions import Lesions
from data_builders.folder.reading import some
from data_builders.folder.tree import PassedOver
from medssl_jax.data.preparation import LUNA16_LUNG_LABELS, PreparedScan, prepare_scan
from medssl_jax.imaging.volumes import read_labels, read_volume

LUNA16_MASK_LABELS = frozenset({0, *LUNA16_LUNG_LABELS, 5})  # 5 is the trachea


@dataclasses.dataclass(frozen=True, eq=False)
class FolderScan:
    """One scan; `path` is a volume file or a folder of DICOM slices.

    `series_uid` is DICOM's, else the file name without extension. A scan that is labelled and has no lesions is known
    to have none. `subset` is the fold, -1 where the scan is not labelled; `patient` is "" where it is not known.
    `description` changes with what the scan is prepared from, and not with where that lies.
    """

    series_uid: str
    patient: str
    subset: int
    is_labelled: bool
    path: Path
    lungs_path: Path | None
    lesions: Lesions
    description: str

    @property
    def centres_xyz_mm(self) -> Float[np.ndarray, "n 3"]:
        """The centres of its lesions in the world."""
        return self.lesions.centres_xyz_mm

    @property
    def extents_xyz_mm(self) -> Float[np.ndarray, "n 3"]:
        """The extents of its lesions along the axes of the world."""
        diameters_mm = self.lesions.diameters_mm
        return diameters_mm if diameters_mm.ndim == 2 else np.repeat(diameters_mm[:, None], 3, axis=1)


@dataclasses.dataclass(frozen=True)
class FolderScans(Sequence):
    """The scans of a folder, and what its user should hear of before they are used."""

    scans: tuple[FolderScan, ...]
    passed_over: tuple[PassedOver, ...]
    remarks: tuple[str, ...]

    def __getitem__(self, index):
        return self.scans[index]

    def __len__(self) -> int:
        return len(self.scans)

    @property
    def note(self) -> str:
        """How many scans there are, the files passed over by reason, and what looks odd; one line each."""
        labelled = [scan for scan in self.scans if scan.is_labelled]
        lesions = sum(len(scan.centres_xyz_mm) for scan in labelled)
        lines = [f"{len(self)} scans: {len(labelled)} labelled with {lesions} lesions, {len(self) - len(labelled)} not"]
        for reason, count in Counter(reason for _, reason in self.passed_over).most_common():
            paths = [str(path) for path, why in self.passed_over if why == reason]
            lines.append(f"passed over {count} ({reason}): {some(paths)}")
        return "\n".join((*lines, *self.remarks))


def prepare(scan: FolderScan) -> PreparedScan:
    """Reads a scan and puts it on the 1 mm grid; lungs are those of its mask, else found from the HU.

    A lung mask of LUNA16 is known by its labels, and its trachea (5) left out; of any other, every label but 0 is lung.

    Raises:
      InputError: see `read_volume`, `read_labels`, `prepare_scan`.
    """
    volume = read_volume(scan.path, scan.series_uid if scan.path.is_dir() else None)
    lungs = None if scan.lungs_path is None else read_labels(scan.lungs_path)
    is_luna16 = lungs is not None and LUNA16_MASK_LABELS.issuperset(np.unique(lungs.array_zyx).tolist())
    return prepare_scan(
        volume,
        lungs,
        scan.lesions.centres_xyz_mm,
        scan.lesions.diameters_mm,
        subset=scan.subset,
        patient=scan.patient,
        is_labelled=scan.is_labelled,
        lung_labels=LUNA16_LUNG_LABELS if is_luna16 else None,
    )
