"""Progress in a log, which is no terminal: lines that come now and then."""

import io
import sys

import pytest

from medssl_jax.core import progress
from medssl_jax.core.progress import progress_bar


@pytest.fixture
def clock(monkeypatch):
    """Time in seconds that only the test moves."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_at_the_beginning_one_every_half_minute_and_one_at_the_end(clock, capsys):
    said = []
    for item in progress_bar("preparing", "scans")(range(10)):
        said.append(capsys.readouterr().err)
        clock[0] += 40 if item == 5 else 7
    said.append(capsys.readouterr().err)
    assert said[0] == "preparing: 10 scans\n"
    assert said[1:5] == [""] * 4
    assert said[5] == "preparing: 5 of 10 scans, 0.14 scans/s, 35 s left\n"
    assert said[6] == "preparing: 6 of 10 scans, 0.08 scans/s, 50 s left\n"
    assert said[7:10] == [""] * 3
    assert said[10:] == ["preparing: 10 of 10 scans in 103 s\n"]


def test_items_without_a_length_are_counted_by_the_total_that_is_told(clock, capsys):
    assert list(progress_bar("reading", "files")(iter("abc"), total=3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == "reading: 3 files\nreading: 3 of 3 files in 0 s\n"


def test_what_ends_early_is_not_called_done(clock, capsys):
    """Closed before all items were taken, as by an error."""
    begun = progress_bar("reading", "files")("abc")
    next(begun)
    begun.close()
    assert capsys.readouterr().err == "reading: 3 files\n"


def test_a_terminal_has_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress_bar("reading", "files")("abc")) == ["a", "b", "c"]
    assert "3/3" in terminal.getvalue()
