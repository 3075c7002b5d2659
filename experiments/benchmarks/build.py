"""Scans a second of building a data set, with one worker and with two.

    python -m experiments.benchmark build                                    # small synthetic chests
    python -m experiments.benchmark build --scans=8 --chest_mm=250,300,360   # of LUNA16's size

Synthetic LUNA16 through its own builder; the phantom is written first and not counted.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from data_builders.scan_source import open_scans, prepare_scans
from experiments.benchmarks._measured import machine
from medssl_jax.core.progress import progress_bar, silent
from medssl_jax.phantoms.luna16 import Luna16Phantom, write_luna16_phantom

SCANS = flags.DEFINE_integer("scans", 24, "Scans.", lower_bound=1)
CHEST = flags.DEFINE_list("chest_mm", ["80", "112", "128"], "Sides of a chest, z, y, x.")
DIRECTORY = flags.DEFINE_string("directory", None, "Where all is written and removed; by default the system's.")
WORKERS = (1, 2)


def main(_: Sequence[str]) -> None:
    """Builds the same data set with each number of workers, prints a line for each."""
    spec = Luna16Phantom(seed=0, scans=SCANS.value, chest_zyx_mm=tuple(float(side) for side in CHEST.value))
    with tempfile.TemporaryDirectory(dir=DIRECTORY.value) as folder:
        raw = Path(folder) / "raw"
        write_luna16_phantom(spec, raw, workers=os.cpu_count() or 1, progress=progress_bar("phantom", "scans"))
        read_mb = sum(path.stat().st_size for path in raw.rglob("*") if path.is_file()) / 1e6
        print(f"{SCANS.value} scans, {read_mb:.0f} MB of files, {machine()}")
        print(f"{'workers':>8} {'scans/s':>9} {'MB/s':>8} {'built MB':>9}")
        for workers in WORKERS:
            data_dir = Path(folder) / f"built{workers}"
            begin = time.perf_counter()
            prepare_scans("luna16", raw, data_dir, workers=workers, progress=silent)
            seconds = time.perf_counter() - begin
            assert len(open_scans("luna16", data_dir)) == SCANS.value
            built_mb = sum(path.stat().st_size for path in data_dir.rglob("*") if path.is_file()) / 1e6
            print(f"{workers:8} {SCANS.value / seconds:9.2f} {read_mb / seconds:8.1f} {built_mb:9.0f}", flush=True)
