"""Everything that can be wrong with a user's folder: each scan by itself, then labels, lists and folds together."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from data_builders.folder import folder_files
from data_builders.folder.headers import read_scan_headers
from data_builders.folder.tree import PassedOver, name_of, read_tree
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress
from medssl_jax.data_check.across import duplicate_defects, patient_defects, side_defects
from medssl_jax.data_check.defects import CheckReport, Defect, ScanToCheck
from medssl_jax.data_check.lung_defects import lung_masks_in_words
from medssl_jax.data_check.scan import check_scans


def check_folder(
    folder: Path,
    *,
    train_subsets: Collection[int],
    test_subsets: Collection[int],
    workers: int,
    progress: Progress,
    **given: Any,
) -> CheckReport:
    """Checks all scans; `given` are `labels`, `labelled_list`, `lungs` and `index_dir` of `folder_files.find_scans`.

    Raises:
      InputError: `folder` is none, or holds no scan.
    """
    folder_files.check_is_folder(folder)
    defects: list[Defect] = []
    labelled = "not known"
    notices: tuple[str, ...] = ()
    try:
        found = folder_files.find_scans(folder, workers=workers, progress=progress, **given)
    except folder_files.NoScanError:
        raise
    except InputError as error:
        defects.append(Defect("cannot be prepared", folder.name, str(error), True))
        scans = list(_scans_alone(folder, defects, **given))
    else:
        scans = [_scan_to_check(scan) for scan in found]
        lesions_of = [len(scan.centres_xyz_mm) for scan in found if scan.is_labelled]
        labelled = f"{len(lesions_of)}, with {sum(lesions_of)} lesions"
        notices = tuple(found.note.splitlines()[1:])
    checked = check_scans(scans, workers=workers, progress=progress)
    defects += [defect for scan in checked for defect in scan.defects]
    defects += duplicate_defects(checked, train_subsets=train_subsets, test_subsets=test_subsets)
    defects += patient_defects(checked, train_subsets=train_subsets, test_subsets=test_subsets)
    defects += side_defects(scans, train_subsets=train_subsets, test_subsets=test_subsets)
    return CheckReport(
        dataset="Scans",
        folder=folder,
        facts={
            "Scans": str(len(scans)),
            "Labelled": labelled,
            "Lung masks": lung_masks_in_words(scans),
            "Patients": f"{len({scan.patient for scan in scans} - {''})} known",
        },
        notices=notices,
        defects=tuple(sorted(set(defects))),
        scans=checked,
    )


def _scan_to_check(scan) -> ScanToCheck:
    return ScanToCheck(
        name=scan.series_uid,
        scan_path=scan.path,
        lungs_path=scan.lungs_path,
        find_lungs=scan.lungs_path is None,
        subset=scan.subset,
        patient=scan.patient,
        centres_xyz_mm=scan.centres_xyz_mm,
        diameters_mm=scan.extents_xyz_mm,
    )


def _scans_alone(folder, defects, *, labels=None, lungs=None, index_dir=None, **_) -> Iterator[ScanToCheck]:
    """The scans without what tables and masks say of them, for when the two contradict each other."""
    tree = read_tree(folder, without=[place for place in (labels, lungs) if place and place.is_dir()])
    for path in tree.volume_files:
        yield ScanToCheck(name=name_of(path), scan_path=path)
    for path in tree.dicom_folders:
        try:
            headers = read_scan_headers(path, index_dir)
        except InputError as error:
            defects.append(Defect("unreadable scan", path.name, str(error), True))
            continue
        for header in headers:
            if not isinstance(header, PassedOver):
                yield ScanToCheck(name=header.series_uid, scan_path=path, patient=header.patient)
