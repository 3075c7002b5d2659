"""JSON that any reader takes: records are objects, what is not defined is null, single precision survives."""

import json
from typing import NamedTuple

import numpy as np
import pytest

from medssl_jax.report.json_report import single_precision, write_json


class Scores(NamedTuple):
    recall: np.ndarray
    inner: tuple | None = None


def test_records_arrays_and_nan(tmp_path):
    scores = Scores(np.array([0.5, np.nan]), Scores(np.zeros((1, 2), np.int64)))
    write_json(tmp_path / "a.json", {"scores": [scores], "pair": (1, float("nan")), "word": "nan", "none": None})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {
        "scores": [{"recall": [0.5, None], "inner": {"recall": [[0, 0]], "inner": None}}],
        "pair": [1, None],
        "word": "nan",
        "none": None,
    }
    assert text.endswith("}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_json_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"speed": float("inf")})
    assert list(tmp_path.iterdir()) == []


def test_nine_digits_tell_any_two_of_single_precision_apart():
    values = np.random.default_rng(0).random(1000, dtype=np.float32)
    for value in (values, np.nextafter(values, np.float32(2))):
        assert [np.float32(single_precision(each)) for each in value.tolist()] == value.tolist()
