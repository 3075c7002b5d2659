"""A written phantom's scans as rows of a contact sheet."""

import os
from collections.abc import Sequence

import numpy as np

from medssl_jax.imaging.volumes import Volume, read_volume
from medssl_jax.phantoms.chests.scan import PlacedFinding
from medssl_jax.phantoms.chests.spec import Luna16Phantom
from medssl_jax.phantoms.luna16 import read_truth, scan_path
from medssl_jax.report.nodules.contact_sheet import SheetScan


def read_sheet_scans(spec: Luna16Phantom, directory: str | os.PathLike, count: int) -> list[SheetScan]:
    """The first `count` scans with their findings."""
    return [_sheet_scan(spec, directory, index) for index in range(min(count, spec.scans))]


def sheet_scan(
    about: str, volume: Volume, nodules: Sequence[PlacedFinding], excluded: Sequence[PlacedFinding]
) -> SheetScan:
    """One row: its title says what `about` does, then which nodules there are."""
    listed = ", ".join(f"{nodule.kind} {nodule.diameter_mm:.1f} mm" for nodule in nodules) or "no nodule"
    return SheetScan(
        f"{about}: {listed}", volume, _points(nodules), _diameters(nodules), _points(excluded), _diameters(excluded)
    )


def _sheet_scan(spec, directory, index):
    truth = read_truth(spec, directory, index)
    volume = read_volume(scan_path(spec, directory, index))
    spacing = " x ".join(f"{step:.2f}" for step in volume.grid.spacing_zyx_mm)
    return sheet_scan(f"scan {index}, voxels {spacing} mm", volume, truth.nodules, truth.excluded)


def _points(findings):
    return np.array([finding.centre_xyz_mm for finding in findings], float).reshape(-1, 3)


def _diameters(findings):
    return np.array([finding.diameter_mm for finding in findings], float)
