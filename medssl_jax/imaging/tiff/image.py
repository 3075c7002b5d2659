"""The images of a TIFF file, in full size and reduced: their kind, and where their segments lie, tiles or strips.

What the header claims is held against the length of the file, and where segments are compressed against a bound,
before anything is decoded.
"""

import dataclasses
import itertools
import math
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int64

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.jpeg import read_jpeg_header
from medssl_jax.imaging.tiff.header import Directory, Field, read_directories

NOT_COMPRESSED, LZW, JPEG, PACKBITS = 1, 5, 7, 32773
DEFLATE, ZSTD = {8, 32946}, {34926, 50000}
COMPRESSIONS = {
    **{NOT_COMPRESSED: "none", LZW: "LZW", JPEG: "JPEG", PACKBITS: "PackBits"},
    **{code: "deflate" for code in DEFLATE},
    **{code: "zstd" for code in ZSTD},
}
OTHER_COMPRESSIONS = {
    **{2: "CCITT RLE", 3: "CCITT fax 3", 4: "CCITT fax 4", 6: "old-style JPEG", 33003: "Aperio JPEG 2000"},
    **{33005: "Aperio JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 34892: "lossy DNG", 34925: "LZMA"},
    **{34933: "PNG", 34934: "JPEG XR", 22610: "JPEG XR", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"},
}
MIN_IS_WHITE, MIN_IS_BLACK, RGB, YCBCR = 0, 1, 2, 6
COLOURS = {
    **{MIN_IS_WHITE: "white is 0", MIN_IS_BLACK: "black is 0", RGB: "RGB", 3: "PALETTE", 4: "a mask", 5: "CMYK"},
    **{YCBCR: "YCbCr", 8: "CIELab"},
}
SAMPLE_FORMATS = {1: "uint", 2: "int", 3: "float"}
HORIZONTAL_DIFFERENCES = 2
STORED = (
    *(Field.Compression, Field.BitsPerSample, Field.SamplesPerPixel, Field.PhotometricInterpretation),
    *(Field.RowsPerStrip, Field.TileWidth, Field.TileLength),
)
LARGEST_SIDE = 2**24  # pixels; products of sides are numbers too
# What a few bytes may grow to. Dark slides shrink a hundredfold; libvips and libtiff write far smaller segments.
LARGEST_SEGMENT = 2**26  # bytes
MOST_SHRUNK = 256


@dataclasses.dataclass(frozen=True, eq=False)
class TiffImage:
    """An image in segments, which lie in the file at `offsets` and take `counts` bytes, numbered row by row.

    `channels` are grey or RGB; where `planes` is set they are stored one after the other, each in segments of its own.
    `jpeg_header` is that of every segment, where the file has it only once.
    """

    height: int
    width: int
    channels: int
    planes: bool
    compression: int
    photometric: int
    differences: bool
    bits_reversed: bool
    segment_height: int
    segment_width: int
    is_tiled: bool
    offsets: Int64[np.ndarray, " _"]
    counts: Int64[np.ndarray, " _"]
    jpeg_tables: bytes | None = None
    jpeg_header: bytes | None = None

    @property
    def segments_across(self) -> int:
        """Segments in a row."""
        return math.ceil(self.width / self.segment_width)

    @property
    def segments_down(self) -> int:
        """Segments in a column."""
        return math.ceil(self.height / self.segment_height)

    @property
    def channels_together(self) -> int:
        """Channels in a segment."""
        return 1 if self.planes else self.channels

    @property
    def is_one_block(self) -> bool:
        """True where pixels lie in the file as they do in the image, with nothing between them."""
        is_plain = self.compression == NOT_COMPRESSED and not self.differences and not self.bits_reversed
        is_whole = int(self.counts.sum()) == self.height * self.width * self.channels
        follow = self.offsets[1:] == self.offsets[:-1] + self.counts[:-1]
        return is_plain and is_whole and not self.is_tiled and bool(follow.all())

    @property
    def segment_row(self) -> int:
        """Bytes in a row of a segment that is not compressed."""
        return self.segment_width * self.channels_together

    @property
    def segment_bytes(self) -> int:
        """Bytes in a segment that is not compressed; the last strip may have fewer."""
        return self.segment_height * self.segment_row

    def rows_of(self, segments: Any) -> Any:
        """Rows of pixels in one or several segments: all tiles are alike, the last strip may be shorter."""
        if self.is_tiled:
            return np.full_like(segments, self.segment_height)
        strips = segments % self.segments_down
        return np.minimum(self.segment_height, self.height - strips * self.segment_height)

    def sizes_of(self, segment: int) -> list[tuple[int, int]]:
        """The heights and widths that a JPEG segment may have: its own, or what is left of the image."""
        row, column = divmod(segment % (self.segments_across * self.segments_down), self.segments_across)
        height = min(self.segment_height, self.height - row * self.segment_height)
        width = min(self.segment_width, self.width - column * self.segment_width)
        sizes = itertools.product((self.segment_height, height), (self.segment_width, width))
        return list(dict.fromkeys(sizes))


def full_image(path: Path, file: BinaryIO) -> TiffImage:
    """Finds the largest image of a file.

    Raises:
      InputError: not a TIFF, truncated, an image of another kind than `COMPRESSIONS` and 8 bit grey or RGB, or several.
    """
    directories = read_directories(path, file)
    shapes = [_shape(directory) for directory in directories]
    largest = max(range(len(shapes)), key=lambda index: math.prod(shapes[index]))
    directory, shape = directories[largest], shapes[largest]
    # A thumbnail may be as large as a small slide, but is stored in another way.
    ways = [_stored(other) for other, size in zip(directories, shapes, strict=True) if size == shape]
    alike = ways.count(_stored(directory))
    if alike > 1:
        raise InputError(f"{path}: {alike} images of full size, expected one: export one slide a file")
    _check_kind(path, directory)
    image = _with_mcu_starts(path, file, directory, _image(path, directory, *shape))
    _check_segments(path, file, image)
    return image


def reduced_image(path: Path, file: BinaryIO, full: TiffImage, most: int) -> tuple[int, TiffImage] | None:
    """The smallest level of a pyramid that is at most `most` times smaller than the `full` image, and how many times.

    A level is tiled, of the full image's kind and shape, and a whole number of times smaller; None where there is none.

    Raises:
      InputError: a level is truncated or damaged.
    """
    levels = []
    for directory in read_directories(path, file):
        height, width = _shape(directory)
        reduction = round(full.height / max(height, 1))
        fits = all(
            abs(size - reduction * reduced) < reduction
            for size, reduced in ((full.height, height), (full.width, width))
        )
        if fits and 2 <= reduction <= most and _is_alike(directory, full):
            levels.append((reduction, directory))
    for reduction, directory in sorted(levels, key=lambda level: -level[0]):
        image = _with_mcu_starts(path, file, directory, _image(path, directory, *_shape(directory)))
        if image.is_tiled:
            _check_segments(path, file, image)
            return reduction, image
    return None


def _is_alike(directory: Directory, full: TiffImage) -> bool:
    """True for pixels of the full image's kind."""
    found = (
        directory.number(Field.Compression, NOT_COMPRESSED),
        directory.number(Field.SamplesPerPixel, 1),
        directory.number(Field.PhotometricInterpretation),
        {*directory.numbers(Field.BitsPerSample, 1).tolist()},
    )
    return found == (full.compression, full.channels, full.photometric, {8})


def _shape(directory: Directory) -> tuple[int, int]:
    return directory.number(Field.ImageLength), directory.number(Field.ImageWidth)


def _stored(directory: Directory) -> list[list[int]]:
    return [directory.numbers(field, 0).tolist() for field in STORED]


def _check_kind(path: Path, directory: Directory) -> None:
    compression = directory.number(Field.Compression, NOT_COMPRESSED)
    if compression not in COMPRESSIONS:
        names, name = ", ".join(dict.fromkeys(COMPRESSIONS.values())), OTHER_COMPRESSIONS.get(compression)
        raise InputError(
            f"{path}: compression {compression}{f' ({name})' if name else ''}, expected one of {names}: export it with "
            "one of those"
        )
    channels, photometric = directory.number(Field.SamplesPerPixel, 1), _photometric(directory)
    kinds = {(1, MIN_IS_BLACK), (1, MIN_IS_WHITE), (3, RGB)}
    # Only JPEG's own decoder turns YCbCr into RGB, and it needs the three together.
    if compression == JPEG and not _has_planes(directory):
        kinds |= {(3, YCBCR)}
    if (channels, photometric) not in kinds or directory.number(Field.ImageDepth, 1) != 1:
        name = COLOURS.get(photometric, f"photometric interpretation {photometric}")
        raise InputError(f"{path}: {channels} channels, {name}, expected 1 grey channel or RGB: export it so")
    bits, formats = (
        directory.of_each(field, channels, default=1).tolist() for field in (Field.BitsPerSample, Field.SampleFormat)
    )
    if {*bits} != {8} or {*formats} != {1}:
        numbers = ", ".join(map(str, dict.fromkeys(bits)))
        kind = f"{SAMPLE_FORMATS.get(formats[0], 'unknown ')}{bits[0]}"
        raise InputError(f"{path}: pixels of {numbers} bit ({kind}), expected 8 bit unsigned: export it as 8 bit")
    for field, default in ((Field.Predictor, 1), (Field.FillOrder, 1), (Field.PlanarConfiguration, 1)):
        if directory.number(field, default) not in (1, 2):
            raise InputError(f"{path}: {field.name} is {directory.number(field)}, expected 1 or 2: export it again")


def _photometric(directory: Directory) -> int:
    return directory.number(Field.PhotometricInterpretation)


def _has_planes(directory: Directory) -> bool:
    return directory.number(Field.SamplesPerPixel, 1) > 1 and directory.number(Field.PlanarConfiguration, 1) == 2


def _image(path: Path, directory: Directory, height: int, width: int) -> TiffImage:
    is_tiled = Field.TileWidth in directory
    if is_tiled:
        segment = directory.number(Field.TileLength), directory.number(Field.TileWidth)
        offsets, counts = Field.TileOffsets, Field.TileByteCounts
    else:
        segment = min(directory.number(Field.RowsPerStrip, height), height), width
        offsets, counts = Field.StripOffsets, Field.StripByteCounts
    for side in (height, width, *segment):
        if not 1 <= side <= LARGEST_SIDE:
            raise InputError(
                f"{path}: its header tells of {width} x {height} pixels in strips or tiles of {segment[1]} x "
                f"{segment[0]}, expected sides of 1 to {LARGEST_SIDE}: copy or export it again"
            )
    compression = directory.number(Field.Compression, NOT_COMPRESSED)
    return TiffImage(
        height=height,
        width=width,
        channels=directory.number(Field.SamplesPerPixel, 1),
        planes=_has_planes(directory),
        compression=compression,
        photometric=_photometric(directory),
        differences=directory.number(Field.Predictor, 1) == HORIZONTAL_DIFFERENCES and compression != JPEG,
        bits_reversed=directory.number(Field.FillOrder, 1) == 2 and compression != JPEG,
        segment_height=segment[0],
        segment_width=segment[1],
        is_tiled=is_tiled,
        offsets=directory.numbers(offsets),
        counts=directory.numbers(counts),
        jpeg_tables=directory.bytes_of(Field.JPEGTables),
    )


def _with_mcu_starts(path: Path, file: BinaryIO, directory: Directory, image: TiffImage) -> TiffImage:
    """An NDPI image is one JPEG strip with a list of places where a decoder may begin: those make tiles of it.

    Each tile is a restart interval, which is as high as a unit of the JPEG image and a whole part of its width.
    """
    if Field.NDPIFormat not in directory or Field.NDPIMcuStarts not in directory or image.compression != JPEG:
        return image
    strip, length = directory.number(Field.StripOffsets), directory.number(Field.StripByteCounts)
    starts = directory.numbers(Field.NDPIMcuStarts)
    # The header ends where the first unit of pixels begins.
    data = os.pread(file.fileno(), min(int(starts[0]), os.fstat(file.fileno()).st_size), strip)
    try:
        header = read_jpeg_header(data)
    except ValueError as error:
        raise InputError(f"{path}: the header of its JPEG image cannot be read ({error}): copy it again") from error
    # It holds sides of 0 where they are too large for it.
    for side, found in ((image.height, header.height), (image.width, header.width)):
        if found not in (side, 0):
            raise InputError(f"{path}: an image of {side} pixels a side, {found} in its JPEG header: copy it again")
    units_across = math.ceil(image.width / header.unit_width)
    if not header.restart_interval or units_across % header.restart_interval:
        raise InputError(
            f"{path}: an NDPI file with a restart every {header.restart_interval} of {units_across} units of its JPEG "
            "image, expected a whole part of them: export it as tiled TIFF"
        )
    height, width = header.unit_height, header.restart_interval * header.unit_width
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return dataclasses.replace(
        image,
        segment_height=height,
        segment_width=width,
        is_tiled=True,
        offsets=strip + starts,
        counts=np.diff(starts, append=length),
        jpeg_header=data[: header.size_begins] + size + data[header.size_begins + 4 : header.pixels_begin],
    )


def _check_segments(path: Path, file: BinaryIO, image: TiffImage) -> None:
    segments = image.segments_across * image.segments_down * (image.channels if image.planes else 1)
    for found in (len(image.offsets), len(image.counts)):
        if found != segments:
            raise InputError(
                f"{path}: its header lists {found} strips or tiles, expected {segments}: copy or export it again"
            )
    if image.counts.min() <= 0:
        raise InputError(f"{path}: a strip or tile is empty: the file was not written to its end, export it again")
    size, reaches = os.fstat(file.fileno()).st_size, int((image.offsets + image.counts).max())
    if reaches > size:
        raise InputError(f"{path}: truncated: {size} bytes, its header asks for {reaches}: copy or export it again")
    if image.compression == NOT_COMPRESSED:
        needed = image.rows_of(np.arange(segments)) * image.segment_row
        short = np.flatnonzero((image.counts != needed) & (image.counts != image.segment_bytes))
        if len(short):
            raise InputError(
                f"{path}: strip or tile {short[0]} takes {image.counts[short[0]]} bytes, its pixels "
                f"{needed[short[0]]}: copy or export it again"
            )
    elif image.segment_bytes > (most := max(LARGEST_SEGMENT, MOST_SHRUNK * size // segments)):
        raise InputError(
            f"{path}: compressed strips or tiles of {image.segment_bytes} bytes each, expected {most} at most in a "
            "file of this length: export it with smaller tiles"
        )
