"""MetaImages of every dialect lie where SimpleITK sees them and hold what it reads; what is damaged is refused."""

import gzip
import os
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, read_grid, read_volume, write_metaimage

ARRAY = np.random.default_rng(0).integers(0, 200, (3, 4, 5)).astype("<i2")
RAW = ARRAY.tobytes()
FIELDS = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "TransformMatrix": "-1 0 0 0 -1 0 0 0 1",
    "Offset": "-11.5 20.25 0.3333",
    "ElementSpacing": "0.6 0.7 2.5",
    "DimSize": "5 4 3",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}
OBLIQUE = " ".join(map(repr, sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.3).GetMatrix()))


def write(path, data=RAW, **changes):
    """A MetaImage of `FIELDS`; None takes a field away."""
    fields = FIELDS | changes
    fields["ElementDataFile"] = fields.pop("ElementDataFile")  # which ends the header
    path.write_bytes(
        "".join(f"{name} = {value}\n" for name, value in fields.items() if value is not None).encode() + data
    )
    return path


def agrees_with_simpleitk(path):
    oracle = sitk.ReadImage(path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array_zyx, ARRAY)
    np.testing.assert_array_equal(volume.array_zyx, sitk.GetArrayViewFromImage(oracle))
    assert volume.grid.spacing_zyx_mm == oracle.GetSpacing()[::-1]
    assert volume.grid.origin_xyz_mm == oracle.GetOrigin()
    assert volume.grid.direction == oracle.GetDirection()
    assert read_grid(path) == volume.grid
    return volume


def refused(path, said, read=read_grid):
    with pytest.raises(InputError, match=said) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert str(path.parent) in str(caught.value)


@pytest.mark.parametrize("name", ["TransformMatrix", "Orientation", "Rotation"])
@pytest.mark.parametrize("axes", ["1 0 0 0 1 0 0 0 1", "0 1 0 0 0 1 1 0 0", "0 -1 0 1 0 0 0 0 1", OBLIQUE])
def test_the_axes_are_simpleitks(tmp_path, name, axes):
    agrees_with_simpleitk(write(tmp_path / "1.mha", **{"TransformMatrix": None} | {name: axes}))


@pytest.mark.parametrize("name", ["Offset", "Position", "Origin", "ImagePosition"])
def test_the_origin_is_simpleitks(tmp_path, name):
    agrees_with_simpleitk(write(tmp_path / "1.mha", **{"Offset": None} | {name: "1.5 -2e1 +.25"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"Offset": None, "TransformMatrix": None},
        {"ElementSpacing": None, "ElementSize": "0.6 0.7 2.5"},
        {"ElementSize": "1 2 3"},
        {"Offset": "1 2 3", "Origin": "1.0 2 3", "Rotation": FIELDS["TransformMatrix"]},
        {"FileFormatVersion": "0", "DistanceUnits": "mm", "ElementNumberOfChannels": "1"},
        {"Comment": "a = b", "AnatomicalOrientation": "???", "CenterOfRotation": "1 2 3"},
    ],
    ids=str,
)
def test_what_else_a_header_may_hold(tmp_path, changes):
    agrees_with_simpleitk(write(tmp_path / "1.mha", **changes))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("field", ["BinaryDataByteOrderMSB", "ElementByteOrderMSB"])
@pytest.mark.parametrize(("code", "element"), [("i2", "MET_SHORT"), ("u4", "MET_UINT"), ("f8", "MET_DOUBLE")])
def test_voxels_of_either_byte_order_are_simpleitks(tmp_path, code, element, field, order):
    data = ARRAY.astype(order + code).tobytes()
    agrees_with_simpleitk(write(tmp_path / "1.mha", data, ElementType=element, **{field: str(order == ">")}))


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
def test_compressed_voxels_are_simpleitks(tmp_path, pack):
    data = pack(RAW)
    path = write(tmp_path / "1.mha", data, CompressedData="True", CompressedDataSize=len(data))
    agrees_with_simpleitk(path)
    write(path, data, CompressedData="True")  # SimpleITK does not read it without the size
    np.testing.assert_array_equal(read_volume(path).array_zyx, ARRAY)


