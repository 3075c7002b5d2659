"""Small findings and marks, written as rows."""

import numpy as np
import pytest

from medssl_jax.metrics.luna16_files import Findings
from medssl_jax.metrics.marks import Marks


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
