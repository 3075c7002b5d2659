"""A user's folder: which scans it holds, and what is known of each."""

import hashlib
import itertools
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

from data_builders.folder import folds, masks, tables
from data_builders.folder.frames import AUTO, RAS
from data_builders.folder.headers import ScanHeader, read_file_header, read_scan_headers
from data_builders.folder.lesions import Lesions, check_inside, frame_of, in_lps
from data_builders.folder.lungs import find_lung_masks
from data_builders.folder.reading import read_all
from data_builders.folder.scans import FolderScans
from data_builders.folder.tree import Notes, PassedOver, Tree, read_tree
from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import some
from medssl_jax.core.progress import Progress, silent
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.imaging.luna16_csv import read_series_uids
from medssl_jax.imaging.patients import patient_key
from medssl_jax.imaging.volumes import EXTENSIONS

ACCEPTED = f"{', '.join(EXTENSIONS)}, or folders of DICOM slices (one or more CT series)"


class NoScanError(InputError):
    """A folder without a scan: there is nothing to prepare or to check."""


def find_scans(
    manual_dir: Path,
    labels: Path | None = None,
    labelled_list: Path | None = None,
    *,
    lungs: Path | None = None,
    frame: str = AUTO,
    index_dir: Path | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> FolderScans:
    """All scans below `manual_dir`, by id.

    `labels` is a table of lesions (`tables.read_lesion_table`) or a folder of masks named as the scans; `labelled_list`
    names, in the format of LUNA16's seriesuids.csv, scans that are labelled even where no lesion is. `lungs` is a
    folder of lung masks named as the scans; where a scan has none its lungs are found. `frame` is that of a table's
    coordinates. Folders of masks may lie in
    `manual_dir`.
    Headers and masks are read in `workers` processes; DICOM's and masks' are remembered in `index_dir`.

    Raises:
      NoScanError: there is none.
      InputError: two scans of one id; an unreadable header; labels, lists, folds or patients of no scan; a bad cell;
        a lesion outside its scan; a table whose frame cannot be told; lung masks of no scan only. Of several bad scans
        or masks all are told.
    """
    check_is_folder(manual_dir)
    index_dir = None if index_dir is None else writable_directory(index_dir)
    mask_folders = [place for place in (labels, lungs) if place is not None and place.is_dir()]
    _check_apart(manual_dir, mask_folders)
    notes = Notes()
    headers = _read_headers(read_tree(manual_dir, notes, without=mask_folders), notes, index_dir, workers, progress)
    if not headers:
        found = some([f"{path} ({reason})" for path, reason in notes.passed_over]) or "nothing"
        raise NoScanError(f"{manual_dir}: no scan below it, expected {ACCEPTED}; found {found}: put scans there")
    _note_a_single_patient(headers.values(), notes)
    lesions_of: dict[str, Lesions] = {}
    if labels is not None and labels.is_dir():
        lesions_of = masks.read_masks(labels, headers, index_dir, notes, workers=workers, progress=progress)
    elif labels is not None:
        lesions_of = _read_table(labels, headers, frame, notes)
    labelled = frozenset(lesions_of) | _read_list(labelled_list, labels, headers)
    lungs_of = {} if lungs is None else find_lung_masks(lungs, headers.keys(), notes)
    patient_of = {uid: header.patient for uid, header in headers.items()}
    patient_of |= folds.read_patients(manual_dir, headers.keys())
    subset_of = _subsets(manual_dir, labelled, headers, patient_of)
    scans = (
        _scan(
            header,
            patient=patient_of[series_uid],
            subset=subset_of.get(series_uid, -1),
            is_labelled=series_uid in labelled,
            lungs_path=lungs_of.get(series_uid),
            lesions=lesions_of.get(series_uid, Lesions.none()),
        )
        for series_uid, header in sorted(headers.items())
    )
    return FolderScans(tuple(scans), tuple(sorted(notes.passed_over)), tuple(notes.remarks))


def is_there(manual_dir: Path) -> bool:
    """True if `manual_dir` has anything that looks like a scan."""
    return manual_dir.is_dir() and any(read_tree(manual_dir, Notes()))


def check_is_folder(manual_dir: Path) -> None:
    """Raises `InputError` unless `manual_dir` is a folder."""
    if not manual_dir.is_dir():
        raise InputError(f"{manual_dir}: no such folder, expected one with scans in any depth below it: {ACCEPTED}")


def _read_headers(
    tree: Tree, notes: Notes, index_dir: Path | None, workers: int, progress: Progress
) -> dict[str, ScanHeader]:
    headers: dict[str, ScanHeader] = {}
    paths = sorted((*tree.volume_files, *tree.dicom_folders))
    in_paths = read_all(partial(read_scan_headers, index_dir=index_dir), paths, workers=workers, progress=progress)
    for header in itertools.chain.from_iterable(in_paths):
        if isinstance(header, PassedOver):
            notes.passed_over.append(header)
        elif (other := headers.setdefault(header.series_uid, header)) is not header:
            one, two = sorted((header.path, other.path))
            raise InputError(
                f"{two}: a scan with the same id, {header.series_uid!r}, is also {one}: rename or remove one of them"
            )
    return headers


def _check_apart(manual_dir: Path, mask_folders: Iterable[Path]) -> None:
    for place in mask_folders:
        if manual_dir.resolve().is_relative_to(place.resolve()):
            raise InputError(
                f"{place}: holds masks and the scans of {manual_dir}, which cannot be told apart: "
                "move the masks to a folder of their own"
            )


def _note_a_single_patient(headers: Iterable[ScanHeader], notes: Notes) -> None:
    patients = [header.patient for header in headers if header.patient]
    if len(patients) > 1 and len(set(patients)) == 1:
        notes.remarks.append(
            f"all {len(patients)} DICOM scans have one PatientID and so one fold; if they are of several patients, "
            f"say so in {folds.PATIENTS_TABLE} (seriesuid,patient)"
        )


def _read_table(path: Path, headers: Mapping[str, ScanHeader], frame: str, notes: Notes) -> dict[str, Lesions]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder, expected a table of lesions (.csv) or a folder of masks")
    lesions_of = tables.read_lesion_table(path, headers.keys())
    if frame == AUTO:
        frame = frame_of(lesions_of, lambda series_uid: headers[series_uid].grid, path)
        if frame == RAS:
            notes.remarks.append(f"{path.name}: taken for RAS: with x and y negated all lesions lie inside their scans")
    lesions_of = in_lps(lesions_of, frame)
    for series_uid, lesions in lesions_of.items():
        check_inside(lesions, headers[series_uid].grid, str(headers[series_uid].path))
    return lesions_of


def _read_list(path: Path | None, labels_path: Path | None, headers: Mapping[str, ScanHeader]) -> frozenset[str]:
    if path is None:
        return frozenset()
    if labels_path is None:
        raise InputError(f"{path}: a list of labelled scans without labels: give the labels too, or leave the list out")
    listed = read_series_uids(path)
    for row, series_uid in enumerate(listed, start=1):
        tables.check_known(path, row, series_uid, headers.keys())
    return frozenset(listed)


def _subsets(
    manual_dir: Path, labelled: Collection[str], headers: Mapping[str, ScanHeader], patient_of: Mapping[str, str]
) -> dict[str, int]:
    given = folds.read_folds(manual_dir, labelled, headers.keys())
    if given is None:
        return {uid: folds.fold_of(patient_of[uid] or patient_key(uid)) for uid in labelled}
    subset_of = {uid: given[uid] for uid in sorted(labelled)}
    folds.check_patients_apart(subset_of, patient_of)
    return subset_of


def _scan(
    header: ScanHeader, *, patient: str, subset: int, is_labelled: bool, lungs_path: Path | None, lesions: Lesions
) -> ScanFiles:
    digest = hashlib.sha256(repr((header.series_uid, header.digest, patient, subset, is_labelled)).encode())
    if lungs_path is not None:
        digest.update(read_file_header(lungs_path).digest.encode())
    for array in (lesions.centres_xyz_mm, lesions.diameters_mm):
        digest.update(repr(array.shape).encode() + array.astype("<f8").tobytes())
    return ScanFiles(
        header.series_uid,
        header.path,
        lungs_path=lungs_path,
        subset=subset,
        patient=patient,
        is_labelled=is_labelled,
        centres_xyz_mm=lesions.centres_xyz_mm,
        diameters_mm=lesions.diameters_mm,
        digest=digest.hexdigest(),
    )
