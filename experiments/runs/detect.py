"""Scans of any origin: from their files to marks in the world, the way the test scans of a run go."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from data_builders.incoming.find import IncomingScan
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import printable
from medssl_jax.core.progress import Progress, silent
from medssl_jax.data.scans.preparation import LUNGS, PreparedScan, prepare_scan
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.data_check.lung_defects import litres_of
from medssl_jax.imaging.dicom.references import SeriesReference, read_reference
from medssl_jax.imaging.dicom.series import read_series
from medssl_jax.imaging.volumes import Volume, read_slices, read_volume
from medssl_jax.inference.trained_detector import TrainedDetector
from medssl_jax.phantoms.folder import lies_in_phantom
from medssl_jax.report.nodules.scan_report import DetectorCard, ScanReport


class Searched(NamedTuple):
    """A scan with its marks, and as it was read."""

    found: IncomingScan
    report: ScanReport
    volume: Volume


class Failed(NamedTuple):
    """A scan that could not be searched, and why."""

    found: IncomingScan
    reason: str


@dataclasses.dataclass(frozen=True, eq=False)
class ReadScan:
    """A scan that was read: as the detector will see it, and what the page shows of it."""

    scan: PreparedScan
    volume: Volume
    is_phantom: bool
    source: SeriesReference | None


def read_scan(
    found: IncomingScan,
    load: Callable[[], TrainedDetector],
    *,
    lungs_path: Path | None = None,
    with_headers: bool = False,
) -> ReadScan | None:
    """Reads a scan and prepares it as those that the detector was trained on; of DICOM keeps whole headers if asked to.

    None where the detector cannot be loaded: whoever loads it again hears why.

    Raises:
      InputError: see `read_volume`, `read_series` and `prepare_scan`.
    """
    with found.opened() as path:
        if found.series_uid is None:
            volume, source = read_volume(path), None
        else:
            series = read_series(path, found.series_uid)
            volume, source = read_slices(series), read_reference(series, with_headers=with_headers)
        try:
            preparation = load().preparation
        except InputError:
            return None
        files = ScanFiles(volume.series_uid, path, lungs_path=lungs_path)
        scan = prepare_scan(files, volume=volume, preparation=preparation)
        return ReadScan(scan, volume, lies_in_phantom(path, volume.series_uid), source)


def search_scans(
    load: Callable[[], TrainedDetector],
    scans: Sequence[IncomingScan],
    *,
    run: str,
    lungs_path: Path | None = None,
    with_headers: bool = False,
    progress: Progress = silent,
) -> Iterator[Searched | Failed]:
    """Yields the scans as they are searched, in their order; while one is, the next is read.

    `load` gives the detector, once it is there; `run` is its name. What keeps the first scan from being read is told
    before what is wrong with the detector, which is raised.
    """
    read = functools.partial(read_scan, load=load, lungs_path=lungs_path, with_headers=with_headers)
    with ThreadPoolExecutor(max_workers=1) as beside:
        ahead = [beside.submit(read, found) for found in scans[:1]]
        for place, found in enumerate(scans):
            reading = ahead.pop()
            ahead += [beside.submit(read, each) for each in scans[place + 1 : place + 2]]
            try:
                scan = reading.result()
            except InputError as error:
                yield Failed(found, str(error))
                continue
            detector = load()
            assert scan is not None, "it was prepared for this detector"
            try:
                marks = detector(scan.scan, progress=progress)
            except InputError as error:
                yield Failed(found, str(error))
                continue
            report = ScanReport(
                input_name=found.origin,
                lungs_name=None if lungs_path is None else printable(lungs_path.name),
                series_uid=scan.scan.series_uid,
                is_phantom_scan=scan.is_phantom,
                grid=scan.volume.grid,
                detector=DetectorCard(run, detector.step, detector.config, detector.about),
                marks=marks,
                source=scan.source,
                experience=detector.experience,
                is_cut=len(marks) >= detector.config["inference"]["marks"],
                lungs_litres=_litres(scan.scan) if detector.preparation.region == LUNGS else None,
            )
            yield Searched(found, report, scan.volume)


def _litres(scan: PreparedScan) -> float:
    """The volume of what is searched."""
    return int(scan.lungs.astype(bool).sum()) * litres_of(scan.grid)
