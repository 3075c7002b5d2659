"""Prepared scans as memory-mapped arrays, from which a crop costs milliseconds.

A crop out of a compressed record costs the whole record: 150 ms and more against 2 ms out of a memory map. So the
portable data set is unpacked once, here, into a folder named by its fingerprint. A scan is a folder of its own that
appears whole or not at all.
"""

import dataclasses
import functools
import hashlib
import json
import shutil
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int16, UInt8

from medssl_jax.atomic import atomic_path
from medssl_jax.data.preparation import PreparedScan
from medssl_jax.errors import InputError
from medssl_jax.geometry import Grid
from medssl_jax.progress import Progress, silent

# What fills the space outside the lungs: 170 / 255 of the way from -1200 to 600 HU, as LUNA16 code has it.
OUTSIDE_HU = 0
# A lattice finer than this would only hold more places, none that a jittered crop could tell apart.
PLACE_LATTICE_VOXEL = 4


@runtime_checkable
class ScanSource(Protocol):
    """Prepared scans by number: a list, or a data set on disk."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> PreparedScan: ...


@dataclasses.dataclass(frozen=True)
class CachedScan:
    """One scan at 1 mm; the arrays are memory maps where they are large.

    `hu_zyx` is int16, `OUTSIDE_HU` outside the dilated lungs if the cache is masked; `places_zyx` are voxels in the
    lungs, on a lattice of 4 voxels, round which crops may be drawn.
    """

    series_uid: str
    subset: int
    grid: Grid
    boxes_zyxdhw_voxel: Float[np.ndarray, "n 6"]
    hu_zyx: Int16[np.ndarray, "z y x"]
    lungs_zyx: UInt8[np.ndarray, "z y x"]
    places_zyx: Int16[np.ndarray, "places 3"]


class CropCache:
    """The scans of one data set, by series UID."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._index = json.loads((directory / "index.json").read_text())

    @property
    def fingerprint(self) -> str:
        """Names this data set and how it was cached."""
        return self.directory.name

    @property
    def subset_of(self) -> dict[str, int]:
        """The subset of each series."""
        return dict(self._index)

    # Each open scan holds two file descriptors; systems allow a process about a thousand.
    @functools.lru_cache(maxsize=128)  # noqa: B019 - a cache lives as long as the process
    def scan(self, series_uid: str) -> CachedScan:
        """Opens one scan; its volume stays on disk."""
        folder = self.directory / series_uid
        header = json.loads((folder / "scan.json").read_text())
        grid = Grid(**{name: tuple(value) for name, value in header["grid"].items()})
        # Bare numbers, not .npy: Python 3.11 parses the header of that wrongly when many threads do at once.
        return CachedScan(
            series_uid=series_uid,
            subset=header["subset"],
            grid=grid,
            boxes_zyxdhw_voxel=np.array(header["boxes_zyxdhw_voxel"], np.float32).reshape(-1, 6),
            hu_zyx=np.memmap(folder / "hu.int16", np.int16, "r", shape=grid.size_zyx),
            lungs_zyx=np.memmap(folder / "lungs.uint8", np.uint8, "r", shape=grid.size_zyx),
            places_zyx=np.fromfile(folder / "places.int16", np.int16).reshape(-1, 3),
        )


def build_crop_cache(
    scans: ScanSource, cache_dir: Path, *, fingerprint: str, mask_lungs: bool, progress: Progress = silent
) -> CropCache:
    """Unpacks `scans` under `cache_dir`, unless they are there already; what a killed run finished is kept.

    `progress` wraps the iteration over scan numbers. Raises `InputError` where the disk has no room.
    """
    name = hashlib.sha256(f"{fingerprint} mask_lungs={mask_lungs} layout=2".encode()).hexdigest()[:16]
    directory = Path(cache_dir) / name
    if not (directory / "index.json").exists():
        subsets = {}
        for number in progress(range(len(scans))):
            scan = scans[number]
            subsets[scan.series_uid] = scan.subset
            if not (directory / scan.series_uid).exists():
                _write_scan(scan, directory / scan.series_uid, mask_lungs)
        with atomic_path(directory / "index.json") as temporary:
            Path(temporary).write_text(json.dumps(subsets, indent=1))
    return CropCache(directory)


def masked_hu(scan: PreparedScan) -> Int16[np.ndarray, "z y x"]:
    """The voxels of a scan with everything outside the dilated lungs at `OUTSIDE_HU`."""
    return np.where(scan.lungs > 0, scan.hu, np.int16(OUTSIDE_HU))


def _write_scan(scan: PreparedScan, folder: Path, mask_lungs: bool) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    needed = scan.hu.nbytes + scan.lungs.nbytes
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        free = shutil.disk_usage(partial).free
        if free < 2 * needed:
            raise InputError(
                f"{folder.parent}: {free / 2**20:.0f} MB free, a scan needs {needed / 2**20:.0f}: make room"
            )
        places = PLACE_LATTICE_VOXEL * np.argwhere(scan.lungs[(slice(None, None, PLACE_LATTICE_VOXEL),) * 3])
        (masked_hu(scan) if mask_lungs else scan.hu).tofile(partial / "hu.int16")
        scan.lungs.tofile(partial / "lungs.uint8")
        places.astype(np.int16).tofile(partial / "places.int16")
        header = {
            "subset": scan.subset,
            "grid": dataclasses.asdict(scan.grid),
            "boxes_zyxdhw_voxel": scan.boxes_zyxdhw_voxel.tolist(),
        }
        (partial / "scan.json").write_text(json.dumps(header))
        partial.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror or error}): free or choose another cache_dir"
        ) from error
