"""TIFF files written field by field: what each may be, how far a header is trusted, every way pixels are stored."""

import io
import itertools
import re
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.tiff.grey import GreyTiff
from medssl_jax.imaging.tiff.header import Field, read_directories

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16
CODES = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I", RATIONAL: "Q", UNDEFINED: "B", LONG8: "Q"}
HEIGHT, WIDTH = 5, 6
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
STRIPS = [PIXELS[:2].tobytes(), PIXELS[2:4].tobytes(), PIXELS[4:].tobytes()]
GREY = dict(ImageWidth=WIDTH, ImageLength=HEIGHT, BitsPerSample=8, PhotometricInterpretation=1, RowsPerStrip=2)


ENCODERS = {
    **{1: bytes, 5: imagecodecs.lzw_encode, 8: imagecodecs.zlib_encode, 32946: imagecodecs.zlib_encode},
    **{32773: imagecodecs.packbits_encode, 50000: imagecodecs.zstd_encode, 34926: imagecodecs.zstd_encode},
}


def head(first, order="<", big=False):
    magic = b"II" if order == "<" else b"MM"
    return (
        struct.pack(f"{order}2sHHHQ", magic, 43, 8, 0, first) if big else struct.pack(f"{order}2sHI", magic, 42, first)
    )


def directory(fields, place, order="<", big=False, following=0):
    """The bytes of a directory that lies at `place`; a field is a number, numbers, or (type, numbers)."""
    count, size, width = ("Q", 20, 8) if big else ("H", 12, 4)
    offset = "Q" if big else "I"
    ends = place + struct.calcsize(f"<{count}") + size * len(fields) + width
    entries, values = b"", b""
    for name, value in sorted(fields.items(), key=lambda field: _code(field[0])):
        kind, numbers = value if isinstance(value, tuple) else (LONG, value)
        numbers = numbers if isinstance(numbers, list | bytes) else [numbers]
        content = struct.pack(f"{order}{len(numbers)}{CODES.get(kind, 'I')}", *numbers)
        if len(content) > width:
            values, content = values + content, struct.pack(f"{order}{offset}", ends + len(values))
        entries += struct.pack(f"{order}HH{offset}", _code(name), kind, len(numbers)) + content.ljust(width, b"\0")
    return struct.pack(f"{order}{count}", len(fields)) + entries + struct.pack(f"{order}{offset}", following) + values


def _code(name):
    return int(re.sub(r"\D", "", name)) if name[-1].isdigit() else Field[name]


def tiff(segments=STRIPS, order="<", big=False, fields=GREY, **changes):
    """The bytes of a file of one image; `changes` are other values of `fields`, None for none."""
    begins = 16 if big else 8
    offsets = [begins + sum(map(len, segments[:number])) for number in range(len(segments))]
    kind = "Tile" if "TileWidth" in {**fields, **changes} else "Strip"
    fields = fields | {f"{kind}Offsets": offsets, f"{kind}ByteCounts": list(map(len, segments))} | changes
    fields = {name: value for name, value in fields.items() if value is not None}
    place = begins + sum(map(len, segments))
    return head(place, order, big) + b"".join(segments) + directory(fields, place, order, big)


@pytest.fixture
def write(tmp_path):
    def write_bytes(content):
        (tmp_path / "slide.tif").write_bytes(content)
        return tmp_path / "slide.tif"

    return write_bytes


