"""Scans and studies of a written phantom as rows of a contact sheet."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from medssl_jax.imaging.volumes import Volume, read_volume
from medssl_jax.phantoms.chests.scan import PlacedFinding, ScanTruth
from medssl_jax.phantoms.chests.spec import Luna16Phantom
from medssl_jax.phantoms.luna16 import read_truth, scan_path
from medssl_jax.phantoms.nlst import StudyTruth, read_truths
from medssl_jax.phantoms.studies.headers import LOCALIZER
from medssl_jax.phantoms.studies.spec import NlstPhantom
from medssl_jax.report.nodules.contact_sheet import SheetScan


def read_sheet_scans(spec: Luna16Phantom, directory: str | os.PathLike[str], count: int) -> list[SheetScan]:
    """The first `count` scans of a LUNA16 with their findings."""
    rows = []
    for index in range(min(count, spec.scans)):
        volume = read_volume(scan_path(spec, directory, index))
        spacing = " x ".join(f"{step:.2f}" for step in volume.grid.spacing_zyx_mm)
        rows.append(_row(f"scan {index}, voxels {spacing} mm", volume, read_truth(spec, directory, index)))
    return rows


def read_sheet_studies(spec: NlstPhantom, directory: str | os.PathLike[str], count: int) -> list[SheetScan]:
    """The first `count` studies of an NLST with their findings, each as one reconstruction without a defect."""
    rows = []
    for number, truth in enumerate(read_truths(spec, directory)[:count]):
        whole = [series for series in truth.series if series.kind != LOCALIZER and not series.defect]
        series = whole[number % len(whole)]
        about = f"{truth.patient}, {series.manufacturer} {series.kernel}, {series.slice_thickness_mm:g} mm"
        rows.append(_row(about, read_volume(Path(directory) / series.folder), truth))
    return rows


def _row(about: str, volume: Volume, truth: ScanTruth | StudyTruth) -> SheetScan:
    listed = ", ".join(f"{nodule.kind} {nodule.diameter_mm:.1f} mm" for nodule in truth.nodules) or "no nodule"
    findings = (*_points(truth.nodules), *_points(truth.excluded))
    return SheetScan(f"{about}: {listed}", volume, *findings)


def _points(findings: Sequence[PlacedFinding]) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    centres = np.array([finding.centre_xyz_mm for finding in findings], float).reshape(-1, 3)
    return centres, np.array([finding.diameter_mm for finding in findings], float)
