"""What tests of tables share: the result of a run that nobody made."""

import numpy as np
import pytest

from experiments.runs.focalmix.focalmix_table import Detections
from experiments.runs.table.table_results import Finished
from medssl_jax.metrics.nodules.matching import Outcome

ENVIRONMENT = {
    "code": {"commit": "0123456789abcdef", "is_clean": True, "why_no_commit": None, "sources_sha256": "0"},
    "devices": {"platform": "cpu", "kind": "a processor", "count": 1, "threads": 2},
    "versions": {"jax": "1"},
    "xla_flags": "--of=/home/somebody",
}


@pytest.fixture
def finished():
    """Makes what a config's run comes to: FocalMix finds more nodules than supervised training, seeds differ."""

    def make(config, *, scans=("1.2.3", "1.2.4", "1.2.5"), seconds=36.0, is_luna16=False, **code):
        rng = np.random.default_rng(config.seed)
        nodules = 20
        found = nodules // 2 + int(rng.integers(3)) + 6 * (config.patches.unlabelled_batch > 0)
        entries = found + 5
        falling = -np.sort(-rng.random(entries).astype(np.float32)).astype(np.float64)
        outcome = Outcome(
            series_uids=tuple(scans),
            nodules_per_scan=np.array([nodules, *[0] * (len(scans) - 1)]),
            entry_scan=rng.integers(0, len(scans), entries),
            entry_is_hit=np.arange(entries) < found,
            entry_score=falling,
            candidates_after_cap=entries,
            ignored_on_excluded=2,
            ignored_double_detections=1,
        )
        return Finished(
            scored=Detections(outcome, (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), is_luna16=is_luna16),
            split={"labelled": config.split.labelled, "data_fingerprint": "f"},
            environments=(ENVIRONMENT | {"code": ENVIRONMENT["code"] | code},),
            seconds=seconds,
        )

    return make
