"""The index pass: the headers of all series below a folder, read once, in parallel, and kept as a table.

`index.parquet` holds what is known; `parts/` the chunks of folders that were finished since it was written, so that an
interrupted pass goes on where it was. A folder is read again where its time of change or its number of files differs,
or where a file was damaged: mending it in place changes neither.
"""

import dataclasses
import hashlib
import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from etils import epy

from data_builders.nlst.listing import read_listings, with_listed
from data_builders.nlst.table import SeriesRow, read_table, with_problem, write_table
from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.locks import exclusive
from medssl_jax.core.names import printable
from medssl_jax.core.progress import Progress, silent
from medssl_jax.core.worker_pool import results_as_completed
from medssl_jax.imaging.dicom.headers import Header, could_be_dicom, joined
from medssl_jax.imaging.dicom.series import LOCALIZER_MOST_IMAGES, FoundSeries, find_series

with epy.lazy_imports():
    from pydicom import uid as dicom_uid

INDEX_NAME = "index.parquet"
FILES_PER_CHUNK = 4000  # what a kill costs each worker: about two seconds from a warm disk
DAMAGED = ("truncated file:", "unreadable header:", "unreadable folder:", "not DICOM:", "compression:")
BRIEF_BY_NATURE = ("localizer:", "not CT:")
NEEDED_FOR_SPLITS = ("PatientID", "StudyInstanceUID")
AXIAL_COSINE = 0.9  # of the angle between the slice normal and the patient's long axis


@dataclasses.dataclass(frozen=True)
class SeriesFolder:
    """A folder that may hold slices, relative to the data's own, and by what a change is noticed."""

    path: str
    mtime_ns: int
    files: int


def index_series(
    manual_dir: Path,
    index_dir: Path,
    *,
    workers: int = 1,
    progress: Progress = silent,
    files_per_chunk: int = FILES_PER_CHUNK,
) -> tuple[SeriesRow, ...]:
    """Brings the table in `index_dir` up to date; its rows by folder, then by series UID.

    Every folder at any depth that holds DICOM files counts, in either layout; hidden ones are left out. `progress`
    wraps the folders that are read.

    Of several processes with one `index_dir` each waits for the one before.

    Raises:
      InputError: a folder cannot be listed or its name is no text, the table cannot be written, or a `metadata.csv` not
        be understood. Whatever is wrong with a series is said in its row.
    """
    with exclusive(writable_directory(index_dir), "indexing"):
        return _bring_up_to_date(manual_dir, index_dir, workers, progress, files_per_chunk)


def _bring_up_to_date(
    manual_dir: Path, index_dir: Path, workers: int, progress: Progress, files_per_chunk: int
) -> tuple[SeriesRow, ...]:
    listed = read_listings(manual_dir)
    folders = {folder.path: folder for folder in find_folders(manual_dir)}
    index_path, parts = writable_directory(index_dir) / INDEX_NAME, writable_directory(index_dir / "parts")
    stored = read_table(index_path)
    known = _current([stored, *_read_parts(parts)], folders)
    new = [folder for path, folder in folders.items() if path not in known or _is_damaged(known[path])]
    chunks = tuple(_chunks(new, files_per_chunk))
    if chunks:
        finished = results_as_completed(partial(_index_chunk, manual_dir, parts), chunks, workers=workers)
        for _ in progress(itertools.chain.from_iterable(map(range, finished)), total=len(new)):
            pass
        known = _current([stored, *_read_parts(parts)], folders)
    rows = without_doubles(with_listed(list(itertools.chain.from_iterable(known.values())), listed))
    if list(rows) != stored:
        write_table(index_path, rows)
    for path in parts.glob("*.parquet"):
        path.unlink(missing_ok=True)
    return tuple(rows)


def find_folders(manual_dir: Path) -> Iterator[SeriesFolder]:
    """The folders below `manual_dir` that hold files which could be DICOM, each once, whatever links lead to it."""
    waiting, seen = [manual_dir], set()
    while waiting:
        folder = waiting.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            files, subfolders = 0, []
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir():
                        subfolders.append(entry.name)
                    elif could_be_dicom(entry.name):
                        files += 1
        except OSError as error:
            raise InputError(f"{folder}: cannot be listed ({error.strerror}), expected a folder of scans") from error
        waiting.extend(folder / name for name in sorted(subfolders, reverse=True) if not name.startswith("."))
        if files:
            place = folder.relative_to(manual_dir).as_posix()
            if printable(place) != place:
                raise InputError(f"{folder}: a name that is no text, which the index cannot hold: rename the folder")
            yield SeriesFolder(place, status.st_mtime_ns, files)


def _read_parts(parts: Path) -> Iterator[list[SeriesRow]]:
    for path in sorted(parts.glob("[!.]*.parquet"), key=lambda path: path.stat().st_mtime_ns):
        yield read_table(path)


def _current(tables: Iterable[list[SeriesRow]], folders: dict[str, SeriesFolder]) -> dict[str, list[SeriesRow]]:
    """The rows by folder that still tell what lies there; a later table's replace an earlier one's."""
    current: dict[str, list[SeriesRow]] = {}
    for rows in tables:
        of_table = defaultdict(list)
        for row in rows:
            if folders.get(row.folder) == SeriesFolder(row.folder, row.folder_mtime_ns, row.folder_files):
                of_table[row.folder].append(dataclasses.replace(row, problem=row.header_problem))
        current.update(of_table)
    return current


