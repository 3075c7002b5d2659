"""Everything that can be wrong with a LUNA16 on disk, found in minutes and told all at once."""

import collections
from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np

from data_builders.luna16 import luna16_files
from medssl_jax.core.csv_files import check_new, number_cell, read_table
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import printable
from medssl_jax.core.progress import Progress
from medssl_jax.data.preparation import LUNA16_LUNG_LABELS
from medssl_jax.data_check.across import duplicate_defects, patient_defects, side_defects
from medssl_jax.data_check.defects import CheckReport, Defect, ScanToCheck
from medssl_jax.data_check.lung_defects import lung_masks_in_words
from medssl_jax.data_check.scan import check_scans
from medssl_jax.imaging.luna16_csv import (
    COORDINATE_COLUMNS,
    UNKNOWN_DIAMETER,
    diameter_cell,
    read_excluded,
    read_series_uids,
    series_uid_cell,
)

Nodule = tuple[float, ...]  # x, y, z, diameter in mm


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
    nodules_of = _read(lambda: _read_nodules(folder, listed, defects), "annotations.csv", defects) or {}
    excluded_path = "annotations_excluded.csv"
    excluded = _read(lambda: read_excluded(luna16_files.csv_path(folder, excluded_path)), excluded_path, defects)
    inventory = luna16_files.take_inventory(folder)
    found = tuple(inventory.scan_paths)
    patient_of = _read(lambda: luna16_files.read_patients(folder, listed or found), "table of patients", defects) or {}
    defects += _listing_defects(inventory, listed, blocks=not allow_absent)
    scans = [
        _scan_to_check(
            path,
            inventory.lungs_paths.get(uid),
            patient_of.get(uid, ""),
            nodules_of.get(uid, []),
            find_lungs=allow_absent and uid not in inventory.lungs_paths,
        )
        for uid, paths in inventory.scan_paths.items()
        for path in paths
    ]
    checked = check_scans(scans, workers=workers, progress=progress)
    defects += [defect for scan in checked for defect in scan.defects]
    defects += duplicate_defects(checked, train_subsets=train_subsets, test_subsets=test_subsets)
    defects += patient_defects(checked, train_subsets=train_subsets, test_subsets=test_subsets)
    defects += side_defects(scans, train_subsets=train_subsets, test_subsets=test_subsets)
    return CheckReport(
        dataset="LUNA16",
        folder=folder,
        facts={
            "Scans": f"{len(found)} found" + (f", {len(listed)} listed" if listed else ""),
            "Lung masks": lung_masks_in_words(scans),
            "Nodules": f"{sum(map(len, nodules_of.values()))} in {len(nodules_of)} scans",
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


def _read(read, subject, defects):
    try:
        return read()
    except InputError as error:
        defects.append(Defect("unreadable table", subject, str(error), True))
        return None


def _read_nodules(folder, listed, defects) -> Mapping[str, Sequence[Nodule]]:
    """The good rows of annotations.csv; the others become defects."""
    path, known = luna16_files.csv_path(folder, "annotations.csv"), frozenset(listed or ())
    nodules: dict[str, list[Nodule]] = collections.defaultdict(list)
    row_of: dict[Hashable, int] = {}
    for row, (uid, *cells) in read_table(path, ("seriesuid", *COORDINATE_COLUMNS, "diameter_mm")):
        try:
            series_uid_cell(path, row, uid)
            coordinates = [number_cell(path, row, *pair) for pair in zip(COORDINATE_COLUMNS, cells[:3], strict=True)]
            nodule = (*coordinates, diameter_cell(path, row, cells[3]))
            if nodule[3] == UNKNOWN_DIAMETER:
                raise InputError(f"{path}: row {row}, column diameter_mm: found {cells[3]!r}, expected more than 0")
            check_new(path, row, "the same nodule", (uid, *nodule), row_of)
        except InputError as error:
            defects.append(Defect("bad annotation", uid or f"row {row}", str(error), True))
            continue
        if known and uid not in known:
            told = f"{path}: row {row}: this series is not in seriesuids.csv: correct the UID or take the row out"
            defects.append(Defect("annotation of an unknown series", uid, told, True))
            continue
        nodules[uid].append(nodule)
    return dict(nodules)


def _listing_defects(inventory: luna16_files.Inventory, listed: Sequence[str] | None, *, blocks: bool):
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


def _scan_to_check(path, lungs_path, patient, nodules, *, find_lungs):
    table = np.array(nodules, np.float64).reshape(-1, 4)
    return ScanToCheck(
        name=printable(path.stem),
        scan_path=path,
        lungs_path=lungs_path,
        lung_labels=LUNA16_LUNG_LABELS,
        find_lungs=find_lungs,
        subset=luna16_files.subset_of_path(path),
        patient=patient,
        centres_xyz_mm=table[:, :3],
        diameters_mm=table[:, 3],
    )


def _patients(folder, patient_of, found):
    path = luna16_files.patients_path(folder)
    if path is None:
        return f"not known, no {' or '.join(luna16_files.PATIENT_COLUMNS)}: a patient on both sides cannot be found"
    known = sum(uid in patient_of for uid in found)
    return f"{len(set(patient_of.values()))}, known of {known} of {len(found)} scans ({path.name})"


def _by_subset(scans):
    counts = collections.Counter(scan.subset for scan in scans)
    return ", ".join(f"{subset}: {counts[subset]}" for subset in sorted(counts))


def _numbers(subsets):
    return ", ".join(map(str, sorted(subsets)))
