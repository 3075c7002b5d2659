"""What LUNA16 looks like on disk: which files make a scan, and whether they are all there."""

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float

from medssl_jax.errors import InputError
from medssl_jax.metaimage import check_metaimage
from medssl_jax.metrics.luna16_files import Findings, read_annotations, read_series_uids

SUBSETS = tuple(range(10))
LUNGS_FOLDER = "seg-lungs-LUNA16"
CSV_FOLDERS = (".", "CSVFILES", "evaluationScript/annotations")
SAMPLE_BYTES = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class ScanFiles:
    """Where one scan and its lung mask lie, and its nodules."""

    series_uid: str
    subset: int
    scan_path: Path
    lungs_path: Path
    data_paths: tuple[Path, Path]
    centres_xyz_mm: Float[np.ndarray, "n 3"]
    diameters_mm: Float[np.ndarray, " n"]


def find_scans(folder: Path) -> tuple[ScanFiles, ...]:
    """All scans listed in `seriesuids.csv`, by subset, then by series UID.

    Raises:
      InputError: LUNA16 or a part of it is not in `folder`; a scan is listed and absent, or present and not listed; a
        mask is absent; a header is wrong or a data file truncated; an annotation belongs to no listed scan.
    """
    check_is_luna16(folder)
    list_path, annotations_path = _csv_path(folder, "seriesuids.csv"), _csv_path(folder, "annotations.csv")
    series_uids = read_series_uids(list_path)
    path_of = _scan_paths(folder)
    for series_uid in series_uids:
        if series_uid not in path_of:
            raise InputError(
                f"{list_path}: lists {series_uid}, but no subset folder of {folder} holds {series_uid}.mhd: "
                "unzip its subset again"
            )
    listed = set(series_uids)
    for series_uid, path in path_of.items():
        if series_uid not in listed:
            raise InputError(f"{path}: this scan is not listed in {list_path}: add it there or take it away")
    annotations = read_annotations(annotations_path, known_series=listed)
    return tuple(
        sorted(
            (_scan_files(folder, path, annotations) for path in path_of.values()),
            key=lambda scan: (scan.subset, scan.series_uid),
        )
    )


def read_findings(folder: Path) -> tuple[Findings, Findings]:
    """LUNA16's nodules and the irrelevant findings that its score leaves out."""
    included, excluded = (_csv_path(folder, name) for name in ("annotations.csv", "annotations_excluded.csv"))
    return read_annotations(included), read_annotations(excluded)


def is_there(folder: Path) -> bool:
    """Whether `folder` has any of LUNA16's subset folders."""
    return any((folder / f"subset{number}").is_dir() for number in SUBSETS)


def check_is_luna16(folder: Path) -> None:
    """Raises `InputError` unless `folder` has LUNA16's subset folders and its masks."""
    if not is_there(folder):
        raise InputError(
            f"{folder}: LUNA16 is not here. Download it from luna16.grand-challenge.org (Zenodo records "
            f"'LUNA16 Part 1/2' and 'LUNA16 Part 2/2': subset0.zip to subset9.zip, {LUNGS_FOLDER}.zip, "
            f"annotations.csv, evaluationScript.zip), unzip it all into {folder}, so that {folder}/subset0 is there, "
            f"then run `python -m experiments.prepare --dataset=luna16 --manual_dir={folder} --data_dir=DIR`"
        )
    expected = [*(f"subset{number}" for number in SUBSETS), LUNGS_FOLDER]
    absent = [name for name in expected if not (folder / name).is_dir()]
    if absent:
        raise InputError(
            f"{folder}: {', '.join(absent)} not found, expected as folders: unzip LUNA16's files of that name"
        )


def describe(scans: tuple[ScanFiles, ...]) -> str:
    """A hash that changes with any scan, mask or annotation, and does not with where the folder lies.

    Of the voxels only their number of bytes and a sample from the middle count: reading all of LUNA16 takes an hour.
    """
    digest = hashlib.sha256()
    for scan in scans:
        digest.update(f"{scan.series_uid} {scan.subset}\n".encode())
        for path in (scan.scan_path, scan.lungs_path, *scan.data_paths):
            digest.update(_size_and_middle(path))
        digest.update(np.hstack([scan.centres_xyz_mm, scan.diameters_mm[:, None]]).astype("<f8").tobytes())
    return digest.hexdigest()


def _csv_path(folder, name):
    for place in CSV_FOLDERS:
        path = folder / place / name
        if path.is_file():
            return path
    raise InputError(
        f"{folder}: no {name}, expected here or in evaluationScript/annotations: unzip evaluationScript.zip"
    )


def _scan_paths(folder):
    path_of: dict[str, Path] = {}
    for subset in SUBSETS:
        for path in sorted((folder / f"subset{subset}").glob("*.mhd")):
            if path.stem in path_of:
                raise InputError(f"{path}: the same series is also {path_of[path.stem]}: remove one")
            path_of[path.stem] = path
    return path_of


def _scan_files(folder, scan_path, annotations):
    series_uid = scan_path.stem
    lungs_path = folder / LUNGS_FOLDER / scan_path.name
    if not lungs_path.is_file():
        raise InputError(
            f"{lungs_path}: no such file, expected the lung mask of {scan_path}: unzip {LUNGS_FOLDER}.zip again"
        )
    nodules = annotations.of_series({series_uid})
    return ScanFiles(
        series_uid=series_uid,
        subset=int(scan_path.parent.name.removeprefix("subset")),
        scan_path=scan_path,
        lungs_path=lungs_path,
        data_paths=(check_metaimage(scan_path).path, check_metaimage(lungs_path).path),
        centres_xyz_mm=nodules.centre_xyz_mm,
        diameters_mm=nodules.diameter_mm,
    )


def _size_and_middle(path):
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - SAMPLE_BYTES) // 2)
        return size.to_bytes(8, "little") + file.read(SAMPLE_BYTES)
