"""JPEG headers by hand, and images of Pillow and imagecodecs: refused by their header, or decoded as Pillow does."""

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from medssl_jax.imaging.jpeg import JpegHeader, JpegKindError, decode_jpeg, read_jpeg_header

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 24, 3), np.uint8)


def jpeg(image=IMAGE, **options):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "jpeg", **{"quality": 90} | options)
    return content.getvalue()


def segment(marker, content):
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def frame(height=5, width=7, sampling=(0x11,), precision=8, process=0xC0):
    channels = b"".join(bytes([number, factors, 0]) for number, factors in enumerate(sampling))
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return segment(process, bytes([precision]) + size + bytes([len(sampling)]) + channels)


BEGINNING, SCAN = b"\xff\xd8", segment(0xDA, b"\1\0\0\0\x3f\0")


class TestHeader:
    def test_everything_a_header_says(self):
        restart = segment(0xDD, (300).to_bytes(2, "big"))
        data = BEGINNING + restart + frame(513, 770, (0x21, 0x12, 0x11), 12, 0xC2) + SCAN + b"pixels"
        assert read_jpeg_header(data) == JpegHeader(
            **dict(process=0xC2, precision=12, height=513, width=770, channels=3, unit_height=16, unit_width=16),
            **dict(restart_interval=300, size_begins=2 + 6 + 5, scan_begins=len(data) - 16, pixels_begin=len(data) - 6),
        )

    @pytest.mark.parametrize(
        ("sampling", "unit"),
        [((0x11, 0x11, 0x11), (8, 8)), ((0x42, 0x11, 0x11), (16, 32)), ((0x22,), (8, 8)), ((0x11, 0x22), (16, 16))],
    )
    def test_the_unit_is_as_large_as_the_finest_channel_needs(self, sampling, unit):
        header = read_jpeg_header(BEGINNING + frame(sampling=sampling) + SCAN)
        assert (header.unit_height, header.unit_width) == unit
        assert header.channels == len(sampling)
        assert header.restart_interval == 0

    def test_what_may_stand_between(self):
        between = segment(0xE0, b"JFIF\0") + b"\xff\xff\xff" + segment(0xFE, b"\xff\xc0\0\xff\xd9") + segment(0xC4, b"")
        data = BEGINNING + between + frame(9, 11) + segment(0xC8, b"") + segment(0xCC, b"") + b"\xff" + SCAN
        header = read_jpeg_header(data)
        assert (header.height, header.width) == (9, 11)
        assert header.pixels_begin == len(data)

    def test_of_two_frames_the_first(self):
        assert read_jpeg_header(BEGINNING + frame(1, 2) + frame(3, 4) + SCAN).height == 1

    def test_every_process_is_a_frame(self):
        for process in {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}:
            assert read_jpeg_header(BEGINNING + frame(process=process) + SCAN).process == process

    def test_cut_short_anywhere(self):
        whole = jpeg()
        begins = read_jpeg_header(whole).pixels_begin
        for length in range(begins):
            with pytest.raises(ValueError, match="JPEG"):
                read_jpeg_header(whole[:length])
        read_jpeg_header(whole[:begins])

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"\xff\xd9" + frame() + SCAN, "does not begin as JPEG data do"),
            (BEGINNING + SCAN + frame() + SCAN, "without a frame and a scan"),
            (BEGINNING + frame() + b"\xff\xd9" + SCAN, "without a frame and a scan"),
            (BEGINNING + b"\xfe\xd8" + frame() + SCAN, "no JPEG marker at byte 2"),
            (BEGINNING + b"\xff\x00" + frame() + SCAN, "no JPEG marker at byte 2"),
            (BEGINNING + b"\xff\xbf" + frame() + SCAN, "no JPEG marker at byte 2"),
            (BEGINNING + b"\xff\xd0" + frame() + SCAN, "no JPEG marker at byte 2"),
            (BEGINNING + frame() + b"\xff\xd7" + SCAN, "no JPEG marker at byte 15"),
            (BEGINNING + b"\xff\xe0\0\1" + frame() + SCAN, "cut short at byte 2"),
            (BEGINNING + segment(0xC0, b"\10\0\5\0\7") + SCAN, "tells of no pixels"),
            (BEGINNING + segment(0xC0, b"\10\0\5\0\7\0") + SCAN, "tells of no pixels"),
            (BEGINNING + segment(0xC0, b"\10\0\5\0\7\2\0\x11\0\1") + SCAN, "tells of no pixels"),
            (BEGINNING + frame(sampling=(0x10, 0x11, 0x11)) + SCAN, "tells of no pixels"),
            (BEGINNING + frame(sampling=(0x11, 0x01, 0x11)) + SCAN, "tells of no pixels"),
        ],
    )
    def test_no_header(self, data, words):
        with pytest.raises(ValueError, match=words):
            read_jpeg_header(data)


