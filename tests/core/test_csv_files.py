"""Any text comes back from the file it was written to, no cell of it is a formula, and numbers are read strictly."""

import csv
import gzip
import io
import math
import re
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from medssl_jax.core.atomic import write_text
from medssl_jax.core.csv_files import LONGEST_LINE, MOST_LINES, check_new, csv_text, number_cells, read_rows, read_table
from medssl_jax.core.errors import InputError

CELLS = st.text(st.characters(codec="utf-8"), max_size=20) | st.text(st.sampled_from("'=+-@\uff1d,\"\r\n \t1.e\0"))
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=5)


@given(ROWS)
@example([["=1", "'=1", "''=1", "'1"], ["-", "+1e3", "-1.5", "--1"]])
@example([["\u0085", "\ufeff"]])
def test_text_is_read_back_but_for_space_at_its_ends(rows):
    with tempfile.TemporaryDirectory() as folder:
        write_text(Path(folder) / "table.csv", csv_text(rows))
        back = [cells for _, cells in read_rows(Path(folder) / "table.csv")]
    assert back == [[cell.strip().replace("\0", r"\x00") for cell in row] for row in rows]


@given(ROWS)
def test_no_cell_is_a_formula_and_python_reads_the_same_rows(rows):
    back = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    assert len(back) == len(rows)
    for row, cells in zip(rows, back, strict=True):
        for given_cell, cell in zip(row, cells, strict=True):
            assert cell.lstrip("'") == given_cell.strip().lstrip("'").replace("\0", r"\x00")
            assert not re.match("[=+@\uff1d\uff0b\uff0d\uff20\t\r-]", cell) or math.isfinite(float(cell))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53), min_size=1))
def test_numbers_are_read_back_to_the_bit(numbers):
    (cells,) = csv.reader(io.StringIO(csv_text([numbers])))
    assert number_cells("table", 1, cells, cells) == tuple(numbers)


@pytest.mark.parametrize("cell", ["1", "-12.5", "+3", "1.", ".5", "1e3", "2.5E-7", "007"])
def test_a_number(cell):
    assert number_cells("table.csv", 3, ("coordX",), (cell,)) == (float(cell),)


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "1_000",
        "\u0661\u0662",
        "\uff11",
        "nan",
        "inf",
        "-Infinity",
        "1e999",
        "0x10",
        "1,5",
        "1 000",
        "--1",
        "e3",
        ".",
        "1e",
    ],
)
def test_no_number(cell):
    with pytest.raises(InputError, match=r"table\.csv: row 3, column coordX: found .*, expected a finite number"):
        number_cells("table.csv", 3, ("coordY", "coordX"), ("1", cell))


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path}: cannot be read: Is a directory; correct the path$"):
        list(read_table(tmp_path, ("a",)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('a,b\n"1,2\n3,4\n', "row 3: found no CSV"),  # a quote that nothing ends takes in the rest of the file
        ('a,b\n"1"2,3\n', "row 2: found no CSV"),
        ("a,b\n1,2,3\n", "row 2: found 3 cells, expected 2"),
        ("a,a\n1,2\n", "expected the column 'a' once"),
        ("", "row 1: found an empty file, expected the column 'a' once"),
        ("a,b\n1,2\n\0\0\0\0", "row 3: found a NUL"),
    ],
)
def test_what_is_no_table(tmp_path, text, said):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        list(read_table(tmp_path / "table.csv", ("a", "b")))


def test_a_gz_is_not_unpacked_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("medssl_jax.core.csv_files.MOST_BYTES_UNPACKED", 1 << 20)
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(b"a,b\n" * (1 << 18) + b"\n"))
    with pytest.raises(InputError, match=r"table\.csv\.gz: unpacks to more than 1 MB"):
        list(read_rows(tmp_path / "table.csv.gz"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n" + "\n" * 1000, "row 1001: found more than 1,000 lines"),
        ("a\n" + "," * LONGEST_LINE + "\n", "row 2: found a line of 1,048,577 characters"),
    ],
)
def test_a_small_file_does_not_claim_minutes_or_memory(tmp_path, monkeypatch, text, said):
    assert MOST_LINES == 1_000_000
    monkeypatch.setattr("medssl_jax.core.csv_files.MOST_LINES", 1000)
    packed = gzip.compress(text.encode(), compresslevel=1)
    assert len(packed) < 10_000
    (tmp_path / "table.csv.gz").write_bytes(packed)
    with pytest.raises(InputError, match=said):
        list(read_rows(tmp_path / "table.csv.gz"))


def test_a_repeated_row():
    seen: dict = {}
    check_new("table.csv", 2, "the same scan", "a", seen)
    check_new("table.csv", 3, "the same scan", "b", seen)
    with pytest.raises(InputError, match=r"table\.csv: row 4: the same scan as in row 2: take one of the two out"):
        check_new("table.csv", 4, "the same scan", "a", seen)
