"""A synthetic LUNA16 on disk, in the real one's layout.

spec.json                          what it was made from
subset0 .. subset9/<uid>.mhd .raw  int16 HU
seg-lungs-LUNA16/<uid>.mhd .zraw   3 left lung, 4 right lung, 5 windpipe
annotations.csv  annotations_excluded.csv  seriesuids.csv
phantom/<uid>.json                 the truth about one scan; written last, so it also says: this scan is finished
"""

import dataclasses
import functools
import json
import os
from pathlib import Path

from medssl_jax.core.progress import Progress, silent
from medssl_jax.imaging.volumes import Volume, write_metaimage
from medssl_jax.phantoms.chests.scan import PlacedFinding, render_scan
from medssl_jax.phantoms.chests.spec import SUBSETS, Luna16Phantom
from medssl_jax.phantoms.folder import TRUTH_FOLDER, claim_folder, csv_text, make_missing, write_text

MAKE = 2  # raised when the same spec would give other bytes, so that two makes never mix in one folder
LUNGS_FOLDER = "seg-lungs-LUNA16"
ANNOTATIONS_FILE, EXCLUDED_FILE, SERIES_FILE = "annotations.csv", "annotations_excluded.csv", "seriesuids.csv"
HEADER = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")


@dataclasses.dataclass(frozen=True)
class ScanTruth:
    """What is known of a written scan."""

    series_uid: str
    subset: int
    nodules: tuple[PlacedFinding, ...]
    excluded: tuple[PlacedFinding, ...]


def write_luna16_phantom(
    spec: Luna16Phantom, directory: str | os.PathLike, *, workers: int = 1, progress: Progress = silent
) -> None:
    """Makes the data set; scans that are there already are kept, so an interrupted call is simply made again.

    Raises `InputError` as `claim_folder`.
    """
    subfolders = (*(f"subset{k}" for k in range(SUBSETS)), LUNGS_FOLDER)
    telltale_names = (ANNOTATIONS_FILE, "subset0", LUNGS_FOLDER)
    directory = claim_folder(directory, "luna16", MAKE, spec, telltale_names=telltale_names, subfolders=subfolders)
    make_missing(
        functools.partial(write_scan, spec, directory),
        range(spec.scans),
        functools.partial(_is_finished, spec, directory),
        workers=workers,
        progress=progress,
    )
    _write_tables(spec, directory)


def scan_path(spec: Luna16Phantom, directory: str | os.PathLike, index: int) -> Path:
    """Where the header of scan `index` lies."""
    return Path(directory) / f"subset{spec.subset(index)}" / f"{spec.series_uid(index)}.mhd"


def read_truth(spec: Luna16Phantom, directory: str | os.PathLike, index: int) -> ScanTruth:
    """What is known of scan `index` of a written phantom."""
    record = json.loads(_truth_path(spec, Path(directory), index).read_text())
    nodules, excluded = (
        tuple(PlacedFinding(tuple(row["centre_xyz_mm"]), row["diameter_mm"], row["kind"]) for row in record[kind])
        for kind in ("nodules", "excluded")
    )
    return ScanTruth(record["series_uid"], record["subset"], nodules, excluded)


def write_scan(spec: Luna16Phantom, directory: str | os.PathLike, index: int) -> None:
    """Makes and writes scan `index`."""
    directory = Path(directory)
    scan = render_scan(spec, index)
    write_metaimage(scan_path(spec, directory, index), Volume(scan.hu, scan.grid, scan.series_uid))
    write_metaimage(_lungs_path(spec, directory, index), Volume(scan.lungs, scan.grid, scan.series_uid), compress=True)
    truth = ScanTruth(scan.series_uid, scan.subset, scan.nodules, scan.excluded)
    write_text(_truth_path(spec, directory, index), json.dumps(dataclasses.asdict(truth), indent=1) + "\n")


def _is_finished(spec, directory, index):
    image, lungs = scan_path(spec, directory, index), _lungs_path(spec, directory, index)
    files = (_truth_path(spec, directory, index), image, image.with_suffix(".raw"), lungs, lungs.with_suffix(".zraw"))
    return all(file.is_file() for file in files)


def _lungs_path(spec, directory, index):
    return directory / LUNGS_FOLDER / f"{spec.series_uid(index)}.mhd"


def _truth_path(spec, directory, index):
    return directory / TRUTH_FOLDER / f"{spec.series_uid(index)}.json"


def _write_tables(spec, directory):
    truths = sorted((read_truth(spec, directory, index) for index in range(spec.scans)), key=lambda t: t.series_uid)
    for name, kind in ((ANNOTATIONS_FILE, "nodules"), (EXCLUDED_FILE, "excluded")):
        rows = [(truth.series_uid, *_digits(finding)) for truth in truths for finding in getattr(truth, kind)]
        write_text(directory / name, csv_text([HEADER, *rows]))
    write_text(directory / SERIES_FILE, csv_text([(truth.series_uid,) for truth in truths]))


def _digits(finding):
    return tuple(f"{number:.10g}" for number in (*finding.centre_xyz_mm, finding.diameter_mm))