@pytest.fixture
def read(write):
    """The whole image of a file of these bytes."""

    def read_bytes(content):
        slide = GreyTiff(write(content))
        image = np.zeros((slide.height, slide.width), np.uint8)
        try:
            for piece in slide.pieces(0, slide.height, 0, slide.width):
                top, left = slide.corner(piece)
                pixels = slide.decode(piece)[: slide.height - top, : slide.width - left]
                image[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        finally:
            slide.close()
        return image

    return read_bytes


@pytest.fixture
def refuses(write, read):
    def refuse(content, *words):
        with pytest.raises(InputError) as refusal:
            read(content)
        message = str(refusal.value)
        assert message.startswith(f"{write(content)}: ")
        for word in words:
            assert word in message, message
        return message

    return refuse


FORMATS = list(itertools.product("<>", (False, True)))


class TestHeader:
    @pytest.mark.parametrize(("order", "big"), FORMATS)
    def test_every_order_and_size(self, read, order, big):
        np.testing.assert_array_equal(read(tiff(order=order, big=big)), PIXELS)

    @pytest.mark.parametrize(("order", "big"), FORMATS)
    def test_numbers_of_every_width_within_the_entry_and_beyond_it(self, write, order, big):
        types = {BYTE: 200, SHORT: 60_000, LONG: 4_000_000_000} | ({LONG8: 2**62 - 1} if big else {})
        for (kind, number), count in itertools.product(types.items(), (1, 2, 4, 9)):
            path = write(
                head(16, order, big).ljust(16, b"\0")
                + directory({"TileOffsets": (kind, [number] * count)}, 16, order, big)
            )
            with open(path, "rb") as file:
                (found,) = read_directories(path, file)
                assert found.numbers(Field.TileOffsets).tolist() == [number] * count

    @pytest.mark.parametrize("name", ["StripOffsets", "StripByteCounts", "ImageWidth", "BitsPerSample", "RowsPerStrip"])
    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            (ASCII, "of type 2 (ASCII), expected whole numbers"),
            (RATIONAL, "of type 5 (RATIONAL), expected whole numbers"),
            (UNDEFINED, "of type 7 (UNDEFINED), expected whole numbers"),
            (99, "of type 99 (unknown), expected whole numbers"),
        ],
    )
    def test_a_field_of_another_type(self, refuses, name, kind, words):
        refuses(tiff(**{name: (kind, [9])}), f"the field {name} of its image at byte 38 is {words}")

    def test_tables_of_another_type(self, refuses):
        refuses(tiff(Compression=7, JPEGTables=[1, 2, 3]), "JPEGTables", "of type 4 (LONG), expected bytes")

    def test_a_field_that_is_missing(self, refuses):
        for name in ("ImageWidth", "ImageLength", "PhotometricInterpretation", "StripOffsets", "StripByteCounts"):
            refuses(tiff(**{name: None}), f"the field {name} ", "is missing")
        for name in ("TileLength", "TileByteCounts"):
            tiles = {"TileWidth": 16, "TileLength": 16} | {name: None}
            refuses(tiff(**tiles), f"the field {name} ", "is missing")

    def test_what_may_be_missing_is_one_plain_strip(self, read):
        fields = dict.fromkeys(
            ("RowsPerStrip", "Compression", "SamplesPerPixel", "PlanarConfiguration", "SampleFormat")
        )
        np.testing.assert_array_equal(read(tiff([PIXELS.tobytes()], **fields)), PIXELS)
        np.testing.assert_array_equal(read(tiff([PIXELS.tobytes()], RowsPerStrip=2**32 - 1)), PIXELS)

    def test_a_field_that_is_there_twice(self, refuses):
        content = tiff().replace(
            struct.pack("<HH", Field.RowsPerStrip, LONG), struct.pack("<HH", Field.ImageWidth, LONG)
        )
        refuses(content, "a field of its image at byte 38 is there twice")

    def test_fields_that_are_not_read_may_be_anything(self, read):
        unread = {"X270": (99, [7]), "X305": (ASCII, b"someone"), "X700": (RATIONAL, [3, 4])}
        np.testing.assert_array_equal(read(tiff(**unread)), PIXELS)

    def test_a_number_of_values_that_is_wrong(self, refuses):
        refuses(tiff(ImageWidth=[6, 6]), "the field ImageWidth ", "has 2 values, expected one")
        refuses(tiff(BitsPerSample=[8] * 7), "the field BitsPerSample ", "has 7 values, expected 1")
        refuses(tiff(StripOffsets=[]), "the field StripOffsets ", "has no value")

    def test_values_beyond_the_end(self, refuses, read):
        content = tiff()
        np.testing.assert_array_equal(read(content), PIXELS)
        refuses(content[:-1], "the field StripByteCounts ", "lists 3 values from byte", "beyond the end")

    def test_a_number_no_file_reaches(self, refuses):
        refuses(tiff(big=True, StripByteCounts=(LONG8, [2**62] * 3)), "StripByteCounts", "beyond the end of any file")
        most = (LONG8, [2**62 - 1] * 3)
        refuses(tiff(big=True, StripByteCounts=most), "truncated")
        refuses(tiff(big=True, StripOffsets=most, StripByteCounts=most), f"its header asks for {2**63 - 2}")

    @pytest.mark.parametrize("begins", [b"", b"I", b"IM*\0", b"II)\0", b"II,\0", b"II\0*", b"PK\3\4", b"no image"])
    def test_no_tiff(self, refuses, begins):
        refuses(begins + b"\0" * (16 if len(begins) == 4 else 0), "cannot be read as TIFF (it begins with", "42 or 43")

    @pytest.mark.parametrize(("order", "big"), FORMATS)
    def test_no_image(self, refuses, order, big):
        refuses(head(0, order, big), "cannot be read as TIFF (it has no image)")

    @pytest.mark.parametrize("big", [False, True])
    def test_a_directory_cut_short(self, refuses, big):
        fields = {"ImageWidth": 6, "ImageLength": 5}
        content = head(16, big=big).ljust(16, b"\0") + directory(fields, 16, big=big)
        refuses(content, "PhotometricInterpretation")  # all of it was read
        for length in range(16, len(content)):
            refuses(content[:length], "a directory lies beyond its end", "copy or export it again")

    def test_a_directory_far_beyond_the_end(self, refuses):
        refuses(head(2**64 - 1, big=True), "a directory lies beyond its end")
        refuses(head(2**32 - 1), "a directory lies beyond its end")

    def test_directories_of_no_fields_and_of_too_many(self, refuses):
        for count in (0, 4097):
            refuses(
                head(8) + struct.pack("<H", count) + bytes(12 * 4097 + 4), f"a directory of {count} fields at byte 8"
            )
        most = head(8) + struct.pack("<H", 4096) + bytes(12 * 4096 + 4)
        refuses(most, "ImageLength", "is missing")

    def test_directories_in_a_ring(self, refuses):
        one = directory({"ImageWidth": 6, "ImageLength": 5}, 8, following=8)
        refuses(head(8) + one, "its directories form a ring at byte 8")

    def test_more_directories_than_a_slide_has(self, refuses):
        fields = {"ImageWidth": 6, "ImageLength": 5}
        size = len(directory(fields, 0))

        def chain(count):
            following = [8 + size * (number + 1) for number in range(count - 1)] + [0]
            return head(8) + b"".join(directory(fields, 0, following=each) for each in following)

        refuses(chain(1001), "more than 1000 images, expected one")
        refuses(chain(1000), "1000 images of full size")

    def test_a_list_that_is_claimed_again_and_again_costs_nothing(self, refuses):
        """tifffile reads each of them: 8 GB for this file of 0.8 MB."""
        fields, listed = 3500, 200_000
        begins = 8 + 2 + 12 * fields + 4
        entry = struct.pack("<HHII", 60_000, LONG, listed, begins)
        refuses(
            head(8) + struct.pack("<H", fields) + entry * fields + bytes(4 + 4 * listed), "ImageLength", "is missing"
        )

    def test_compressed_tiles_are_of_64_mb_at_most(self, write, refuses):
        tiles = {"Compression": 8, "ImageWidth": 9000, "ImageLength": 7000, "TileWidth": 9000, "RowsPerStrip": None}
        GreyTiff(write(tiff([b"x"], **tiles, TileLength=7456))).close()
        assert 9000 * 7456 < 2**26 < 9000 * 7457
        refuses(tiff([b"x"], **tiles, TileLength=7457), "tiles of 67113000 bytes each, expected 67108864 at most")

    def test_classic_files_end_at_4_gb(self, write):
        path = write(tiff())
        for size, words in ((2**32, "truncated|images|"), (2**32 + 1, "more than 4 GB in a classic TIFF or NDPI")):
            with open(path, "r+b") as file:
                file.truncate(size)
            if size > 2**32:
                with pytest.raises(InputError, match=words):
                    GreyTiff(path)
            else:
                GreyTiff(path).close()


