"""NRRD files of every kind lie where SimpleITK sees them and hold what it reads; what is damaged is refused."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.volumes import read_grid, read_labels, read_volume

ARRAY = np.random.default_rng(0).integers(0, 200, (3, 4, 5)).astype("<i2")
RAW = ARRAY.tobytes()
FIELDS = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "5 4 3",
    "space directions": "(0.6,0,0) (0,0.7,0) (0,0,2.5)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(-11.5,20.25,0.3333)",
}
ROTATION = np.array(sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.3).GetMatrix()).reshape(3, 3)
OBLIQUE = " ".join(f"({x!r},{y!r},{z!r})" for x, y, z in (ROTATION * (0.6, 0.7, 2.5)).T.tolist())
NO_SPACE = {"space": None, "space directions": None, "space origin": None, "spacings": "0.6 0.7 2.5"}


def write(path, data=RAW, magic="NRRD0004", line_end="\n", **changes):
    """A NRRD of `FIELDS`; `changes` name fields with `_` for a space, and None takes one away."""
    fields = FIELDS | {name.replace("_", " "): value for name, value in changes.items()}
    lines = [magic, *(f"{name}: {value}" for name, value in fields.items() if value is not None), "", ""]
    path.write_bytes(line_end.join(lines).encode() + data)
    return path


def agrees_with_simpleitk(path):
    oracle = sitk.ReadImage(path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array_zyx, ARRAY)
    np.testing.assert_array_equal(volume.array_zyx, sitk.GetArrayViewFromImage(oracle))
    np.testing.assert_allclose(volume.grid.spacing_zyx_mm, oracle.GetSpacing()[::-1], rtol=1e-9)
    np.testing.assert_allclose(volume.grid.origin_xyz_mm, oracle.GetOrigin(), rtol=1e-9)
    np.testing.assert_allclose(volume.grid.direction, oracle.GetDirection(), atol=1e-9)
    assert read_grid(path) == volume.grid
    return volume


def refused(path, said, read=read_grid):
    with pytest.raises(InputError, match=said) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert str(path.parent) in str(caught.value)


class TestGrid:
    @pytest.mark.parametrize("space", ["RAS", "LPS", "right-anterior-superior", "scanner-xyz", "3D-right-handed"])
    @pytest.mark.parametrize(
        "directions",
        [FIELDS["space directions"], "(-0.6,0,0) (0,-0.7,0) (0,0,2.5)", "(0,0,0.6) (0.7,0,0) (0,2.5,0)", OBLIQUE],
        ids=["straight", "flipped", "turned", "oblique"],
    )
    def test_is_simpleitks(self, tmp_path, space, directions):
        agrees_with_simpleitk(write(tmp_path / "1.nrrd", space=space, space_directions=directions))

    def test_towards_left_anterior_superior_is_told_by_the_name(self, tmp_path):
        """ITK mirrors such a volume: it turns round x, where y is what differs from left, posterior, superior."""
        path = write(tmp_path / "1.nrrd", space="LAS", space_directions=OBLIQUE)
        agreed = agrees_with_simpleitk(write(tmp_path / "2.nrrd", space_directions=OBLIQUE)).grid
        to_lps = np.diag([1.0, -1, 1])
        np.testing.assert_array_equal(read_grid(path).direction_matrix, to_lps @ agreed.direction_matrix)
        np.testing.assert_array_equal(read_grid(path).origin_xyz_mm, to_lps @ agreed.origin_xyz_mm)
        np.testing.assert_array_equal(read_volume(path).array_zyx, ARRAY)

    @pytest.mark.parametrize(
        "changes",
        [
            {"space": None, "space_dimension": "3"},
            {"space_origin": None},
            NO_SPACE,
            NO_SPACE | {"axis mins": "5 -6 7.5"},
            NO_SPACE | {"axis mins": "5 -6 7.5", "centerings": "cell node cell"},
            NO_SPACE | {"axismins": "5 -6 7.5", "centers": "node node node"},
            {"kinds": None},
            {"kinds": "space ??? none"},
            {"space_units": '"mm" "mm" "mm"'},
            {"thicknesses": "NaN NaN 3", "labels": '"a" "b" "c d"', "old_min": "-1e3", "content": "a chest: of 1 : 2"},
        ],
        ids=str,
    )
    def test_of_other_fields_is_simpleitks(self, tmp_path, changes):
        changes = dict(changes)
        if "space_dimension" in changes:  # which must come before what is in that space
            dimension = changes.pop("space_dimension")
            changes["sizes"] = f"{FIELDS['sizes']}\nspace dimension: {dimension}"
        agrees_with_simpleitk(write(tmp_path / "1.nrrd", **{name.replace(" ", "_"): changes[name] for name in changes}))

    def test_fields_of_the_format_that_are_not_read_may_be_anything(self, tmp_path):
        unread = ["content", "number", "block_size", "thicknesses", "axis_maxs", "labels", "min", "max", "old_min"]
        unread += ["old_max", "sample_units", "measurement_frame"]
        agreed = agrees_with_simpleitk(write(tmp_path / "1.nrrd"))
        for name in unread:
            assert read_grid(write(tmp_path / "2.nrrd", **{name: "anything"})) == agreed.grid

    @pytest.mark.parametrize(
        ("sizes", "directions", "kinds"),
        [
            ("1 5 4 3", f"none {OBLIQUE}", "vector domain domain domain"),
            ("5 4 3 1", f"{OBLIQUE} none", "domain domain domain list"),
        ],
    )
    def test_an_axis_of_one_number_a_voxel_is_left_out(self, tmp_path, sizes, directions, kinds):
        path = tmp_path / "1.nrrd"
        write(path, dimension="4", sizes=sizes, space_directions=directions, kinds=kinds)
        agrees_with_simpleitk(path)


class TestVoxels:
    @pytest.mark.parametrize("compress", [False, True])
    @pytest.mark.parametrize("kind", ["Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64"])
    def test_of_every_whole_kind_are_simpleitks(self, tmp_path, kind, compress):
        image = sitk.Cast(sitk.GetImageFromArray(ARRAY // 2), getattr(sitk, f"sitk{kind}"))
        sitk.WriteImage(image, tmp_path / "1.nrrd", useCompression=compress)
        np.testing.assert_array_equal(read_volume(tmp_path / "1.nrrd").array_zyx, ARRAY // 2)

    @pytest.mark.parametrize("endian", ["little", "big"])
    @pytest.mark.parametrize(
        ("code", "kind"),
        [("i2", "SHORT"), ("u2", "unsigned short"), ("i4", "int32_t"), ("f4", "float"), ("f8", "double")],
    )
    def test_of_either_byte_order_are_simpleitks(self, tmp_path, code, kind, endian):
        data = ARRAY.astype({"little": "<", "big": ">"}[endian] + code).tobytes()
        agrees_with_simpleitk(write(tmp_path / "1.nrrd", data, type=kind, endian=endian))

    @pytest.mark.parametrize("encoding", ["gzip", "gz", "raw"])
    @pytest.mark.parametrize("line_skip", [None, 2])
    @pytest.mark.parametrize("byte_skip", [None, 5])
    def test_behind_lines_and_bytes_are_simpleitks(self, tmp_path, encoding, line_skip, byte_skip):
        data = (b"" if byte_skip is None else b"12345") + RAW
        data = data if encoding == "raw" else gzip.compress(data)
        data = (b"" if line_skip is None else b"one\ntwo\n") + data
        path = tmp_path / "1.nrrd"
        agrees_with_simpleitk(write(path, data, encoding=encoding, line_skip=line_skip, byte_skip=byte_skip))

    def test_at_the_end_of_the_file_are_simpleitks(self, tmp_path):
        agrees_with_simpleitk(write(tmp_path / "1.nrrd", b"a header of its own" + RAW, byte_skip="-1"))

    @pytest.mark.parametrize("name", ["1.raw", "./1.raw", "a folder/1 2.raw"])
    def test_in_a_file_beside_are_simpleitks(self, tmp_path, name):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(RAW)
        agrees_with_simpleitk(write(tmp_path / "1.nrrd", b"", data_file=name))
        (tmp_path / name).write_bytes(RAW[:-3])
        refused(tmp_path / "1.nrrd", "truncated: 117 bytes of data, expected 120")
        (tmp_path / name).unlink()
        refused(tmp_path / "1.nrrd", r"its data file .*\.raw is missing")

    def test_what_else_a_header_may_hold(self, tmp_path):
        path = write(tmp_path / "1.nrrd", magic="NRRD0005\n# type: float\nSegment0_ID:=a: b\ntype:=x", line_end="\r\n")
        agrees_with_simpleitk(path)


class TestDamage:
    @pytest.mark.parametrize("kept", range(0, 120, 17))
    def test_a_cut_file_is_refused_with_its_header_alone(self, tmp_path, kept):
        path = write(tmp_path / "1.nrrd", RAW[:kept])
        for read in (read_volume, read_labels, read_grid):
            refused(path, rf"truncated: {kept} bytes of data, expected 120 \(sizes 5 x 4 x 3 of short\)", read)

    def test_a_header_cut_anywhere_is_refused(self, tmp_path):
        path = write(tmp_path / "1.nrrd", b"")
        header = path.read_bytes()
        for kept in range(len(header)):
            path.write_bytes(header[:kept])
            refused(path, "no NRRD header|does not end|not FIELD: VALUE|truncated: 0 bytes")

    def test_bytes_too_many_and_too_few_are_refused(self, tmp_path):
        path = tmp_path / "1.nrrd"
        refused(write(path, RAW + b"\0"), "121 bytes of data, expected 120")
        refused(write(path, gzip.compress(RAW + b"\0"), encoding="gz"), "more than 120", read_volume)
        refused(write(path, gzip.compress(RAW[:-2]), encoding="gzip"), "only 118 bytes of voxels", read_volume)

    @pytest.mark.parametrize("sizes", ["1000 1000 1000", "10000000000 10000000000 10000000000"])
    def test_a_size_that_no_data_is_there_for_is_refused_before_memory_is(self, tmp_path, sizes):
        refused(write(tmp_path / "1.nrrd", sizes=sizes), "truncated: 120 bytes of data, expected")
        packed = gzip.compress(RAW)
        refused(write(tmp_path / "1.nrrd", packed, sizes=sizes, encoding="gzip"), "at most 1032 times as many")

    @pytest.mark.parametrize("field", ["space directions", "sizes", "endian", "encoding", "space", "type", "kinds"])
    @pytest.mark.parametrize("value", ["9" * 1000, "x" * 5000, "(" * 5000, "(" + "9" * 1000 + ",0,0) (0,1,0) (0,0,1)"])
    def test_what_crashes_itk_is_refused(self, tmp_path, field, value):
        refused(write(tmp_path / "1.nrrd", **{field.replace(" ", "_"): value}), f"{field}|0 dimensions")

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"magic": "NRRD0006"}, "no NRRD header"),
            ({"magic": "NRRD"}, "no NRRD header"),
            ({"sizes": None}, "no sizes in the header"),
            ({"type": None}, "no type in the header"),
            ({"encoding": None}, "no encoding in the header"),
            ({"endian": None}, "no endian in the header"),
            ({"dimension": None}, "no dimension in the header"),
            ({"space_directions": None}, "no space directions in the header"),
            (NO_SPACE | {"spacings": None}, "no spacings in the header"),
            ({"sizes": "5 4 1_0"}, "sizes = 5 4 1_0, expected 3 numbers"),
            ({"sizes": "5\u00a04 3"}, "sizes = 5\u00a04 3, expected 3 numbers"),
            ({"type": "short\u00a0"}, "type = short\u00a0, expected one of"),
            ({"sizes": "5 4 ٣"}, "sizes = 5 4 ٣, expected 3 numbers"),
            ({"sizes": "5 4 -3"}, "at least 1 voxel on each axis"),
            ({"sizes": "5 12 0"}, "at least 1 voxel on each axis"),
            ({"sizes": "5 4"}, "sizes = 5 4, expected 3 numbers"),
            ({"dimension": "99999999"}, "99999999 dimensions"),
            ({"dimension": "0"}, "0 dimensions"),
            ({"kinds": "domain domain"}, "kinds = domain domain, expected 3 words"),
            ({"type": "block"}, "type = block, expected one of signed char"),
            ({"encoding": "bzip2"}, "encoding = bzip2, expected one of raw, gzip, gz"),
            ({"encoding": "txt"}, "encoding = txt, expected one of raw, gzip, gz"),
            ({"endian": "middle"}, "endian = middle, expected one of little, big"),
            ({"space": "left-up"}, "space = left-up, expected one of left-posterior-superior"),
            ({"space": None}, "space directions or origin without a space"),
            ({"space": None, "space_dimension": "4"}, "space dimension = 4, expected 3"),
            ({"space_dimension": "3"}, "space dimension = 3, expected 3 and no space beside"),
            ({"spacings": "1 1 1"}, "spacings and a space"),
            ({"space_directions": "(1,0,0) (0,1,0)"}, r"expected 3 times \(x,y,z\)"),
            ({"space_directions": "(1,0) (0,1,0) (0,0,1)"}, r"expected 3 times \(x,y,z\)"),
            ({"space_directions": "(1,0,0) (0,1,0) (0,0,x)"}, r"expected 3 times \(x,y,z\)"),
            ({"space_directions": "(1,0,0) (0,1,0) (0,0,1) 5"}, r"expected 3 times \(x,y,z\)"),
            ({"space_directions": "(1,0,0) (0,1,0) (0,0,1e999)"}, "the length of space directions is .*inf"),
            ({"space_directions": "(1,0,0) (0,1,0) none"}, "the length of space directions is .*nan"),
            ({"space_directions": "(1,0,0) (0,1,0) (0,0,0)"}, "the length of space directions is .*0.0"),
            ({"space_directions": "(1,0,0) (0,1,0) (0,0.2,1)"}, "direction is .* right angles"),
            ({"space_origin": "(nan,0,0)"}, "origin_xyz_mm is .*nan"),
            ({"space_origin": "none"}, "origin_xyz_mm is .*nan"),
            ({"space_units": '"cm" "cm" "cm"'}, "space units of 'cm', expected mm"),
            (NO_SPACE | {"spacings": "1 1 -1"}, "spacings is .*-1"),
            (NO_SPACE | {"spacings": "1 1 nan"}, "spacings is .*nan"),
            ({"byte_skip": "-2"}, "byte skip = -2, expected at least -1 for raw data"),
            ({"byte_skip": "-1", "encoding": "gzip"}, "byte skip = -1, expected at least 0 for gzip data"),
            ({"line_skip": "-1"}, "line skip = -1"),
            ({"line_skip": "99999999999"}, "truncated: 0 bytes"),
            ({"byte_skip": "99999999999"}, "truncated: 0 bytes"),
            ({"data_file": "LIST"}, "data file = LIST, expected one file"),
            ({"data_file": "%03d.raw 1 3 1"}, "data file = %03d.raw 1 3 1, expected one file"),
            ({"data_file": "x" * 5000}, "its data file x+.* is missing"),
            ({"data_file": "\0"}, r"its data file \\x00 is missing"),
            ({"spacing": "1"}, "header line 'spacing: 1' is not FIELD: VALUE"),
            ({"kinds": "domain domain domain\ntype: float"}, "type stands twice"),
        ],
    )
    def test_a_header_without_sense(self, tmp_path, changes, said):
        refused(write(tmp_path / "1.nrrd", **{name.replace(" ", "_"): changes[name] for name in changes}), said)
