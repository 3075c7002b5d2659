"""A written phantom's scans as rows of a contact sheet."""

import os

import numpy as np

from medssl_jax.phantoms.chests.spec import Luna16Phantom
from medssl_jax.phantoms.luna16 import read_truth, scan_path
from medssl_jax.report.nodules.contact_sheet import SheetScan
from medssl_jax.volumes import read_volume


def read_sheet_scans(spec: Luna16Phantom, directory: str | os.PathLike, count: int) -> list[SheetScan]:
    """The first `count` scans with their findings."""
    return [_sheet_scan(spec, directory, index) for index in range(min(count, spec.scans))]


def _sheet_scan(spec, directory, index):
    truth = read_truth(spec, directory, index)
    volume = read_volume(scan_path(spec, directory, index))
    spacing = " x ".join(f"{step:.2f}" for step in volume.grid.spacing_zyx_mm)
    nodules = ", ".join(f"{nodule.kind} {nodule.diameter_mm:.1f} mm" for nodule in truth.nodules) or "no nodule"
    return SheetScan(
        f"scan {index}, voxels {spacing} mm: {nodules}",
        volume,
        _points(truth.nodules),
        np.array([nodule.diameter_mm for nodule in truth.nodules], float),
        _points(truth.excluded),
        np.array([finding.diameter_mm for finding in truth.excluded], float),
    )


def _points(findings):
    return np.array([finding.centre_xyz_mm for finding in findings], float).reshape(-1, 3)