class TestKind:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            (
                {"Compression": 6},
                "compression 6 (old-style JPEG), expected one of none, LZW, JPEG, PackBits, deflate, zstd",
            ),
            ({"Compression": 33005}, "compression 33005 (Aperio JPEG 2000)"),
            ({"Compression": 9}, "compression 9, expected"),
            ({"BitsPerSample": None}, "pixels of 1 bit (uint1), expected 8 bit unsigned"),
            ({"BitsPerSample": 16}, "pixels of 16 bit (uint16)"),
            ({"SampleFormat": 2}, "pixels of 8 bit (int8)"),
            ({"SampleFormat": 3, "BitsPerSample": 32}, "pixels of 32 bit (float32)"),
            ({"SampleFormat": 9}, "pixels of 8 bit (unknown 8)"),
            ({"SamplesPerPixel": 3, "PhotometricInterpretation": 2, "BitsPerSample": [5, 6, 5]}, "pixels of 5, 6 bit"),
            ({"SamplesPerPixel": 2}, "2 channels, black is 0, expected 1 grey channel or RGB"),
            ({"SamplesPerPixel": 4, "PhotometricInterpretation": 2}, "4 channels, RGB, expected 1 grey channel or RGB"),
            ({"SamplesPerPixel": 3}, "3 channels, black is 0"),
            ({"PhotometricInterpretation": 2}, "1 channels, RGB"),
            ({"PhotometricInterpretation": 3}, "PALETTE"),
            ({"PhotometricInterpretation": 77}, "photometric interpretation 77"),
            ({"PhotometricInterpretation": 6, "SamplesPerPixel": 3}, "3 channels, YCbCr"),
            (
                {"PhotometricInterpretation": 6, "SamplesPerPixel": 3, "Compression": 7, "PlanarConfiguration": 2},
                "3 channels, YCbCr",
            ),
            ({"ImageDepth": 2}, "1 channels, black is 0, expected 1 grey channel or RGB"),
            ({"Predictor": 3}, "Predictor is 3, expected 1 or 2"),
            ({"FillOrder": 0}, "FillOrder is 0, expected 1 or 2"),
            ({"PlanarConfiguration": 3}, "PlanarConfiguration is 3, expected 1 or 2"),
        ],
    )
    def test_another_kind_is_named_and_not_called_damaged(self, refuses, changes, words):
        assert "damaged" not in refuses(tiff(**changes), words)

    def test_the_largest_image_wherever_it_stands(self, write, read):
        first, last = 8 + 30, 500
        small = GREY | {"ImageWidth": 3, "StripOffsets": 8, "StripByteCounts": 6, "ImageLength": 2}
        large = GREY | {"StripOffsets": [8, 20, 32], "StripByteCounts": [12, 12, 6]}
        for one, other in ((small, large), (large, small)):
            content = (head(first) + b"".join(STRIPS) + directory(one, first, following=last)).ljust(last, b"\0")
            np.testing.assert_array_equal(read(content + directory(other, last)), PIXELS)

    def test_two_images_of_one_size(self, read, refuses):
        first, last = 8 + 30, 500
        image = GREY | {"StripOffsets": [8, 20, 32], "StripByteCounts": [12, 12, 6]}

        def both(**changes):
            content = (head(first) + b"".join(STRIPS) + directory(image, first, following=last)).ljust(last, b"\0")
            return content + directory(image | changes, last)

        refuses(both(), "2 images of full size, expected one")
        for changes in (
            *({"Compression": 5}, {"BitsPerSample": 1}, {"SamplesPerPixel": 3}, {"PhotometricInterpretation": 0}),
            *({"RowsPerStrip": 5}, {"TileWidth": 16}, {"TileLength": 16}),
        ):
            np.testing.assert_array_equal(read(both(**changes)), PIXELS)


