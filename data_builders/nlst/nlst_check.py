"""The check of an NLST on disk: all headers, and the voxels of a sample of series."""

import collections
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from data_builders.nlst.choose import LEAST_SLICES, Choice, choose
from data_builders.nlst.index import index_series
from data_builders.nlst.nlst_files import check_is_nlst, left_out
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.data_check.across import duplicate_defects
from medssl_jax.data_check.check_scan import check_scans
from medssl_jax.data_check.defects import CheckedScan, CheckReport, Defect

SAMPLED_SERIES = 200  # NLST has so many that reading a slice of each takes hours
# What NLST holds beside one reconstruction of each study, and nobody misses.
BESIDE = ("localizer", "another reconstruction", "not axial", "no DICOM")


def check_nlst(
    folder: Path,
    index_dir: Path,
    *,
    workers: int,
    progress: Progress,
    least_slices: int = LEAST_SLICES,
    sampled_series: int = SAMPLED_SERIES,
) -> CheckReport:
    """Indexes all series, or reads the index that `index_dir` has, and samples up to `sampled_series` of those chosen.

    A series that cannot be used blocks nothing, because the builder leaves it out.

    Raises:
      InputError: there is no DICOM file in `folder`.
    """
    check_is_nlst(folder)
    try:
        rows = index_series(folder, index_dir, workers=workers, progress=progress)
    except InputError as error:
        return _report(folder, (), [Defect("unreadable table", folder.name, str(error), True)], ())
    choices = choose(rows, least_slices=least_slices)
    chosen = [choice.row for choice in choices if not choice.reason]
    places = np.unique(np.linspace(0, len(chosen) - 1, min(sampled_series, len(chosen))).round().astype(int))
    scans = [
        ScanFiles(row.series_uid, folder / row.folder, patient=row.patient)
        for row in (chosen[place] for place in places)
    ]
    checked = check_scans(scans, find_lungs=True, workers=workers, progress=progress)
    defects = [*_series_defects(choices), *(defect for scan in checked for defect in scan.defects)]
    defects += duplicate_defects(checked)
    return _report(folder, choices, defects, checked)


def _series_defects(choices: Sequence[Choice]) -> Iterator[Defect]:
    usable = {row.study_uid for row, reason in choices if not reason}
    for row, reason in choices:
        kind, _, told = reason.partition(": ")
        if reason and kind not in BESIDE:
            yield Defect(kind, row.series_uid or row.folder, f"{row.folder}: {told or reason}; it is left out", False)
    for study_uid in dict.fromkeys(row.study_uid for row, _ in choices):
        if study_uid and study_uid not in usable:
            told = "none of the series of this study can be used: download it again"
            yield Defect("study without a CT", study_uid, told, False)
    if not usable:
        yield Defect("no CT", "all series", "none of them can be used, expected CTs of the chest: see the others", True)


def _report(
    folder: Path, choices: Sequence[Choice], defects: Sequence[Defect], checked: Sequence[CheckedScan]
) -> CheckReport:
    chosen = [choice.row for choice in choices if not choice.reason]
    compressed = [row for row in chosen if "Endian" not in row.transfer_syntax]
    notices = [f"compression: {len(compressed)} series ({compressed[0].transfer_syntax})"] if compressed else []
    if len(checked) < len(chosen):
        notices.append(f"voxels were sampled of {len(checked)} of the {len(chosen)} series, evenly spread")
    return CheckReport(
        dataset="NLST",
        folder=folder,
        overview={
            "Patients": str(len({choice.row.patient for choice in choices if choice.row.patient})),
            "Studies": str(len({choice.row.study_uid for choice in choices if choice.row.study_uid})),
            "Series": str(len(choices)),
            "Series to train on": f"{len(chosen)}, one a study",
            "Lung masks": f"none; the lungs of the {len(checked)} sampled series are found from their HU",
            "Left out": left_out(choices) or "none",
            "Manufacturers": _counted(row.manufacturer for row in chosen),
            "Kernels": _counted(row.kernel for row in chosen),
            "Slice distance": _counted(f"{row.slice_distance_mm:.2f} mm" for row in chosen if row.slice_distance_mm),
        },
        notices=tuple(notices),
        defects=tuple(sorted(set(defects))),
        scans=tuple(checked),
    )


def _counted(values: Iterable[str]) -> str:
    counts = collections.Counter(value or "not said" for value in values)
    return ", ".join(f"{value}: {count}" for value, count in counts.most_common(8)) or "none"
