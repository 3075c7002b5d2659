"""Prepared scans as memory-mapped arrays, from which a crop costs milliseconds.

A crop out of a compressed record costs the whole record: 150 ms and more against 2 ms out of a memory map. So the
portable data set is unpacked once, here, into a folder named by its fingerprint. A scan is a folder of its own that
appears whole or not at all, with the SHA-256 of each of its files.

A process checks these when it opens a scan for the first time, so no damaged one is trained on. For that it reads all
of the scan: 0.15 s for 300 x 300 x 300 voxels, 0.65 s on a processor without SHA instructions. Every further opening
takes 0.4 ms.
"""

import dataclasses
import functools
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int16, UInt8

from medssl_jax.core.atomic import atomic_folder, writable_directory
from medssl_jax.core.checksums import SUMS_FILE, check_sums, sums_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.locks import exclusive
from medssl_jax.core.names import file_name
from medssl_jax.core.progress import Progress, silent
from medssl_jax.core.worker_pool import results_as_completed
from medssl_jax.data.scans.preparation import PreparedScan
from medssl_jax.data.scans.scan_metadata import ScanMetadata
from medssl_jax.imaging.geometry import Grid

# What fills the space outside the lungs: 170 / 255 of the way from -1200 to 600 HU, as LUNA16 code has it.
OUTSIDE_HU = 0
# A lattice finer than this would only hold more places, none that a jittered crop could tell apart.
PLACE_LATTICE_VOXEL = 4
SCAN_FILES = ("scan.json", "hu.int16", "lungs.uint8", "places.int16")

# What a voxel takes: HU as int16 and the lungs as uint8; the rest of a scan is next to nothing.
BYTES_PER_VOXEL = 3


@runtime_checkable
class Scans(Protocol):
    """Prepared scans by number, and what is known of each without its voxels, in the same order."""

    @property
    def metadata(self) -> Mapping[str, ScanMetadata]: ...  # noqa: D102
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
    """The scans of one data set or of several: by the folder that each is unpacked in, what is known of its scans.

    Raises `InputError` where two hold the same series.
    """

    def __init__(self, metadata_of: Mapping[Path, Mapping[str, ScanMetadata]]):
        self.metadata_of = metadata_of
        self.metadata: dict[str, ScanMetadata] = {}
        self._directory_of: dict[str, Path] = {}
        self._checked: set[str] = set()
        for directory, metadata in metadata_of.items():
            for series_uid in metadata:
                if series_uid in self.metadata:
                    raise InputError(
                        f"{series_uid}: is in {self._directory_of[series_uid]} and in {directory}, expected each "
                        "series in one data set: take it out of one and prepare that one again"
                    )
                self._directory_of[series_uid] = directory
            self.metadata |= metadata

    @property
    def fingerprint(self) -> str:
        """Names these data sets and how they were cached."""
        return "+".join(directory.name for directory in self.metadata_of)

    # Each open scan holds two file descriptors; systems allow a process about a thousand.
    @functools.lru_cache(maxsize=128)  # noqa: B019 - a cache lives as long as the process
    def scan(self, series_uid: str) -> CachedScan:
        """Opens one scan; its volume stays on disk. Raises `InputError` where it is damaged or that of another."""
        directory = self._directory_of[series_uid]
        folder = directory / file_name(series_uid)
        remedy = f"remove {folder} and start again: the scan is unpacked anew"
        if series_uid not in self._checked:
            check_sums(folder, SCAN_FILES, remedy)
        header = json.loads((folder / "scan.json").read_text())
        found, expected = (header["series_uid"], header["cache"]), (series_uid, directory.name)
        if found != expected:
            raise InputError(f"{folder}: holds scan {found[0]} of cache {found[1]}, expected {series_uid}: {remedy}")
        self._checked.add(series_uid)
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
    name = hashlib.sha256(f"{fingerprint} mask_lungs={mask_lungs} layout=4".encode()).hexdigest()[:16]
    directory = Path(cache_dir) / name
    chosen = [number for number, uid in enumerate(scans.metadata) if wanted is None or uid in wanted]
    uids = list(scans.metadata)

    def missing() -> list[int]:
        return [number for number in chosen if not (directory / file_name(uids[number])).exists()]

    if missing():
        with exclusive(writable_directory(directory), "unpacking into"):
            numbers = missing()  # another process may have unpacked some meanwhile
            _check_room(directory, [scans.metadata[uids[number]].size_zyx for number in numbers], say)
            unpack = functools.partial(_unpack, scans, directory, mask_lungs)
            for _ in progress(results_as_completed(unpack, numbers, workers=workers), total=len(numbers)):
                pass
    return CropCache({directory: scans.metadata})


def _check_room(directory: Path, sizes_zyx: Sequence[tuple[int, int, int]], say: Callable[[str], None] | None) -> None:
    needed = sum(map(math.prod, sizes_zyx)) * BYTES_PER_VOXEL
    free = shutil.disk_usage(directory).free
    if say and sizes_zyx:
        say(f"{directory}: {len(sizes_zyx)} scans to unpack, {needed / 1e9:.2f} GB; {free / 1e9:.2f} GB are free")
    if free < needed:
        raise InputError(
            f"{directory}: {free / 1e9:.2f} GB free, the crops of {len(sizes_zyx)} scans need {needed / 1e9:.2f} GB: "
            "make room or choose another cache_dir"
        )


def _unpack(scans: Scans, directory: Path, mask_lungs: bool, number: int) -> None:
    _write_scan(scans[number], directory, mask_lungs)


def masked_hu(scan: PreparedScan) -> Int16[np.ndarray, "z y x"]:
    """The voxels of a scan with everything outside the dilated lungs at `OUTSIDE_HU`."""
    return np.where(scan.lungs > 0, scan.hu, np.int16(OUTSIDE_HU))


def _write_scan(scan: PreparedScan, directory: Path, mask_lungs: bool) -> None:
    places = PLACE_LATTICE_VOXEL * np.argwhere(scan.lungs[(slice(None, None, PLACE_LATTICE_VOXEL),) * 3])
    header = {
        "series_uid": scan.series_uid,
        "cache": directory.name,
        "subset": scan.subset,
        "grid": dataclasses.asdict(scan.grid),
        "boxes_zyxdhw_voxel": scan.boxes_zyxdhw_voxel.tolist(),
    }
    with atomic_folder(directory / file_name(scan.series_uid)) as partial:
        (masked_hu(scan) if mask_lungs else scan.hu).tofile(partial / "hu.int16")
        scan.lungs.tofile(partial / "lungs.uint8")
        places.astype(np.int16).tofile(partial / "places.int16")
        (partial / "scan.json").write_text(json.dumps(header))
        (partial / SUMS_FILE).write_text(sums_text(partial, SCAN_FILES))
