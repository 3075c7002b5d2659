"""Seconds to score a submission of LUNA16's size with its intervals.

    python -m experiments.benchmark bootstrap_froc       # 888 scans, 100 marks each, 1,000 bootstraps

Marks and nodules lie at random: what counts here is how many there are.
"""

import time
from collections.abc import Sequence

import numpy as np
from absl import flags

from experiments.benchmarks._measured import machine
from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.froc import score
from medssl_jax.report.text_table import text_table

SCANS = flags.DEFINE_integer("scans", 888, "Scans; LUNA16 has 888.")
NODULES = flags.DEFINE_integer("nodules", 1186, "Nodules; LUNA16 has 1,186.")
MARKS = flags.DEFINE_integer("marks", 100, "Marks a scan.")
BOOTSTRAPS = flags.DEFINE_integer("bootstraps", 1000, "Resamples of the scans.")


def main(_: Sequence[str]) -> None:
    """Scores once without resamples and once with them, prints both times."""
    rng = np.random.default_rng(0)
    series_uids = tuple(f"scan{place}" for place in range(SCANS.value))
    annotations = Findings(
        tuple(rng.choice(series_uids, NODULES.value).tolist()),
        rng.uniform(-99, 99, (NODULES.value, 3)),
        np.full(NODULES.value, 6.0),
    )
    count = SCANS.value * MARKS.value
    marks = Marks(
        tuple(np.repeat(series_uids, MARKS.value).tolist()),
        rng.uniform(-99, 99, (count, 3)),
        rng.uniform(size=count),
    )
    rows = [("bootstraps", "seconds")]
    for bootstraps in (1, BOOTSTRAPS.value):
        begin = time.perf_counter()
        score(marks, annotations, None, series_uids, bootstraps=bootstraps)
        rows.append((str(bootstraps), f"{time.perf_counter() - begin:.1f}"))
    print(f"{SCANS.value} scans, {count} marks, {NODULES.value} nodules; {machine()}")
    print(text_table(rows))
