"""What two runs wrote is equal to the byte, times left out, or it is said where they part."""

import json

import pytest

from experiments.runs.reproduce import difference_of_files
from experiments.runs.sos.sos_job import slides_in
from medssl_jax.core.errors import InputError


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ("a\nb\n", None),
        ("a\nc\n", "line 2 is the first of 1 that differ"),
        ("a\nb\nc\n", "line 3 is the first of 1 that differ"),
        ("b\nb", "line 1 is the first of 2 that differ"),
        ("a\r\nb\n", "line 1 is the first of 1 that differ"),
    ],
)
def test_files(tmp_path, other, difference):
    (tmp_path / "a").write_bytes(b"a\nb\n")
    (tmp_path / "b").write_bytes(other.encode())
    assert difference_of_files(tmp_path / "a", tmp_path / "b") == difference


def test_a_file_that_is_not_there(tmp_path):
    (tmp_path / "a").write_text("")
    assert difference_of_files(tmp_path / "a", tmp_path / "b") == f"{tmp_path / 'b'} is absent"


def test_times_do_not_count(tmp_path):
    for name, seconds, label in (("a", 1.0, "x"), ("b", 2.0, "x"), ("c", 2.0, "y")):
        (tmp_path / name).write_text(json.dumps({"seconds": seconds, "slides": {"SOS": [label]}}))
    assert difference_of_files(tmp_path / "a", tmp_path / "b", slides_in) is None
    assert difference_of_files(tmp_path / "a", tmp_path / "c", slides_in) is not None


@pytest.mark.parametrize("content", ["", "{}", "[1]", "5", "[" * 100_000])
def test_what_is_no_results(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(InputError, match=r"results\.json: no results of experiments\.sos"):
        slides_in(tmp_path / "results.json")
