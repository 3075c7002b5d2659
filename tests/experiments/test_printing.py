"""A command prints whatever names the files have: no work is lost over one that the terminal cannot show."""

import io
import os

from experiments import command


def test_a_name_that_is_no_utf_8_is_printed_with_escapes(monkeypatch):
    printed = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(printed, encoding="utf-8", write_through=True))
    monkeypatch.setattr("absl.app.run", lambda main, flags_parser: main(["command"]))
    # It would listen as long as this process lives, and end it at the SIGTERM of another test.
    monkeypatch.setattr(command, "leave_when_told", lambda: None)
    command.run(lambda argv: print(os.fsdecode(b"L\xf6sche"), "L\u00f6sche"))
    assert printed.getvalue() == b"L\\udcf6sche L\xc3\xb6sche\n"
