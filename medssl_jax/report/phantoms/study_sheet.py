"""A written NLST phantom's studies as rows of a contact sheet."""

import os
from pathlib import Path

from medssl_jax.imaging.volumes import read_volume
from medssl_jax.phantoms.nlst import read_truths
from medssl_jax.phantoms.studies.headers import LOCALIZER
from medssl_jax.phantoms.studies.spec import NlstPhantom
from medssl_jax.report.nodules.contact_sheet import SheetScan
from medssl_jax.report.phantoms.chest_sheet import sheet_scan


def read_sheet_studies(spec: NlstPhantom, directory: str | os.PathLike, count: int) -> list[SheetScan]:
    """The first `count` studies with their findings, each as one of its reconstructions without a defect."""
    return [
        _sheet_scan(Path(directory), truth, number) for number, truth in enumerate(read_truths(spec, directory)[:count])
    ]


def _sheet_scan(directory, truth, number):
    whole = [series for series in truth.series if series.kind != LOCALIZER and not series.defect]
    series = whole[number % len(whole)]
    about = f"{truth.patient}, {series.manufacturer} {series.kernel}, {series.slice_thickness_mm:g} mm"
    return sheet_scan(about, read_volume(directory / series.folders[0]), truth.nodules, truth.excluded)
