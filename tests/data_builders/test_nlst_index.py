"""The index finds every series in either layout, names each defect, and reads a header once."""

import dataclasses
import os
import shutil

import numpy as np
import pydicom
import pytest

from data_builders.nlst import index, table
from data_builders.nlst.index import find_folders, index_series
from data_builders.nlst.table import SeriesRow, read_table, write_table
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.patients import patient_key

UID = "1.3.6.1.4.1.14519.5.2.1"
LISTING = (
    "Series UID,Collection,Subject ID,Study UID,Study Date,Modality,Number of Images,File Size,File Location\n"
    f"{UID}.1.1,NLST,100001,{UID}.1,01-02-1999,CT,8,1 MB,.\\NLST\\100001\\a\n"
)


def place(layout, patient, series):
    if layout == "nbia":
        return (
            f"NLST/{patient}/01-02-1999-NLST-LSS-{patient[-5:]}/{series}.000000-1OPALGELSPLUSSTANDARD3802.51204.0null"
        )
    return f"nlst/{patient}/{UID}.{patient[-1]}/CT_{UID}.{patient[-1]}.{series}"


@pytest.fixture
def tree(tmp_path, write_series):
    """Two patients with two series each, written in a layout."""

    def write(layout="idc"):
        folder = tmp_path / layout
        for patient in ("100001", "100002"):
            for series in (1, 2):
                write_series(
                    folder / place(layout, patient, series),
                    PatientID=patient,
                    StudyInstanceUID=f"{UID}.{patient[-1]}",
                    SeriesInstanceUID=f"{UID}.{patient[-1]}.{series}",
                    ConvolutionKernel=("STANDARD", "LUNG")[series - 1],
                )
        return folder

    return write


@pytest.fixture
def reads(monkeypatch):
    """The names of the folders that are read, as they are."""
    names = []

    def find_series(folder):
        names.append(folder.name)
        return index.__dict__["unwatched"](folder)

    monkeypatch.setitem(index.__dict__, "unwatched", index.find_series)
    monkeypatch.setattr(index, "find_series", find_series)
    return names


def place_in(folder, series):
    return folder / place("idc", "100001", series)


def problems(rows):
    return {row.series_uid.removeprefix(f"{UID}."): row.problem for row in rows}


def test_both_layouts_make_the_same_rows(tree, tmp_path):
    rows = {}
    for layout in ("nbia", "idc"):
        folder = tree(layout)
        found = index_series(folder, tmp_path / f"index_{layout}")
        assert [(folder / row.folder).is_dir() for row in found] == [True] * 4
        rows[layout] = sorted(
            (dataclasses.replace(row, folder="", folder_mtime_ns=0) for row in found), key=lambda row: row.series_uid
        )
    assert rows["nbia"] == rows["idc"]
    first = rows["idc"][0]
    assert first == table.SeriesRow(
        series_uid=f"{UID}.1.1",
        study_uid=f"{UID}.1",
        patient=patient_key("100001"),
        study_date="19990102",
        folder="",
        folder_mtime_ns=0,
        folder_files=8,
        images=8,
        problem="",
        header_problem="",
        modality="CT",
        manufacturer="GE MEDICAL SYSTEMS",
        kernel="STANDARD",
        image_type="ORIGINAL\\PRIMARY\\AXIAL",
        slice_thickness_mm=2.0,
        slice_distance_mm=2.0,
        spacing_y_mm=0.75,
        spacing_x_mm=0.75,
        rows=8,
        columns=8,
        is_axial=True,
        transfer_syntax="Explicit VR Little Endian",
        rescale="1 -1024",
    )


def test_is_kept_as_one_parquet_table(tree, tmp_path):
    rows = index_series(tree(), tmp_path / "index")
    assert tuple(read_table(tmp_path / "index" / "index.parquet")) == rows
    assert [path.name for path in sorted((tmp_path / "index").rglob("[!.]*"))] == ["index.parquet", "parts"]


def test_two_processes_find_what_one_does(tree, tmp_path):
    folder = tree()
    expected = index_series(folder, tmp_path / "one")
    assert index_series(folder, tmp_path / "two", workers=2, files_per_chunk=8) == expected


