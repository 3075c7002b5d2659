"""The real files' facts, LUNA16's dialect, and one clear line for each kind of bad cell."""

import gzip

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.luna16_csv import (
    is_luna16,
    read_annotations,
    read_excluded,
    read_series_uids,
    write_series_uids,
)

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm"


def written(folder, text, name="annotations.csv"):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_real_files_hold_what_luna16_states(shared_data):
    annotations = read_annotations(shared_data / "luna16" / "annotations.csv")
    excluded = read_excluded(shared_data / "luna16" / "annotations_excluded.csv.gz")
    series_uids = read_series_uids(shared_data / "luna16" / "seriesuids.csv")
    assert (len(annotations), len(set(annotations.series_uid))) == (1186, 601)
    assert (len(excluded), int((excluded.diameter_mm == -1).sum())) == (35192, 30513)
    assert len(series_uids) == 888
    assert set(excluded.series_uid) | set(annotations.series_uid) <= set(series_uids)
    np.testing.assert_allclose(annotations.centre_xyz_mm[0], [-128.6994211, -175.3192718, -298.3875064])
    assert annotations.diameter_mm[0] == 5.651470635


def test_luna16_is_known_by_its_series_and_no_other_list_is(shared_data):
    series_uids = read_series_uids(shared_data / "luna16" / "seriesuids.csv")
    assert is_luna16(series_uids)
    assert is_luna16(series_uids[::-1])
    assert not is_luna16(series_uids[1:])
    assert not is_luna16([*series_uids, "1.2"])


def test_line_ends_gzip_blank_lines_byte_order_mark_and_column_order_do_not_matter(tmp_path):
    plain = f"{HEADER}\na,1,2,3,4\nb,5,6,7,-1\n"
    variants = [
        written(tmp_path, plain, "plain.csv"),
        written(tmp_path, plain.replace("\n", "\r\n"), "windows.csv"),
        written(tmp_path, gzip.compress(plain.encode()), "packed.csv.gz"),
        written(tmp_path, "\ufeff" + plain + "\n\n", "spreadsheet.csv"),
        written(tmp_path, "note,diameter_mm,coordZ,coordY,coordX,seriesuid\n,4,3,2,1,a\n,-1,7,6,5,b\n", "moved.csv"),
    ]
    for path in variants:
        read = read_annotations(path)
        assert read.series_uid == ("a", "b")
        np.testing.assert_array_equal(read.centre_xyz_mm, [[1, 2, 3], [5, 6, 7]])
        np.testing.assert_array_equal(read.diameter_mm, [4, -1])


def test_a_file_of_no_findings_is_legal(tmp_path):
    assert len(read_annotations(written(tmp_path, HEADER + "\n"))) == 0


