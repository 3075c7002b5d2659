"""Slices are in SimpleITK's order, each defect is named, and HU are right however a file stores them."""

import logging
import math
import os
import re
import shutil
import tracemalloc

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.dicom.series import find_series, read_series
from medssl_jax.imaging.patients import patient_key
from medssl_jax.imaging.volumes import read_volume

HTJ2K = "1.2.840.10008.1.2.4.201"
PADDING = pydicom.tag.Tag("PixelPaddingValue")
OBLIQUE = [round(each, 6) for each in (math.cos(0.3), math.sin(0.3), 0, -math.sin(0.3), math.cos(0.3), 0)]


def edit(path, **fields):
    with pydicom.config.disable_value_validation():
        header = pydicom.dcmread(path)
        for name, value in fields.items():
            delattr(header, name) if value is None else setattr(header, name, value)
        header.save_as(path)


def deflate(path, *, pixels=None, comment=None):
    """The same slice deflated, with the first bytes of its pixels only, or behind a comment."""
    header = pydicom.dcmread(path)
    header.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    if pixels is not None:
        header.PixelData = header.PixelData[:pixels]
    if comment:
        header.add_new(0x00091010, "OB", comment)
    header.save_as(path)


def far_away(header, z):
    header.ImagePositionPatient = [2e5, 0, z]


def slices_by_z(folder):
    return sorted(folder.iterdir(), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])


