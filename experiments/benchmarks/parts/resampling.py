"""Resampling a scan to 1 mm, beside MONAI's Spacing and PyTorch's interpolate (--peer)."""

import numpy as np

from experiments.benchmarks.bench import Bench, Measurement
from medssl_jax.imaging.geometry import Grid, isotropic_grid
from medssl_jax.imaging.resampling import resample_linear

SMALLEST = {"scan_size": (8, 24, 24)}


def measure(
    bench: Bench,
    *,
    scan_size: tuple[int, ...] = (120, 400, 400),
    spacing_mm: tuple[float, ...] = (2.5, 0.7, 0.7),
) -> list[Measurement]:
    """Linearly; interpolate knows no world, and its voxels lie half a voxel otherwise."""
    (depth, height, width), (z, y, x) = scan_size, spacing_mm
    grid = Grid((depth, height, width), (z, y, x))
    onto = isotropic_grid(grid, 1.0)
    hu = np.random.default_rng(0).integers(-1200, 600, scan_size, np.int16)
    work = f"{'x'.join(map(str, scan_size))} to {'x'.join(map(str, onto.size_zyx))}"

    def ours() -> None:
        resample_linear(hu, grid, onto)

    if not bench.peer:
        return [bench.alone(work, ours)]
    from experiments.benchmarks.peers import devices, resampling

    devices.use_threads(bench.threads)
    return [bench.pair(work, ours, name, devices.waiting(run)) for name, run in resampling.both(hu, grid, onto).items()]