@pytest.mark.parametrize("syntax", [pydicom.uid.ImplicitVRLittleEndian, pydicom.uid.ExplicitVRLittleEndian])
@pytest.mark.parametrize(("signed", "padding"), [(0, 63536), (1, -2000)])
def test_padding_slopes_and_syntaxes_are_in_the_row(tmp_path, write_series, syntax, signed, padding):
    def change(header, z):
        header.PixelRepresentation, header.PixelPaddingValue = signed, padding
        header.RescaleSlope = 1 + z % 2
        if z == 0:
            header.file_meta.TransferSyntaxUID = syntax

    write_series(tmp_path / "data", change=change)
    (row,) = index_series(tmp_path / "data", tmp_path / "index")
    assert (row.problem, row.padding_value, row.rescale) == ("", padding, "1 -1024, 2 -1024")
    assert row.transfer_syntax == ", ".join(sorted({syntax.name, "Explicit VR Little Endian"}))


class TestAgain:
    @pytest.fixture
    def folder(self, tree):
        return tree()

    def test_nothing_is_read_twice(self, folder, tmp_path, reads):
        first = index_series(folder, tmp_path / "index")
        written = (tmp_path / "index" / "index.parquet").stat().st_mtime_ns
        assert len(reads) == 4
        assert index_series(folder, tmp_path / "index") == first
        assert len(reads) == 4
        assert (tmp_path / "index" / "index.parquet").stat().st_mtime_ns == written

    def test_a_killed_pass_goes_on(self, folder, tmp_path, reads):
        class KilledError(Exception):
            pass

        def dies(items, total=None):
            assert total == 4
            for count, item in enumerate(items):
                if count == 2:
                    raise KilledError
                yield item

        with pytest.raises(KilledError):
            index_series(folder, tmp_path / "index", progress=dies, files_per_chunk=8)
        assert not (tmp_path / "index" / "index.parquet").exists()
        assert len(reads) == 3
        rows = index_series(folder, tmp_path / "index", files_per_chunk=8)
        assert len(reads) == 4
        assert rows == index_series(folder, tmp_path / "fresh")

    def test_without_the_table_all_is_read(self, folder, tmp_path, reads):
        rows = index_series(folder, tmp_path / "index")
        (tmp_path / "index" / "index.parquet").unlink()
        assert index_series(folder, tmp_path / "index") == rows
        assert len(reads) == 8

    def test_only_what_changed_is_read(self, folder, tmp_path, reads, write_series):
        rows = index_series(folder, tmp_path / "index")
        next(place_in(folder, 1).glob("*1.dcm")).unlink()
        shutil.rmtree(place_in(folder, 2))
        write_series(folder / "nlst/100003/1/CT_1", SeriesInstanceUID="1.2", PatientID="100003")
        reads.clear()
        again = index_series(folder, tmp_path / "index")
        assert sorted(reads) == sorted([place_in(folder, 1).name, "CT_1"])
        assert [row.images for row in again] == [7, 8, 8, 8]
        assert len(rows) == 4
        assert tuple(read_table(tmp_path / "index" / "index.parquet")) == again

    def test_a_file_that_is_mended_in_place(self, folder, tmp_path, reads):
        path = next(place_in(folder, 1).iterdir())
        data = path.read_bytes()
        path.write_bytes(data[:-100])
        assert index_series(folder, tmp_path / "index")[0].problem.startswith("truncated file: ")
        path.write_bytes(data)
        reads.clear()
        for _ in range(2):
            assert index_series(folder, tmp_path / "index")[0].problem == ""
        assert reads == [place_in(folder, 1).name]

    def test_a_table_of_another_version_is_made_anew(self, folder, tmp_path, reads, monkeypatch):
        monkeypatch.setattr(table, "INDEX_VERSION", "0")
        index_series(folder, tmp_path / "index")
        monkeypatch.undo()
        assert len(index_series(folder, tmp_path / "index")) == 4
        assert read_table(tmp_path / "index" / "index.parquet")

    def test_a_damaged_table_is_named(self, folder, tmp_path):
        index_series(folder, tmp_path / "index")
        (tmp_path / "index" / "index.parquet").write_bytes(b"PAR1 nothing")
        with pytest.raises(InputError, match=r"index\.parquet: cannot be read as a Parquet table"):
            index_series(folder, tmp_path / "index")

    def test_no_bit_of_a_table_changes_what_is_read(self, tmp_path):
        """Without its own checksum a third of such changes gave other rows, and some a KeyError."""
        path = tmp_path / "index.parquet"
        rows = [SeriesRow(f"1.{k}", "1", f"P{k}", "19990102", f"a/{k}", 10**18 + k, 9, 9, "", "") for k in range(40)]
        write_table(path, rows)
        whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
        for place in rng.integers(0, len(whole), 150):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.integers(8)]) + whole[place + 1 :])
            try:
                assert read_table(path) in (rows, [])
            except InputError:
                refused += 1
        assert refused > 75


