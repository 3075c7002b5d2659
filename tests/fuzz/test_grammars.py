"""Tables and headers made up by a grammar: reader and oracle read the same, and refuse the same."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medssl_jax.core.errors import InputError
from tests.fuzz import volumes
from tests.fuzz.kinds import csv, metaimage, nrrd
from tests.fuzz.oracle import Beyond, MustRefuse, difference_between

EXAMPLES = settings(max_examples=60, derandomize=True)
WHOLE = st.integers(-3, 12).map(str)
DECIMAL = st.one_of(
    st.floats(-500, 500).map(repr),
    st.floats().map(repr),
    st.from_regex(r"[+-]?[0-9]{1,3}(\.[0-9]{0,3})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.text("0123456789.+-eE_ ", max_size=6),
)
WORD = st.one_of(DECIMAL, st.text(max_size=5), st.sampled_from(["=x", "'=x", '"', "a,b", " ", "\t", "1\u00a0"]))


def words(strategy, most):
    return st.lists(strategy, min_size=2, max_size=most).map(" ".join)


def three(strategy):
    return st.tuples(strategy, strategy, strategy)


def compare(read, content, folder, tolerance=1e-6):
    """Reader and oracle agree, or the oracle cannot tell."""
    try:
        wanted = content(folder)
    except Beyond:
        return
    except MustRefuse:
        with pytest.raises(InputError) as refusal:
            read(folder)
        assert len(str(refusal.value).splitlines()) == 1
        return
    try:
        found = read(folder)
    except InputError as refusal:
        if "expected a patient" in str(refusal):  # a sound header, of something larger than anybody
            return
        raise
    assert difference_between(found, wanted, tolerance=tolerance) is None


@st.composite
def tables(draw):
    """A name, and rows that mostly fit it."""
    name, columns = draw(
        st.sampled_from([("annotations", csv.POINT), ("submission", csv.SUBMISSION), ("boxes", csv.BOX)])
    )
    header = draw(st.permutations(("seriesuid", *columns)))
    cells = st.one_of(st.sampled_from(csv.UIDS), DECIMAL, WORD)
    uid, number = st.sampled_from(csv.UIDS), st.floats(0.5, 99).map(repr)
    fitting = st.tuples(*(uid if column == "seriesuid" else number for column in header)).map(list)
    rows = draw(st.lists(st.one_of(fitting, fitting, fitting, st.lists(cells, max_size=6)), max_size=4))
    return name, [header, *rows]


@EXAMPLES
@given(tables(), st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans())
def test_tables(table, end, is_quoted):
    name, rows = table
    with tempfile.TemporaryDirectory() as folder:
        quoted = [[f'"{cell}"' if is_quoted else cell for cell in row] for row in rows]
        text = "".join(",".join(row) + end for row in quoted)
        (Path(folder) / f"{name}.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
        compare(csv.read, csv.content, Path(folder))


def as_read(content):
    return lambda folder: volumes.as_read(content(folder))


def plain(folder):
    return volumes.plain(volumes.read(folder))


# Of each field a sound value, and what else it may be.
METAIMAGE = {
    "ObjectType": ("Image", st.just("Image")),
    "NDims": ("3", st.sampled_from(["2", "03", "3.0", ""])),
    "BinaryData": ("True", st.sampled_from(["False", "true", "1"])),
    "CompressedData": ("False", st.sampled_from(["True", "no"])),
    "TransformMatrix": ("-1 0 0 0 -1 0 0 0 1", words(DECIMAL, 9)),
    "Offset": ("-10.5 7 300", three(DECIMAL).map(" ".join)),
    "ElementSpacing": ("0.5 0.5 2", three(DECIMAL).map(" ".join)),
    "DimSize": ("2 3 4", three(WHOLE).map(" ".join)),
    "ElementType": ("MET_SHORT", st.sampled_from([*metaimage.ELEMENTS, "MET_STRING", "short"])),
    "Comment": ("none", WORD),
}
NRRD = {
    "type": ("short", st.sampled_from([*nrrd.TYPES, "block", "SHORT"])),
    "dimension": ("3", st.sampled_from(["4", "2", "three"])),
    "space": ("left-posterior-superior", st.sampled_from([*nrrd.TO_LPS, "scanner-xyz"])),
    "sizes": ("2 3 4", three(WHOLE).map(" ".join)),
    "space directions": (
        "(0.5,0,0) (0,0.5,0) (0,0,2)",
        three(DECIMAL).map("({0[0]}, {0[1]},{0[2]}) (0,1,0) (0,0,1)".format),
    ),
    "endian": ("little", st.sampled_from(["big", "middle"])),
    "encoding": ("raw", st.sampled_from(["gzip", "hex", "Raw"])),
    "space origin": ("(1,2,3)", three(DECIMAL).map("({0[0]},{0[1]},{0[2]})".format)),
}


@st.composite
def headers(draw, fields, sign):
    """The lines of a header, in any order, of which a few are not sound or not there."""
    strange = draw(st.sets(st.sampled_from(sorted(fields)), max_size=2))
    absent = draw(st.sets(st.sampled_from(sorted(fields)), max_size=1)) if draw(st.integers(0, 3)) == 0 else set()
    lines = [
        f"{name}{sign}{draw(other) if name in strange else sound}"
        for name, (sound, other) in fields.items()
        if name not in absent
    ]
    return draw(st.permutations(lines))


@EXAMPLES
@given(headers(METAIMAGE, " = "), st.sampled_from([48, 48, 48, 24, 96, 47, 49]))
def test_metaimage_headers(lines, voxel_bytes):
    with tempfile.TemporaryDirectory() as folder:
        header = "\n".join([*lines, "ElementDataFile = LOCAL\n"])
        (Path(folder) / "scan.mha").write_bytes(header.encode("utf-8", "surrogatepass") + bytes(voxel_bytes))
        compare(plain, as_read(metaimage.content), Path(folder), volumes.HEADER_PRECISION)


@EXAMPLES
@given(headers(NRRD, ": "), st.sampled_from([48, 48, 48, 24, 96, 47, 49]))
def test_nrrd_headers(lines, voxel_bytes):
    with tempfile.TemporaryDirectory() as folder:
        header = "\n".join(["NRRD0004", *lines]) + "\n\n"
        (Path(folder) / "scan.nrrd").write_bytes(header.encode("utf-8", "surrogatepass") + bytes(voxel_bytes))
        compare(plain, as_read(nrrd.content), Path(folder), volumes.HEADER_PRECISION)
