"""Scoring a submission of LUNA16's size, with and without intervals, beside a plain walk through its marks.

Marks and nodules lie at random: what counts here is how many there are. The walk is LUNA16's procedure in loops, and
goes through a resample's scans one by one.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from experiments.benchmarks.bench import Bench, Measurement
from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.bootstrap import draw_counts
from medssl_jax.metrics.nodules.froc import FPS_PER_SCAN, score

SMALLEST = {"scans": 20, "nodules": 30, "marks": 10, "bootstraps": 3, "walked": 2}
Entry = tuple[float, bool]  # the score of a nodule that was found or of a false positive, and which it is


def measure(
    bench: Bench, *, scans: int = 888, nodules: int = 1186, marks: int = 100, bootstraps: int = 1000, walked: int = 20
) -> list[Measurement]:
    """Scores once, with as many resamples as the walk is patient for, and with all."""
    found, annotations, series_uids = random_marks(scans, nodules, marks)

    def ours(resamples: int) -> Callable[[], float]:
        return lambda: score_resampled(found, annotations, series_uids, resamples)

    def walk(resamples: int) -> Callable[[], float]:
        return lambda: plain_walk(found, annotations, series_uids, resamples)

    work = f"{scans * marks} marks in {scans} scans, {{}} bootstraps"
    return [
        bench.pair(work.format(1), ours(1), "plain walk", walk(1), difference=abs(ours(1)() - walk(1)())),
        bench.pair(work.format(walked), ours(walked), "plain walk", walk(walked)),
        bench.alone(work.format(bootstraps), ours(bootstraps)),
    ]


def random_marks(scans: int, nodules: int, marks: int) -> tuple[Marks, Findings, tuple[str, ...]]:
    """So many marks in each scan, the nodules of all scans, and the scans."""
    rng = np.random.default_rng(0)
    series_uids = tuple(f"scan{place}" for place in range(scans))
    centres, diameter_mm = rng.uniform(-99, 99, (nodules, 3)), 40.0  # so large that many are hit
    annotations = Findings(tuple(rng.choice(series_uids, nodules).tolist()), centres, np.full(nodules, diameter_mm))
    count = scans * marks
    found = Marks(
        tuple(np.repeat(series_uids, marks).tolist()), rng.uniform(-99, 99, (count, 3)), rng.uniform(size=count)
    )
    return found, annotations, series_uids


def score_resampled(marks: Marks, annotations: Findings, series_uids: Sequence[str], resamples: int) -> float:
    """The CPM by our score, with its intervals from so many resamples."""
    return score(marks, annotations, None, series_uids, bootstraps=resamples).cpm


def plain_walk(marks: Marks, annotations: Findings, series_uids: Sequence[str], resamples: int) -> float:
    """CPM, and on the way the CPM of each resample of the scans, mark by mark and scan by scan."""
    marks_of, nodules_of = defaultdict(list), defaultdict(list)
    for uid, place, mark_score in zip(
        marks.series_uid, marks.centre_xyz_mm.tolist(), marks.score.tolist(), strict=True
    ):
        marks_of[uid].append((mark_score, place))
    for uid, place, diameter in zip(
        annotations.series_uid, annotations.centre_xyz_mm.tolist(), annotations.diameter_mm.tolist(), strict=True
    ):
        nodules_of[uid].append((place, diameter))
    entries_of = {uid: _entries(marks_of[uid], nodules_of[uid]) for uid in series_uids}
    counts = [len(nodules_of[uid]) for uid in series_uids]
    for drawn in draw_counts(np.array(counts), resamples, 0):
        scans = [entries_of[uid] for uid, times in zip(series_uids, drawn, strict=True) for _ in range(times)]
        _cpm(scans, drawn @ counts)
    return _cpm(list(entries_of.values()), sum(counts))


def _entries(marks: list[tuple[float, list[float]]], nodules: list[tuple[list[float], float]]) -> list[Entry]:
    left = list(range(len(marks)))
    entries = []
    for place, diameter in nodules:
        hits = [
            number
            for number, (_, mark) in enumerate(marks)
            if sum((a - b) ** 2 for a, b in zip(place, mark, strict=True)) < (diameter / 2) ** 2
        ]
        if hits:
            entries.append((max(marks[number][0] for number in hits), True))
        left = [number for number in left if number not in hits]
    return entries + [(marks[number][0], False) for number in left]


def _cpm(scans: list[list[Entry]], nodules: int) -> float:
    """The mean sensitivity at LUNA16's seven rates of false positives."""
    is_hit = np.array([hit for _, hit in sorted((entry for entries in scans for entry in entries), reverse=True)])
    found, false = (np.append(0, np.cumsum(each)) for each in (is_hit, ~is_hit))
    return float(np.interp(np.multiply(FPS_PER_SCAN, len(scans)), false, found).mean()) / nodules
