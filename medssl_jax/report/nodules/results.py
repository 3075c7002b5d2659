"""The files that a searched scan leaves in its folder, by the names of their formats."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
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
from medssl_jax.report.nodules.scan_page import scan_page
from medssl_jax.report.nodules.scan_report import ScanReport, detections_as_json, write_detections_csv

ALWAYS = "json"  # what is known of a scan is kept in one place, whatever else is asked for
DEFAULT_FORMATS = ("csv", "json", "html")
FILE_OF_FORMAT = {
    "csv": "detections.csv",
    "json": "detections.json",
    "html": "detections.html",
    "mrk": "detections.mrk.json",
    "labelmap": "detections.nii.gz",
    "sr": "detections.sr.dcm",
    "seg": "detections.seg.dcm",
}
OF_DICOM = ("sr", "seg")  # which refer to the slices of a series
Write = Callable[[Path, ScanReport, Volume, float | None], None]


@dataclasses.dataclass(frozen=True)
class Choice:
    """The `formats` to write; CSV and JSON hold every mark, the others those of at least `min_probability`.

    None stands for the ten best of a scan.
    """

    formats: tuple[str, ...]
    min_probability: float | None

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files."""
        return tuple(FILE_OF_FORMAT[each] for each in self.formats)

    def possible(self, *, is_dicom: bool) -> "Choice":
        """The choice without what a scan that is no DICOM series cannot have."""
        return self if is_dicom else Choice(tuple(x for x in self.formats if x not in OF_DICOM), self.min_probability)


def of_dicom(formats: Sequence[str]) -> tuple[str, ...]:
    """Those that only a DICOM series has."""
    return tuple(each for each in formats if each in OF_DICOM)


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The formats to write, in their usual order, `json` among them.

    Raises `InputError` at one that there is not, or that needs a library which is not installed.
    """
    for each in formats:
        if each not in FILE_OF_FORMAT:
            raise InputError(f"--formats: found {each!r}, expected some of {','.join(FILE_OF_FORMAT)}: correct it")
        if each in OF_DICOM:
            dicom_coding.expect_highdicom(f"--formats={each}")
    return tuple(each for each in FILE_OF_FORMAT if each in formats or each == ALWAYS)


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
            _WRITERS[each](folder / FILE_OF_FORMAT[each], detections, volume, choice.min_probability)
    content = detections_as_json(detections, min_probability=choice.min_probability)
    write_json(folder / FILE_OF_FORMAT[ALWAYS], content | {"made_from": made_from})
    return choice.files


def _csv(path: Path, detections: ScanReport, volume: Volume, min_probability: float | None) -> None:
    write_detections_csv(path, detections, min_probability=min_probability)


def _html(path: Path, detections: ScanReport, volume: Volume, min_probability: float | None) -> None:
    write_text(path, scan_page(detections, volume, min_probability=min_probability))


def _mrk(path: Path, detections: ScanReport, volume: Volume, min_probability: float | None) -> None:
    write_json(path, markups_as_json(detections, min_probability=min_probability))


def _labelmap(path: Path, detections: ScanReport, volume: Volume, min_probability: float | None) -> None:
    write_nifti(path, label_map(detections, min_probability=min_probability))


def _sr(path: Path, detections: ScanReport, volume: Volume, min_probability: float | None) -> None:
    _write_dicom(path, detections, dicom_sr.structured_report, min_probability)


def _seg(path: Path, detections: ScanReport, volume: Volume, min_probability: float | None) -> None:
    _write_dicom(path, detections, dicom_seg.segmentation, min_probability)


def _write_dicom(path: Path, detections: ScanReport, make: Callable[..., Any], min_probability: float | None) -> None:
    with quiet():  # what the scan's own headers say is repeated as it is
        try:
            dataset = make(detections, min_probability=min_probability)
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
