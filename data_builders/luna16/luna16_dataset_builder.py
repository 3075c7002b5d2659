"""The TFDS data set of LUNA16; what is stored and how it is made is in `data_builders.scan_builder`."""

from pathlib import Path

import tensorflow_datasets as tfds

from data_builders import luna16
from data_builders.luna16 import luna16_files
from data_builders.scan_builder import ScanBuilder
from medssl_jax.data.scans.scan_files import ScanFiles


class Luna16(ScanBuilder):
    """Scans by subset, then by series UID; all are labelled."""

    VERSION = tfds.core.Version(luna16.VERSION)
    RELEASE_NOTES = luna16.RELEASE_NOTES
    HOMEPAGE = "https://luna16.grand-challenge.org"

    def find_scans(self, manual_dir: Path) -> tuple[ScanFiles, ...]:
        """The scans that `seriesuids.csv` lists."""
        return luna16_files.find_scans(manual_dir, allow_absent=self.allow_absent)

    def is_there(self, manual_dir: Path) -> bool:
        """True if any subset folder is there."""
        return luna16_files.is_there(manual_dir)


BUILDER = Luna16
