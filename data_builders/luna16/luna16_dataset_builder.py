"""The TFDS data set of LUNA16; what is stored and how it is made is in `data_builders.scan_builder`."""

from functools import partial
from pathlib import Path

import tensorflow_datasets as tfds

from data_builders import luna16
from data_builders.luna16 import luna16_files
from data_builders.scan_builder import ScanBuilder
from data_builders.scan_job import ScanJob
from medssl_jax.data.preparation import LUNA16_LUNG_LABELS, PreparedScan, prepare_scan
from medssl_jax.imaging.volumes import read_labels, read_volume


class Luna16(ScanBuilder):
    """Scans by subset, then by series UID; all are labelled."""

    VERSION = tfds.core.Version(luna16.VERSION)
    RELEASE_NOTES = luna16.RELEASE_NOTES
    HOMEPAGE = "https://luna16.grand-challenge.org"

    def find_jobs(self, manual_dir: Path) -> tuple[ScanJob, ...]:
        """The scans that `seriesuids.csv` lists."""
        return tuple(
            ScanJob(
                series_uid=scan.series_uid,
                patient=scan.patient,
                subset=scan.subset,
                is_labelled=True,
                description=luna16_files.describe_scan(scan),
                load=partial(_prepare, scan),
            )
            for scan in luna16_files.find_scans(manual_dir, allow_absent=self.allow_absent)
        )

    def is_there(self, manual_dir: Path) -> bool:
        """Whether any subset folder is."""
        return luna16_files.is_there(manual_dir)


BUILDER = Luna16


def _prepare(scan: luna16_files.ScanFiles) -> PreparedScan:
    return prepare_scan(
        read_volume(scan.scan_path),
        read_labels(scan.lungs_path) if scan.lungs_path else None,
        scan.centres_xyz_mm,
        scan.diameters_mm,
        subset=scan.subset,
        patient=scan.patient,
        lung_labels=LUNA16_LUNG_LABELS,
    )
