"""The check of a user's folder: each scan by itself, then labels, lists and folds together."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from data_builders.folder import folder_files
from data_builders.folder.headers import read_scan_headers
from data_builders.folder.tree import Notes, PassedOver, name_of, read_tree
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress
from medssl_jax.data.scans.preparation import LUNGS
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.data_check.across import split_defects
from medssl_jax.data_check.check_scan import check_scans
from medssl_jax.data_check.defects import CheckReport, Defect
from medssl_jax.data_check.lung_defects import lung_masks_in_words

SidesOf = Callable[[Mapping[int, int]], tuple[Collection[int], Collection[int]]]


def check_folder(
    folder: Path,
    *,
    sides_of: SidesOf,
    workers: int,
    progress: Progress,
    region: str = LUNGS,
    **given: Any,
) -> CheckReport:
    """Checks all scans; `given` are `labels`, `labelled_list`, `lungs`, `frame` and `index_dir` of `find_scans`.

    The `region` will be searched, lungs or body. `sides_of` tells the folds that are trained on and those that are
    tested on from the labelled scans of each fold.

    Raises:
      InputError: `folder` is none, or holds no scan.
    """
    folder_files.check_is_folder(folder)
    defects: list[Defect] = []
    labelled, is_understood = "not known", False
    notices: tuple[str, ...] = ()
    try:
        found = folder_files.find_scans(folder, workers=workers, progress=progress, **given)
    except folder_files.NoScanError:
        raise
    except InputError as error:
        defects.append(Defect("cannot be prepared", folder.name, str(error), True))
        scans = list(_scans_alone(folder, defects, **given))
    else:
        scans, is_understood = list(found), True
        lesions_of = [len(scan.centres_xyz_mm) for scan in found if scan.is_labelled]
        labelled = f"{len(lesions_of)}, with {sum(lesions_of)} lesions"
        notices = tuple(found.note.splitlines()[1:])
    find_lungs = is_understood and region == LUNGS
    checked = check_scans(scans, find_lungs=find_lungs, workers=workers, progress=progress, region=region)
    defects += [defect for scan in checked for defect in scan.defects]
    train, test = sides_of(Counter(scan.subset for scan in scans if scan.is_labelled))
    defects += split_defects(checked, train_subsets=train, test_subsets=test)
    return CheckReport(
        dataset="Scans",
        folder=folder,
        overview={
            "Scans": str(len(scans)),
            "Labelled": labelled,
            ("Lung masks" if region == LUNGS else "Masks"): lung_masks_in_words(scans, find_lungs=find_lungs),
            "Patients": f"{len({scan.patient for scan in scans} - {''})} known",
        },
        notices=notices,
        defects=tuple(sorted(set(defects))),
        scans=checked,
        region=region,
    )


def _scans_alone(
    folder: Path,
    defects: list[Defect],
    *,
    labels: Path | None = None,
    lungs: Path | None = None,
    index_dir: Path | None = None,
    **_: Any,
) -> Iterator[ScanFiles]:
    """The scans without what tables and masks say of them, for when the two contradict each other."""
    tree = read_tree(folder, Notes(), without=[place for place in (labels, lungs) if place and place.is_dir()])
    for path in tree.volume_files:
        yield ScanFiles(name_of(path), path)
    for path in tree.dicom_folders:
        try:
            headers = read_scan_headers(path, index_dir)
        except InputError as error:
            defects.append(Defect("unreadable scan", path.name, str(error), True))
            continue
        for header in headers:
            if not isinstance(header, PassedOver):
                yield ScanFiles(header.series_uid, path, patient=header.patient)
