"""The crop cache of two scans: bytes and shapes of all its files, which have checksums."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from medssl_jax.data.scans.crop_cache import build_crop_cache
from medssl_jax.data.scans.preparation import PreparedScan
from medssl_jax.data.scans.scan_metadata import ScanMetadata
from medssl_jax.imaging.geometry import Grid
from tests.fuzz.damage import damage_json, damage_one_of
from tests.fuzz.oracle import SAME, Wrong, difference_between

VARIANTS = ("two scans",)
SIZES_ZYX = {"1.3.6.1": (9, 10, 12), "../1.3.6.2": (8, 8, 8)}


class Scans:
    """Two prepared scans of noise; one has no nodule, and an identifier that no file name may be."""

    @property
    def metadata(self) -> dict[str, ScanMetadata]:
        """What is known of each."""
        return {
            uid: ScanMetadata(place, f"P{place}", True, size) for place, (uid, size) in enumerate(SIZES_ZYX.items())
        }

    def __getitem__(self, index: int) -> PreparedScan:
        uid, size = list(SIZES_ZYX.items())[index]
        rng = np.random.default_rng(index)
        return PreparedScan(
            series_uid=uid,
            subset=index,
            hu=rng.integers(-1000, 500, size).astype(np.int16),
            lungs=rng.integers(0, 2, size, np.uint8),
            boxes_zyxdhw_voxel=np.arange(6 * (1 - index), dtype=np.float32).reshape(-1, 6) + 1,
            grid=Grid(size, (1.0, 1.0, 1.0)),
            source_spacing_zyx_mm=(2.5, 0.7, 0.7),
        )


def make(folder: Path, variant: str) -> None:
    """Unpacks both."""
    _opened(folder)


def mutate(folder: Path, variant: str, rng) -> str:
    """Bytes of a file, values of a JSON, or folders that are gone or changed places."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".lock" not in path.name]
    way = rng.choice(("bytes", "bytes", "bytes", "json", "folder"))
    if way == "bytes":
        return damage_one_of(files, rng)
    if way == "json":
        return damage_json(rng.choice([path for path in files if path.suffix == ".json"]), rng)
    one, other = rng.sample([path for path in sorted(folder.glob("*/*")) if path.is_dir()], 2)
    way = rng.choice(("gone", "exchanged", "a copy of the other"))
    if way != "exchanged":
        shutil.rmtree(one)
        if way == "a copy of the other":
            shutil.copytree(other, one)
    else:
        aside = one.with_name("aside")
        one.rename(aside)
        other.rename(one)
        aside.rename(other)
    return f"{one.name}: {way}"


def read(folder: Path):
    """Both scans and what is known of them, as a run opens them: what is gone is unpacked again."""
    cache = _opened(folder)
    scans = {uid: dataclasses.asdict(cache.scan(uid)) for uid in SIZES_ZYX}
    return {"metadata": cache.metadata, "scans": scans}


def judge(damaged: Path, valid: Path, reading) -> str:
    """Every file has a checksum: nothing but what was unpacked is right."""
    if difference := difference_between(reading, read(valid)):
        raise Wrong(f"not what was unpacked: {difference}")
    return SAME


def _opened(folder):
    return build_crop_cache(Scans(), folder, fingerprint="abc", mask_lungs=True)
