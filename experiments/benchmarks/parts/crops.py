"""Crops a second out of the crop cache, as training reads them.

Bare windows, and whole patches (drawn, flipped, with boxes) as grain's threads hand them to training. The scans were
just written, so the disk takes no part, as where they fit in memory.
"""

import concurrent.futures
import functools
import tempfile
from pathlib import Path

import numpy as np

from experiments.benchmarks.bench import Bench, Measurement
from medssl_jax.data.scans.crop_cache import CropCache, build_crop_cache
from medssl_jax.data.scans.patches import PatchSettings, cut_window
from medssl_jax.data.scans.pipeline import patch_batches
from medssl_jax.data.scans.preparation import PreparedScan
from medssl_jax.data.scans.scan_metadata import ScanMetadata
from medssl_jax.imaging.geometry import Grid

SMALLEST = {"side": 16, "crops": 16, "scans": 2, "scan_size": (40, 48, 56)}
BATCH = 8


def measure(
    bench: Bench,
    *,
    side: int = 96,
    crops: int = 400,
    scans: int = 8,
    scan_size: tuple[int, ...] = (300, 360, 360),
) -> list[Measurement]:
    """Writes a cache and reads it in both ways, with one thread and with as many as there are processors."""
    z, y, x = scan_size
    with tempfile.TemporaryDirectory() as folder:
        cache = build_crop_cache(RandomScans(scans, (z, y, x)), Path(folder), fingerprint="", mask_lungs=False)
        for uid in cache.metadata:
            cache.scan(uid).hu_zyx.sum()
        measured = []
        for name, read in (("windows", _windows), ("patches", _patches)):
            for threads in sorted({1, bench.threads}):
                run = functools.partial(read, cache, threads, side, crops)
                found = bench.alone(f"{crops} {name} of {side}^3, threads: {threads}", run)
                measured.append(found.noting(**{"crops/s": crops / found.median.wall}))
        return measured


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


def _windows(cache: CropCache, threads: int, side: int, crops: int) -> int:
    uids = list(cache.metadata)

    def cut(number: int) -> int:
        rng = np.random.default_rng(number)
        scan = cache.scan(uids[number % len(uids)])
        start = rng.integers(0, np.maximum(1, np.array(scan.hu_zyx.shape) - side))
        return cut_window(scan.hu_zyx, start, side).nbytes

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(cut, range(crops)))


def _patches(cache: CropCache, threads: int, side: int, crops: int) -> int:
    """The window that is read is as large as the strongest shrinking asks for: here none, to read the same crops."""
    import grain

    settings = PatchSettings(
        side=side,
        labelled_batch=BATCH,
        unlabelled_batch=0,
        max_objects=8,
        unlabelled_nodule_share=0.0,
        nodule_share=0.7,
        jitter=min(24, side // 2),
        scale_range=(1.0, 1.0),
        symmetry_group="flips",
        loader_threads=threads,
    )
    batches = patch_batches(cache, list(cache.metadata), (), settings=settings, seed=0)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    iterator = iter(batches.to_iter_dataset(options))
    return sum(next(iterator)["labelled"]["window_hu"].nbytes for _ in range(-(-crops // BATCH)))