class TestProblems:
    """A defect is in the row of its series, and the others stay as they are."""

    def planted(self, folder, tmp_path):
        found = problems(index_series(folder, tmp_path / "index"))
        assert {uid for uid, problem in found.items() if not problem} >= {"1.2", "2.1", "2.2"}
        return found

    def edit(self, folder, **fields):
        for path in place_in(folder, 1).iterdir():
            header = pydicom.dcmread(path)
            for name, value in fields.items():
                delattr(header, name) if value is None else setattr(header, name, value)
            header.save_as(path)

    def test_none(self, tree, tmp_path):
        assert set(problems(index_series(tree(), tmp_path / "index")).values()) == {""}

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"Modality": "MR"}, "not CT: Modality is MR, expected CT, in 1-011.dcm and 7 more"),
            ({"PatientID": None}, "field missing: no PatientID"),
            ({"StudyInstanceUID": None}, "field missing: no StudyInstanceUID"),
        ],
    )
    def test_of_headers(self, tree, tmp_path, fields, said):
        folder = tree()
        self.edit(folder, **fields)
        assert self.planted(folder, tmp_path)["1.1"].startswith(said)

    def test_a_short_series(self, tree, tmp_path):
        folder = tree()
        for path in sorted(place_in(folder, 1).iterdir())[:-3]:
            path.unlink()
        assert "short series: 3 images, expected more than 5" in self.planted(folder, tmp_path)["1.1"]

    def test_a_missing_slice_and_a_duplicate(self, tree, tmp_path):
        folder = tree()
        paths = sorted(place_in(folder, 1).iterdir())
        paths[1].rename(paths[1].with_name("copy.dcm"))
        shutil.copy(paths[0], paths[1])
        paths[3].unlink()
        found = self.planted(folder, tmp_path)["1.1"]
        assert [sentence.split(":")[0] for sentence in found.split("; ")] == ["duplicate slice", "slice missing"]

    def test_an_unreadable_file(self, tree, tmp_path):
        folder = tree()
        (place_in(folder, 1) / "1-000.dcm").write_bytes(b"broken")
        assert self.planted(folder, tmp_path)["1.1"].startswith("not DICOM: 1-000.dcm is not")

    def test_a_folder_of_unreadable_files(self, tree, tmp_path):
        folder = tree()
        for path in place_in(folder, 1).iterdir():
            path.write_bytes(b"broken")
        assert self.planted(folder, tmp_path)[""].startswith("not DICOM: ")

    def test_a_series_in_two_folders(self, tree, tmp_path):
        folder = tree()
        shutil.copytree(place_in(folder, 1), folder / "nlst" / "other")
        rows = index_series(folder, tmp_path / "index")
        assert [row.problem for row in rows] == [
            "",
            "",
            "",
            "",
            f"duplicate series: it is also in {rows[0].folder}, which is used",
        ]
        assert index_series(folder, tmp_path / "index") == rows
        (place_in(folder, 1) / "1-000.dcm").write_bytes(b"broken")
        first, *_, last = (row.problem for row in index_series(folder, tmp_path / "index"))
        assert (first.split("; ")[1], last) == ("duplicate series: it is also in nlst/other, which is used", "")
        shutil.rmtree(place_in(folder, 1))
        assert [row.problem for row in index_series(folder, tmp_path / "index")] == [""] * 4

    def test_several_series_in_one_folder(self, tree, tmp_path):
        folder = tree()
        for path in place_in(folder, 1).iterdir():
            path.rename(place_in(folder, 2) / f"b{path.name}")
        rows = index_series(folder, tmp_path / "index")
        assert [(row.folder, row.images, row.problem) for row in rows[:2]] == [(place("idc", "100001", 2), 8, "")] * 2

    def test_of_a_series_in_two_folders_the_whole_one_is_used(self, tree, tmp_path):
        """Half a copy has no gap, so nothing but its number of slices tells it from a whole one."""
        folder = tree()
        there = place("idc", "100001", 1)
        part = place_in(folder, 1).parent / "a-part"
        shutil.copytree(place_in(folder, 1), part)
        for path in sorted(part.iterdir(), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])[6:]:
            path.unlink()
        rows = index_series(folder, tmp_path / "index")
        (uid,) = (row.series_uid for row in rows if row.folder == there)
        problems = {row.folder: row.problem.split(":")[0] for row in rows if row.series_uid == uid}
        assert problems.pop(there) == ""
        assert list(problems.values()) == ["duplicate series"]


