"""The TFDS data set of NLST; what is stored and how it is made is in `data_builders.scan_builder`."""

from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from data_builders import nlst
from data_builders.nlst import nlst_files
from data_builders.nlst.choose import LEAST_SLICES
from data_builders.scan_builder import ScanBuilder
from medssl_jax.core.progress import progress_bar
from medssl_jax.data.scans.scan_files import ScanFiles


class Nlst(ScanBuilder):
    """One series a study, by patient, study date, then series UID; none is labelled.

    The table of all series is kept in `index/` beside the data set.
    """

    VERSION = tfds.core.Version(nlst.VERSION)
    RELEASE_NOTES = nlst.RELEASE_NOTES
    HOMEPAGE = "https://www.cancerimagingarchive.net/collection/nlst"

    def __init__(self, *, min_slices: int = LEAST_SLICES, **options: Any):
        self.min_slices = min_slices
        super().__init__(**options)

    def find_scans(self, manual_dir: Path) -> tuple[ScanFiles, ...]:
        """The series that stand for their studies; those with a problem are in the table, not here."""
        return nlst_files.find_scans(
            manual_dir,
            Path(self.data_dir_root) / self.name / "index",
            workers=self.workers,
            progress=progress_bar("indexing", "series"),
            least_slices=self.min_slices,
        )

    def is_there(self, manual_dir: Path) -> bool:
        """True if any DICOM file lies there."""
        return nlst_files.is_there(manual_dir)


BUILDER = Nlst