@pytest.mark.parametrize(
    "fields",
    [{}, {"ImageOrientationPatient": OBLIQUE}, {"ImageOrientationPatient": [1, 0, 0, 0, -1, 0]}],
    ids=["axial", "turned", "from the head down"],
)
def test_order_and_grid_are_simpleitks(tmp_path, write_series, fields):
    stored = np.random.default_rng(0).integers(0, 2000, (12, 6, 8))
    folder = write_series(tmp_path / "ct", stored=stored, **fields)
    volume, series = read_volume(folder), read_series(folder)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    assert [str(header.path) for header in series.headers] == list(names)
    oracle = sitk.ReadImage(names)
    np.testing.assert_array_equal(volume.array_zyx, sitk.GetArrayViewFromImage(oracle))
    np.testing.assert_allclose(
        volume.grid.spacing_zyx_mm, oracle.GetSpacing()[::-1], rtol=1e-5
    )  # cosines have 6 digits
    np.testing.assert_allclose(volume.grid.origin_xyz_mm, oracle.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(volume.grid.direction, oracle.GetDirection(), atol=1e-6)


class TestProblems:
    """Each defect is found by name, alone, and `read_series` stops at it."""

    def has(self, folder, *expected):
        (series,), unreadable = find_series(folder)
        problems = (*unreadable, *series.problems)
        assert [problem.split(":")[0] for problem in problems] == list(expected)
        assert (series.grid is None) == bool(series.problems)
        with pytest.raises(InputError, match=r"ct: " + expected[0]) as caught:
            read_series(folder)
        assert "\n" not in str(caught.value)
        return "; ".join(problems)

    @pytest.fixture
    def folder(self, tmp_path, write_series):
        return write_series(tmp_path / "ct")

    def test_none(self, folder):
        (series,), unreadable = find_series(folder)
        assert (series.problems, unreadable, series.slice_distance_mm) == ((), (), 2.0)

    @pytest.mark.parametrize(
        ("fields", "problem", "said"),
        [
            ({"Modality": "MR"}, "not CT", "Modality is MR, expected CT"),
            ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer", "by its ImageType"),
            ({"NumberOfFrames": 4}, "several frames", "4 frames"),
            ({"ImagePositionPatient": None}, "field missing", "no ImagePositionPatient"),
            ({"RescaleSlope": None}, "field missing", "no RescaleSlope"),
            ({"RescaleIntercept": None}, "field missing", "no RescaleIntercept"),
            ({"PixelSpacing": ["1e400", 1.0]}, "field without sense", r"PixelSpacing is \(inf, 1\.0\)"),
            ({"Columns": 7}, "mixed size", r"Columns is 7 in 1-048\.dcm, the series' other slices have 8"),
            ({"PixelSpacing": [0.8, 0.8]}, "mixed spacing", r"\(0\.8, 0\.8\)"),
            ({"ImageOrientationPatient": OBLIQUE}, "mixed orientation", "ImageOrientationPatient"),
            ({"PatientID": "100013"}, "mixed patients", f"PatientID is {patient_key('100013')} in 1-048"),
            ({"StudyInstanceUID": "1.9"}, "mixed studies", r"1\.9"),
            (
                {"RescaleSlope": 0},
                "field without sense",
                r"RescaleSlope is 0\.0 in 1-048.*a number from 0\.001 to 1000",
            ),
            ({"BitsAllocated": 12}, "field without sense", r"BitsAllocated is 12 in .*, expected one of \(8, 16, 32\)"),
            ({"BitsAllocated": None}, "field missing", "no BitsAllocated"),
            ({"Rows": 0}, "field without sense", "Rows is 0 in .*, expected a whole number from 1 to 65535"),
            ({"PixelSpacing": [0.75, -0.75]}, "field without sense", "expected 2 numbers from 0.01 to 100"),
            ({"ImagePositionPatient": ["1e9", 0, 0]}, "field without sense", "ImagePositionPatient is"),
            ({"RescaleIntercept": "1e9"}, "field without sense", r"RescaleIntercept is 1000000000\.0"),
            ({"SamplesPerPixel": 3}, "field without sense", "SamplesPerPixel is 3"),
            ({"NumberOfFrames": "9" * 4000}, "several frames", "inf frames"),
            ({"Modality": "M\nR" * 40}, "not CT", r"Modality is (M\\nR)+M?(\\n)?\.\.\. \(160 characters\), expected"),
            (
                {"PhotometricInterpretation": "MONOCHROME1"},
                "grey values",
                "MONOCHROME1 in 1-048.dcm, expected MONO",
            ),
            (
                {"PhotometricInterpretation": None},
                "field missing",
                "no PhotometricInterpretation in the header of 1-048",
            ),
            ({"PatientID": ["100012", "5"]}, "mixed patients", "PatientID is [0-9a-f]{16} in 1-048"),
            ({"ImagePositionPatient": [-10, -20, -99]}, "slice missing", r"1\.00 mm between .* 2\.00 mm elsewhere"),
            ({"ImagePositionPatient": [-10, -20, -100]}, "duplicate slice", r"same place \(-100\.00 mm\)"),
            ({"ImagePositionPatient": [-8, -20, -98]}, "tilted gantry", r"shift by 2\.00 mm sideways"),
        ],
    )
    def test_of_one_slice(self, folder, fields, problem, said):
        second = slices_by_z(folder)[1]
        assert second.name == "1-048.dcm"
        edit(second, **fields)
        also = {"duplicate slice": ["slice missing"], "mixed size": ["other size"]}
        expected = (problem, *also.get(problem, []))
        found = self.has(folder, *expected)
        assert re.search(said, found), found

    def test_slices_are_told_apart_within_rounding_only(self, folder):
        edit(slices_by_z(folder)[3], PixelSpacing=[0.750049, 0.75], ImagePositionPatient=[-10, -20, -94.05])
        assert find_series(folder)[0][0].problems == ()

    def test_a_gap_and_a_duplicate(self, folder):
        in_order = slices_by_z(folder)
        shutil.copy(in_order[6], folder / "copy.dcm")
        in_order[2].unlink()
        self.has(folder, "duplicate slice", "slice missing")

    def test_a_single_slice(self, tmp_path, write_series):
        self.has(write_series(tmp_path / "ct", slices=1), "single slice")

    def test_tilted_by_its_orientation(self, tmp_path, write_series):
        tilt = math.radians(20)
        orientation = [1, 0, 0, 0, round(math.cos(tilt), 6), round(math.sin(tilt), 6)]
        self.has(write_series(tmp_path / "ct", ImageOrientationPatient=orientation), "tilted gantry")

    def test_axes_that_are_not_at_right_angles(self, tmp_path, write_series):
        folder = write_series(tmp_path / "ct", ImageOrientationPatient=[1, 0, 0, 0.5, 1, 0])
        self.has(folder, "field without sense")

    @pytest.mark.parametrize("side", [8, 64])
    def test_a_file_cut_off_anywhere(self, tmp_path, write_series, side):
        folder = write_series(tmp_path / "ct", slices=3, side=side)
        path = slices_by_z(folder)[1]
        data = path.read_bytes()
        for length in (*range(0, len(data), 37), len(data) - 5):
            path.write_bytes(data[:length])
            found, unreadable = find_series(folder)
            problems = [problem for series in found for problem in series.problems]
            assert any(path.name in problem for problem in (*unreadable, *problems)), length
            with pytest.raises(InputError, match=path.name):
                read_series(folder)

    def test_pixels_cut_off(self, tmp_path, write_series):
        folder = write_series(tmp_path / "ct", side=64)
        path = slices_by_z(folder)[4]
        path.write_bytes(path.read_bytes()[:-100])
        assert "8092 bytes of pixels, too few for 64 x 64 voxels of 8192" in self.has(folder, "truncated file")

    def test_a_compression_that_simpleitk_cannot_read(self, folder):
        path = slices_by_z(folder)[4]
        header = pydicom.dcmread(path)
        header.file_meta.TransferSyntaxUID = HTJ2K
        header.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
        header["PixelData"].VR = "OB"
        header.save_as(path)
        assert "High-Throughput JPEG 2000" in self.has(folder, "compression")

    @pytest.mark.parametrize("content", [b"text", b"\0" * 128 + b"DICM" + b"\xff" * 50, b""])
    def test_a_file_that_is_no_dicom_though_named_so(self, folder, content):
        (folder / "1-000.dcm").write_bytes(content)
        (series,), unreadable = find_series(folder)
        assert len(series.headers) == 8
        assert series.problems == ()
        assert len(unreadable) == 1
        assert unreadable[0].startswith(("not DICOM: 1-000.dcm is not a DICOM file", "unreadable header: "))
        assert "1-000.dcm" in unreadable[0]
        with pytest.raises(InputError, match=r"1-000\.dcm"):
            read_series(folder)

    def test_values_of_another_kind_than_the_standards(self, folder):
        """Tags with the VR of numbers where text belongs: no traceback."""
        for keyword, expected in (("ImageType", None), ("StudyInstanceUID", "mixed studies")):
            path = slices_by_z(folder)[2]
            header = pydicom.dcmread(path)
            header[keyword] = pydicom.dataelem.DataElement(pydicom.tag.Tag(keyword), "US", 7)
            header.save_as(path)
            if expected:
                self.has(folder, expected)
            else:
                assert find_series(folder)[0][0].problems == ()

    @pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1"])
    def test_headers_that_claim_gigabytes(self, tmp_path, write_series, syntax):
        folder = write_series(tmp_path / "ct", slices=2)
        for path in folder.iterdir():
            header = pydicom.dcmread(path)
            header.Rows = header.Columns = 60000
            header.PixelSpacing = [0.01, 0.01]
            header.file_meta.TransferSyntaxUID = syntax
            if header.file_meta.TransferSyntaxUID.is_compressed:
                header.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
            header.save_as(path)
        self.has(folder, "too many voxels" if syntax.endswith(".70") else "truncated file")

    @pytest.mark.parametrize("kept", [0, 2, 100, 126])
    def test_deflated_pixels_cut_short(self, folder, kept):
        path = slices_by_z(folder)[4]
        deflate(path, pixels=kept)
        assert path.name in self.has(folder, "truncated file")

    def test_deflated_data_cut_short(self, folder):
        path = slices_by_z(folder)[4]
        deflate(path)
        path.write_bytes(path.read_bytes()[:-20])
        _, unreadable = find_series(folder)
        assert [problem.split(":")[0] for problem in unreadable] == ["unreadable header"]
        assert path.name in unreadable[0]

    def test_a_deflated_file_of_gigabytes(self, folder):
        path = slices_by_z(folder)[4]
        deflate(path, comment=bytes(1 << 27))
        assert path.stat().st_size < 1 << 20
        _, (problem,) = find_series(folder)
        assert f"{path.name} inflates to more than 64 MiB" in problem

    def test_a_number_that_an_index_cannot_hold(self, folder):
        path = slices_by_z(folder)[4]
        header = pydicom.dcmread(path)
        header[PADDING] = pydicom.dataelem.DataElement(PADDING, "UV", 2**64 - 1)
        header.save_as(path)
        _, (problem,) = find_series(folder)
        assert f"PixelPaddingValue of {path.name} cannot be read (a number of 64 bits)" in problem

    @pytest.mark.parametrize(
        ("field", "written", "found"),
        [
            ("PixelSpacing", b"0.75\\0.75", b"0_75\\0_75"),
            ("NumberOfFrames", b"IS\4\x00100 ", b"IS\4\x001_0 "),
        ],
    )
    def test_a_number_that_only_python_reads(self, tmp_path, write_series, field, written, found):
        folder = write_series(tmp_path / "ct", NumberOfFrames=100)
        path = slices_by_z(folder)[4]
        path.write_bytes(path.read_bytes().replace(written, found))
        _, (problem,) = find_series(folder)
        assert f"{field} of {path.name} cannot be read (a number with an underscore)" in problem

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"distance_mm": 1000.0}, "its voxels cover 6 x 6 x 8000 mm from x, y, z = -10, -20, -100 mm, expected a"),
            # Each side is a patient's; at 1 mm all are 26 billion voxels.
            ({"PixelSpacing": [99, 99], "side": 30, "distance_mm": 370.0}, "its voxels cover 2970 x 2970 x 2960 mm"),
            ({"PixelSpacing": [1e4, 1e4]}, "PixelSpacing is (10000.0, 10000.0)"),
            ({"PixelSpacing": [1e-6, 1e-6]}, "PixelSpacing is (1e-06, 1e-06)"),
            ({"change": far_away}, "ImagePositionPatient is (200000.0, 0.0, 0.0) in 1-011.dcm and 7 more, expected"),
        ],
        ids=["long", "large", "coarse", "fine", "far"],
    )
    def test_a_scan_of_no_patient(self, tmp_path, write_series, fields, expected):
        """What is prepared has voxels of 1 mm: a header alone could ask for terabytes."""
        assert expected in self.has(write_series(tmp_path / "ct", **fields), "field without sense")

    def test_what_pydicom_says_is_told_in_short(self, folder):
        path = slices_by_z(folder)[4]
        data = path.read_bytes()
        rows = data.index(b"\x28\0\x10\0US")
        path.write_bytes(data[:rows] + b"\x28\0\x10\0US\xff\0" + bytes(255) + data[rows + 8 :])
        _, (problem,) = find_series(folder)
        assert len(problem) < 250

    def test_a_field_that_claims_gigabytes(self, folder):
        path = slices_by_z(folder)[4]
        data = path.read_bytes()
        place = data.index(b"\x08\0\x70\0LO")  # Manufacturer, whose length has two bytes; as UT it has four
        path.write_bytes(data[:place] + b"\x08\0\x70\0UT\0\0\xf0\xff\xff\xff" + data[place + 8 :])
        tracemalloc.start()
        with pytest.raises(InputError, match=path.name):
            read_series(folder)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
        tracemalloc.stop()

    def test_a_folder_whose_name_is_no_text(self, tmp_path, write_series):
        folder = write_series(tmp_path / os.fsdecode(b"L\xf6sche"))
        assert read_volume(folder).array_zyx.shape == (8, 8, 8)

    def test_names_that_are_no_text(self, folder):
        """Their slices are read, and problems name them in letters that an index can hold."""
        slices_by_z(folder)[0].rename(folder / os.fsdecode(b"L\xf6sche.dcm"))
        assert read_volume(folder).array_zyx.shape == (8, 8, 8)
        edit(folder / os.fsdecode(b"L\xf6sche.dcm"), RescaleSlope=None)
        assert r"in the header of L\xf6sche.dcm, expected" in self.has(folder, "field missing")

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(InputError, match="no DICOM slices in this folder"):
            read_volume(tmp_path)

    def test_what_lies_beside_slices_is_passed_over(self, folder):
        for name in ("LICENSE", "metadata.csv", "._1-048.dcm", ".DS_Store"):
            (folder / name).write_text("text")
        assert len(read_series(folder).headers) == 8


