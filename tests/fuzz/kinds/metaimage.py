"""MetaImage, raw and compressed, in one file and in two: headers and voxels."""

import zlib
from pathlib import Path

import numpy as np

from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, write_metaimage
from tests.fuzz import volumes
from tests.fuzz.damage import NASTY_TEXTS, NUMBER_TEXTS, damage_one_of, other_text, other_words
from tests.fuzz.oracle import Beyond, MustRefuse

VARIANTS = ("raw", "compressed", "one file", "one compressed file", "floats", "big-endian")
FURTHER_FIELDS = ("HeaderSize", "ElementNumberOfChannels", "ElementSize", "Comment", "Position", "Rotation", "Modality")
ELEMENTS = {
    **{"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4"},
    **{"MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8"},
    **{"MET_FLOAT": "f4", "MET_DOUBLE": "f8"},
}
# Voxels that the file does not hold.
HUGE_SIZES = ("10000 10000 10000", "65535 65535 1", "4294967296 4294967296 1", "100000 1 100000")
# Other words for a field that the valid files have, by other tools or older ones.
SYNONYMS = frozenset(("ElementSize", "Position", "Origin", "Rotation", "Orientation"))


def make(folder: Path, variant: str) -> None:
    """Writes the volume as the project does, then changes it into the variant."""
    path = folder / "scan.mhd"
    grid = Grid(volumes.SIZE_ZYX, volumes.SPACING_ZYX_MM, volumes.ORIGIN_XYZ_MM, volumes.DIRECTION)
    array = volumes.hounsfield_units("<f4" if variant == "floats" else "<i2")
    write_metaimage(path, Volume(array, grid, "scan"), compress="compressed" in variant)
    data_path = next(folder.glob("*raw"))
    if variant == "big-endian":
        data_path.write_bytes(array.astype(">i2").tobytes())
        path.write_text(path.read_text().replace("OrderMSB = False", "OrderMSB = True"))
    if variant.startswith("one"):
        header = path.read_text().replace(f"ElementDataFile = {data_path.name}", "ElementDataFile = LOCAL")
        (folder / "scan.mha").write_bytes(header.encode() + data_path.read_bytes())
        path.unlink()
        data_path.unlink()


def mutate(folder: Path, variant: str, rng) -> str:
    """Half of the time the header's lines, else bytes of the files."""
    path = _header_path(folder)
    if rng.random() < 0.5:
        return damage_one_of([*([path] if rng.random() < 0.4 else sorted(folder.iterdir()))], rng)
    header, line_end, data = path.read_bytes().partition(b"ElementDataFile")
    last, _, data = data.partition(b"\n")
    lines = (header + line_end + last).decode().splitlines()
    told = _mutated_lines(lines, rng)
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape") + b"\n" + data)
    return told


def _mutated_lines(lines, rng):
    if rng.random() < 0.05:
        place = next(place for place, line in enumerate(lines) if line.startswith("DimSize"))
        lines[place] = f"DimSize = {rng.choice(HUGE_SIZES)}"
        return lines[place]
    place = rng.randrange(len(lines))
    name, _, value = lines[place].partition(" = ")
    way = rng.choice(("value", "value", "value", "value", "words", "drop", "double", "name", "move", "add"))
    if way in ("value", "words"):
        lines[place] = f"{name} = {(other_words if way == 'words' else _other_value)(value, rng)}"
    elif way == "drop":
        del lines[place]
        return f"{name} dropped"
    elif way == "double":
        lines.insert(0, f"{name} = {other_words(value, rng)}")
        return f"{lines[0][:60]} before the other one"
    elif way == "name":
        lines[place] = f"{other_text(name, rng)} = {value}"
    elif way == "move":
        lines.insert(rng.randrange(len(lines)), lines.pop(place))
        return f"{name} moved"
    else:
        added = f"{rng.choice(FURTHER_FIELDS)} = {rng.choice((*NUMBER_TEXTS, *NASTY_TEXTS))}"
        lines.insert(rng.randrange(len(lines)), added)
        return f"{added[:60]} added"
    return f"line {place} is {lines[place][:60]!r}"


