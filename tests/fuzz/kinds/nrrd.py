"""NRRD, raw and gzipped: header fields, and the voxels below them."""

import gzip
import re
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tests.fuzz import volumes
from tests.fuzz.damage import NASTY_TEXTS, NUMBER_TEXTS, damage_file, other_text, other_words
from tests.fuzz.oracle import Beyond, MustRefuse

VARIANTS = ("raw", "gzip", "RAS", "floats", "big-endian")
TYPES = {
    **{"signed char": "i1", "int8": "i1", "unsigned char": "u1", "uchar": "u1", "uint8": "u1"},
    **{"short": "i2", "int16": "i2", "ushort": "u2", "unsigned short": "u2", "uint16": "u2"},
    **{"int": "i4", "int32": "i4", "uint": "u4", "unsigned int": "u4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "int64": "i8", "uint64": "u8"},
}
TO_LPS = {
    "left-posterior-superior": (1, 1, 1),
    "LPS": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "RAS": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "LAS": (1, -1, 1),
}
FURTHER_FIELDS = (
    *("spacings: 1 1 1", "line skip: 1", "byte skip: -1", "byteskip: 4", "data file: other.raw", "data file: LIST"),
    *("data file: ../../etc/passwd", "labels: a b c", "units: mm mm mm", "axis mins: 0 0 0", "centers: cell cell cell"),
    *("space units: m m m", "old min: 0", "measurement frame: (1,0,0) (0,1,0) (0,0,1)", "content: scan", "key:=value"),
    *(
        "kinds: domain domain list",
        "space dimension: 3",
        "thicknesses: 1 1 1",
        "# a comment",
        "min: -5",
        "block size: 4",
    ),
)
# Voxels that the file does not hold.
HUGE_SIZES = ("10000 10000 10000", "65535 65535 1", "4294967296 4294967296 1", "100000 1 100000")
UNUSED = frozenset(
    ("kinds", "content", "centers", "labels", "units", "min", "max", "old min", "old max", "thicknesses")
)


def make(folder: Path, variant: str) -> None:
    """Written by SimpleITK, then changed into the variant."""
    path = folder / "scan.nrrd"
    image = volumes.as_image(volumes.hounsfield_units("<f4" if variant == "floats" else "<i2"))
    sitk.WriteImage(image, str(path), useCompression=variant == "gzip")
    header, data = _parted(path.read_bytes())
    if variant == "RAS":
        header = header.replace(b"left-posterior-superior", b"right-anterior-superior")
    if variant == "big-endian":
        header = header.replace(b"endian: little", b"endian: big")
        data = np.frombuffer(data, "<i2").astype(">i2").tobytes()
    path.write_bytes(header + b"\n\n" + data)


def mutate(folder: Path, variant: str, rng) -> str:
    """More often the header's lines than bytes of the file."""
    path = folder / "scan.nrrd"
    if rng.random() < 0.35:
        return damage_file(path, rng)
    header, data = _parted(path.read_bytes())
    lines = header.decode().splitlines()
    place = rng.randrange(1, len(lines))
    name, _, value = lines[place].partition(": ")
    way = rng.choice(("value", "value", "value", "value", "drop", "double", "name", "move", "add", "add", "no blank"))
    if way == "value":
        lines[place] = f"{name}: {_other_value(value, rng)}"
    elif way == "drop":
        del lines[place]
    elif way == "double":
        lines.insert(place, f"{name}: {_other_value(value, rng)}")
    elif way == "name":
        lines[place] = f"{other_text(name, rng)}: {value}"
    elif way == "move":
        lines.insert(rng.randrange(len(lines)), lines.pop(place))
    elif way == "add":
        lines.insert(place, rng.choice(FURTHER_FIELDS))
    header = "\n".join(lines).encode("utf-8", "surrogateescape")
    path.write_bytes(header + (b"" if way == "no blank" else b"\n\n") + data)
    return f"{way} {name}: {lines[min(place, len(lines) - 1)][:60]!r}"


def _other_value(value, rng):
    if rng.random() < 0.1:
        return rng.choice(("9" * 1000, "B" * 5000, "1 " * 2000, f"({'1' * 1000},0,0) (0,1,0) (0,0,1)", *HUGE_SIZES))
    if "(" in value and rng.random() < 0.8:
        vectors = value.split()
        place = rng.randrange(len(vectors))
        numbers = vectors[place].strip("()").split(",")
        numbers[rng.randrange(len(numbers))] = rng.choice(NUMBER_TEXTS)
        vectors[place] = rng.choice(("none", f"({','.join(numbers)})", f"({','.join(numbers)}", ",".join(numbers)))
        return " ".join(vectors)
    others = (*TYPES, *TO_LPS, "little", "big", "raw", "gzip", "bzip2", "ascii", "hex", "txt", "block", "2", "3", "4")
    return rng.choice((rng.choice(others), rng.choice(NASTY_TEXTS), other_words(value, rng), other_words(value, rng)))


read = volumes.read


def judge(damaged: Path, valid: Path, reading) -> str:
    """By the header's lines and the bytes below them."""
    return volumes.judge(content, damaged, valid, reading)


def content(folder: Path) -> volumes.Content:
    """What the volume is, or why it must be refused."""
    header, data = _parted((folder / "scan.nrrd").read_bytes())
    lines = header.decode("latin-1").split("\n")
    if not re.fullmatch(r"NRRD000[1-6]", lines[0].rstrip("\r")):
        raise Beyond(f"its first line is {lines[0][:40]!r}")
    fields = _fields(lines[1:])
    if fields.get("dimension") != "3":
        raise MustRefuse(f"its dimension is {fields.get('dimension')!r}")
    size_xyz = volumes.integers_in(fields.get("sizes", ""), 3, "sizes")
    if fields.get("type") not in TYPES:
        raise Beyond(f"its type is {fields.get('type')!r}")
    dtype = np.dtype(TYPES[fields["type"]])
    if dtype.itemsize > 1:
        if fields.get("endian") not in ("little", "big"):
            raise MustRefuse(f"its endian is {fields.get('endian')!r}")
        dtype = dtype.newbyteorder("<" if fields["endian"] == "little" else ">")
    encoding = fields.get("encoding")
    if encoding in ("gzip", "gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise MustRefuse(f"its gzip is damaged: {error}") from None
    elif encoding != "raw":
        raise Beyond(f"its encoding is {encoding!r}")
    return volumes.Content(volumes.voxels(data, dtype, size_xyz[::-1]), *_geometry(fields))


def _geometry(fields):
    space = fields.get("space")
    if space not in TO_LPS:
        raise Beyond(f"its space is {space!r}")
    texts = re.findall(r"\([^()]*\)|\S+", fields.get("space directions", ""))
    columns = [_vector(text, "space directions") for text in texts]
    if len(columns) != 3:
        raise MustRefuse(f"its space directions are {fields.get('space directions', '')[:60]!r}")
    to_lps = np.array(TO_LPS[space], float)
    matrix = np.array(columns).T * to_lps[:, None]
    spacing = np.linalg.norm(matrix, axis=0)
    if not (spacing > 0).all():
        raise MustRefuse(f"its spacing is {spacing}")
    origin = np.array(_vector(fields.get("space origin", "(0,0,0)"), "space origin")) * to_lps
    return spacing[::-1], origin, matrix / spacing


def _vector(text, name):
    if not (text.startswith("(") and text.endswith(")")):
        raise MustRefuse(f"{name} has {text[:60]!r}")
    return volumes.numbers_in(text[1:-1].replace(",", " "), 3, name)


def _fields(lines):
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith("#") or ":=" in line:
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon:
            raise MustRefuse(f"a line of its header is {line[:60]!r}")
        if name in fields:
            raise Beyond(f"{name} is there twice")
        fields[name] = value
    unknown = fields.keys() - UNUSED - {"type", "dimension", "space", "sizes", "space directions", "endian", "encoding"}
    if unknown - {"space origin"}:
        raise Beyond(f"it has fields named {sorted(unknown)}"[:100])
    return fields


def _parted(data):
    header, _, rest = data.partition(b"\n\n")
    return header, rest