class TestListing:
    @pytest.mark.parametrize("where", [".", "manifest"])
    def test_a_series_that_is_absent_or_incomplete(self, tree, tmp_path, where):
        folder = tree()
        (folder / where).mkdir(exist_ok=True)
        (folder / where / "metadata.csv").write_text(
            LISTING.replace(",8,", ",9,") + f"{UID}.7.1,NLST,100007,{UID}.7,01-02-1999,CT,130,1 MB,.\\NLST\\100007\\b\n"
        )
        rows = index_series(folder, tmp_path / "index")
        absent, incomplete = (
            next(row for row in rows if row.problem.startswith(name)) for name in ("absent", "incomp")
        )
        assert incomplete.problem == "incomplete series: 8 of the 9 images that metadata.csv lists, download it again"
        assert absent.problem == "absent series: metadata.csv lists it with 130 images, none is on disk"
        assert (absent.patient, absent.study_date, absent.folder) == (
            patient_key("100007"),
            "19990102",
            "NLST/100007/b",
        )
        assert len(rows) == 5
        assert index_series(folder, tmp_path / "index") == rows
        (folder / where / "metadata.csv").write_text(LISTING)
        assert set(problems(index_series(folder, tmp_path / "index")).values()) == {""}

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("Number of Images", "Images", r"row 1: found the header .*, expected the column 'Number of Images' once"),
            (",8,", ",many,", r"row 2: Number of Images is 'many', expected a number"),
            (",8,", ",\u00b2,", r"row 2: Number of Images is '\u00b2', expected a number"),
            (LISTING, "", r"row 1: found an empty file, expected the column 'Series UID'"),
            (",8,", ",8,8,", r"row 2: found \d+ cells, expected \d+ as in the header"),
            (",8,", f",{'9' * 5000},", r"row 2: Number of Images is '9+\[\d+ more\]9+', expected a number"),
            (LISTING, LISTING + LISTING.partition("\n")[2], r"row \d: the same series .* as in row 2: take one"),
        ],
    )
    def test_that_cannot_be_understood(self, tree, tmp_path, old, new, said):
        folder = tree()
        (folder / "metadata.csv").write_text(LISTING.replace(old, new))
        with pytest.raises(InputError, match=r"metadata\.csv: " + said):
            index_series(folder, tmp_path / "index")


def test_a_folder_whose_name_is_no_text_is_named(tree, tmp_path):
    folder = tree()
    next(folder.rglob("*.dcm")).parent.rename(folder / os.fsdecode(b"L\xf6sche"))
    with pytest.raises(InputError, match=r"L\\xf6sche: a name that is no text"):
        index_series(folder, tmp_path / "index")


def test_links_lead_to_a_folder_once(tree):
    folder = tree()
    expected = len(list(find_folders(folder)))
    (folder / "again").symlink_to(folder / "nlst", target_is_directory=True)
    (folder / "nlst" / "up").symlink_to(folder, target_is_directory=True)
    assert len(list(find_folders(folder))) == expected == 4


def test_hidden_folders_and_other_files_are_left_out(tree):
    folder = tree()
    (folder / ".cache").mkdir()
    (folder / ".cache" / "1.dcm").touch()
    (folder / "nlst" / "LICENSE.txt").touch()
    assert len(list(find_folders(folder))) == 4


def test_a_table_comes_back_whatever_is_unknown(tmp_path):
    rows = [
        table.SeriesRow("", "", "", "", "a", 1, 1, 0, "no DICOM", "no DICOM"),
        table.SeriesRow("1", "2", "é", "", "a/b", 2**62, 1, 0, "", "", gantry_tilt_deg=1.5, padding_value=-2000),
    ]
    write_table(tmp_path / "t.parquet", rows)
    assert read_table(tmp_path / "t.parquet") == rows
    assert read_table(tmp_path / "none.parquet") == []