class TestSegments:
    @pytest.mark.parametrize(
        ("changes", "sides"),
        [
            ({"ImageWidth": 0}, "0 x 5 pixels in strips or tiles of 0 x 2"),
            ({"ImageLength": 0}, "6 x 0 pixels in strips or tiles of 6 x 0"),
            ({"RowsPerStrip": 0}, "6 x 5 pixels in strips or tiles of 6 x 0"),
            ({"TileWidth": 0, "TileLength": 16}, "6 x 5 pixels in strips or tiles of 0 x 16"),
            ({"TileWidth": 16, "TileLength": 0}, "6 x 5 pixels in strips or tiles of 16 x 0"),
            ({"ImageWidth": 2**24 + 1}, f"{2**24 + 1} x 5 pixels"),
            ({"ImageLength": 2**24 + 1}, f"6 x {2**24 + 1} pixels"),
            ({"TileWidth": 2**24 + 1, "TileLength": 16}, f"strips or tiles of {2**24 + 1} x 16"),
            ({"TileWidth": 16, "TileLength": 2**24 + 1}, f"strips or tiles of 16 x {2**24 + 1}"),
        ],
    )
    def test_sides_no_slide_has(self, refuses, changes, sides):
        refuses(tiff(**changes), sides, f"expected sides of 1 to {2**24}")

    def test_the_largest_side_is_read(self, refuses):
        refuses(tiff(ImageWidth=2**24), "takes 12 bytes, its pixels 33554432")

    @pytest.mark.parametrize("name", ["StripOffsets", "StripByteCounts"])
    @pytest.mark.parametrize("count", [2, 4])
    def test_a_list_of_another_length(self, refuses, name, count):
        refuses(tiff(**{name: [8] * count}), f"its header lists {count} strips or tiles, expected 3")

    def test_planes_have_lists_three_times_as_long(self, refuses):
        fields = {"SamplesPerPixel": 3, "PhotometricInterpretation": 2, "PlanarConfiguration": 2}
        refuses(tiff(**fields), "its header lists 3 strips or tiles, expected 9")

    def test_an_empty_strip(self, refuses):
        refuses(tiff(StripByteCounts=[12, 0, 6]), "a strip or tile is empty: the file was not written to its end")

    def test_a_strip_beyond_the_end(self, read, refuses):
        size = len(tiff(Compression=5))
        message = refuses(tiff(Compression=5, StripByteCounts=[12, size - 19, 6]), f"truncated: {size} bytes")
        assert f"asks for {size + 1}" in message
        assert "truncated" not in refuses(tiff(Compression=5, StripByteCounts=[12, size - 20, 6]))

    @pytest.mark.parametrize("counts", [[11, 12, 6], [13, 12, 6], [12, 12, 7], [12, 12, 5]])
    def test_plain_strips_that_are_not_as_long_as_their_pixels(self, refuses, counts):
        place, expected = next((k, (12, 12, 6)[k]) for k in range(3) if counts[k] != (12, 12, 6)[k])
        refuses(
            tiff(StripByteCounts=counts), f"strip or tile {place} takes {counts[place]} bytes, its pixels {expected}"
        )

    def test_a_last_strip_stored_as_long_as_the_others(self, read):
        padded = [*STRIPS[:2], STRIPS[2] + b"padded"]
        for code, encode in ENCODERS.items():
            for strips in (STRIPS, padded):
                encoded = [bytes(encode(strip)) for strip in strips]
                np.testing.assert_array_equal(read(tiff(encoded, Compression=code)), PIXELS)

    def test_large_segments_must_be_worth_their_bytes(self, refuses):
        side = 2**13
        tiles = {"ImageWidth": side, "ImageLength": side, "TileWidth": side, "TileLength": side, "Compression": 8}
        assert "damaged" in refuses(tiff([b"x" * 100], **tiles))  # 64 MiB: it is tried
        words = f"compressed strips or tiles of {side * (side + 16)} bytes each, expected {side * side} at most"
        refuses(tiff([b"x" * 100], **tiles | {"TileLength": side + 16}), words)
        longer = tiff([b"x" * (side * (side + 16) // 256)], **tiles | {"TileLength": side + 16})
        assert "damaged" in refuses(longer)
        two = tiff([longer[:200_000]] * 2, **tiles | {"TileLength": side + 16, "ImageLength": 2 * side})
        refuses(two, "compressed strips or tiles")

    def test_of_three_channels_the_bytes_count(self, refuses):
        fields = {"ImageWidth": 2**13, "ImageLength": 2**12, "RowsPerStrip": 2**12, "Compression": 8}
        assert "damaged" in refuses(tiff([b"x"], **fields))
        colour = fields | {"SamplesPerPixel": 3, "PhotometricInterpretation": 2}
        refuses(tiff([b"x"], **colour), f"compressed strips or tiles of {3 * 2**25} bytes")
        assert "damaged" in refuses(tiff([b"x"] * 3, **colour, PlanarConfiguration=2))


COLOUR = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
RGB = {"SamplesPerPixel": 3, "PhotometricInterpretation": 2, "BitsPerSample": (SHORT, [8, 8, 8])}


def strips_of(image):
    return [image[:2].tobytes(), image[2:4].tobytes(), image[4:].tobytes()]


def differences(image):
    return imagecodecs.delta_encode(np.ascontiguousarray(image), axis=1)


class TestPixels:
    def test_plain_strips_in_any_order_and_with_gaps(self, read):
        content = tiff([STRIPS[1], b"gap", STRIPS[0], STRIPS[2]], StripOffsets=[23, 8, 35], StripByteCounts=[12, 12, 6])
        np.testing.assert_array_equal(read(content), PIXELS)

    @pytest.mark.parametrize("padded", [False, True])
    def test_plain_planes(self, read, padded):
        """Where the last strip of each is padded, they are no block."""
        strips = [
            strip + b"padded" * (padded and len(strip) < 12)
            for plane in COLOUR.transpose(2, 0, 1)
            for strip in strips_of(plane)
        ]
        np.testing.assert_array_equal(read(tiff(strips, **RGB, PlanarConfiguration=2)), COLOUR[..., 1])

    def test_white_is_zero(self, read):
        np.testing.assert_array_equal(read(tiff(PhotometricInterpretation=0)), 255 - PIXELS)
        strips = [bytes(imagecodecs.lzw_encode(strip)) for strip in STRIPS]
        np.testing.assert_array_equal(read(tiff(strips, PhotometricInterpretation=0, Compression=5)), 255 - PIXELS)

    @pytest.mark.parametrize("compression", [1, 5, 8, 32773, 50000])
    def test_bits_in_reverse_and_differences(self, read, compression):
        encode = ENCODERS[compression]
        for image, fields in ((PIXELS, {}), (COLOUR, RGB)):
            expected = image if image.ndim == 2 else image[..., 1]
            strips = [bytes(encode(strip)) for strip in strips_of(differences(image))]
            np.testing.assert_array_equal(read(tiff(strips, **fields, Compression=compression, Predictor=2)), expected)
            strips = [bytes(imagecodecs.bitorder_decode(bytes(encode(strip)))) for strip in strips_of(image)]
            np.testing.assert_array_equal(read(tiff(strips, **fields, Compression=compression, FillOrder=2)), expected)

    @pytest.mark.parametrize("planes", [False, True])
    def test_plain_tiles(self, read, planes):
        image = np.random.default_rng(2).integers(0, 256, (20, 40, 3), np.uint8)
        padded = np.pad(image, ((0, 12), (0, 8), (0, 0)))
        corners = list(itertools.product((0, 16), (0, 16, 32)))
        tiles = [padded[top : top + 16, left : left + 16] for top, left in corners]
        if planes:
            tiles = [tile[..., channel] for channel in range(3) for tile in tiles]
        fields = {
            "ImageWidth": 40,
            "ImageLength": 20,
            "TileWidth": 16,
            "TileLength": 16,
            "PlanarConfiguration": 1 + planes,
        }
        content = tiff([tile.tobytes() for tile in tiles], **RGB, **fields)
        np.testing.assert_array_equal(read(content), image[..., 1])

    def test_rows_are_handed_on_many_at_a_time(self, write):
        def pieces(height, rows, compression=1):
            image = np.zeros((height, 6), np.uint8)
            encode = ENCODERS[compression]
            strips = [bytes(encode(image[top : top + rows].tobytes())) for top in range(0, height, rows)]
            slide = GreyTiff(write(tiff(strips, ImageLength=height, RowsPerStrip=rows, Compression=compression)))
            found = [slide.decode(piece).shape[0] for piece in slide.pieces(0, height, 0, 6)]
            slide.close()
            return found

        assert pieces(130, 1) == pieces(130, 130) == [64, 64, 2]
        assert pieces(130, 1, 8) == [64, 64, 2]
        assert pieces(130, 20, 8) == [60, 60, 10]
        assert pieces(130, 100, 8) == [100, 30]


def jpeg(image, **options):
    """A JPEG image by Pillow; of three channels as YCbCr."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "jpeg", quality=95, **options)
    return content.getvalue()


def unmarked(content):
    """A JPEG image of three channels that are not YCbCr, without Adobe's segment, its channels called 1, 2 and 3."""
    mark = content.index(b"\xff\xee")
    content = bytearray(content[:mark] + content[mark + 16 :])
    frame, scan = content.index(b"\xff\xc0"), content.index(b"\xff\xda")
    for channel in range(3):
        content[frame + 10 + 3 * channel] = content[scan + 5 + 2 * channel] = channel + 1
    return bytes(content)


def decoded(content):
    image = np.asarray(Image.open(io.BytesIO(content)))
    return image if image.ndim == 2 else image[..., 1]


class TestJpeg:
    IMAGE = (np.add.outer(np.arange(40), np.arange(48))[..., None] * (2, 1, 2)).astype(np.uint8)
    FIELDS = RGB | {"Compression": 7, "ImageWidth": 48, "ImageLength": 40}
    YCBCR = FIELDS | {"PhotometricInterpretation": 6}
    GREY = FIELDS | {"SamplesPerPixel": None, "PhotometricInterpretation": 1, "BitsPerSample": 8}

    def test_strips_of_grey_of_colour_and_of_planes(self, read):
        grey = [jpeg(np.ascontiguousarray(self.IMAGE[top : top + 16, :, 0])) for top in (0, 16, 32)]
        expected = np.concatenate(list(map(decoded, grey)))
        np.testing.assert_array_equal(read(tiff(grey, **self.GREY | {"RowsPerStrip": 16})), expected)
        colour = [jpeg(self.IMAGE[top : top + 16]) for top in (0, 16, 32)]
        expected = np.concatenate(list(map(decoded, colour)))
        np.testing.assert_array_equal(read(tiff(colour, **self.YCBCR | {"RowsPerStrip": 16})), expected)
        planes = [jpeg(np.ascontiguousarray(self.IMAGE[..., channel])) for channel in range(3)]
        content = tiff(planes, **self.FIELDS | {"RowsPerStrip": 40, "PlanarConfiguration": 2})
        np.testing.assert_array_equal(read(content), decoded(planes[1]))

    def test_rgb_is_taken_as_it_is_unless_jfif_says_otherwise(self, read):
        """As tifffile has it: Aperio stores RGB without a mark."""
        fields = self.FIELDS | {"RowsPerStrip": 40}
        stored = bytes(imagecodecs.jpeg8_encode(self.IMAGE, level=95, colorspace="RGB", outcolorspace="RGB"))
        for content in (stored, unmarked(stored), jpeg(self.IMAGE, subsampling=0)):
            file = tiff([content], **fields)
            np.testing.assert_allclose(read(file), self.IMAGE[..., 1].astype(int), atol=4)
            np.testing.assert_array_equal(read(file), tifffile.imread(io.BytesIO(file))[..., 1])

    def test_tables_that_are_kept_apart(self, read):
        image = np.ascontiguousarray(self.IMAGE[..., 0])
        whole = jpeg(image)
        frame = whole.index(b"\xff\xc0")
        shared = whole[2:frame]  # the quantisation; Huffman tables follow the frame
        for end in (b"\xff\xd9", b""):
            tables = b"\xff\xd8" + shared + end
            content = tiff(
                [whole[:2] + whole[frame:]], **self.GREY | {"RowsPerStrip": 40, "JPEGTables": (UNDEFINED, tables)}
            )
            np.testing.assert_array_equal(read(content), decoded(whole))

    def test_tables_that_are_an_image(self, refuses):
        whole = jpeg(np.ascontiguousarray(self.IMAGE[..., 0]))
        refuses(
            tiff([whole], **self.GREY | {"RowsPerStrip": 40, "JPEGTables": (BYTE, whole)}),
            "an image where JPEG tables should be",
        )

    def test_border_tiles_are_whole_or_end_with_the_image(self, read):
        image = np.ascontiguousarray(self.IMAGE[..., 0])
        padded = np.pad(image, ((0, 24), (0, 16)), mode="edge")
        for cut_height, cut_width in itertools.product((False, True), repeat=2):
            tiles, expected = [], np.zeros_like(padded)
            for top, left in itertools.product((0, 32), repeat=2):
                height, width = (8 if top and cut_height else 32), (16 if left and cut_width else 32)
                tiles.append(jpeg(np.ascontiguousarray(padded[top : top + height, left : left + width])))
                expected[top : top + height, left : left + width] = decoded(tiles[-1])
            content = tiff(tiles, **self.GREY | {"TileWidth": 32, "TileLength": 32})
            np.testing.assert_array_equal(read(content), expected[:40, :48])

    @pytest.mark.parametrize(
        ("side", "channels", "words"),
        [
            (8, 1, "is JPEG of 8 x 8 pixels, expected 32 x 32"),
            (64, 1, "is JPEG of 64 x 64 pixels, expected 32 x 32"),
            (32, 3, "is JPEG of 3 channels, expected 1"),
        ],
    )
    def test_a_tile_that_is_another_image(self, refuses, side, channels, words):
        image = np.zeros((side, side, channels)[: 2 + (channels > 1)], np.uint8)
        whole = jpeg(np.zeros((32, 32), np.uint8))
        content = tiff([jpeg(image), whole, whole, whole], **self.GREY | {"TileWidth": 32, "TileLength": 32})
        assert "damaged" not in refuses(content, "the tile at row 0, column 0 is", words, "export it so")

    def test_a_second_tile_is_named_by_its_place(self, refuses):
        whole = jpeg(np.zeros((32, 32), np.uint8))
        content = tiff([whole, whole, whole, whole[:-40]], **self.GREY | {"TileWidth": 32, "TileLength": 32})
        refuses(content, "the tile at row 32, column 32 cannot be decoded", "damaged")


class TestNdpi:
    """One JPEG strip and a list of where its restart intervals begin."""

    WIDTH, HEIGHT, INTERVAL = 64, 44, 4
    IMAGE = np.random.default_rng(3).integers(0, 256, (44, 64, 3), np.uint8)

    def parts(self, **options):
        content = jpeg(self.IMAGE, **{"subsampling": 0, "restart_marker_blocks": self.INTERVAL} | options)
        begins = content.index(b"\xff\xda")
        begins += 2 + int.from_bytes(content[begins + 2 : begins + 4], "big")
        return content, [
            begins,
            *(match.end() for match in re.finditer(rb"\xff[\xd0-\xd7]", content) if match.end() > begins),
        ]

    def file(self, content, starts, **changes):
        fields = {"ImageWidth": self.WIDTH, "ImageLength": self.HEIGHT, "RowsPerStrip": self.HEIGHT, "Compression": 7}
        ndpi = {"NDPIFormat": (SHORT, [1]), "NDPIMcuStarts": starts, "PhotometricInterpretation": 6}
        return tiff([content], **RGB | fields | ndpi | changes)

    def test_is_read_as_the_whole_image_and_piece_by_piece(self, read, write):
        content, starts = self.parts()
        assert len(starts) == 2 * 6
        np.testing.assert_array_equal(read(self.file(content, starts)), decoded(content))
        slide = GreyTiff(write(self.file(content, starts)))
        assert (slide.piece_height, slide.piece_width) == (8, 32)
        np.testing.assert_array_equal(slide.decode(3), decoded(content)[8:16, 32:])
        slide.close()

    def test_intervals_of_whole_rows_and_of_units_of_16_pixels(self, read):
        for options in ({"restart_marker_blocks": 8}, {"restart_marker_blocks": 1}):
            content, starts = self.parts(**options)
            np.testing.assert_array_equal(read(self.file(content, starts)), decoded(content))
        content, starts = self.parts(subsampling=2, restart_marker_blocks=4)
        image = read(self.file(content, starts))
        assert len(starts) == 3
        # Colour is interpolated across the borders of intervals that are decoded together, and from below the last row.
        inside = np.arange(self.HEIGHT) % 16 * (np.arange(self.HEIGHT) < self.HEIGHT - 1)
        np.testing.assert_array_equal(
            image[(inside > 0) & (inside < 15)], decoded(content)[(inside > 0) & (inside < 15)]
        )

    def test_without_its_list_it_is_a_strip(self, read):
        content, starts = self.parts()
        for changes in ({"NDPIMcuStarts": None}, {"NDPIFormat": None}):
            np.testing.assert_array_equal(read(self.file(content, starts, **changes)), decoded(content))

    def test_sides_of_0_in_the_jpeg_header_are_those_that_are_too_large_for_it(self, read):
        content, starts = self.parts()
        size = content.index(b"\xff\xc0") + 5
        expected = decoded(content)
        content = content[:size] + bytes(4) + content[size + 4 :]
        np.testing.assert_array_equal(read(self.file(content, starts)), expected)

    @pytest.mark.parametrize(("place", "words"), [(5, "of 44 pixels a side, 45 "), (7, "of 64 pixels a side, 65 ")])
    def test_another_size_in_the_jpeg_header(self, refuses, place, words):
        content, starts = self.parts()
        place += content.index(b"\xff\xc0")
        content = (
            content[:place]
            + (int.from_bytes(content[place : place + 2], "big") + 1).to_bytes(2, "big")
            + content[place + 2 :]
        )
        refuses(self.file(content, starts), words)

    def test_restarts_that_make_no_tiles(self, refuses):
        content, starts = self.parts(restart_marker_blocks=3)
        assert "damaged" not in refuses(self.file(content, starts), "a restart every 3 of 8 units")
        content, starts = self.parts(restart_marker_blocks=0)
        assert "damaged" not in refuses(self.file(content, starts), "a restart every 0 of 8 units")

    def test_lists_that_are_wrong(self, refuses):
        content, starts = self.parts()
        refuses(self.file(content, starts[:-1]), "lists 11 strips or tiles, expected 12")
        refuses(self.file(content, [starts[0] - 9, *starts[1:]]), "header of its JPEG image cannot be read")
        refuses(self.file(content, [0, *starts[1:]]), "header of its JPEG image cannot be read")
        refuses(self.file(content, [*starts[:5], starts[4], *starts[6:]]), "a strip or tile is empty")
        refuses(self.file(content, [*starts[:-1], len(content) + 10**6]), "a strip or tile is empty")
        refuses(self.file(content, [2**32 - 1, *starts[1:]]), "a strip or tile is empty")
        refuses(self.file(content, starts, StripOffsets=[8, 9]), "the field StripOffsets ", "has 2 values")

    def test_an_interval_that_is_cut_short(self, refuses):
        content, starts = self.parts()
        damaged = content[: starts[5] + 20] + b"\xff\xd0" + content[starts[5] + 22 :]
        refuses(self.file(damaged, starts), "the tile at row 16, column 32 cannot be decoded", "damaged")


class TestDamage:
    """What each decoder makes of bytes that are not what they should be."""

    @pytest.mark.parametrize("compression", [5, 8, 32773, 50000, 7])
    @pytest.mark.parametrize("content", [b"\0", b"\xff" * 9, b"\x80" * 12, bytes(40), bytes(range(64))])
    def test_no_data_of_its_compression(self, refuses, compression, content):
        words = "the strip at row 0, column 0 cannot be decoded", "the file is damaged, copy or export it again"
        refuses(tiff([content, *STRIPS[1:]], Compression=compression), *words)

    @pytest.mark.parametrize("compression", [5, 8, 32773, 50000])
    @pytest.mark.parametrize("length", [11, 13])
    def test_a_byte_too_few_and_where_the_decoder_tells_one_too_many(self, refuses, read, compression, length):
        strips = [bytes(ENCODERS[compression](strip)) for strip in (bytes(range(length)), *STRIPS[1:])]
        content = tiff(strips, Compression=compression)
        if compression == 5 and length == 13:  # libtiff stops where it has enough
            assert read(content)[0].tolist() == [0, 1, 2, 3, 4, 5]
        else:
            refuses(content, "cannot be decoded")

    @pytest.mark.parametrize(
        "codes",
        [
            [300],
            [256, 300],
            [256, 65, 300],
            [256, 65, 66, 256, 258],
            [256, 65, 66, 256, 256, 400],
            [65, 66, 257],
        ],
    )
    def test_lzw_codes_that_stand_for_nothing(self, refuses, codes):
        """A decoder that trusts them reads memory of its own and may end the process."""
        bits = "".join(f"{code:09b}" for code in codes)
        content = int(bits.ljust(-len(bits) // 8 * -8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
        refuses(tiff([content.ljust(60, b"\0"), *STRIPS[1:]], Compression=5), "strip at row 0, column 0", "damaged")

    @pytest.mark.parametrize("compression", [8, 50000])
    def test_a_checksum_that_does_not_hold(self, refuses, compression):
        encode = imagecodecs.zlib_encode if compression == 8 else lambda data: zstd_with_checksum(data)
        strips = [bytearray(encode(strip)) for strip in STRIPS]
        strips[0][-1] ^= 1
        refuses(tiff(list(map(bytes, strips)), Compression=compression), "cannot be decoded")

    def test_bombs_give_no_more_than_was_expected(self, refuses):
        """10 MB of zeros."""
        for compression, encode in ((8, imagecodecs.zlib_encode), (50000, imagecodecs.zstd_encode)):
            bomb = bytes(encode(bytes(10**7)))
            refuses(tiff([bomb, *STRIPS[1:]], Compression=compression), "cannot be decoded")


def zstd_with_checksum(data):
    """One raw block in a frame whose header says that a checksum follows, which is wrong unless by chance."""
    return b"\x28\xb5\x2f\xfd\x24" + bytes([len(data)]) + (len(data) << 3 | 1).to_bytes(3, "little") + data + bytes(4)
