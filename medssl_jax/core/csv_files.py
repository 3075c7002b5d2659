"""CSV files, read strictly and written so that any text comes back.

A spreadsheet runs what begins with `=`, `+`, `-` or `@` as a formula. Text that does is therefore written behind an
apostrophe, which the readers here take off again; numbers, -12.5 too, are written as they are. White space at the ends
of a cell does not count. A NUL is no text: it is written as \\x00, and a file that holds one is refused.
"""

import csv
import gzip
import io
import math
import os
import re
import zlib
from collections.abc import Hashable, Iterable, Iterator, Sequence

from medssl_jax.core.errors import InputError

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# The last four are the first four at full width, as in Japanese; with apostrophes before, so that no two texts meet.
FORMULA = re.compile("'*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
QUOTED = re.compile(r'[,"\r\n]')
# LUNA16's largest table, its candidates, has 754,975 lines. A file of 1 MB must not claim memory or minutes.
MOST_LINES, LONGEST_LINE, MOST_BYTES_UNPACKED = 1_000_000, 1 << 20, 1 << 27


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows of cells as the text of a CSV file; a cell that is no text is written as Python writes it."""
    return "".join(",".join(map(_written, row)) + "\n" for row in rows)


def read_rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """(row number in the file, cells) of every line that is not blank, of a `.csv` or `.csv.gz`.

    Raises `InputError` where the file is absent, no text in UTF-8, no CSV or larger than a table of scans can be, or a
    .csv.gz is damaged.
    """
    # The signature is what a spreadsheet puts before the first header cell.
    text = io.TextIOWrapper(io.BytesIO(_content(path)), encoding="utf-8-sig", newline="")
    reader = csv.reader(_lines(path, text), strict=True)
    try:
        for cells in reader:
            if any("\0" in cell for cell in cells):  # what a power cut or a lost block of a disk leaves
                raise InputError(
                    f"{path}: row {reader.line_num}: found a NUL, which no text has, so it is damaged; fetch it again"
                )
            if cells:
                yield reader.line_num, [_read(cell) for cell in cells]
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: found bytes that are no text ({error.reason}), expected a CSV file in UTF-8; correct the path"
        ) from error
    except csv.Error as error:
        raise InputError(f"{path}: row {reader.line_num}: found no CSV ({error}); correct the row") from error


def read_table(path: str | os.PathLike[str], columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields (row number in the file, the cells of `columns` in that order) for every row below the header.

    Further columns are allowed; a missing or repeated one, or a row of another length, is an InputError.
    """
    rows = read_rows(path)
    header_row, header = next(rows, (1, []))
    for column in columns:
        if header.count(column) != 1:
            found = "an empty file" if not header else f"the header {','.join(header)!r}"
            raise InputError(
                f"{path}: row {header_row}: found {found}, expected the column {column!r} once "
                f"among {','.join(columns)}; correct the header"
            )
    places = [header.index(column) for column in columns]
    for row, cells in rows:
        if len(cells) != len(header):
            raise InputError(
                f"{path}: row {row}: found {len(cells)} cells, expected {len(header)} as in the header; correct the row"
            )
        yield row, [cells[place] for place in places]


def number_cells(
    path: str | os.PathLike[str], row: int, columns: Sequence[str], cells: Sequence[str]
) -> tuple[float, ...]:
    """The finite decimal numbers in cells, which are those of `columns`; InputError where one is none."""
    numbers = tuple(float(cell) if NUMBER.fullmatch(cell) else math.nan for cell in cells)
    for column, cell, number in zip(columns, cells, numbers, strict=True):
        if not math.isfinite(number):
            raise InputError(
                f"{path}: row {row}, column {column}: found {cell!r}, expected a finite number; correct the cell"
            )
    return numbers


def check_new(path: str | os.PathLike[str], row: int, what: str, key: Hashable, row_of: dict[Hashable, int]) -> None:
    """Raises `InputError` where `row_of`, the first row of each key, has `key` already; else puts `row` there."""
    first = row_of.setdefault(key, row)
    if first != row:
        raise InputError(f"{path}: row {row}: {what} as in row {first}: take one of the two out")


def _content(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            if not os.fspath(path).endswith(".gz"):
                return file.read()
            with gzip.GzipFile(fileobj=file) as unpacked:
                content = unpacked.read(MOST_BYTES_UNPACKED + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path}: found no such file, expected a CSV file; correct the path") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: found no whole gzip file ({error}), expected a .csv.gz; fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; correct the path") from error
    if len(content) > MOST_BYTES_UNPACKED:
        raise InputError(
            f"{path}: unpacks to more than {MOST_BYTES_UNPACKED >> 20} MB, expected a table of scans; correct the path"
        )
    return content


def _lines(path: str | os.PathLike[str], text: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(text, start=1):
        if number > MOST_LINES or len(line) > LONGEST_LINE:
            found = f"a line of {len(line):,} characters" if number <= MOST_LINES else f"more than {MOST_LINES:,} lines"
            raise InputError(f"{path}: row {number}: found {found}, expected a table of scans; correct the path")
        yield line


def _written(cell: object) -> str:
    text = cell.strip().replace("\0", r"\x00") if isinstance(cell, str) else str(cell)
    if FORMULA.match(text) and not NUMBER.fullmatch(text):
        text = f"'{text}"
    return '"{}"'.format(text.replace('"', '""')) if QUOTED.search(text) else text


def _read(cell: str) -> str:
    text = cell.strip()
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text
