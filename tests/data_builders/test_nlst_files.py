"""From a folder of series to prepared scans: one a study, the others with their reasons, and what is said if none."""

import csv
import pickle

import numpy as np
import pytest

from data_builders.nlst.nlst_files import find_scans, is_there
from medssl_jax.core.errors import InputError
from medssl_jax.data.scans.preparation import prepare_scan
from medssl_jax.imaging.patients import patient_key


@pytest.fixture
def folder(tmp_path, write_series):
    """Two studies of one patient and one of another; the first study has a second reconstruction and a localizer."""
    for patient, study, series, fields in (
        ("100002", "2.1", "2.1.1", {}),
        ("100001", "1.2", "1.2.1", {"StudyDate": "20000102"}),
        ("100001", "1.1", "1.1.1", {"ConvolutionKernel": "LUNG"}),
        ("100001", "1.1", "1.1.2", {}),
        ("100001", "1.1", "1.1.3", {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
    ):
        write_series(
            tmp_path / "data" / "nlst" / patient / study / f"CT_{series}",
            PatientID=patient,
            StudyInstanceUID=study,
            SeriesInstanceUID=series,
            **fields,
        )
    return tmp_path / "data"


def found(folder, tmp_path, **options):
    return find_scans(folder, tmp_path / "index", **{"least_slices": 8, **options})


def test_one_series_a_study(folder, tmp_path):
    scans = found(folder, tmp_path)
    one, two = patient_key("100001"), patient_key("100002")
    assert [(scan.patient, scan.series_uid) for scan in scans] == [(one, "1.1.2"), (one, "1.2.1"), (two, "2.1.1")]
    assert scans[0].path == folder / "nlst" / "100001" / "1.1" / "CT_1.1.2"
    assert not any(scan.is_labelled for scan in scans)
    assert repr(pickle.loads(pickle.dumps(scans))) == repr(scans)
    with (tmp_path / "index" / "series.csv").open() as file:
        chosen = [row for row in csv.DictReader(file) if not row["left_out_because"]]
    assert [(row["patient"], row["study_uid"], row["series_uid"]) for row in chosen] == [
        (one, "1.1", "1.1.2"),
        (one, "1.2", "1.2.1"),
        (two, "2.1", "2.1.1"),
    ]
    assert chosen[1]["study_date"] == "20000102"


def test_why_others_are_left_out_is_written_down(folder, tmp_path):
    found(folder, tmp_path)
    with (tmp_path / "index" / "series.csv").open() as file:
        reasons = {row["series_uid"]: row["left_out_because"].split(":")[0] for row in csv.DictReader(file)}
    assert reasons == {"1.1.1": "another reconstruction", "1.1.2": "", "1.1.3": "localizer", "1.2.1": "", "2.1.1": ""}


def test_the_digest_is_of_the_files_and_not_of_their_place(folder, tmp_path):
    def digests():
        return [scan.digest for scan in found(folder, tmp_path)]

    before = digests()
    assert len(set(before)) == 3
    assert digests() == before
    folder.rename(tmp_path / "moved")
    folder = tmp_path / "moved"
    assert digests() == before
    series = folder / "nlst" / "100001" / "1.2" / "CT_1.2.1"
    with next(series.iterdir()).open("ab") as file:
        file.write(b"\0\0")
    longer = digests()
    assert [one == other for one, other in zip(before, longer, strict=True)] == [True, False, True]
    next(series.iterdir()).rename(series / "new.dcm")
    assert digests()[1] not in (before[1], longer[1])


@pytest.mark.parametrize("content", [None, "notes"])
def test_nothing_there(tmp_path, content):
    folder = tmp_path / "data"
    if content:
        folder.mkdir()
        (folder / content).write_text("text")
    assert not is_there(folder)
    with pytest.raises(InputError, match=r"NLST is not here.*NBIA.*idc download nlst.*--dataset=nlst") as caught:
        found(folder, tmp_path)
    assert "\n" not in str(caught.value)


def test_nothing_usable(folder, tmp_path):
    assert is_there(folder)
    with pytest.raises(
        InputError, match=r"none of its 5 series is usable \(few slices: 4, localizer: 1\): see .*series\.csv"
    ):
        found(folder, tmp_path, least_slices=30)


def test_a_series_is_prepared_with_its_lungs_found(tmp_path, write_series):
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in (40, 64, 64)), indexing="ij")
    hu = np.full(z.shape, -1000)
    hu[(x / 0.85) ** 2 + (y / 0.7) ** 2 < 1] = 40
    lungs = np.minimum(((x - 0.4) / 0.28) ** 2, ((x + 0.4) / 0.28) ** 2) + (y / 0.45) ** 2 + (z / 0.8) ** 2 < 1
    hu[lungs] = -850
    write_series(tmp_path / "data" / "a", stored=hu + 1024, distance_mm=5.0, PixelSpacing=[4.0, 4.0])
    write_series(tmp_path / "b", slices=40, side=64, SeriesInstanceUID="1.5", distance_mm=5.0, PixelSpacing=[4.0, 4.0])
    for path in (tmp_path / "b").iterdir():
        path.rename(tmp_path / "data" / "a" / f"b{path.name}")
    (series,) = find_scans(tmp_path / "data", tmp_path / "index")
    assert series.series_uid == "1.2.3.4"
    scan = prepare_scan(series)
    assert (scan.series_uid, scan.patient, scan.is_labelled, scan.subset) == (
        "1.2.3.4",
        patient_key("100012"),
        False,
        -1,
    )
    assert scan.boxes_zyxdhw_voxel.shape == (0, 6)
    assert scan.hu.shape == scan.lungs.shape == (200, 256, 256)
    inside = scan.lungs[2::5, 2::4, 2::4][:40, :64, :64].astype(bool)
    assert inside[lungs].mean() > 0.99
    assert inside[hu == -1000].mean() < 0.01
