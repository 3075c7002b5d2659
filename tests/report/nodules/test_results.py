"""Which files are asked for."""

import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.report.nodules.result_files import check_formats


def test_json_is_always_written_and_the_order_is_not_the_users():
    assert check_formats(["mrk", "csv"]) == ("csv", "json", "mrk")


def test_an_unknown_format_is_one_line():
    with pytest.raises(InputError, match=r"--formats: found 'dcm', expected some of csv,json,html,mrk,labelmap,sr,seg"):
        check_formats(["csv", "dcm"])


def test_without_highdicom_there_is_a_line_that_installs_it(monkeypatch):
    assert check_formats(["sr"]) == ("json", "sr")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--formats=sr: needs highdicom, .*: pip install -c .*\[dicom\]'$"):
        check_formats(["csv", "sr"])
