"""A report on a turned scan of thick slices with three marks, of which two are likely."""

import numpy as np
import pytest

from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.submission import Marks
from medssl_jax.report.nodules.scan_report import DetectorCard, ScanReport

# Index x runs to the back, index y to the patient's right, as no plain scan does.
GRID = Grid((12, 40, 50), (5.0, 0.8, 0.7), (10.0, 20.0, -300.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
CENTRES_ZYX = np.array([[6.0, 20.0, 25.0], [6.5, 24.0, 25.0], [1.0, 5.0, 5.0]])


@pytest.fixture(scope="session")
def turned_report():
    """Makes the report; `changes` are fields set after."""

    def make(**changes):
        marks = Marks(
            ("1.2.3",) * 3,
            voxel_zyx_to_world_xyz_mm(CENTRES_ZYX, GRID),
            np.array([0.9, 0.5, 0.1]),
            np.array([9.0, 6.0, 4.0]),
        )
        config = {"data": {"phantom": {}}, "split": {"labelled": 1, "unlabelled": 0}, "inference": {"marks": 100}}
        fields = dict(input_name="scan", lungs_name=None, series_uid="1.2.3", is_phantom_scan=False, grid=GRID)
        return ScanReport(**(fields | dict(detector=DetectorCard("luna", 600, config), marks=marks) | changes))

    return make
