"""One scan of any origin: from its file to marks in the world, the way the test scans of a run go."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from medssl_jax.core.names import printable
from medssl_jax.core.progress import progress_bar
from medssl_jax.data.preparation import PreparedScan, prepare_scan
from medssl_jax.data.scan_files import ScanFiles
from medssl_jax.imaging.volumes import read_volume
from medssl_jax.inference.trained_detector import load_detector
from medssl_jax.phantoms.folder import lies_in_phantom
from medssl_jax.report.nodules.scan_report import DetectorCard, ScanReport
from medssl_jax.train.load_run import run_name


def detect_in_file(
    checkpoint: str | os.PathLike[str],
    scan_file: str | os.PathLike[str],
    lungs_file: str | os.PathLike[str] | None = None,
) -> tuple[ScanReport, PreparedScan]:
    """Reads a scan and finds its nodules; also returns the scan as the detector saw it, for pictures.

    Raises:
      InputError: see `prepare_scan` and `load_detector`.
    """
    scan_path = Path(scan_file).absolute()
    volume = read_volume(scan_path)
    lungs_path = None if lungs_file is None else Path(lungs_file)
    with ThreadPoolExecutor(max_workers=1) as beside:
        loading = beside.submit(load_detector, checkpoint)
        # A scan or mask that is none is told first.
        scan = prepare_scan(ScanFiles(volume.series_uid, scan_path, lungs_path=lungs_path), volume)
        detector = loading.result()
    detections = ScanReport(
        input_name=printable(scan_path.name),
        lungs_name=None if lungs_path is None else printable(lungs_path.name),
        series_uid=volume.series_uid,
        is_phantom_scan=lies_in_phantom(scan_path, volume.series_uid),
        grid=volume.grid,
        detector=DetectorCard(run_name(checkpoint), detector.step, detector.config, detector.about),
        marks=detector(scan, progress=progress_bar("detecting", "batches")),
    )
    return detections, scan
