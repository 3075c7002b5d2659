"""What DICOM SR and SEG of marks have in common: who made them, and how they are written.

highdicom, which both are made with, comes with the extra `dicom`.
"""

import importlib.metadata
from pathlib import Path
from typing import Any

from etils import epy

from medssl_jax.core.atomic import atomic_path
from medssl_jax.report.nodules.scan_report import ScanReport

with epy.lazy_imports():
    from pydicom.sr import codedict

MANUFACTURER = "medssl_jax"
SERIES_DESCRIPTION = "Lesion marks, research use only, not for diagnosis"  # DICOM allows 64 characters
SR_SERIES_NUMBER, SEG_SERIES_NUMBER = 9001, 9002  # our choice, beyond those that scanners give


def algorithm_name(detections: ScanReport) -> str:
    """Names the detector by its run, in the 64 characters that DICOM allows."""
    return f"FocalMix {_lesion(detections)} detector, run {detections.detector.run}"[:64]


def finding_type(detections: ScanReport) -> Any:
    """The code of what a mark is: a nodule where lungs are searched, else a lesion."""
    return getattr(codedict.codes.SCT, _lesion(detections).capitalize())


def finding_regions(detections: ScanReport) -> list[Any]:
    """The code of the lungs where these are searched; none where the body is, of which a mark may be in any part."""
    return [codedict.codes.SCT.Lung] if detections.detector.searches_lungs else []


def _lesion(detections: ScanReport) -> str:
    return "nodule" if detections.detector.searches_lungs else "lesion"


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
