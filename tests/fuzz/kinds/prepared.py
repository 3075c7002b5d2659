"""Prepared data sets, of scans and of slides: descriptions, features, records, and whole blocks of shards."""

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow_datasets  # noqa: F401 - imported once, or each input would wait for it
import tifffile

from data_builders.scan_source import open_scans, prepare_scans
from data_builders.slide_source import open_lks, prepare_lks
from medssl_jax.core.progress import silent
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.imaging.volumes import Volume, write_metaimage
from tests.fuzz.blocks import damage_blocks
from tests.fuzz.damage import damage_json, damage_one_of
from tests.fuzz.oracle import SAME, Wrong, difference_between

VARIANTS = ("scans", "slides", "large scans")
LAYOUT = SlideLayout(grid=2, patch_side=16, shrink=4)


def make(folder: Path, variant: str) -> None:
    """Prepares scans or slides of noise, beside the files that they are made from."""
    raw = folder / "raw"
    if "scans" in variant:
        _write_scans(raw, side=64 if variant == "large scans" else 9)
        prepare_scans("luna16", raw, folder / "scans", workers=1, progress=silent)
    else:
        _write_slides(raw)
        prepare_lks(raw, folder / "slides", LAYOUT)
    raw.rename(folder / "gone")


def _write_scans(folder, *, side):
    rng = np.random.default_rng(0)
    for number in range(10):
        (folder / f"subset{number}").mkdir(parents=True)
    (folder / "seg-lungs-LUNA16").mkdir()
    uids = [f"1.3.6.{number}" for number in range(3)]
    for number, uid in enumerate(uids):
        grid = Grid((side // 2 + 1, side, side + number), (2.0, 0.75, 0.75), (-100.0, 7.0, -300.0))
        hu = rng.integers(-1000, 500, grid.size_zyx).astype(np.int16)
        write_metaimage(folder / f"subset{number}" / f"{uid}.mhd", Volume(hu, grid, uid))
        lungs = rng.integers(3, 5, grid.size_zyx).astype(np.uint8)
        write_metaimage(folder / "seg-lungs-LUNA16" / f"{uid}.mhd", Volume(lungs, grid, uid), compress=True)
    rows = [("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"), (uids[0], -98.0, 9.0, -296.0, 4.5)]
    _write_table(folder / "annotations.csv", rows)
    _write_table(folder / "seriesuids.csv", [(uid,) for uid in uids])


def _write_slides(folder):
    rng = np.random.default_rng(0)
    for split in ("Train", "Test"):
        (folder / split).mkdir(parents=True)
        rows = [("Image", "Label")]
        for name in ("a.tif", "b.tif"):
            tifffile.imwrite(folder / split / name, rng.integers(0, 256, (LAYOUT.side, LAYOUT.side), np.uint8))
            rows.append((name, "AMA"))
        _write_table(folder / f"{split}_Labels.csv", rows)


def _write_table(path, rows):
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))


def mutate(folder: Path, variant: str, rng) -> str:
    """Bytes of a file, or a value of a JSON; of large scans whole blocks of their shards."""
    if variant == "large scans":
        return damage_blocks(rng.choice(sorted(folder.rglob("*.array_record-*"))), rng)
    files = [path for path in sorted((folder / variant).rglob("*")) if path.is_file() and "lock" not in path.name]
    if rng.random() < 0.6:
        return damage_one_of(files, rng)
    return damage_json(rng.choice([path for path in files if path.suffix == ".json"]), rng)


def read(folder: Path):
    """All that is prepared, as a run opens it where the files that it was made from are gone."""
    if (folder / "scans").exists():
        prepare_scans("luna16", folder / "raw", folder / "scans", workers=1, progress=silent)
        source = open_scans("luna16", folder / "scans")
        scans = [dataclasses.asdict(scan) for scan in source]
        return {
            "metadata": source.metadata,
            "fingerprint": source.fingerprint,
            "left out": source.left_out,
            "scans": scans,
        }
    prepare_lks(folder / "raw", folder / "slides", LAYOUT)
    source = open_lks(folder / "slides")
    images = []
    for number in range(len(source)):
        with source.slide(number) as slide:
            images.append([slide.low_resolution(), *slide.patches(range(LAYOUT.grid**2))])
    names = ("names", "splits", "labels", "foreground_counts", "layout", "background_threshold", "fingerprint")
    return {name: getattr(source, name) for name in names} | {"images": images}


def judge(damaged: Path, valid: Path, reading) -> str:
    """Every file has a checksum: nothing but what was prepared is right."""
    if difference := difference_between(reading, read(valid)):
        raise Wrong(f"not what was prepared: {difference}")
    return SAME