@pytest.mark.parametrize(("before", "header_size"), [(b"7 bytes", "7"), (b"7 bytes", "-1"), (b"", "0")])
def test_voxels_behind_a_header_in_their_file_are_simpleitks(tmp_path, before, header_size):
    (tmp_path / "1.raw").write_bytes(before + RAW)
    agrees_with_simpleitk(write(tmp_path / "1.mhd", b"", HeaderSize=header_size, ElementDataFile="1.raw"))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize("name", ["Offset", "Position", "Origin"])
def test_an_origin_that_is_no_number(tmp_path, name, number):
    path = write(tmp_path / "1.mha", **{"Offset": None} | {name: f"0 {number} 0"})
    refused(path, r"origin_xyz_mm is \(0.0, -?(nan|inf), 0.0\), expected finite mm")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Offset": "0 text 0"}, "Offset = 0 text 0, expected 3 numbers"),
        ({"Offset": "0 0"}, "Offset = 0 0, expected 3 numbers"),
        ({"Offset": "1_0 0 0"}, "Offset = 1_0 0 0, expected 3 numbers"),
        ({"Offset": ""}, "Offset = , expected 3 numbers"),
        ({"Origin": "0 0 0"}, "Offset and Origin differ"),
        ({"Rotation": "1 0 0 0 1 0 0 0 1"}, "TransformMatrix and Rotation differ"),
        ({"Offset": "0 1e300 0"}, r"from x, y, z = 0, 1e\+300, 0 mm, expected a patient"),
        ({"ElementSpacing": "0.6 0.7 1e9"}, r"its voxels cover 3 x 2.8 x 3e\+09 mm from"),
        ({"ElementSpacing": "1e-99 1e-99 1e15"}, r"its voxels cover 5e-99 x 4e-99 x 3e\+15 mm from"),
        ({"TransformMatrix": "1 0 0 0 1 0"}, "TransformMatrix = 1 0 0 0 1 0, expected 9 numbers"),
        ({"TransformMatrix": "nan 0 0 0 1 0 0 0 1"}, "direction is"),
        ({"ElementSpacing": "0.6 0.7 " + "9" * 1000}, "ElementSpacing is .*inf"),
        ({"ElementSpacing": "x" * 5000}, r"ElementSpacing = x+\.\.\. \(5000 characters\), expected 3 numbers"),
        ({"DimSize": "5 4 1_0"}, "DimSize = 5 4 1_0, expected 3 numbers"),
        ({"ElementSpacing": "1\u00a01 1"}, "ElementSpacing = 1\u00a01 1, expected 3 numbers"),
        ({"ElementType": "MET_SHORT\u00a0"}, "ElementType = MET_SHORT"),
        ({"DimSize": "5 4 ٣"}, "DimSize = 5 4 ٣, expected 3 numbers"),
        ({"DimSize": "5 4 3.0"}, "DimSize = 5 4 3.0, expected 3 numbers"),
        ({"DimSize": "5 4 " + "9" * 5000}, "DimSize = .*, expected 3 numbers"),
        ({"DimSize": "10000 10000 10000"}, "truncated: 120 bytes of data, expected 2000000000000"),
        ({"DimSize": "9999999999 9999999999 9999999999"}, "truncated: 120 bytes of data, expected"),
        ({"DimSize": "10000 10000 10000", "CompressedData": "True"}, "expected at most 1032 times as many"),
        ({"DimSize": "5 4 2"}, r"120 bytes of data, expected 80 \(DimSize 5 x 4 x 2 of MET_SHORT\)"),
        ({"BinaryData": "False"}, "BinaryData = False, expected binary data"),
        ({"BinaryDataByteOrderMSB": "maybe"}, "BinaryDataByteOrderMSB = maybe, expected one of true, t, 1, false, f"),
        ({"ElementNumberOfChannels": "3"}, "ElementNumberOfChannels = 3, expected 1"),
        ({"ElementToIntensityFunctionSlope": "2"}, "ElementToIntensityFunctionSlope = 2, expected 1"),
        ({"FileFormatVersion": "1"}, "FileFormatVersion = 1, expected 0"),
        ({"DistanceUnits": "cm"}, "DistanceUnits = cm, expected mm"),
        ({"HeaderSize": "-2"}, "HeaderSize = -2, expected 0 or more"),
        ({"HeaderSize": "-1", "CompressedData": "True"}, "HeaderSize = -1, expected 0 or more"),
        ({"HeaderSize": "99999999999"}, "truncated: 0 bytes of data"),
        ({"CompressedData": "True", "CompressedDataSize": "121"}, "truncated: 120 bytes of data, expected 121"),
        ({"CompressedData": "True", "CompressedDataSize": "119"}, ": 120 bytes of data, expected 119"),
        ({"ElementDataFile": "x" * 5000}, "its data file x+.* is missing"),
        ({"ElementDataFile": "x" * 300}, "its data file x+.* is missing"),
        ({"ElementDataFile": "a\0b"}, r"its data file a\\x00b is missing"),
        ({"ElementDataFile": ""}, "its data file .* is missing"),
        ({"ElementDataFile": "LIST"}, "its data file LIST is missing"),
        ({"Comment": "x\nDimSize = 5 4 3"}, "DimSize stands twice in the header"),
        ({"NDims": None}, "no NDims in the header"),
        ({"NDims": "4"}, "NDims = 4, expected 3"),
        ({"NDims": None, "Comment": "x\nnothing"}, "not a MetaImage header"),
        ({"DimSize": "5 4"}, "DimSize = 5 4, expected 3 numbers"),
        ({"DimSize": "5 4 0"}, "DimSize = 5 4 0, expected at least 1 voxel"),
        ({"DimSize": None}, "no DimSize in the header"),
        ({"ElementSpacing": None}, "no ElementSpacing in the header"),
        ({"ElementSpacing": "a b c"}, "ElementSpacing = a b c, expected 3 numbers"),
        *(
            ({"ElementSpacing": spacing}, "ElementSpacing is .*, expected positive, finite mm")
            for spacing in ("0.6 -0.7 2.5", "0.6 0 2.5", "nan 0.7 2.5", "0.6 inf 2.5")
        ),
        ({"ElementType": None}, "no ElementType in the header"),
        ({"ElementType": "MET_STRANGE"}, "ElementType = MET_STRANGE, expected one number a voxel"),
        ({"TransformMatrix": "1 1 0 0 1 0 0 0 1"}, "direction is"),
        ({"ElementDataFile": "1.2.840.5.raw"}, r"its data file 1\.2\.840\.5\.raw is missing"),
        ({"data": RAW[:-7]}, r"truncated: 113 bytes of data, expected 120 \(DimSize 5 x 4 x 3 of MET_SHORT\)"),
    ],
)
def test_a_header_without_sense(tmp_path, changes, said):
    refused(write(tmp_path / "1.mha", **changes), said)


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_compressed_voxels_cut_short_are_refused_also_where_no_size_is_told(tmp_path, kept):
    """ITK fills the rest with what lies in memory and says nothing."""
    packed = zlib.compress(RAW)
    path = write(tmp_path / "1.mha", packed[: int(kept * len(packed))], CompressedData="True")
    refused(path, "truncated: does not decompress", read_volume)


