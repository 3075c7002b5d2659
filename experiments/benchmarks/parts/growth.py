"""Cost as work grows, in scans, voxels and pixels: a curve for each, its exponent, and all of them in a picture.

The exponent is the slope of a line through the processor's seconds where both axes are logarithmic: 1 is linear. The
largest slide takes 2 GB of disk.
"""

import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from experiments.benchmarks.bench import Bench, Cost, Measurement
from experiments.benchmarks.growth_figure import Curve, draw_growth
from experiments.benchmarks.parts import index, network, read_slide, score
from experiments.benchmarks.parts.crops import RandomScans
from experiments.benchmarks.training import DEFAULT_CONFIG, SMALL_CONFIG, noise_patches, settings_at
from medssl_jax.core.names import file_name
from medssl_jax.data.scans.crop_cache import build_crop_cache
from medssl_jax.report.figure_style import write_figure

SMALLEST = {
    **{"scans": (2, 4), "bootstraps": 3, "slices": 6, "config": SMALL_CONFIG, "sides": (16, 32)},
    **{"grids": (1, 2), "patch_side": 64, "plot": ""},
}
SHRINK = 8
LARGEST_SCAN = (300, 360, 360)


def measure(
    bench: Bench,
    *,
    scans: tuple[int, ...] = (100, 1000, 10000),
    bootstraps: int = 100,
    slices: int = 6,
    config: str = DEFAULT_CONFIG,
    sides: tuple[int, ...] = (64, 96, 128, 160),
    grids: tuple[int, ...] = (8, 16, 24, 40),
    patch_side: int = 1000,
    plot: str = "growth.png",
) -> list[Measurement]:
    """The costs of each curve from its smallest size to its largest; `plot` is the PNG, none where it is empty."""
    forward = functools.partial(_forward, bench, config)
    read = functools.partial(_read_slide, bench, patch_side)
    curves = [
        _curve("score", "scans", scans, scans, functools.partial(_score, bench, 1)),
        _curve(f"{bootstraps} bootstraps", "scans", scans, scans, functools.partial(_score, bench, bootstraps)),
        _curve("opening the cache", "scans", scans, scans, functools.partial(_open_cache, bench)),
        _curve("indexing headers", "scans", scans, scans, functools.partial(_index, bench, slices)),
        _curve("forward pass", "voxels", sides, [side**3 for side in sides], forward),
        _curve("reading a slide", "pixels", grids, [(grid * patch_side) ** 2 for grid in grids], read),
    ]
    if plot:
        write_figure(plot, draw_growth(curves))
    return [row for curve in curves for row in _rows(curve)]


def _curve(
    work: str, unit: str, sizes: Sequence[int], amounts: Sequence[int], cost_of: Callable[[int], Sequence[Cost]]
) -> Curve:
    return Curve(work, unit, tuple(amounts), tuple(tuple(cost_of(size)) for size in sizes))


def _rows(curve: Curve) -> list[Measurement]:
    rows = [
        Measurement(f"{curve.work}, {amount} {curve.unit}", costs)
        for amount, costs in zip(curve.amounts, curve.costs, strict=True)
    ]
    return [*rows[:-1], rows[-1].noting(exponent=curve.exponent)]


def _score(bench: Bench, bootstraps: int, scans: int) -> Sequence[Cost]:
    run = functools.partial(score.score_resampled, *score.random_marks(scans, scans, 100), bootstraps)
    return bench.alone("", run).costs


def _open_cache(bench: Bench, scans: int) -> Sequence[Cost]:
    """Of scans that are unpacked already."""
    source = RandomScans(scans, LARGEST_SCAN)
    with tempfile.TemporaryDirectory() as folder:
        build = functools.partial(build_crop_cache, source, Path(folder), fingerprint="", mask_lungs=False)
        (directory,) = build(wanted=()).metadata_of
        for series_uid in source.metadata:
            (directory / file_name(series_uid)).mkdir(parents=True)
        return bench.alone("", build).costs


def _index(bench: Bench, slices: int, scans: int) -> Sequence[Cost]:
    """Of a folder that was never looked at."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "NLST"
        for number in range(scans):
            index.write_series(raw / f"{100000 + number}" / "study" / "series", number, slices)
        return bench.alone("", lambda: index.index_all(raw, Path(tempfile.mkdtemp(dir=folder)), workers=1)).costs


def _forward(bench: Bench, config: str, side: int) -> Sequence[Cost]:
    detector = settings_at(config, side).detector()
    params = jax.jit(detector.init)(jax.random.key(0))
    return bench.alone("", network.forward(detector.predict, params, noise_patches(side, 1))).costs


def _read_slide(bench: Bench, patch_side: int, grid: int) -> Sequence[Cost]:
    """Of strips compressed by LZW, in one pass."""
    layout = read_slide.SlideLayout(grid, patch_side, SHRINK)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        read_slide.write_slide(path, layout.side, read_slide.KINDS["LZW strips"])
        return bench.alone("", functools.partial(read_slide.one_pass, path, layout)).costs