class TestDecode:
    @pytest.mark.parametrize(
        "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 2}, {"restart_marker_blocks": 1}]
    )
    @pytest.mark.parametrize("image", [IMAGE, np.ascontiguousarray(IMAGE[..., 1])], ids=["colour", "grey"])
    def test_as_pillow(self, image, options):
        data = jpeg(image, **options)
        channels = 1 if image.ndim == 2 else 3
        found = decode_jpeg(data, sizes=[(24, 40), (40, 24)], channels=(channels,))
        np.testing.assert_array_equal(found, np.asarray(Image.open(io.BytesIO(data))).reshape(40, 24, channels))

    def test_lossless(self):
        data = bytes(imagecodecs.jpeg8_encode(IMAGE, lossless=True))
        np.testing.assert_array_equal(decode_jpeg(data, sizes=[(40, 24)], channels=[3]), IMAGE)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (jpeg(), "JPEG of 24 x 40 pixels, expected 7 x 5 or 9 x 8"),
            (BEGINNING + frame() + SCAN, "JPEG of 1 channels, expected 3"),
            (BEGINNING + frame(sampling=(0x11,) * 4) + SCAN, "JPEG of 4 channels, expected 3"),
            (BEGINNING + frame(precision=12) + SCAN, "JPEG of 12 bit, expected 8 bit"),
            (
                BEGINNING + frame(process=0xC9) + SCAN,
                "JPEG process SOF9, expected one of baseline, extended, progressive, lossless",
            ),
            (BEGINNING + frame(process=0xC5) + SCAN, "JPEG process SOF5"),
        ],
    )
    def test_another_kind(self, data, words):
        with pytest.raises(JpegKindError, match=words):
            decode_jpeg(data, sizes=[(5, 7), (8, 9)], channels=[3])

    def test_a_header_that_lies_about_its_size(self):
        """16384 x 16384 pixels would take 800 MB."""
        data = bytearray(jpeg())
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = b"\x40\0\x40\0"
        with pytest.raises(JpegKindError, match="16384 x 16384"):
            decode_jpeg(bytes(data), sizes=[(40, 24)], channels=[3])

    def test_scans_without_number(self):
        """Each takes libjpeg the time of an image."""
        data = jpeg(progressive=True)
        begins = read_jpeg_header(data).scan_begins
        scans = data.count(b"\xff\xda", begins)
        for count, raises in ((100, ValueError), (101, JpegKindError)):
            many = data[:-2] + segment(0xDA, b"") * (count - scans) + b"\xff\xd9"
            with pytest.raises(ValueError, match="101 scans" if count > 100 else "Bogus marker length") as refusal:
                decode_jpeg(many, sizes=[(40, 24)], channels=[3])
            assert type(refusal.value) is raises

    def test_cut_short_anywhere_in_its_pixels(self):
        data = jpeg()
        for length in range(read_jpeg_header(data).pixels_begin, len(data), 7):
            with pytest.raises(ValueError, match="JPEG"):
                decode_jpeg(data[:length], sizes=[(40, 24)], channels=[3])

    def test_pixels_that_are_missing_or_too_many(self):
        data = jpeg(np.ascontiguousarray(IMAGE[..., 0]))
        begins = read_jpeg_header(data).pixels_begin
        for pixels, words in (
            (data[begins : begins + 60] + data[-2:], "premature end"),
            (data[begins:-2] + b"some" * 9 + data[-2:], "extraneous bytes"),
        ):
            with pytest.raises(ValueError, match=words):
                decode_jpeg(data[:begins] + pixels, sizes=[(40, 24)], channels=[1])

    def test_a_kind_only_libjpeg_knows_of_is_not_called_damaged(self):
        data = bytearray(jpeg())
        place = data.index(b"\xff\xc0") + 11  # sampling of the first channel
        data[place], data[place + 3] = 0x31, 0x21
        with pytest.raises(JpegKindError, match=r"JPEG that libjpeg does not read .*subsampling"):
            decode_jpeg(bytes(data), sizes=[(40, 24)], channels=[3])