def test_a_header_cut_anywhere_is_refused(tmp_path):
    header = write(tmp_path / "1.mha", b"").read_bytes()
    for kept in range(len(header)):
        (tmp_path / "1.mha").write_bytes(header[:kept])
        refused(tmp_path / "1.mha", "ends without ElementDataFile|not a MetaImage header|is missing|truncated: 0 bytes")


@pytest.mark.parametrize("extension", [".mhd", ".mha", ".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("name", [b"L\xf6sche", b"two\nlines", b"x" * 240])
def test_a_file_of_any_name_is_read_and_its_id_can_be_shown(tmp_path, name, extension):
    """SimpleITK ends the process at a name that is no UTF-8."""
    sitk.WriteImage(sitk.GetImageFromArray(ARRAY), tmp_path / f"1{extension}")
    path = (tmp_path / f"1{extension}").rename(tmp_path / os.fsdecode(name + extension.encode()))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array_zyx, ARRAY)
    assert volume.series_uid.encode().decode() == volume.series_uid
    assert volume.series_uid == {b"L\xf6sche": r"L\xf6sche", b"two\nlines": r"two\nlines"}.get(name, "x" * 240)
    path.unlink()
    refused(path, r"^[^\udc80-\udcff\n]*no such file or folder")


def test_what_is_written_under_a_name_that_is_no_utf_8_comes_back(tmp_path):
    path = tmp_path / os.fsdecode(b"L\xf6sche.mhd")
    write_metaimage(path, Volume(ARRAY, Grid(ARRAY.shape, (1.0, 1.0, 1.0)), ""))
    np.testing.assert_array_equal(read_volume(path).array_zyx, ARRAY)
