"""LUNA16's layout on disk: the files of each scan, none missing."""

import dataclasses
import hashlib
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path

import numpy as np

from medssl_jax.core.csv_files import check_new, read_table
from medssl_jax.core.errors import InputError
from medssl_jax.core.file_sample import size_and_samples
from medssl_jax.core.names import printable, some
from medssl_jax.data.scans.preparation import LUNA16_LUNG_LABELS
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.imaging.luna16_csv import Findings, read_annotations, read_excluded, read_series_uids
from medssl_jax.imaging.patients import patient_key
from medssl_jax.imaging.volumes import read_header

SUBSETS = tuple(range(10))
LUNGS_FOLDER = "seg-lungs-LUNA16"
FOLDERS = (*(f"subset{number}" for number in SUBSETS), LUNGS_FOLDER)
CSV_FOLDERS = (".", "CSVFILES", "evaluationScript/annotations")
# Ours, or what TCIA gives with LIDC-IDRI: eight of its patients have two CTs.
PATIENT_COLUMNS = {"patients.csv": ("seriesuid", "patient"), "metadata.csv": ("Series UID", "Subject ID")}


@dataclasses.dataclass(frozen=True)
class Inventory:
    """The files of LUNA16 that are there, by series UID; none is opened."""

    absent_folders: tuple[str, ...]
    scan_paths: Mapping[str, tuple[Path, ...]]  # more than one: the same series in two subsets
    lungs_paths: Mapping[str, Path]


def find_scans(folder: Path, *, allow_absent: bool = False) -> tuple[ScanFiles, ...]:
    """The scans listed in `seriesuids.csv`, by subset, then by series UID.

    With `allow_absent` the listed scans and the masks that are there are enough; see `absent_files`.

    Raises:
      InputError: LUNA16 is not in `folder`, or a subset, listed scan or mask is absent; a scan is there twice, or is
        not listed; a header is wrong or a data file missing or truncated; an annotation belongs to no listed scan; a
        table of patients names none of the scans.
    """
    check_is_luna16(folder)
    list_path = csv_path(folder, "seriesuids.csv")
    series_uids = read_series_uids(list_path)
    annotations_path = csv_path(folder, "annotations.csv")
    inventory = take_inventory(folder)
    for series_uid, paths in sorted(inventory.scan_paths.items()):
        if len(paths) > 1:
            raise InputError(f"{paths[1]}: the same series is also {paths[0]}: remove one")
        if series_uid not in series_uids:
            raise InputError(f"{paths[0]}: this scan is not listed in {list_path}: add it there or take it away")
    absent = absent_files(inventory, series_uids)
    if absent and not allow_absent:
        raise InputError(
            f"{folder}: {'; '.join(absent)}: unzip LUNA16's files of that name again, or go on with what is there: "
            "--allow_absent (experiments.prepare), config.data.allow_absent = True (training)"
        )
    if not inventory.scan_paths:
        raise InputError(f"{folder}: none of the {len(series_uids)} listed scans is here: unzip a subset again")
    annotations = read_annotations(annotations_path, known_series=series_uids)
    patients = read_patients(folder, series_uids)
    scans = (
        scan_of_path(
            path,
            inventory.lungs_paths.get(series_uid),
            patients.get(series_uid, ""),
            annotations.of_series({series_uid}),
        )
        for series_uid, (path,) in inventory.scan_paths.items()
    )
    in_order = sorted(scans, key=lambda scan: (scan.subset, scan.series_uid))
    return tuple(dataclasses.replace(scan, digest=_digest(scan)) for scan in in_order)


def scan_of_path(path: Path, lungs_path: Path | None, patient: str, nodules: Findings) -> ScanFiles:
    """The scan in the subset folder that `path` lies in; no file is opened."""
    return ScanFiles(
        printable(path.stem),
        path,
        lungs_path=lungs_path,
        lung_labels=LUNA16_LUNG_LABELS,
        subset=int(path.parent.name.removeprefix("subset")),
        patient=patient,
        is_labelled=True,
        centres_xyz_mm=nodules.centre_xyz_mm,
        diameters_mm=nodules.diameter_mm,
    )


def take_inventory(folder: Path) -> Inventory:
    """Lists LUNA16's files by their names alone, so that nothing on disk can make it fail."""
    scan_paths: dict[str, tuple[Path, ...]] = {}
    for subset in SUBSETS:
        for path in sorted((folder / f"subset{subset}").glob("*.mhd")):
            series_uid = printable(path.stem)
            scan_paths[series_uid] = (*scan_paths.get(series_uid, ()), path)
    return Inventory(
        absent_folders=tuple(name for name in FOLDERS if not (folder / name).is_dir()),
        scan_paths=scan_paths,
        lungs_paths={printable(path.stem): path for path in sorted((folder / LUNGS_FOLDER).glob("*.mhd"))},
    )


