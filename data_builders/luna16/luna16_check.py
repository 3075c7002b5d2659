"""The check of a LUNA16 on disk: all that is wrong with it, found in minutes and reported at once."""

import collections
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from data_builders.luna16 import luna16_files
from medssl_jax.core.csv_files import check_new, number_cells, read_table
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.data_check.across import split_defects
from medssl_jax.data_check.check_scan import check_scans
from medssl_jax.data_check.defects import CheckReport, Defect
from medssl_jax.data_check.lung_defects import lung_masks_in_words
from medssl_jax.imaging.luna16_csv import (
    FINDING_COLUMNS,
    Findings,
    check_diameter,
    read_excluded,
    read_series_uids,
    series_uid_cell,
)

Table = TypeVar("Table")


def check_luna16(
    folder: Path,
    *,
    train_subsets: Collection[int],
    test_subsets: Collection[int],
    allow_absent: bool,
    workers: int,
    progress: Progress,
) -> CheckReport:
    """Checks all of it; with `allow_absent`, what is not there blocks nothing, and lungs without a mask are found.

    Raises:
      InputError: there is no LUNA16 in `folder`.
    """
    luna16_files.check_is_luna16(folder)
    defects: list[Defect] = []
    listed = _read(lambda: read_series_uids(luna16_files.csv_path(folder, "seriesuids.csv")), "seriesuids.csv", defects)
    nodules = _read(lambda: _read_nodules(folder, listed, defects), "annotations.csv", defects) or Findings.none()
    excluded_path = "annotations_excluded.csv"
    excluded = _read(lambda: read_excluded(luna16_files.csv_path(folder, excluded_path)), excluded_path, defects)
    inventory = luna16_files.take_inventory(folder)
    found = tuple(inventory.scan_paths)
    patient_of = _read(lambda: luna16_files.read_patients(folder, listed or found), "table of patients", defects) or {}
    defects += _listing_defects(inventory, listed, blocks=not allow_absent)
    scans = [
        luna16_files.scan_of_path(
            path, inventory.lungs_paths.get(uid), patient_of.get(uid, ""), nodules.of_series({uid})
        )
        for uid, paths in inventory.scan_paths.items()
        for path in paths
    ]
    checked = check_scans(scans, find_lungs=allow_absent, workers=workers, progress=progress)
    defects += [defect for scan in checked for defect in scan.defects]
    defects += split_defects(checked, train_subsets=train_subsets, test_subsets=test_subsets)
    return CheckReport(
        dataset="LUNA16",
        folder=folder,
        overview={
            "Scans": f"{len(found)} found" + (f", {len(listed)} listed" if listed else ""),
            "Lung masks": lung_masks_in_words(scans, find_lungs=allow_absent),
            "Nodules": f"{len(nodules)} in {len(set(nodules.series_uid))} scans",
            "Excluded findings": f"{len(excluded)}" if excluded else "none",
            "Patients": _patients(folder, patient_of, found),
            "Scans by subset": _by_subset(scans),
            "Trained on": f"subsets {_numbers(train_subsets)}",
            "Tested on": f"subsets {_numbers(test_subsets)}",
        },
        notices=(),
        defects=tuple(sorted(set(defects))),
        scans=checked,
    )


def _read(read: Callable[[], Table], subject: str, defects: list[Defect]) -> Table | None:
    try:
        return read()
    except InputError as error:
        defects.append(Defect("unreadable table", subject, str(error), True))
        return None


def _read_nodules(folder: Path, listed: Sequence[str] | None, defects: list[Defect]) -> Findings:
    """The good rows of annotations.csv; the others become defects."""
    path, known = luna16_files.csv_path(folder, "annotations.csv"), frozenset(listed or ())
    series_uids, nodules = [], []
    row_of: dict[Hashable, int] = {}
    for row, (uid, *cells) in read_table(path, FINDING_COLUMNS):
        try:
            series_uid_cell(path, row, uid)
            nodule = number_cells(path, row, FINDING_COLUMNS[1:], cells)
            check_diameter(path, row, nodule[3])
            check_new(path, row, "the same nodule", (uid, *nodule), row_of)
        except InputError as error:
            defects.append(Defect("bad annotation", uid or f"row {row}", str(error), True))
            continue
        if known and uid not in known:
            told = f"{path}: row {row}: this series is not in seriesuids.csv: correct the UID or take the row out"
            defects.append(Defect("annotation of an unknown series", uid, told, True))
            continue
        series_uids.append(uid)
        nodules.append(nodule)
    return Findings.from_rows(series_uids, nodules)


def _listing_defects(
    inventory: luna16_files.Inventory, listed: Sequence[str] | None, *, blocks: bool
) -> Iterator[Defect]:
    for name in inventory.absent_folders:
        kind = "missing masks" if name == luna16_files.LUNGS_FOLDER else "missing subset"
        yield Defect(kind, name, f"no folder {name}: unzip {name}.zip, or go on without it: --allow_absent", blocks)
    for uid in listed or ():
        if uid not in inventory.scan_paths:
            told = f"listed in seriesuids.csv, no subset folder holds {uid}.mhd: unzip its subset, or --allow_absent"
            yield Defect("missing scan", uid, told, blocks)
    for uid, paths in inventory.scan_paths.items():
        if len(paths) > 1:
            places = ", ".join(path.parent.name for path in paths)
            yield Defect("series twice", uid, f"{uid}.mhd is in {places}: remove all but one", True)
        if listed and uid not in listed:
            told = f"{paths[0]} is not listed in seriesuids.csv: add it there or take it away"
            yield Defect("unlisted scan", uid, told, True)
        if uid not in inventory.lungs_paths and luna16_files.LUNGS_FOLDER not in inventory.absent_folders:
            mask = f"{luna16_files.LUNGS_FOLDER}/{uid}.mhd"
            told = f"no {mask}: unzip it again, or have the lungs segmented: --allow_absent"
            yield Defect("missing mask", uid, told, blocks)


def _patients(folder: Path, patient_of: Mapping[str, str], found: Collection[str]) -> str:
    path = luna16_files.patients_path(folder)
    if path is None:
        return f"not known, no {' or '.join(luna16_files.PATIENT_COLUMNS)}: a patient on both sides cannot be found"
    known = sum(uid in patient_of for uid in found)
    return f"{len(set(patient_of.values()))}, known of {known} of {len(found)} scans ({path.name})"


def _by_subset(scans: Iterable[ScanFiles]) -> str:
    counts = collections.Counter(scan.subset for scan in scans)
    return ", ".join(f"{subset}: {counts[subset]}" for subset in sorted(counts))


def _numbers(subsets: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(subsets)))
