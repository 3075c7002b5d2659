"""The files that a searched scan leaves in its folder, by the names of their formats."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medssl_jax.core.atomic import write_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import brief
from medssl_jax.imaging.dicom.headers import quiet
from medssl_jax.imaging.volumes import Volume, write_nifti
from medssl_jax.report.json_report import write_json
from medssl_jax.report.nodules.formats import dicom_coding, dicom_seg, dicom_sr
from medssl_jax.report.nodules.formats.label_map import label_map
from medssl_jax.report.nodules.formats.slicer_markups import markups_as_json
from medssl_jax.report.nodules.result_files import ALWAYS, FILE_OF_FORMAT, Choice
from medssl_jax.report.nodules.scan_page import scan_page
from medssl_jax.report.nodules.scan_report import ScanReport, detections_as_json, write_detections_csv

Write = Callable[[Path, ScanReport, Volume, float | None], None]


def write_results(
    folder: Path, detections: ScanReport, volume: Volume, *, choice: Choice, made_from: Mapping[str, Any]
) -> tuple[str, ...]:
    """Writes a file for each format of the `choice` and returns their names.

    `volume` is the scan as it was read. The JSON, written last, holds what the results were `made_from`.

    Raises:
      InputError: a file cannot be written.
    """
    for each in choice.formats:
        if each != ALWAYS:
            _WRITERS[each](folder / FILE_OF_FORMAT[each], detections, volume, choice.min_score)
    content = detections_as_json(detections, min_score=choice.min_score)
    write_json(folder / FILE_OF_FORMAT[ALWAYS], content | {"made_from": made_from})
    return choice.files


def _csv(path: Path, detections: ScanReport, volume: Volume, min_score: float | None) -> None:
    write_detections_csv(path, detections, min_score=min_score)


def _html(path: Path, detections: ScanReport, volume: Volume, min_score: float | None) -> None:
    write_text(path, scan_page(detections, volume, min_score=min_score))


def _mrk(path: Path, detections: ScanReport, volume: Volume, min_score: float | None) -> None:
    write_json(path, markups_as_json(detections, min_score=min_score))


def _labelmap(path: Path, detections: ScanReport, volume: Volume, min_score: float | None) -> None:
    write_nifti(path, label_map(detections, min_score=min_score))


def _sr(path: Path, detections: ScanReport, volume: Volume, min_score: float | None) -> None:
    _write_dicom(path, detections, dicom_sr.structured_report, min_score)


def _seg(path: Path, detections: ScanReport, volume: Volume, min_score: float | None) -> None:
    _write_dicom(path, detections, dicom_seg.segmentation, min_score)


def _write_dicom(path: Path, detections: ScanReport, make: Callable[..., Any], min_score: float | None) -> None:
    with quiet():  # what the scan's own headers say is repeated as it is
        try:
            dataset = make(detections, min_score=min_score)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{detections.input_name}: its DICOM headers do not allow {path.name} ({brief(error)}): leave sr and "
                "seg out of --formats"
            ) from error
        dicom_coding.write_dicom(path, dataset)


_WRITERS: Mapping[str, Write] = {
    "csv": _csv,
    "html": _html,
    "mrk": _mrk,
    "labelmap": _labelmap,
    "sr": _sr,
    "seg": _seg,
}
