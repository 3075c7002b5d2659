"""NLST's layout on disk, and the series that stand for its studies."""

import dataclasses
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from etils import epy

from data_builders.nlst.choose import LEAST_SLICES, Choice, choose
from data_builders.nlst.index import find_folders, index_series
from data_builders.nlst.table import SeriesRow
from medssl_jax.core.atomic import write_text
from medssl_jax.core.csv_files import csv_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress, silent
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.imaging.dicom.headers import could_be_dicom

with epy.lazy_imports():
    from pydicom import misc

CHOICE_NAME = "series.csv"
CHOICE_HEADER = ("series_uid", "patient", "study_uid", "study_date", "folder", "images", "left_out_because")


def find_scans(
    manual_dir: Path,
    index_dir: Path,
    *,
    workers: int = 1,
    progress: Progress = silent,
    least_slices: int = LEAST_SLICES,
) -> tuple[ScanFiles, ...]:
    """One series a study, by patient, study date, then series UID; see `data_builders.nlst.choose`.

    All series are indexed first, in `index_dir`, where `series.csv` then says of each why it is left out.

    Raises:
      InputError: no DICOM files below `manual_dir`, no usable series, or as `index_series`.
    """
    check_is_nlst(manual_dir)
    rows = index_series(manual_dir, index_dir, workers=workers, progress=progress)
    choices = choose(rows, least_slices=least_slices)
    _write_choices(index_dir / CHOICE_NAME, choices)
    chosen = [choice.row for choice in choices if not choice.reason]
    if not chosen:
        raise InputError(
            f"{manual_dir}: none of its {len(choices)} series is usable ({left_out(choices)}): "
            f"see {index_dir / CHOICE_NAME} for each"
        )
    return tuple(
        ScanFiles(
            row.series_uid, manual_dir / row.folder, patient=row.patient, digest=_digest(row, manual_dir / row.folder)
        )
        for row in chosen
    )


def is_there(folder: Path) -> bool:
    """True if any DICOM file lies below `folder`."""
    return folder.is_dir() and any(_holds_dicom(folder / found.path) for found in find_folders(folder))


def check_is_nlst(folder: Path) -> None:
    """Raises `InputError` unless a DICOM file lies below `folder`."""
    if not is_there(folder):
        raise InputError(
            f"{folder}: NLST is not here. Download its CT series from TCIA (cancerimagingarchive.net, collection NLST, "
            f"with the NBIA data retriever) or from IDC (`pip install idc-index`, then `idc download nlst "
            f"--download-dir {folder}`) into {folder}, then run "
            f"`python -m experiments.prepare --dataset=nlst --manual_dir={folder} --data_dir=DIR`"
        )


def left_out(choices: Iterable[Choice]) -> str:
    """The number of series that are left out for each reason, the commonest first."""
    counts = Counter(choice.reason.partition(":")[0] for choice in choices if choice.reason)
    return ", ".join(f"{name}: {count}" for name, count in counts.most_common())


def _holds_dicom(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(misc.is_dicom(entry.path) for entry in entries if could_be_dicom(entry.name) and entry.is_file())


def _digest(row: SeriesRow, folder: Path) -> str:
    """A hash of what the index says of a series, and of the names and numbers of bytes of the files in its folder."""
    # Where the folder lies and when it was copied do not matter.
    placeless = dataclasses.replace(row, folder="", folder_mtime_ns=0)
    digest = hashlib.sha256(repr(placeless).encode())
    with os.scandir(folder) as entries:
        for name, size in sorted((entry.name, entry.stat().st_size) for entry in entries if could_be_dicom(entry.name)):
            digest.update(f"{name}\0{size}\n".encode())
    return digest.hexdigest()[:32]


def _write_choices(path: Path, choices: Sequence[Choice]) -> None:
    rows = (
        (row.series_uid, row.patient, row.study_uid, row.study_date, row.folder, row.images, reason)
        for row, reason in choices
    )
    text = csv_text([CHOICE_HEADER, *rows])
    if not path.is_file() or path.read_bytes() != text.encode("utf-8", "backslashreplace"):
        write_text(path, text)
