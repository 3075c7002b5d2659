"""The files that a searched scan leaves in its folder, by the names of their formats."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from medssl_jax.core.atomic import write_text
from medssl_jax.core.errors import InputError
from medssl_jax.data.preparation import PreparedScan
from medssl_jax.imaging.volumes import write_nifti
from medssl_jax.report.json_report import write_json
from medssl_jax.report.nodules.formats.label_map import label_map
from medssl_jax.report.nodules.formats.slicer_markups import markups_as_json
from medssl_jax.report.nodules.scan_page import scan_page
from medssl_jax.report.nodules.scan_report import ScanReport, detections_as_json, write_detections_csv

ALWAYS = "json"  # what is known of a scan is kept in one place, whatever else is asked for
DEFAULT_FORMATS = ("csv", "json", "html")
# csv and json hold every mark, the others those that are likely enough.
FILE_OF_FORMAT = {
    "csv": "detections.csv",
    "json": "detections.json",
    "html": "detections.html",
    "mrk": "detections.mrk.json",
    "labelmap": "detections.nii.gz",
}
Write = Callable[[Path, ScanReport, PreparedScan, float], None]


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The formats to write, in their usual order, `json` among them. Raises `InputError` at one that there is not."""
    for each in formats:
        if each not in FILE_OF_FORMAT:
            raise InputError(f"--formats: found {each!r}, expected some of {','.join(FILE_OF_FORMAT)}: correct it")
    return tuple(each for each in FILE_OF_FORMAT if each in formats or each == ALWAYS)


def write_results(
    folder: Path, detections: ScanReport, scan: PreparedScan, *, formats: Sequence[str], min_probability: float
) -> tuple[str, ...]:
    """Writes a file for each of `formats` and returns their names.

    `scan` is the scan as the detector saw it. CSV and JSON hold every mark, the others those of at least
    `min_probability`. Raises `InputError` where a file cannot be written.
    """
    for each in formats:
        _WRITERS[each](folder / FILE_OF_FORMAT[each], detections, scan, min_probability)
    return tuple(FILE_OF_FORMAT[each] for each in formats)


def _csv(path: Path, detections: ScanReport, scan: PreparedScan, min_probability: float) -> None:
    write_detections_csv(path, detections)


def _json(path: Path, detections: ScanReport, scan: PreparedScan, min_probability: float) -> None:
    write_json(path, detections_as_json(detections))


def _html(path: Path, detections: ScanReport, scan: PreparedScan, min_probability: float) -> None:
    write_text(path, scan_page(detections, scan, min_probability=min_probability))


def _mrk(path: Path, detections: ScanReport, scan: PreparedScan, min_probability: float) -> None:
    write_json(path, markups_as_json(detections, min_probability=min_probability))


def _labelmap(path: Path, detections: ScanReport, scan: PreparedScan, min_probability: float) -> None:
    write_nifti(path, label_map(detections, min_probability=min_probability))


_WRITERS: Mapping[str, Write] = {"csv": _csv, "json": _json, "html": _html, "mrk": _mrk, "labelmap": _labelmap}