def test_of_series_keeps_the_rows_of_those_series_in_order(findings):
    kept = findings(("a", 1, 0, 0, 4), ("b", 2, 0, 0, 5), ("a", 3, 0, 0, 6)).of_series({"a"})
    assert kept.series_uid == ("a", "a")
    np.testing.assert_array_equal(kept.centre_xyz_mm[:, 0], [1, 3])
    np.testing.assert_array_equal(kept.diameter_mm, [4, 6])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\na,1,2,3,4\na,nan,2,3,4\n", "row 3, column coordX: found 'nan', expected a finite number"),
        (f"{HEADER}\na,1,inf,3,4\n", "row 2, column coordY: found 'inf', expected a finite number"),
        (f"{HEADER}\na,1,2,,4\n", "row 2, column coordZ: found '', expected a finite number"),
        (f"{HEADER}\na,1,2,3,wide\n", "row 2, column diameter_mm: found 'wide', expected a finite number"),
        (f"{HEADER}\na,1,2,3,0\n", "row 2, column diameter_mm: found 0, expected more than 0 mm .*, or -1"),
        (f"{HEADER}\na,1,2,3,-4.5\n", "row 2, column diameter_mm: found -4.5, expected more than 0 mm"),
        (
            f"{HEADER}\na,1,2,3,500\na,1,2,3,500.5\n",
            "row 3, column diameter_mm: found 500.5, expected .* at most 500",
        ),
        (f"{HEADER}\na,1,2,3,4\nb,1,2,3,4\na,1,2.0,3,4\n", "row 4: the same finding as in row 2: take one"),
        (f"{HEADER}\n,1,2,3,4\n", "row 2, column seriesuid: found an empty cell"),
        (f"{HEADER}\na,1,2,3\n", "row 2: found 4 cells, expected 5"),
        ("seriesuid,coordX,coordY,coordZ\na,1,2,3\n", "row 1: found the header .* expected the column 'diameter_mm'"),
        ("", "found an empty file, expected the column 'seriesuid'"),
        (b"\xff\xfe\x00", "found bytes that are no text"),
    ],
)
def test_bad_annotations_are_refused_by_row_and_column(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as error:
        read_annotations(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_excluded_findings_may_repeat(tmp_path):
    """LUNA16's own list repeats 11,105 of its 35,192 rows."""
    assert len(read_excluded(written(tmp_path, f"{HEADER}\na,1,2,3,-1\na,1,2,3,-1\n"))) == 2


def test_row_numbers_are_the_file_s_own(tmp_path):
    with pytest.raises(InputError, match="row 5, column coordX"):
        read_annotations(written(tmp_path, f"{HEADER}\n\n\na,1,2,3,4\na,x,2,3,4\n"))


def test_series_that_is_not_known_is_refused(tmp_path):
    path = written(tmp_path, f"{HEADER}\na,1,2,3,4\nb,1,2,3,4\n")
    assert len(read_annotations(path, known_series=["a", "b"])) == 2
    with pytest.raises(InputError, match="row 3, column seriesuid: found 'b', expected one of the 1 listed series"):
        read_annotations(path, known_series=["a"])


def test_broken_gzip_and_missing_file_are_named(tmp_path):
    whole = gzip.compress(f"{HEADER}\n".encode() * 100)
    flipped = whole[:30] + bytes([whole[30] ^ 0xFF]) + whole[31:]
    for content in (whole[:-9], flipped, b"no gzip at all", whole[:20] + b"\x00" * 8):
        with pytest.raises(InputError, match="found no whole gzip file"):
            read_annotations(written(tmp_path, content, "broken.csv.gz"))
    with pytest.raises(InputError, match=r"empty\.csv\.gz: row 1: found an empty file"):
        read_annotations(written(tmp_path, b"", "empty.csv.gz"))
    with pytest.raises(InputError, match=r"absent\.csv: found no such file"):
        read_annotations(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_annotations(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\r\nb\r\na\r\n", "row 3: the same series 'a' as in row 1: take one"),
        ("", "found no series"),
        ("\r\n\r\n", "found no series"),
        ("a,1\n", "row 1: found 2 cells"),
        ("seriesuid\na\n", "row 1: found the header 'seriesuid'"),
        ("SeriesUID\na\n", "row 1: found the header 'SeriesUID'"),
        (",\na\n", "row 1: found 2 cells"),
    ],
)
def test_bad_series_lists_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_series_uids(written(tmp_path, text, "seriesuids.csv"))


def test_series_list_keeps_its_order(tmp_path):
    assert read_series_uids(written(tmp_path, "c\r\na\r\nb\r\n", "seriesuids.csv")) == ("c", "a", "b")


def test_series_list_is_read_back_whatever_the_uids_are(tmp_path):
    uids = ("1.2.840.1", "=1+1", "@SUM(A1)", "'=1", "a,b", 'say "a"', "a\nb", "a\rb", "-12.5")
    write_series_uids(tmp_path / "seriesuids.csv", uids)
    assert read_series_uids(tmp_path / "seriesuids.csv") == uids
