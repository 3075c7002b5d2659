"""TIFF slides in strips and tiles: tags of other types, counts and values, and damaged pixels."""

import math
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from medssl_jax.imaging.slides import SlideLayout, open_slide, shrink_as_libvips
from tests.fuzz.damage import EXTREME_INTEGERS, damage_file
from tests.fuzz.oracle import Beyond, MustRefuse, judged

LAYOUT = SlideLayout(grid=2, patch_side=32, shrink=8)
SIZE = (80, 96)  # larger than the crop, in neither direction a multiple of a tile
VARIANTS = ("strips", "LZW", "deflate", "zstd", "PackBits", "tiles", "LZW tiles", "colour", "white is 0", "big", "JPEG")
COMPRESSION_OF = {
    **{"LZW": "lzw", "LZW tiles": "lzw", "deflate": "zlib", "tiles": "zlib", "colour": "zlib"},
    **{"zstd": "zstd", "PackBits": "packbits", "JPEG": "jpeg", "big": "zlib"},
}
# TIFF's types of number: struct's code of each.
TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 16: "Q", 17: "q"}
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, ROWS_PER_STRIP = 256, 257, 258, 259, 262, 277, 278
OFFSETS, COUNTS, PLANAR, PREDICTOR, TILE_WIDTH, TILE_LENGTH = 273, 279, 284, 317, 322, 323
TILE_OFFSETS, TILE_COUNTS, EXTRA, FORMAT, FILL_ORDER = 324, 325, 338, 339, 266
SIZES = (1, 8, 16, 32, 64, 80, 96, 100, 200_000, 60_000, 2**20)


