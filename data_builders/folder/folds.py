"""Folds 0 to 9, patient by patient: a scan's own does not depend on which others there are."""

from collections.abc import Collection, Mapping
from pathlib import Path

from data_builders.folder.tables import read_column
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.patients import patient_key

FOLDS = 10
FOLDS_TABLE, PATIENTS_TABLE = "folds.csv", "patients.csv"


def fold_of(key: str) -> int:
    """The fold of a patient, or of a scan whose patient is not known, by the `patient_key` of the one or the other."""
    return int.from_bytes(bytes.fromhex(key), "little") % FOLDS


def read_folds(folder: Path, labelled: Collection[str], known: Collection[str]) -> dict[str, int] | None:
    """The folds in `folder`'s folds.csv (seriesuid, subset), None without it.

    Raises InputError at a bad row, a fold other than 0 to 9, or a labelled scan without a row.
    """
    path = folder / FOLDS_TABLE
    if not path.is_file():
        return None
    subset_of = {}
    for series_uid, (row, cell) in read_column(path, "subset", known).items():
        if cell not in map(str, range(FOLDS)):
            raise InputError(f"{path}: row {row}, column subset: found {cell!r}, expected 0 to {FOLDS - 1}; correct it")
        subset_of[series_uid] = int(cell)
    for series_uid in sorted(labelled):
        if series_uid not in subset_of:
            raise InputError(f"{path}: no row for {series_uid}, which is labelled: add one, or take the file away")
    return subset_of


def read_patients(folder: Path, known: Collection[str]) -> dict[str, str]:
    """The patients in `folder`'s patients.csv (seriesuid, patient) by their `patient_key`, if it is there."""
    path = folder / PATIENTS_TABLE
    if not path.is_file():
        return {}
    return {series_uid: patient_key(cell) for series_uid, (_, cell) in read_column(path, "patient", known).items()}


def check_patients_apart(subset_of: Mapping[str, int], patient_of: Mapping[str, str]) -> None:
    """Raises `InputError` where two scans of one patient are in two folds."""
    first: dict[str, str] = {}
    for series_uid, subset in subset_of.items():
        patient = patient_of[series_uid]
        other = first.setdefault(patient, series_uid)
        if patient and subset_of[other] != subset:
            raise InputError(
                f"{FOLDS_TABLE}: {other} is in fold {subset_of[other]} and {series_uid} in fold {subset}, but both are "
                "of one patient, who would be trained and tested on: put them in one"
            )
