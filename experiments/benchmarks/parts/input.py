"""The input pipeline: its batches alone, and the share of training that is spent waiting for them.

Scans of noise, just written, so the disk takes no part.
"""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp

from experiments.benchmarks.bench import Bench, Measurement
from experiments.benchmarks.parts.crops import RandomScans
from experiments.benchmarks.training import DEFAULT_CONFIG, SMALL_CONFIG, going_on, noise_batch, settings_at
from experiments.runs.focalmix.focalmix_job import jitted_step
from medssl_jax.data.scans.crop_cache import build_crop_cache
from medssl_jax.data.scans.pipeline import patch_batches
from medssl_jax.train.trainer import Batches

SMALLEST = {"config": SMALL_CONFIG, "side": 32, "steps": 2, "scans": 2, "scan_size": (40, 48, 56)}


def measure(
    bench: Bench,
    *,
    config: str = DEFAULT_CONFIG,
    side: int = 64,
    steps: int = 8,
    scans: int = 8,
    scan_size: tuple[int, ...] = (200, 300, 300),
) -> list[Measurement]:
    """Of one labelled and one unlabelled patch a batch, with the threads of the config."""
    settings = settings_at(config, side, unlabelled=1)
    z, y, x = scan_size
    with tempfile.TemporaryDirectory() as folder:
        cache = build_crop_cache(RandomScans(scans, (z, y, x)), Path(folder), fingerprint="", mask_lungs=False)
        for uid in cache.metadata:
            cache.scan(uid).hu_zyx.sum()
        uids, threads = list(cache.metadata), settings.patches.loader_threads
        rows = patch_batches(cache, uids, uids, settings=settings.patches, seed=0)
        batches = iter(Batches(rows, lambda _: {}, threads=threads, fetched_ahead=2 * threads))
        alone = bench.alone(f"a batch of 1 + 1 x {side}^3, threads: {threads}", lambda: next(batches))

        step = jitted_step(settings)
        state = settings.fresh_state()
        going_on(step, jax.tree.map(jnp.copy, state), noise_batch(settings))()  # compiles
        waited, begin = 0.0, bench.clock().wall
        for _ in range(steps):
            asked = bench.clock().wall
            batch = next(batches)
            waited += bench.clock().wall - asked
            state, _ = step(state, batch)
            jax.block_until_ready(state)
        whole = bench.clock().wall - begin
    return [alone, Measurement(f"{steps} steps", notes={"% waited for batches": 100 * waited / whole})]