def make(folder: Path, variant: str) -> None:
    """Noise with a gradient, which no codec turns into nothing."""
    rng = np.random.default_rng(0)
    gradient = np.add.outer(np.arange(SIZE[0]), np.arange(SIZE[1]))
    pixels = (gradient + rng.integers(0, 40, SIZE)).astype(np.uint8)
    options = {"compression": COMPRESSION_OF.get(variant), "metadata": None, "bigtiff": variant == "big"}
    options |= {"tile": (32, 32)} if "tiles" in variant or variant == "big" else {"rowsperstrip": 24}
    if variant == "colour":
        pixels = np.stack([pixels // 2, pixels, 255 - pixels], axis=-1)
    photometric = {"colour": "rgb", "white is 0": "miniswhite"}.get(variant, "minisblack")
    predictor = variant in ("deflate", "LZW tiles")
    tifffile.imwrite(folder / "slide.tif", pixels, photometric=photometric, predictor=predictor, **options)


def mutate(folder: Path, variant: str, rng) -> str:
    """A tag of the image, or bytes."""
    path = folder / "slide.tif"
    if rng.random() < 0.4:
        return damage_file(path, rng)
    data = bytearray(path.read_bytes())
    entries = list(_entries(bytes(data)))
    place, (tag, kind, count, _), is_big = *rng.choice(entries), data[2] == 43
    field, code = {
        "tag": (0, "H"),
        "type": (2, "H"),
        "count": (4, "Q" if is_big else "I"),
        "value": (12 if is_big else 8, "Q" if is_big else "I"),
    }[way := rng.choice(("tag", "type", "type", "count", "count", "value", "value", "value"))]
    old = struct.unpack_from(f"<{code}", data, place + field)[0]
    values = {"type": (*TYPES, 0, 13, 18, 129), "tag": (*_known_tags(entries), 330, 347, 34665)}.get(
        way, (*EXTREME_INTEGERS, *SIZES, old + 1, old - 1, old * 2, 2, 3, 5, 6, 7, 50000)
    )
    new = rng.choice(values) % 2 ** (8 * struct.calcsize(code))
    struct.pack_into(f"<{code}", data, place + field, new)
    if way == "value" and tag in (WIDTH, LENGTH) and rng.random() < 0.5:
        for place, (tag, kind, *_) in entries:
            if tag in (WIDTH, LENGTH) and kind == 4:
                new = rng.choice((60_000, 200_000, 2**31))
                struct.pack_into(f"<{code}", data, place + field, new)
    path.write_bytes(bytes(data))
    return f"{way} of tag {tag} (type {kind}, {count} values) is {new}, was {old}"


def _known_tags(entries):
    return [tag for _, (tag, *_) in entries]


def read(folder: Path):
    """The low-resolution image and every patch."""
    with open_slide(folder / "slide.tif", LAYOUT) as slide:
        return {"low": slide.low_resolution(), "patches": np.stack(list(slide.patches(range(LAYOUT.grid**2))))}


def judge(damaged: Path, valid: Path, reading) -> str:
    """By the tags of the first image and decoders that count what they give."""
    return judged(content, read, damaged, valid, reading)


def content(folder: Path):
    """The slide, as `read` gives it."""
    data = (folder / "slide.tif").read_bytes()
    if data[:4] not in (b"II*\0", b"II+\0"):
        raise Beyond(f"it begins with {data[:4]!r}")
    entries = [entry for _, entry in _entries(data)]
    if len({tag for tag, *_ in entries}) < len(entries):
        raise Beyond("a tag is there twice")
    value_of = {tag: _values(data, kind, count, at) for tag, kind, count, at in entries}
    image = _image(data, value_of)
    side = LAYOUT.side
    if min(image.shape) < side:
        raise MustRefuse(f"it has {image.shape} pixels")
    top, left = ((size - side) // 2 for size in image.shape)
    crop = image[top : top + side, left : left + side]
    patches = crop.reshape(LAYOUT.grid, LAYOUT.patch_side, LAYOUT.grid, LAYOUT.patch_side).swapaxes(1, 2)
    return {
        "low": shrink_as_libvips(crop, LAYOUT.shrink),
        "patches": patches.reshape(-1, LAYOUT.patch_side, LAYOUT.patch_side),
    }


def _image(data, value_of):
    """The grey image that the tags speak of, or its green."""

    def one(tag, default=None):
        values = value_of.get(tag, () if default is None else (default,))
        if len(values) != 1 or not isinstance(values[0], int):
            raise Beyond(f"tag {tag} is {values[:5]}")
        return values[0]

    height, width, samples = one(LENGTH), one(WIDTH), one(SAMPLES, 1)
    photometric, compression, predictor = one(PHOTOMETRIC), one(COMPRESSION, 1), one(PREDICTOR, 1)
    if set(value_of.get(BITS, (1,))) != {8} or set(value_of.get(FORMAT, (1,))) != {1} or EXTRA in value_of:
        raise Beyond(f"its pixels are {value_of.get(BITS)} bit, of format {value_of.get(FORMAT)}")
    if (samples, photometric) not in ((1, 0), (1, 1), (3, 2)) or one(PLANAR, 1) != 1 or one(FILL_ORDER, 1) != 1:
        raise Beyond(f"it has {samples} channels, photometric {photometric}")
    if not 1 <= height <= 2000 or not 1 <= width <= 2000:
        raise Beyond(f"it has {height} x {width} pixels")
    tiled = TILE_WIDTH in value_of
    if tiled:
        piece_height, piece_width = one(TILE_LENGTH), one(TILE_WIDTH)
        offsets, counts = value_of.get(TILE_OFFSETS, ()), value_of.get(TILE_COUNTS, ())
    else:
        piece_height, piece_width = min(one(ROWS_PER_STRIP, height), height), width
        offsets, counts = value_of.get(OFFSETS, ()), value_of.get(COUNTS, ())
    if piece_height < 1 or piece_width < 1:
        raise MustRefuse(f"its pieces are {piece_height} x {piece_width}")
    down, across = math.ceil(height / piece_height), math.ceil(width / piece_width)
    if not len(offsets) == len(counts) == down * across:
        raise MustRefuse(f"it lists {len(offsets)} offsets and {len(counts)} lengths of {down * across} pieces")
    if max(offsets) + max(counts) > 2**40 or (tiled and max(piece_height, piece_width) > 4000):
        raise Beyond("it speaks of more than there is")
    image = np.zeros((down * piece_height, across * piece_width, samples), np.uint8)
    for number, (offset, count) in enumerate(zip(offsets, counts, strict=True)):
        row, column = number // across * piece_height, number % across * piece_width
        rows = piece_height if tiled else min(piece_height, height - row)
        if compression == 7:
            raise Beyond("JPEG has no length to check")
        if offset + count > len(data):
            raise MustRefuse(f"piece {number} reaches beyond the end of the file")
        pixels = _decoded(data[offset : offset + count], compression, rows * piece_width * samples)
        pixels = np.frombuffer(pixels, np.uint8).reshape(rows, piece_width, samples)
        if predictor == 2:
            pixels = np.cumsum(pixels, axis=1, dtype=np.uint8)
        elif predictor != 1:
            raise Beyond(f"its predictor is {predictor}")
        image[row : row + rows, column : column + piece_width] = pixels
    image = image[:height, :width, 1 if samples == 3 else 0]
    return ~image if photometric == 0 else image


def _decoded(piece, compression, wanted):
    try:
        if compression == 1:
            pixels = piece
        elif compression in (8, 32946):
            stream = zlib.decompressobj()
            pixels = stream.decompress(piece)
            if not stream.eof:
                raise MustRefuse("a piece ends before its checksum")
        elif compression == 50000:
            pixels = imagecodecs.zstd_decode(piece)
        elif compression == 5:
            pixels = _lzw_decoded(piece)
        elif compression == 32773:
            pixels = _packbits_decoded(piece)
        else:
            raise Beyond(f"its compression is {compression}")
    except (zlib.error, RuntimeError, ValueError, IndexError) as error:
        raise MustRefuse(f"a piece does not decode: {error}") from None
    if len(pixels) < wanted:
        raise MustRefuse(f"a piece has {len(pixels)} bytes, expected {wanted}")
    return bytes(pixels[:wanted])


def _lzw_decoded(data):
    """TIFF's LZW: codes of 9 to 12 bits, the first bit highest, 256 clears the table, 257 ends."""
    pixels, strings, width, last = bytearray(), [], 9, None
    bits, held = 0, 0
    for byte in data:
        bits, held = bits << 8 | byte, held + 8
        if held < width:
            continue
        held -= width
        code, bits = bits >> held, bits & (1 << held) - 1
        if code == 257:
            return pixels
        if code == 256:
            strings, width, last = [bytes([each]) for each in range(256)] + [b"", b""], 9, None
            continue
        if not strings or (last is None and code > 257):
            raise ValueError("a code before the table is cleared")
        string = strings[code] if code < len(strings) else last + last[:1] if code == len(strings) else None
        if string is None:
            raise ValueError("a code beyond the table")
        if last is not None:
            strings.append(last + string[:1])
        pixels += string
        last = string
        width = min(12, (len(strings) + 1).bit_length())
    return pixels


def _packbits_decoded(data):
    pixels, place = bytearray(), 0
    while place < len(data):
        count = data[place]
        place += 1
        if count < 128:
            if place + count + 1 > len(data):
                raise ValueError("a run of bytes is cut short")
            pixels += data[place : place + count + 1]
            place += count + 1
        elif count > 128:
            pixels += data[place : place + 1] * (257 - count)
            place += 1
    return pixels


def _entries(data):
    """Where each entry of the first image's directory lies, and its tag, type, count and where its values lie."""
    is_big = data[2] == 43
    start = struct.unpack_from("<Q" if is_big else "<I", data, 8 if is_big else 4)[0]
    code, head, size = ("<HHQ", 8, 20) if is_big else ("<HHI", 2, 12)
    try:
        number = struct.unpack_from("<Q" if is_big else "<H", data, start)[0]
        for place in range(start + head, start + head + number * size, size):
            tag, kind, count = struct.unpack_from(code, data, place)
            at = place + struct.calcsize(code)
            if kind in TYPES and count * struct.calcsize(f"<{TYPES[kind]}") > (8 if is_big else 4):
                at = struct.unpack_from("<Q" if is_big else "<I", data, at)[0]
            yield place, (tag, kind, count, at)
    except struct.error:
        raise Beyond("its directory reaches beyond the file") from None


def _values(data, kind, count, at):
    if kind not in TYPES or count > len(data):
        return (f"of type {kind}",)
    if kind == 2:
        return (data[at : at + count],)
    code = f"<{count * len(TYPES[kind])}{TYPES[kind][0]}"
    try:
        return struct.unpack_from(code, data, at)
    except struct.error:
        return ("beyond the file",)
