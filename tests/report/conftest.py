"""Two scored detectors small enough to draw in no time."""

import numpy as np
import pytest

from medssl_jax.metrics.froc import score
from medssl_jax.metrics.luna16_files import Findings
from medssl_jax.metrics.marks import Marks


@pytest.fixture(scope="session")
def froc_results():
    rng = np.random.default_rng(0)
    series_uids = tuple(f"scan{place}" for place in range(12))
    annotations = Findings(series_uids, np.zeros((12, 3)), np.full(12, 8.0))
    centre = np.where(np.arange(120)[:, None] % 5, 40.0, 0.0) + np.zeros((120, 3))

    def detector(skill):
        probability = rng.uniform(size=120) + skill * (centre[:, 0] == 0)
        return score(Marks(series_uids * 10, centre, probability), annotations, None, series_uids, bootstraps=50)

    return {"FocalMix": detector(0.4), "supervised": detector(0.0)}
