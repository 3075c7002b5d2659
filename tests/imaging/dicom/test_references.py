"""What people call a series by."""

import pytest

from medssl_jax.imaging.dicom.references import read_reference
from medssl_jax.imaging.dicom.series import read_series


@pytest.mark.parametrize(
    ("fields", "description", "date"),
    [
        ({}, "", "1999-01-02"),
        ({"SeriesDescription": "LUNG 1.25", "StudyDescription": "Chest"}, "LUNG 1.25", "1999-01-02"),
        ({"SeriesDescription": "", "StudyDescription": "Chest"}, "Chest", "1999-01-02"),
        ({"SeriesDate": "20000131"}, "", "2000-01-31"),
        ({"SeriesDate": "", "AcquisitionDate": "20000201"}, "", "2000-02-01"),
        ({"SeriesDescription": "two\nlines", "StudyDate": ""}, r"two\nlines", ""),
    ],
)
@pytest.mark.parametrize("with_headers", [False, True])
def test_description_and_date(tmp_path, write_series, fields, description, date, with_headers):
    series = read_series(write_series(tmp_path / "s", FrameOfReferenceUID="1.5", **fields))
    source = read_reference(series, with_headers=with_headers)
    assert (source.description, source.date) == (description, date)
