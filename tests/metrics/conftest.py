"""Small findings and marks, written as rows."""

import functools

import numpy as np
import pytest

from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks


@pytest.fixture
def findings():
    """findings((uid, x, y, z, diameter), ...)"""
    return functools.partial(_from_rows, Findings)


@pytest.fixture
def marks():
    """marks((uid, x, y, z, probability), ...)"""
    return functools.partial(_from_rows, Marks)


def _from_rows(kind, *rows):
    table = np.array([row[1:] for row in rows], float).reshape(-1, 4)
    return kind(tuple(row[0] for row in rows), table[:, :3], table[:, 3])
