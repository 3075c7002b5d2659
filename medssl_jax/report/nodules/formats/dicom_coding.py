"""What DICOM SR and SEG of marks have in common: who made them, and how they are written.

highdicom, which both are made with, comes with the extra `dicom`.
"""

import importlib.metadata
from pathlib import Path
from typing import Any

from medssl_jax.core.atomic import atomic_path
from medssl_jax.report.nodules.scan_report import ScanReport

MANUFACTURER = "medssl_jax"
SERIES_DESCRIPTION = "Nodule marks, research use only, not for diagnosis"  # DICOM allows 64 characters
SR_SERIES_NUMBER, SEG_SERIES_NUMBER = 9001, 9002  # our choice, beyond those that scanners give


def algorithm_name(detections: ScanReport) -> str:
    """Names the detector by its run, in the 64 characters that DICOM allows."""
    return f"FocalMix nodule detector, run {detections.detector.run}"[:64]


def version() -> str:
    """The version of this software."""
    return importlib.metadata.version("medssl-jax")


def algorithm_version(detections: ScanReport) -> str:
    """Names the software and the detector: its step and its config."""
    card = detections.detector
    return f"{version()}, step {card.step}, config {card.config_sha256[:16]}"


def write_dicom(path: Path, dataset: Any) -> None:
    """Writes a DICOM file, whole or not at all. Raises `InputError` where it cannot be written."""
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
