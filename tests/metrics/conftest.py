"""Small findings and marks, written as rows, and the real files where they are."""

from pathlib import Path

import numpy as np
import pytest

from medssl_jax.metrics.luna16_files import Findings
from medssl_jax.metrics.marks import Marks

SHARED_DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


@pytest.fixture
def shared_data():
    if not SHARED_DATA.is_dir():
        pytest.skip("the real LUNA16 files are not at ../shared/data")
    return SHARED_DATA


@pytest.fixture
def findings():
    """findings((uid, x, y, z, diameter), ...)"""

    def make(*rows):
        table = np.array([row[1:] for row in rows], float).reshape(-1, 4)
        return Findings(tuple(row[0] for row in rows), table[:, :3], table[:, 3])

    return make


@pytest.fixture
def marks():
    """marks((uid, x, y, z, probability), ...)"""

    def make(*rows):
        table = np.array([row[1:] for row in rows], float).reshape(-1, 4)
        return Marks(tuple(row[0] for row in rows), table[:, :3], table[:, 3])

    return make
