"""Crops a second out of the crop cache, as training reads them.

    python -m experiments.benchmark crops

One row a way of reading, all in one run: bare windows, and whole patches (drawn, flipped, with boxes) as grain's
threads hand them to training. The scans were just written, so the disk takes no part, as where they fit in memory.
"""

import concurrent.futures
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from experiments.benchmarks._measured import machine
from medssl_jax.data.crop_cache import CropCache, build_crop_cache
from medssl_jax.data.patches import PatchSettings, cut_window
from medssl_jax.data.pipeline import patch_batches
from medssl_jax.data.preparation import PreparedScan
from medssl_jax.data.scan_metadata import ScanMetadata
from medssl_jax.imaging.geometry import Grid

SIDE = flags.DEFINE_integer("side", 96, "Voxels a side of a crop.", lower_bound=8)
CROPS = flags.DEFINE_integer("crops", 1000, "Crops of each row.", lower_bound=1)
SCANS = flags.DEFINE_integer("scans", 8, "Scans in the cache, 3 bytes a voxel.", lower_bound=2)
SCAN_SIZE = flags.DEFINE_list("scan_size", ["300", "360", "360"], "z, y, x of a scan; LUNA16's are about so large.")
DIRECTORY = flags.DEFINE_string("directory", None, "Where the cache is written and removed; by default the system's.")
THREADS = (1, 2)
BATCH = 8


class RandomScans:
    """Scans of noise: what a crop costs does not depend on what it shows."""

    def __init__(self, count: int, size_zyx: tuple[int, int, int]):
        self._grid = Grid(size_zyx, (1.0, 1.0, 1.0))
        self.metadata = {f"scan{number}": ScanMetadata(0, "", True, size_zyx) for number in range(count)}

    def __getitem__(self, number: int) -> PreparedScan:
        size = self._grid.size_zyx
        rng = np.random.default_rng(number)
        lungs = np.zeros(size, np.uint8)
        lungs[tuple(slice(side // 4, -side // 4) for side in size)] = 1
        boxes = np.hstack([rng.uniform(0.3, 0.7, (3, 3)) * size, np.full((3, 3), 9)]).astype(np.float32)
        hu = rng.integers(-1200, 600, size, np.int16)
        return PreparedScan(f"scan{number}", 0, hu, lungs, boxes, self._grid, (1.0, 1.0, 1.0))


def main(_: Sequence[str]) -> None:
    """Writes a cache, reads it in each way, prints a line for each."""
    z, y, x = (int(side) for side in SCAN_SIZE.value)
    with tempfile.TemporaryDirectory(dir=DIRECTORY.value) as folder:
        cache = build_crop_cache(
            RandomScans(SCANS.value, (z, y, x)), Path(folder), fingerprint="", mask_lungs=False, say=print
        )
        for uid in cache.metadata:
            cache.scan(uid).hu_zyx.sum()
        print(f"{CROPS.value} crops of {SIDE.value}^3 int16, {machine()}")
        print(f"{'':<10} {'threads':>8} {'crops/s':>9} {'MB/s':>8}")
        for name, read in (("windows", _windows), ("patches", _patches)):
            for threads in THREADS:
                begin = time.perf_counter()
                volume = read(cache, threads)
                seconds = time.perf_counter() - begin
                print(f"{name:<10} {threads:8} {CROPS.value / seconds:9.0f} {volume / seconds / 1e6:8.0f}", flush=True)


def _windows(cache: CropCache, threads: int) -> int:
    uids = list(cache.metadata)

    def cut(number: int) -> int:
        rng = np.random.default_rng(number)
        scan = cache.scan(uids[number % len(uids)])
        start = rng.integers(0, np.maximum(1, np.array(scan.hu_zyx.shape) - SIDE.value))
        return cut_window(scan.hu_zyx, start, SIDE.value).nbytes

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(cut, range(CROPS.value)))


def _patches(cache: CropCache, threads: int) -> int:
    """The window that is read is as large as the strongest shrinking asks for: here none, to read the same crops."""
    import grain

    settings = PatchSettings(
        side=SIDE.value,
        labelled_batch=BATCH,
        unlabelled_batch=0,
        max_objects=8,
        nodule_share=0.7,
        jitter=min(24, SIDE.value // 2),
        scale_range=(1.0, 1.0),
        symmetry_group="flips",
        loader_threads=threads,
    )
    batches = patch_batches(cache, list(cache.metadata), (), settings=settings, seed=0)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    iterator = iter(batches.to_iter_dataset(options))
    return sum(next(iterator)["labelled"]["window_hu"].nbytes for _ in range(-(-CROPS.value // BATCH)))