def absent_files(inventory: Inventory, series_uids: Iterable[str]) -> tuple[str, ...]:
    """The parts of LUNA16 that are missing, in words: folders, listed scans, then masks of scans that are there."""
    listed = tuple(series_uids)
    absent = []
    if inventory.absent_folders:
        absent.append(f"{', '.join(inventory.absent_folders)} not found")
    if scans := [uid for uid in listed if uid not in inventory.scan_paths]:
        absent.append(f"{len(scans)} of {len(listed)} scans in seriesuids.csv not found ({some(scans, most=3)})")
    masks = [f"{uid}.mhd" for uid in sorted(inventory.scan_paths) if uid not in inventory.lungs_paths]
    if masks and LUNGS_FOLDER not in inventory.absent_folders:
        absent.append(f"{len(masks)} lung masks not found ({LUNGS_FOLDER}/{some(masks, most=3)})")
    return tuple(absent)


def read_patients(folder: Path, series_uids: Iterable[str]) -> dict[str, str]:
    """The patient, by its key, of each of `series_uids` that a table of patients names; empty where there is no table.

    The table is `patients.csv` (seriesuid, patient) or TCIA's `metadata.csv` of LIDC-IDRI. Raises `InputError` where it
    names none of the series, or one of them twice.
    """
    path = patients_path(folder)
    if path is None:
        return {}
    listed, patient_of = frozenset(series_uids), dict[str, str]()
    row_of: dict[Hashable, int] = {}
    for row, (series_uid, patient) in read_table(path, PATIENT_COLUMNS[path.name]):
        check_new(path, row, f"the same series {series_uid!r}", series_uid, row_of)
        if series_uid in listed:
            patient_of[series_uid] = patient_key(patient)
    if not patient_of:
        raise InputError(
            f"{path}: names none of the {len(listed)} listed series, expected LIDC-IDRI's: correct it or take it away"
        )
    return patient_of


def patients_path(folder: Path) -> Path | None:
    """The table of patients, if there is one."""
    places = (folder / place / name for name in PATIENT_COLUMNS for place in CSV_FOLDERS)
    return next((path for path in places if path.is_file()), None)


def read_findings(folder: Path) -> tuple[Findings, Findings]:
    """LUNA16's nodules and the irrelevant findings that its score leaves out."""
    included, excluded = (csv_path(folder, name) for name in ("annotations.csv", "annotations_excluded.csv"))
    return read_annotations(included), read_excluded(excluded)


def csv_path(folder: Path, name: str) -> Path:
    """The path of one of LUNA16's tables; `InputError` if in none of `CSV_FOLDERS`."""
    for place in CSV_FOLDERS:
        path = folder / place / name
        if path.is_file():
            return path
    raise InputError(
        f"{folder}: no {name}, expected here or in {' or '.join(CSV_FOLDERS[1:])}: unzip evaluationScript.zip"
    )


def is_there(folder: Path) -> bool:
    """True if `folder` has any of LUNA16's subset folders."""
    return any((folder / f"subset{number}").is_dir() for number in SUBSETS)


def check_is_luna16(folder: Path) -> None:
    """Raises `InputError` unless `folder` has any of LUNA16's subset folders."""
    if not is_there(folder):
        raise InputError(
            f"{folder}: LUNA16 is not here. Download it from luna16.grand-challenge.org (Zenodo records "
            f"'LUNA16 Part 1/2' and 'LUNA16 Part 2/2': subset0.zip to subset9.zip, {LUNGS_FOLDER}.zip, "
            f"annotations.csv, evaluationScript.zip), unzip it all into {folder}, so that {folder}/subset0 is there, "
            f"then run `python -m experiments.prepare --dataset=luna16 --manual_dir={folder} --data_dir=DIR`"
        )


def _digest(scan: ScanFiles) -> str:
    """A hash of all that a scan is prepared from; `InputError` where a header is wrong, or a data file not whole.

    Of the voxels only their number of bytes and samples count: reading all of LUNA16 takes an hour.
    """
    digest = hashlib.sha256(repr((scan.series_uid, scan.subset, scan.patient, scan.lungs_path is None)).encode())
    headers = [path for path in (scan.path, scan.lungs_path) if path is not None]
    for path in (*headers, *(read_header(header).voxels.path for header in headers)):
        digest.update(size_and_samples(path))
    digest.update(np.hstack([scan.centres_xyz_mm, scan.diameters_mm[:, None]]).astype("<f8").tobytes())
    return digest.hexdigest()
