"""One scan of any origin: from its file to marks in the world, the way the test scans of a run go."""

import os
from pathlib import Path

import numpy as np

from experiments.runs.focalmix import LoadedDetector, load_detector
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import file_name, printable
from medssl_jax.core.progress import Progress, progress_bar, silent
from medssl_jax.data.crop_cache import masked_hu
from medssl_jax.data.preparation import LUNA16_LUNG_LABELS, PreparedScan, prepare_scan
from medssl_jax.imaging.lungs import segment_lungs
from medssl_jax.imaging.submission import Marks
from medssl_jax.imaging.volumes import Volume, read_labels, read_volume
from medssl_jax.inference.world import as_marks, rows_in_world
from medssl_jax.phantoms.folder import TRUTH_FOLDER
from medssl_jax.report.nodules.scan_report import DetectorCard, ScanReport

LUNA16_MASK_LABELS = frozenset({0, *LUNA16_LUNG_LABELS, 5})


def detect_in_file(
    checkpoint: str | os.PathLike, scan_file: str | os.PathLike, lungs_file: str | os.PathLike | None = None
) -> tuple[ScanReport, PreparedScan]:
    """Reads a scan and finds its nodules; also returns the scan as the detector saw it, for pictures.

    Raises:
      InputError: see `read_volume`, `load_detector` and `prepare_for_search`.
    """
    scan_path = Path(scan_file).absolute()
    volume = read_volume(scan_path)
    scan = prepare_for_search(volume, lungs_file)  # a scan or mask that is none is told in seconds
    loaded = load_detector(Path(checkpoint))
    detections = ScanReport(
        input_name=printable(scan_path.name),
        lungs_name=None if lungs_file is None else printable(Path(lungs_file).name),
        series_uid=volume.series_uid,
        is_phantom_scan=_is_phantom_scan(scan_path, volume.series_uid),
        grid=volume.grid,
        detector=DetectorCard(_run_name(Path(checkpoint)), loaded.step, loaded.config.to_dict()),
        marks=find_nodules(loaded, scan, progress_bar("detecting", "batches")),
    )
    return detections, scan


def prepare_for_search(volume: Volume, lungs_file: str | os.PathLike | None = None) -> PreparedScan:
    """The scan at 1 mm with its lungs: those of the mask file, else segmented from the HU.

    A mask of LUNA16 is known by its labels, and its windpipe (5) left out; of any other, every label but 0 is lung.

    Raises:
      InputError: an unreadable mask, a mask that holds no lung within the scan, no lung to be found in the scan.
    """
    if lungs_file is not None:
        lungs = read_labels(lungs_file)
        is_luna16 = LUNA16_MASK_LABELS.issuperset(np.unique(lungs.array_zyx).tolist())
        labels = LUNA16_LUNG_LABELS if is_luna16 else None
    else:
        lungs, labels = Volume(segment_lungs(volume), volume.grid, volume.series_uid), None
        if not lungs.array_zyx.any():
            raise InputError(
                f"{volume.series_uid}: no lungs found in this scan, expected a CT of the chest in HU; "
                "if it is one, give its lung mask with --lungs"
            )
    return prepare_scan(volume, lungs, np.zeros((0, 3)), np.zeros(0), lung_labels=labels)


def find_nodules(loaded: LoadedDetector, scan: PreparedScan, progress: Progress = silent) -> Marks:
    """Marks in world mm, best first: all that the config's `inference` lets through."""
    hu_zyx = masked_hu(scan) if loaded.config.data.mask_lungs else scan.hu
    found = loaded.detector(loaded.params, hu_zyx, scan.lungs, progress)
    return as_marks({scan.series_uid: rows_in_world(found, scan.grid)})


def _run_name(checkpoint: Path) -> str:
    folder = checkpoint.absolute()
    return printable(folder.parent.name if folder.name == "checkpoints" else folder.name)


def _is_phantom_scan(scan_path: Path, series_uid: str) -> bool:
    """Whether the file lies in a phantom, which keeps the truth about each of its scans beside them."""
    return (scan_path.parent.parent / TRUTH_FOLDER / f"{file_name(series_uid)}.json").is_file()
