"""A patient's key tells patients apart, and PatientID is in nothing that is kept."""

import pytest

from data_builders.folder.files import find_scans as find_scans_of_folder
from data_builders.nlst.files import find_scans as find_scans_of_nlst
from medssl_jax.patients import patient_key

PATIENT_ID = "SMITH^19470311"


def test_keys_are_equal_where_patients_are():
    keys = [patient_key(str(number)) for number in range(100_000, 110_000)]
    assert len(set(keys)) == 10_000
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys)
    assert patient_key("100000") == keys[0]


def test_who_is_not_known_has_none():
    assert patient_key("") == ""


@pytest.mark.parametrize("patient", ["L\u00f6sche", "\udcf6", "\0", "7" * 1000])
def test_any_text_has_one(patient):
    assert len(patient_key(patient)) == 16


@pytest.mark.parametrize("fields", [{}, {"RescaleSlope": 0}], ids=["usable", "left out"])
def test_no_index_holds_a_patient_id(tmp_path, write_series, fields):
    for patient in (PATIENT_ID, f"{PATIENT_ID}b"):
        write_series(tmp_path / "scans" / patient[-1], PatientID=patient, SeriesInstanceUID=f"1.{ord(patient[-1])}")
    write_series(tmp_path / "scans/c", PatientID=PATIENT_ID, SeriesInstanceUID="1.9", **fields)
    scans = find_scans_of_nlst(tmp_path / "scans", tmp_path / "nlst", least_slices=8)
    assert patient_key(PATIENT_ID) in {scan.patient for scan in scans}
    if not fields:
        found = find_scans_of_folder(tmp_path / "scans", index_dir=tmp_path / "folder")
        assert {scan.patient for scan in found} == {patient_key(PATIENT_ID), patient_key(f"{PATIENT_ID}b")}
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".dcm"]
    assert {path.suffix for path in kept} >= {".parquet", ".csv"}
    for path in kept:
        assert PATIENT_ID.encode() not in path.read_bytes(), path
