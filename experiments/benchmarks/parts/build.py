"""Building a data set from its files: synthetic chests through LUNA16's own builder.

The phantom is written first and not counted. Chests of LUNA16's size: --build.scans=8 --build.chest_mm=250,300,360.
"""

import itertools
import tempfile
from pathlib import Path

from data_builders.scan_source import open_scans, prepare_scans
from experiments.benchmarks.bench import Bench, Measurement
from medssl_jax.core.progress import silent
from medssl_jax.phantoms.luna16 import Luna16Phantom, write_luna16_phantom

SMALLEST = {"scans": 2, "chest_mm": (64.0, 64.0, 64.0)}


def measure(bench: Bench, *, scans: int = 24, chest_mm: tuple[float, ...] = (80.0, 112.0, 128.0)) -> list[Measurement]:
    """Builds the same data set with one worker, and where there are processors for more, with as many beside it."""
    z, y, x = chest_mm
    with tempfile.TemporaryDirectory() as folder:
        raw, numbers = Path(folder) / "raw", itertools.count()
        spec = Luna16Phantom(seed=0, scans=scans, chest_zyx_mm=(z, y, x))
        write_luna16_phantom(spec, raw, workers=bench.threads, progress=silent)
        read_mb = _megabytes(raw)

        def build(workers: int) -> Path:
            built = Path(folder) / f"built{next(numbers)}"
            prepare_scans("luna16", raw, built, workers=workers, progress=silent)
            assert len(open_scans("luna16", built)) == scans
            return built

        built_mb = _megabytes(build(1))
        work = f"{scans} scans, {read_mb:.0f} MB"
        if bench.threads == 1:
            found = bench.alone(work, lambda: build(1))
        else:
            workers = f"workers: {bench.threads}"
            found = bench.pair(f"{work}, {workers}", lambda: build(bench.threads), "workers: 1", lambda: build(1))
        return [found.noting(**{"scans/s": scans / found.median.wall, "built MB": built_mb})]


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
