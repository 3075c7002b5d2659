"""Tables of points and boxes: every bad cell is named by file, row and column."""

import gzip

import numpy as np
import pytest

from data_builders.folder.tables import read_lesion_table
from medssl_jax.core.errors import InputError

POINTS = "seriesuid,coordX,coordY,coordZ,diameter_mm"
BOXES = "seriesuid,xmin,ymin,zmin,xmax,ymax,zmax"
KNOWN = ("scan_1", "scan_2")


def read(tmp_path, *rows, name="labels.csv"):
    (tmp_path / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return read_lesion_table(tmp_path / name, KNOWN)


def refused(tmp_path, said, *rows):
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path, *rows)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "labels.csv") in str(caught.value)


def test_points(tmp_path):
    lesions = read(tmp_path, POINTS, "scan_2,1,2,3,4", "scan_1,-1.5,0,1e2,8", "scan_2,5,6,7,8.25")
    np.testing.assert_array_equal(lesions["scan_2"].centres_xyz_mm, [[1, 2, 3], [5, 6, 7]])
    np.testing.assert_array_equal(lesions["scan_2"].diameters_mm, [4, 8.25])
    assert lesions["scan_2"].sources == (f"{tmp_path}/labels.csv: row 2", f"{tmp_path}/labels.csv: row 4")
    assert len(lesions["scan_1"].centres_xyz_mm) == 1


def test_boxes(tmp_path):
    lesions = read(tmp_path, BOXES, "scan_1,-1,-2,-3,1,4,9")
    np.testing.assert_array_equal(lesions["scan_1"].centres_xyz_mm, [[0, 1, 3]])
    np.testing.assert_array_equal(lesions["scan_1"].diameters_mm, [[2, 6, 12]])


def test_what_spreadsheets_do(tmp_path):
    """A signature, blank lines, other columns in another order, spaces, CRLF; and gzip."""
    text = "\ufeff\r\nnote, diameter_mm,coordZ,coordY,coordX,seriesuid\r\n\r\nlarge,4,3,2,1, scan_1\r\n"
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "labels.csv").write_bytes(text.encode())
    for name in ("labels.csv", "labels.csv.gz"):
        lesions = read_lesion_table(tmp_path / name, KNOWN)["scan_1"]
        np.testing.assert_array_equal(lesions.centres_xyz_mm, [[1, 2, 3]])
        assert lesions.diameters_mm.tolist() == [4]


@pytest.mark.parametrize("header", [POINTS, BOXES])
def test_no_rows_is_no_scan(tmp_path, header):
    assert read(tmp_path, header) == {}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((POINTS, "scan_1,1,2,nan,4"), "row 2, column coordZ: found 'nan', expected a finite number"),
        ((POINTS, "scan_1,1,inf,3,4"), "row 2, column coordY: found 'inf'"),
        ((POINTS, "scan_1,1,2,3,4", "scan_1,one,2,3,4"), "row 3, column coordX: found 'one'"),
        ((POINTS, "scan_1,1,2,3,"), "row 2, column diameter_mm: found ''"),
        ((POINTS, "scan_1,1,2,3,0"), "row 2, column diameter_mm: found 0, expected more than 0 mm"),
        ((POINTS, "scan_1,1,2,3,-1"), "row 2, column diameter_mm: found -1, expected more than 0 mm"),
        (
            (POINTS, "scan_1,1,2,3,1e6"),
            "row 2, column diameter_mm: found 1e\\+06, expected more than 0 mm and at most 500",
        ),
        ((BOXES, "scan_1,0,0,0,1,1,1e6"), "row 2, columns zmin, zmax: found 0, 1e\\+06, expected at most 500 mm apart"),
        ((POINTS, "scan_1,1,2,3"), "row 2: found 4 cells, expected 5"),
        ((POINTS, ",1,2,3,4"), "row 2, column seriesuid: found ''"),
        ((POINTS, "scan_1.nii.gz,1,2,3,4"), "row 2, column seriesuid: found 'scan_1.nii.gz', .*such as 'scan_1'"),
        ((POINTS, "scan_3,1,2,3,4"), "row 2, column seriesuid: found 'scan_3', expected the id of one of the 2 scans"),
        ((POINTS, "scan_1,1,2,3,4", "scan_2,1,2,3,4", "scan_1,1.0,2,3,4"), "row 4: the same lesion as in row 2"),
        ((BOXES, "scan_1,0,0,0,1,-1,1"), "row 2, columns ymin, ymax: found 0, -1, expected the smaller first"),
        ((BOXES, "scan_1,0,0,5,1,1,5"), "row 2, columns zmin, zmax: found 5, 5"),
        ((BOXES, "scan_1,0,0,0,1,1,nan"), "row 2, column zmax: found 'nan'"),
        (("seriesuid,x,y,z,d",), "row 1: found the header .*expected either points, .*coordX.*or boxes, .*xmin"),
        ((POINTS + "," + BOXES,), "expected either points"),
        (("scan_1,1,2,3,4",), "expected either points"),
        (("seriesuid,coordX,coordY,diameter_mm",), "expected the column 'coordZ' once"),
        (("coordX,coordY,coordZ,diameter_mm",), "expected the column 'seriesuid' once"),
        (("",), "found the header '', expected either points"),
    ],
)
def test_a_bad_table(tmp_path, rows, said):
    refused(tmp_path, said, *rows)