def _is_damaged(rows: Iterable[SeriesRow]) -> bool:
    return any(name in row.header_problem for row in rows for name in DAMAGED)


def _chunks(folders: Sequence[SeriesFolder], files_per_chunk: int) -> Iterator[tuple[SeriesFolder, ...]]:
    chunk: list[SeriesFolder] = []
    files = 0
    for folder in folders:
        chunk.append(folder)
        files += folder.files
        if files >= files_per_chunk:
            yield tuple(chunk)
            chunk, files = [], 0
    if chunk:
        yield tuple(chunk)


def _index_chunk(manual_dir: Path, parts: Path, chunk: tuple[SeriesFolder, ...]) -> int:
    """Reads some folders and writes their part of the table; their number."""
    rows = [row for folder in chunk for row in _rows(manual_dir, folder)]
    name = hashlib.sha256(repr(chunk).encode()).hexdigest()[:32]
    write_table(parts / f"{name}.parquet", rows)
    return len(chunk)


def _rows(manual_dir: Path, folder: SeriesFolder) -> list[SeriesRow]:
    try:
        found, unreadable = find_series(manual_dir / folder.path)
    except OSError as error:
        found, unreadable = (), (f"unreadable folder: it cannot be listed ({error.strerror})",)
    rows = [series_row(folder, series, unreadable, needed=NEEDED_FOR_SPLITS) for series in found]
    if not rows:
        problem = "; ".join(unreadable) or "no DICOM: none of its files is a DICOM slice"
        rows = [SeriesRow("", "", "", "", folder.path, folder.mtime_ns, folder.files, 0, problem, problem)]
    return rows


def series_row(
    folder: SeriesFolder, series: FoundSeries, unreadable: Sequence[str] = (), *, needed: Sequence[str] = ()
) -> SeriesRow:
    """The row of a series in a folder whose files are otherwise `unreadable`; a field that is `needed` may not lack."""
    headers = series.headers
    first = headers[0]
    problems = [*series.problems, *unreadable]
    problems += [
        f"field missing: no {field} in the header of {first.path.name}, without which no split by patient can be made"
        for field in needed
        if not first.get(field)
    ]
    if len(headers) <= LOCALIZER_MOST_IMAGES and not any(each.startswith(BRIEF_BY_NATURE) for each in problems):
        problems.append(f"short series: {len(headers)} images, expected more than {LOCALIZER_MOST_IMAGES}")
    spacing_y_mm, spacing_x_mm = _numbers(first.get("PixelSpacing"), 2)
    problem = "; ".join(problems)
    return SeriesRow(
        series_uid=series.series_uid,
        study_uid=joined(first.get("StudyInstanceUID")),
        patient=first.get("PatientID") or "",
        study_date=joined(first.get("StudyDate")),
        folder=folder.path,
        folder_mtime_ns=folder.mtime_ns,
        folder_files=folder.files,
        images=len(headers),
        problem=problem,
        header_problem=problem,
        modality=joined(first.get("Modality")),
        manufacturer=joined(first.get("Manufacturer")),
        kernel=joined(first.get("ConvolutionKernel")),
        image_type=joined(first.get("ImageType")),
        slice_thickness_mm=_number(first.get("SliceThickness")),
        slice_distance_mm=_number(series.slice_distance_mm),
        spacing_y_mm=spacing_y_mm,
        spacing_x_mm=spacing_x_mm,
        rows=_integer(first.get("Rows")),
        columns=_integer(first.get("Columns")),
        is_axial=_is_axial(first.get("ImageOrientationPatient")),
        gantry_tilt_deg=_number(first.get("GantryDetectorTilt")),
        transfer_syntax=", ".join(sorted({_syntax_name(header.get("TransferSyntaxUID")) for header in headers})),
        rescale=", ".join(sorted({_rescale(header) for header in headers})),
        padding_value=_padding_value(first),
    )


def without_doubles(rows: Iterable[SeriesRow]) -> list[SeriesRow]:
    """All rows in order; of a series in several folders the fullest without a problem is left as it is."""
    rows = sorted(rows, key=lambda row: (row.folder, row.series_uid))
    place_of: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: (bool(row.problem), -row.images)):
        place_of.setdefault(row.series_uid, row.folder)
    return [
        row
        if not row.series_uid or row.folder == place_of[row.series_uid]
        else with_problem(row, f"duplicate series: it is also in {place_of[row.series_uid]}, which is used")
        for row in rows
    ]


def _padding_value(header: Header) -> int | None:
    value = _integer(header.get("PixelPaddingValue"))
    if value is not None and value >= 2**15 and header.get("PixelRepresentation") == 1:
        return value - 2**16  # signed, written as if it were not
    return value


def _is_axial(orientation: Any) -> bool:
    axes = [each for each in _numbers(orientation, 6) if each is not None]
    if len(axes) < 6:
        return False
    return bool(abs(np.cross(axes[:3], axes[3:])[2]) >= AXIAL_COSINE)


def _syntax_name(uid: Any) -> str:
    return dicom_uid.UID(uid).name if uid else "unknown"


def _rescale(header: Header) -> str:
    slope, intercept = (_number(header.get(field)) for field in ("RescaleSlope", "RescaleIntercept"))
    return "unknown" if slope is None or intercept is None else f"{slope:g} {intercept:g}"


def _numbers(value: Any, count: int) -> list[float | None]:
    values = value if isinstance(value, tuple) else ()
    return [_number(each) for each in values] if len(values) == count else [None] * count


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) else None
