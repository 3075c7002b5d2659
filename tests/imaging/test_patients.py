"""A patient's key tells patients apart."""

import pytest

from medssl_jax.imaging.patients import patient_key


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
