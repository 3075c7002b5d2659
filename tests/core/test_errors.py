"""What an `InputError` quotes from a file stays short."""

import pickle

from medssl_jax.core.errors import InputError


def test_a_long_word_keeps_its_ends():
    message = str(InputError(f"DimSize = {'1' * 500}{'2' * 500}, expected 3 numbers"))
    assert message == f"DimSize = {'1' * 100}[801 more]{'2' * 99}, expected 3 numbers"


def test_a_path_is_not_a_long_word():
    path = "/".join(["1.3.6.1.4.1.14519.5.2.1.7009.9004.123456789012345678901234567890"] * 5) + "/1-001.dcm"
    assert str(InputError(f"{path}: no such file")) == f"{path}: no such file"


def test_travels_to_another_process_unchanged():
    error = InputError("x" * 1000 + "\n")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
