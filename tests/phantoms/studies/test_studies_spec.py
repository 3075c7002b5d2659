"""The record of a synthetic NLST: what it refuses, and whom it names."""

import dataclasses

import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.phantoms.luna16 import Luna16Phantom
from medssl_jax.phantoms.studies.headers import patient_id
from medssl_jax.phantoms.studies.spec import NlstPhantom


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"patients": 0}, "patients: found 0"),
        ({"patients": 10**9}, "patients: found 1000000000, expected 1 or more, at most 100000"),
        ({"seed": 10**400}, "seed"),
        ({"studies_per_patient": 4}, "studies_per_patient: found 4"),
        ({"layout": "flat"}, "found flat, expected nbia or idc"),
        ({"defects": ("torn",)}, r"defects: found \('torn',\), expected .* one of jpeg_compressed"),
        ({"patients": 1, "defects": ("jpeg_compressed", "jpeg_compressed")}, "ask for more patients"),
        ({"chest_zyx_mm": (10.0, 64.0, 64.0)}, "chest_zyx_mm"),
        ({"seed": -1}, "seed"),
        ({"noise_hu": float("nan")}, "noise_hu"),
    ],
)
def test_fields_out_of_range_are_named(fields, words):
    with pytest.raises(InputError, match=words):
        NlstPhantom(**fields)


def test_whole_numbers_and_lists_make_the_same_phantom():
    assert NlstPhantom(chest_zyx_mm=(64, 80, 96), noise_hu=40) == NlstPhantom(chest_zyx_mm=(64.0, 80.0, 96.0))
    assert NlstPhantom(chest_zyx_mm=(64, 80, 96)).uid("x") == NlstPhantom(chest_zyx_mm=(64.0, 80.0, 96.0)).uid("x")


def test_uids_are_those_of_the_looks_alone():
    spec = NlstPhantom()
    same = dataclasses.replace(spec, patients=30, studies_per_patient=1, layout="idc", defects=())
    assert spec.uid("study", 1, 0) == same.uid("study", 1, 0)
    others = (
        dataclasses.replace(spec, seed=1).uid("study", 1, 0),
        dataclasses.replace(spec, noise_hu=41).uid("study", 1, 0),
        spec.uid("study", 0, 1),
        Luna16Phantom().series_uid(1),
    )
    assert len({spec.uid("study", 1, 0), *others}) == 5
    assert spec.uid("study", 1, 0).startswith("2.25.")


def test_defects_are_those_of_first_studies():
    spec = NlstPhantom(patients=20, studies_per_patient=2, defects=("jpeg_compressed",) * 3)
    assert len(spec.studies) == 40
    assert {study: spec.defect(*study) for study in spec.studies if spec.defect(*study)} == {
        (patient, 0): "jpeg_compressed" for patient in range(3)
    }


def test_patients_have_six_digits_of_their_own():
    names = [patient_id(patient) for patient in range(1000)]
    assert names == sorted(set(names))
    assert {len(name) for name in names} == {6}