def _other_value(value, rng):
    if all(word.lstrip("-").replace(".", "").isdigit() for word in value.split()):
        return other_words(value, rng)
    others = (*ELEMENTS, "True", "False", "1", "0", "LOCAL", "LIST", "scan.raw", "scan.mhd", "slice%03d.raw 1 6 1")
    return rng.choice((*others, other_text(value, rng), other_text(value, rng)))


read = volumes.read


def judge(damaged: Path, valid: Path, reading) -> str:
    """By the header's lines and the bytes that they call voxels."""
    return volumes.judge(content, damaged, valid, reading)


def content(folder: Path) -> volumes.Content:
    """What the volume is, or why it must be refused."""
    path = _header_path(folder)
    fields, position = _fields(path.read_bytes())
    if synonyms := fields.keys() & SYNONYMS:
        raise Beyond(f"it has other words for its fields: {sorted(synonyms)}")
    if fields.get("NDims") != "3" or not _truth(fields, "BinaryData", "True"):
        raise MustRefuse("it has another number of dimensions, or its voxels are text")
    size_xyz = volumes.integers_in(fields.get("DimSize", ""), 3, "DimSize")
    spacing_xyz = volumes.numbers_in(fields.get("ElementSpacing", ""), 3, "ElementSpacing")
    origin = volumes.numbers_in(fields.get("Offset", "0 0 0"), 3, "Offset")
    axes = volumes.numbers_in(fields.get("TransformMatrix", "1 0 0 0 1 0 0 0 1"), 9, "TransformMatrix")
    is_msb = {_truth(fields, name, "False") for name in fields if name.endswith("OrderMSB")} or {False}
    if len(is_msb) > 1 or fields.get("ElementNumberOfChannels", "1") != "1":
        raise Beyond("byte orders or channels")
    if fields.get("ElementType") not in ELEMENTS:
        raise MustRefuse(f"ElementType is {fields.get('ElementType')!r}")
    dtype = np.dtype(ELEMENTS[fields["ElementType"]]).newbyteorder(">" if is_msb.pop() else "<")
    if fields["ElementDataFile"] == "LOCAL":
        data = path.read_bytes()[position:]
    else:
        data_path = folder / fields["ElementDataFile"]
        if data_path.parent != folder or not data_path.is_file():
            raise MustRefuse("its data file is elsewhere")
        data = data_path.read_bytes()
    skipped = volumes.integers_in(fields.get("HeaderSize", "0"), 1, "HeaderSize")[0]
    if skipped:
        raise Beyond("HeaderSize")
    if _truth(fields, "CompressedData", "False"):
        data = _decompressed(data, fields.get("CompressedDataSize"))
    return volumes.Content(
        volumes.voxels(data, dtype, size_xyz[::-1]),
        np.array(spacing_xyz[::-1]),
        np.array(origin),
        np.array(axes).reshape(3, 3).T,
    )


def _decompressed(data, size):
    if size is not None and volumes.integers_in(size, 1, "CompressedDataSize")[0] != len(data):
        raise MustRefuse(f"CompressedDataSize is {size}, of {len(data)} bytes")
    stream = zlib.decompressobj()
    try:
        whole = stream.decompress(data)
    except zlib.error as error:
        raise MustRefuse(f"its voxels do not decompress: {error}") from None
    if not stream.eof or stream.unused_data:
        raise MustRefuse("its compressed voxels end elsewhere than the file")
    return whole


def _fields(data):
    fields: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in fields:
        line, end, _ = data[position:].partition(b"\n")
        name, equals, value = line.decode("latin-1").partition("=")
        if not equals:
            raise MustRefuse(f"line {len(fields)} of its header is {line[:60]!r}")
        if name.strip() in fields:
            raise Beyond(f"{name.strip()} is there twice")
        fields[name.strip()] = value.strip()
        position += len(line) + len(end)
    return fields, position


def _truth(fields, name, default):
    text = fields.get(name, default)
    if text not in ("True", "False"):
        raise Beyond(f"{name} is {text!r}")
    return text == "True"


def _header_path(folder):
    return volumes.path_in(folder)
