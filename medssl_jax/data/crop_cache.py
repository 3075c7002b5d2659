"""Prepared scans as memory-mapped arrays, from which a crop costs milliseconds.

A crop out of a compressed record costs the whole record: 150 ms and more against 2 ms out of a memory map. So the
portable data set is unpacked once, here, into a folder named by its fingerprint. A scan is a folder of its own that
appears whole or not at all.
"""

import dataclasses
import functools
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int16, UInt8

from medssl_jax.atomic import atomic_folder, atomic_path, writable_directory
from medssl_jax.data.preparation import PreparedScan
from medssl_jax.data.scan_facts import ScanFacts
from medssl_jax.errors import InputError
from medssl_jax.geometry import Grid
from medssl_jax.locks import exclusive
from medssl_jax.processes import results_as_completed
from medssl_jax.progress import Progress, silent

# What fills the space outside the lungs: 170 / 255 of the way from -1200 to 600 HU, as LUNA16 code has it.
OUTSIDE_HU = 0
# A lattice finer than this would only hold more places, none that a jittered crop could tell apart.
PLACE_LATTICE_VOXEL = 4


# What a voxel takes: HU as int16 and the lungs as uint8; the rest of a scan is next to nothing.
BYTES_PER_VOXEL = 3


@runtime_checkable
class Scans(Protocol):
    """Prepared scans by number, and what is known of each without its voxels, in the same order."""

    @property
    def facts(self) -> Mapping[str, ScanFacts]: ...  # noqa: D102
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
    """The scans of one data set or of several, by series UID. Raises `InputError` where two hold the same series."""

    def __init__(self, *directories: Path):
        self.directories = directories
        self.facts: dict[str, ScanFacts] = {}
        self._directory_of: dict[str, Path] = {}
        for directory in directories:
            for series_uid, record in json.loads((directory / "index.json").read_text()).items():
                if series_uid in self.facts:
                    raise InputError(
                        f"{series_uid}: is in {self._directory_of[series_uid]} and in {directory}, expected each "
                        "series in one data set: take it out of one and prepare that one again"
                    )
                self.facts[series_uid] = ScanFacts.from_json(record)
                self._directory_of[series_uid] = directory

    @property
    def fingerprint(self) -> str:
        """Names these data sets and how they were cached."""
        return "+".join(directory.name for directory in self.directories)

    # Each open scan holds two file descriptors; systems allow a process about a thousand.
    @functools.lru_cache(maxsize=128)  # noqa: B019 - a cache lives as long as the process
    def scan(self, series_uid: str) -> CachedScan:
        """Opens one scan; its volume stays on disk."""
        folder = self._directory_of[series_uid] / series_uid
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
    scans: Scans,
    cache_dir: Path,
    *,
    fingerprint: str,
    mask_lungs: bool,
    wanted: Collection[str] | None = None,
    workers: int = 1,
    progress: Progress = silent,
    say: Callable[[str], None] | None = None,
) -> CropCache:
    """Unpacks those of `scans` that are `wanted` (None: all) under `cache_dir`, unless they are there.

    What is finished is kept. `scans` are picklable if `workers` > 1. `say` is told the size before anything is written.
    Raises `InputError` where the disk has no room for all of it.
    """
    name = hashlib.sha256(f"{fingerprint} mask_lungs={mask_lungs} layout=3".encode()).hexdigest()[:16]
    directory = Path(cache_dir) / name
    chosen = [number for number, uid in enumerate(scans.facts) if wanted is None or uid in wanted]
    uids = list(scans.facts)

    def missing():
        return [number for number in chosen if not (directory / uids[number]).exists()]

    if missing() or not (directory / "index.json").exists():
        with exclusive(writable_directory(directory), "unpacking into"):
            numbers = missing()  # another process may have unpacked some meanwhile
            _check_room(directory, [scans.facts[uids[number]].size_zyx for number in numbers], say)
            unpack = functools.partial(_unpack, scans, directory, mask_lungs)
            for _ in progress(results_as_completed(unpack, numbers, workers=workers), total=len(numbers)):
                pass
            with atomic_path(directory / "index.json") as temporary:
                temporary.write_text(json.dumps({uid: each.to_json() for uid, each in scans.facts.items()}, indent=1))
    return CropCache(directory)


def _check_room(directory, sizes_zyx, say):
    needed = sum(map(math.prod, sizes_zyx)) * BYTES_PER_VOXEL
    free = shutil.disk_usage(directory).free
    if say and sizes_zyx:
        say(f"{directory}: {len(sizes_zyx)} scans to unpack, {needed / 1e9:.2f} GB; {free / 1e9:.2f} GB are free")
    if free < needed:
        raise InputError(
            f"{directory}: {free / 1e9:.2f} GB free, the crops of {len(sizes_zyx)} scans need {needed / 1e9:.2f} GB: "
            "make room or choose another cache_dir"
        )


def _unpack(scans, directory, mask_lungs, number):
    scan = scans[number]
    _write_scan(scan, directory / scan.series_uid, mask_lungs)


def masked_hu(scan: PreparedScan) -> Int16[np.ndarray, "z y x"]:
    """The voxels of a scan with everything outside the dilated lungs at `OUTSIDE_HU`."""
    return np.where(scan.lungs > 0, scan.hu, np.int16(OUTSIDE_HU))


def _write_scan(scan: PreparedScan, folder: Path, mask_lungs: bool) -> None:
    places = PLACE_LATTICE_VOXEL * np.argwhere(scan.lungs[(slice(None, None, PLACE_LATTICE_VOXEL),) * 3])
    header = {
        "subset": scan.subset,
        "grid": dataclasses.asdict(scan.grid),
        "boxes_zyxdhw_voxel": scan.boxes_zyxdhw_voxel.tolist(),
    }
    with atomic_folder(folder) as partial:
        (masked_hu(scan) if mask_lungs else scan.hu).tofile(partial / "hu.int16")
        scan.lungs.tofile(partial / "lungs.uint8")
        places.astype(np.int16).tofile(partial / "places.int16")
        (partial / "scan.json").write_text(json.dumps(header))