class TestSeveralSeries:
    @pytest.fixture
    def folder(self, tmp_path, write_series):
        write_series(tmp_path / "ct")
        write_series(tmp_path / "other", slices=9, SeriesInstanceUID="1.2.3.5")
        for path in (tmp_path / "other").iterdir():
            path.rename(tmp_path / "ct" / f"b{path.name}")
        return tmp_path / "ct"

    def test_one_is_asked_for(self, folder):
        assert read_volume(folder, series_uid="1.2.3.5").array_zyx.shape == (9, 8, 8)
        assert read_volume(folder, series_uid="1.2.3.4").series_uid == "1.2.3.4"
        with pytest.raises(InputError, match=r"no DICOM slices of series 1\.2"):
            read_volume(folder, series_uid="1.2")

    def test_none_is(self, folder):
        with pytest.raises(InputError, match=r"2 series, expected one: .*1\.2\.3\.5 \(9 images\)"):
            read_volume(folder)


class TestSmallSeriesBeside:
    """A localizer is left out; what could be a slice of the long series is not, in silence."""

    def beside(self, tmp_path, write_series, **fields):
        folder = write_series(tmp_path / "ct")
        written = {name: value for name, value in fields.items() if value is not None}
        write_series(tmp_path / "other", slices=1, SeriesInstanceUID="1.2.3.5", **written)
        shutil.copy(next((tmp_path / "other").iterdir()), folder / "b.dcm")
        edit(folder / "b.dcm", **{name: None for name, value in fields.items() if value is None})
        return folder

    @pytest.mark.parametrize(
        "fields",
        [
            {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
            {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]},
            {"side": 16},
            {"PixelSpacing": [0.5, 0.5]},
            {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"], "ImageOrientationPatient": None},
        ],
    )
    def test_of_another_shape(self, tmp_path, write_series, capsys, fields):
        folder = self.beside(tmp_path, write_series, **fields)
        assert read_volume(folder).series_uid == "1.2.3.4"
        assert capsys.readouterr().err == f"{folder}: left out b.dcm of series 1.2.3.5, beside the CT 1.2.3.4\n"

    @pytest.mark.parametrize("fields", [{}, {"ImageOrientationPatient": None}, {"PixelSpacing": None}])
    def test_that_looks_like_one_of_its_slices(self, tmp_path, write_series, fields):
        folder = self.beside(tmp_path, write_series, ImagePositionPatient=[-10.0, -20.0, -102])
        edit(folder / "b.dcm", **fields)
        with pytest.raises(InputError, match=r"b\.dcm is of series .*5, but looks like a slice of series .*4:"):
            read_volume(folder)
        assert read_volume(folder, series_uid="1.2.3.4").array_zyx.shape == (8, 8, 8)

    def test_a_damaged_identifier_is_told_in_short(self, tmp_path, write_series):
        folder = write_series(tmp_path / "ct")
        write_series(tmp_path / "other", slices=1, ImagePositionPatient=[-10.0, -20.0, -102])
        edit(next((tmp_path / "other").iterdir()), SeriesInstanceUID=["1.2.3.4\0 UI"] + ["0.5 IS"] * 100)
        shutil.copy(next((tmp_path / "other").iterdir()), folder / "b.dcm")
        with pytest.raises(
            InputError, match=r"b\.dcm is of series .*\.\.\. \(\d+ characters\), but looks like"
        ) as refusal:
            read_volume(folder)
        assert len(str(refusal.value)) < len(str(folder)) + 300


class TestHounsfieldUnits:
    """Stored numbers come back as `stored * slope + intercept`, rounded, slice by slice."""

    def same(self, folder, stored, slopes, intercepts):
        expected = np.rint(stored * np.reshape(slopes, (-1, 1, 1)) + np.reshape(intercepts, (-1, 1, 1)))
        np.testing.assert_array_equal(read_volume(folder).array_zyx, expected)

    @pytest.mark.parametrize(
        ("slopes", "intercepts"),
        [
            ([1, 1, 1, 1], [-1024] * 4),
            ([2, 2, 2, 2], [-1000] * 4),
            ([0.5, 0.5, 0.5, 0.5], [-1024] * 4),
            ([1, 1, 1, 1], [0, -1024, -3000, 100]),
            ([1, 2, 0.5, 1], [-1024] * 4),
            ([0.5, 1, 1, 2], [0] * 4),
        ],
    )
    @pytest.mark.parametrize("signed", [0, 1])
    def test_of_any_slope_and_intercept(self, tmp_path, write_series, slopes, intercepts, signed):
        stored = np.random.default_rng(0).integers(0, 2000, (4, 8, 8)) * 2

        def change(header, z):
            header.RescaleSlope, header.RescaleIntercept = slopes[z], intercepts[z]

        folder = write_series(tmp_path / "ct", stored=stored, change=change, PixelRepresentation=signed)
        self.same(folder, stored, slopes, intercepts)

    @pytest.mark.parametrize("signed", [[0, 1, 1, 0], [1, 0, 0, 1]])
    def test_of_signed_and_unsigned_slices(self, tmp_path, write_series, signed):
        stored = np.random.default_rng(0).integers(0, 2000, (4, 8, 8))
        stored[np.array(signed) == 1] -= 1000

        def change(header, z):
            header.PixelRepresentation = signed[z]

        folder = write_series(tmp_path / "ct", stored=stored, change=change, RescaleIntercept=0)
        self.same(folder, stored, [1] * 4, [0] * 4)

    @pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000", "RLE"])
    def test_of_compressed_slices_among_others(self, tmp_path, write_series, compressor):
        stored = np.random.default_rng(0).integers(0, 2000, (4, 16, 16))
        folder = write_series(tmp_path / "ct", stored=stored)
        before = read_volume(folder)
        path = slices_by_z(folder)[2]
        header = pydicom.dcmread(path)
        if compressor == "RLE":
            header.compress(pydicom.uid.RLELossless)
        else:
            header = compressed(header, compressor, tmp_path / "compressed.dcm")
        header.save_as(path)
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
        after = read_volume(folder)
        np.testing.assert_array_equal(after.array_zyx, before.array_zyx)
        assert after.grid == before.grid


def compressed(header, compressor, scratch):
    """The slice with its pixels as GDCM compresses them."""
    writer = sitk.ImageFileWriter()
    writer.SetFileName(scratch)
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(header.pixel_array.astype(np.int16)))
    other = pydicom.dcmread(scratch)
    header.file_meta.TransferSyntaxUID = other.file_meta.TransferSyntaxUID
    header.PixelData = other.PixelData
    header["PixelData"].VR = "OB"
    return header


def test_the_readers_warnings_stay_inside(tmp_path, write_series, caplog, capfd):
    folder = write_series(tmp_path / "ct", StudyDate="19990102", PatientID="1" * 60)
    for path in folder.iterdir():
        data = path.read_bytes()
        data = data.replace(b"19990102", b"1999.x.2").replace(b"1.2.3.4\0", b"1..3.a4\0")
        path.write_bytes(data.replace(b"1" * 60, b"\xe9" * 60))
    with caplog.at_level(logging.DEBUG):
        (series,), unreadable = find_series(folder)
        read_volume(folder)
    assert series.series_uid == "1..3.a4"
    assert series.headers[0].get("StudyDate") == "1999.x.2"
    assert series.headers[0].get("PatientID") == patient_key("é" * 60)
    assert (series.problems, unreadable) == ((), ())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert capfd.readouterr().err == ""
