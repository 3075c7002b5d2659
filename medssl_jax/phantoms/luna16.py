"""A synthetic LUNA16 on disk, in the real one's layout.

spec.json                          what it was made from
subset0 .. subset9/<uid>.mhd .raw  int16 HU
seg-lungs-LUNA16/<uid>.mhd .zraw   3 left lung, 4 right lung, 5 windpipe
annotations.csv  annotations_excluded.csv  seriesuids.csv
phantom/<uid>.json                 the truth about one scan; written last, so it also says: this scan is finished
"""

import os
from pathlib import Path

from medssl_jax.core.progress import Progress, silent
from medssl_jax.imaging.volumes import Volume, write_metaimage
from medssl_jax.phantoms import folder
from medssl_jax.phantoms.chests.scan import PlacedFinding, ScanTruth, render_scan
from medssl_jax.phantoms.chests.spec import SUBSETS, Luna16Phantom

LUNGS_FOLDER = "seg-lungs-LUNA16"
ANNOTATIONS_FILE, EXCLUDED_FILE, SERIES_FILE = "annotations.csv", "annotations_excluded.csv", "seriesuids.csv"
SUBSET_FOLDERS = tuple(f"subset{k}" for k in range(SUBSETS))
KIND = folder.Kind("luna16", 2, (ANNOTATIONS_FILE, "subset0", LUNGS_FOLDER), (*SUBSET_FOLDERS, LUNGS_FOLDER))
HEADER = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")


def write_luna16_phantom(
    spec: Luna16Phantom, directory: str | os.PathLike[str], *, workers: int = 1, progress: Progress = silent
) -> None:
    """Makes the data set; scans that are there already are kept, so an interrupted call is simply made again.

    Raises `InputError` as `folder.write_items`.
    """
    directory = folder.write_items(
        KIND, spec, directory, range(spec.scans), write_scan, _is_finished, workers=workers, progress=progress
    )
    truths = sorted((read_truth(spec, directory, index) for index in range(spec.scans)), key=lambda t: t.series_uid)
    nodules = [_row(truth.series_uid, nodule) for truth in truths for nodule in truth.nodules]
    excluded = [_row(truth.series_uid, finding) for truth in truths for finding in truth.excluded]
    folder.write_csv(directory / ANNOTATIONS_FILE, [HEADER, *nodules])
    folder.write_csv(directory / EXCLUDED_FILE, [HEADER, *excluded])
    folder.write_csv(directory / SERIES_FILE, [(truth.series_uid,) for truth in truths])


def scan_path(spec: Luna16Phantom, directory: str | os.PathLike[str], index: int) -> Path:
    """Where the header of scan `index` lies."""
    return Path(directory) / SUBSET_FOLDERS[spec.subset(index)] / f"{spec.series_uid(index)}.mhd"


def read_truth(spec: Luna16Phantom, directory: str | os.PathLike[str], index: int) -> ScanTruth:
    """The truth about scan `index` of a written phantom."""
    return folder.read_truth(directory, spec.series_uid(index), ScanTruth)


def write_scan(spec: Luna16Phantom, directory: Path, index: int) -> None:
    """Makes and writes scan `index`."""
    scan = render_scan(spec, index)
    uid = scan.truth.series_uid
    write_metaimage(scan_path(spec, directory, index), Volume(scan.hu, scan.grid, uid))
    write_metaimage(_lungs_path(spec, directory, index), Volume(scan.lungs, scan.grid, uid), compress=True)
    folder.write_truth(directory, uid, scan.truth)


def _is_finished(spec: Luna16Phantom, directory: Path, index: int) -> bool:
    image, lungs = scan_path(spec, directory, index), _lungs_path(spec, directory, index)
    truth = folder.truth_path(directory, spec.series_uid(index))
    return all(file.is_file() for file in (truth, image, image.with_suffix(".raw"), lungs, lungs.with_suffix(".zraw")))


def _lungs_path(spec: Luna16Phantom, directory: Path, index: int) -> Path:
    return directory / LUNGS_FOLDER / f"{spec.series_uid(index)}.mhd"


def _row(series_uid: str, finding: PlacedFinding) -> tuple[str, ...]:
    return (series_uid, *(f"{number:.10g}" for number in (*finding.centre_xyz_mm, finding.diameter_mm)))
