"""HU are SimpleITK's to the bit in every compression, and pixels cut short anywhere are refused by the file's name."""

import struct

import imagecodecs
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.dicom.headers import read_headers
from medssl_jax.imaging.dicom.pixels import JPEG, JPEG_2000, JPEG_LS, READABLE, RUN_LENGTHS, read_slice
from medssl_jax.imaging.volumes import read_volume

BASELINE, EXTENDED, LOSSLESS, LOSSLESS_FIRST_ORDER = JPEG
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"


def smooth(bits, side=64):
    """A blurred picture with some noise, which every compression makes smaller."""
    z, y, x = np.ogrid[0:2, 0:side, 0:side]
    noise = np.random.default_rng(0).integers(0, 2 ** (bits // 3), (2, side, side))
    return ((np.sin(x / 9) + np.cos(y / 7 + z) + 2) / 4 * (2**bits - 1 - noise.max()) + noise).astype(np.uint16)


def run_lengths(plane):
    encoder = pydicom.pixels.get_encoder(RUN_LENGTHS)
    options = {"rows": plane.shape[0], "columns": plane.shape[1], "samples_per_pixel": 1, "number_of_frames": 1}
    bits = {"bits_allocated": 16, "bits_stored": 16, "pixel_representation": 0}
    kind = {"photometric_interpretation": "MONOCHROME2", "encoding_plugin": "pydicom"}
    return encoder.encode(plane, **options, **bits, **kind)


# How a plane of so many bits becomes one frame.
ENCODERS = {
    BASELINE: (8, lambda plane: imagecodecs.jpeg8_encode(plane.astype(np.uint8), level=90)),
    EXTENDED: (12, lambda plane: imagecodecs.jpeg8_encode(plane, level=90, bitspersample=12)),
    LOSSLESS: (16, lambda plane: imagecodecs.jpeg8_encode(plane, lossless=True, predictor=6, bitspersample=16)),
    LOSSLESS_FIRST_ORDER: (16, lambda plane: imagecodecs.jpeg8_encode(plane, lossless=True, bitspersample=16)),
    JPEG_LS[0]: (16, imagecodecs.jpegls_encode),
    JPEG_LS[1]: (12, lambda plane: imagecodecs.jpegls_encode(plane, level=3)),
    JPEG_2000[0]: (16, lambda plane: imagecodecs.jpeg2k_encode(plane, level=0, reversible=True, codecformat="j2k")),
    JPEG_2000[1]: (12, lambda plane: imagecodecs.jpeg2k_encode(plane, level=90, codecformat="j2k")),
    RUN_LENGTHS: (16, run_lengths),
}


@pytest.fixture
def series(tmp_path, write_series):
    """Writes two slices in a compression; `change(frame)` alters the frames, which `split` divides into fragments."""

    def write(
        syntax, *, change=lambda frame: frame, split=lambda frame: [frame], stored=None, kind=np.uint16, **fields
    ):
        bits, encode = ENCODERS[syntax]
        stored = (smooth(bits) if bits < 16 else smooth(15)) if stored is None else stored
        allocated = 8 if bits == 8 else 16
        header_bits = {"BitsAllocated": allocated, "BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": 0}
        folder = write_series(tmp_path / "ct", stored=stored, **{"RescaleIntercept": 0} | header_bits | fields)
        for path in folder.iterdir():
            header = pydicom.dcmread(path)
            plane = stored[round((header.ImagePositionPatient[2] + 100) / 2)]
            header.file_meta.TransferSyntaxUID = syntax
            header.PixelData = encapsulated(split(change(encode(plane.view(kind)))))
            header["PixelData"].VR = "OB"
            header.save_as(path)
        return folder, stored

    return write


def encapsulated(fragments):
    items = [b"", *(fragment + b"\0" * (len(fragment) % 2) for fragment in fragments)]
    return b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item for item in items)


def oracle(folder):
    return sitk.GetArrayFromImage(sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))))


def test_every_compression_is_tried():
    assert set(ENCODERS) | {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", BIG_ENDIAN, DEFLATED} == READABLE


@pytest.mark.parametrize("syntax", ENCODERS)
def test_compressed_slices_are_simpleitks(series, syntax):
    wider_than_high = np.ascontiguousarray(smooth(min(ENCODERS[syntax][0], 15))[:, :48])
    folder, stored = series(syntax, stored=wider_than_high, RescaleIntercept=-1024)
    found = read_volume(folder).array_zyx
    np.testing.assert_array_equal(found, oracle(folder))
    assert np.abs(found + 1024 - stored).max() <= (0 if ENCODERS[syntax][0] == 16 else 400)


@pytest.mark.parametrize(
    ("syntax", "kind"),
    [
        *((syntax, np.uint16) for syntax in (LOSSLESS, LOSSLESS_FIRST_ORDER, JPEG_LS[0], JPEG_2000[0], RUN_LENGTHS)),
        (JPEG_2000[0], np.int16),
    ],
)
def test_signed_compressed_slices_are_simpleitks(series, syntax, kind):
    """JPEG 2000 alone knows a sign; some writers use it, some do not."""
    stored = smooth(15).astype(np.int16) - 9000
    folder, _ = series(syntax, stored=stored, kind=kind, PixelRepresentation=1, RescaleSlope=0.5)
    found = read_volume(folder).array_zyx
    np.testing.assert_array_equal(found, np.rint(stored * 0.5))
    np.testing.assert_array_equal(found, np.rint(oracle(folder)))


@pytest.mark.parametrize("syntax", ENCODERS)
def test_a_frame_in_fragments_is_whole(series, syntax):
    """Each of an even length, as the standard has it."""
    folder, _ = series(syntax, split=lambda frame: [frame[at : at + 500] for at in range(0, len(frame), 500)])
    whole = read_volume(folder).array_zyx
    for path in folder.iterdir():
        path.unlink()
    np.testing.assert_array_equal(whole, read_volume(series(syntax)[0]).array_zyx)


@pytest.mark.parametrize("syntax", ENCODERS)
@pytest.mark.parametrize("keeps_end", [False, True])
def test_frames_cut_short_anywhere_are_refused(series, syntax, keeps_end):
    """Their items are whole; so may be the mark at their end."""
    for share in (0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):

        def cut(frame, share=share):
            kept = frame[: int(share * len(frame)) // 2 * 2]
            return kept + frame[-2:] if keeps_end else kept

        folder, _ = series(syntax, change=cut)
        with pytest.raises(InputError, match=r"ct(/|: .*)1-\d+\.dcm.*: (copy|export)"):
            read_volume(folder)


@pytest.mark.parametrize("syntax", ENCODERS)
@pytest.mark.parametrize("lost", [0, 1, -1])
def test_a_lost_fragment_is_noticed(series, syntax, lost):
    def split(frame):
        fragments = [frame[at : at + len(frame) // 8 * 2] for at in range(0, len(frame), len(frame) // 8 * 2)]
        del fragments[lost]
        return fragments

    folder, _ = series(syntax, split=split)
    with pytest.raises(InputError, match=r"1-\d+\.dcm"):
        read_volume(folder)


@pytest.mark.parametrize("syntax", ENCODERS)
def test_a_file_cut_short_within_its_fragments(series, syntax):
    folder, _ = series(syntax)
    path = next(folder.iterdir())
    whole = path.read_bytes()
    for lost in (1, 8, 9, 100):
        path.write_bytes(whole[:-lost])
        with pytest.raises(InputError, match=rf"truncated file: {path.name}: it ends within its pixels"):
            read_volume(folder)


@pytest.mark.parametrize("fragments", [[], [b""]])
def test_no_pixels_at_all(series, fragments):
    folder, _ = series(LOSSLESS, split=lambda frame: fragments)
    with pytest.raises(InputError, match=r"no pixels: 1-\d+\.dcm and 1 more: its PixelData is empty"):
        read_volume(folder)


@pytest.mark.parametrize(
    ("syntax", "size"),
    [
        (LOSSLESS, b"\x10\x00\x40\x00\x40"),
        (BASELINE, b"\x08\x00\x40\x00\x40"),
        (JPEG_LS[0], b"\x10\x00\x40\x00\x40"),
        (JPEG_2000[0], b"\0\0\0\x40\0\0\0\x40\0\0\0\0"),
    ],
)
def test_an_image_that_claims_another_size(series, syntax, size):
    """Nothing is decoded, or set aside for it."""

    def enlarge(frame):
        assert size in frame
        return frame.replace(size, size.replace(b"\x00\x40", b"\xff\xff"), 1)

    folder, _ = series(syntax, change=enlarge)
    with pytest.raises(InputError, match=r"1-\d+\.dcm: its pixels .* 65535 x 65535 .*expected 64 x 64"):
        read_volume(folder)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("signed", [0, 1])
def test_plain_slices_are_simpleitks(tmp_path, write_series, syntax, signed):
    stored = np.random.default_rng(0).integers(0, 2000, (3, 7, 5)) - 1000 * signed
    folder = write_series(tmp_path / "ct", stored=stored, PixelRepresentation=signed)
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        header.PixelData = header.pixel_array.astype(">i2" if syntax == BIG_ENDIAN else "<i2").tobytes()
        header.file_meta.TransferSyntaxUID = syntax
        header["PixelData"].VR = "OW"
        data = pydicom.filebase.DicomBytesIO()
        plain = {"implicit_vr": syntax == "1.2.840.10008.1.2", "little_endian": syntax != BIG_ENDIAN}
        pydicom.dcmwrite(data, header, **plain)
        path.write_bytes(data.getvalue())
    found = read_volume(folder).array_zyx
    np.testing.assert_array_equal(found, stored - 1024)
    np.testing.assert_array_equal(found, oracle(folder))


@pytest.mark.parametrize("bits", [7, 12, 15, 16])
@pytest.mark.parametrize("signed", [0, 1])
def test_bits_above_those_in_use_are_not_looked_at(tmp_path, write_series, bits, signed):
    """As SimpleITK does: overlays once were there."""
    stored = np.random.default_rng(0).integers(-(2**15), 2**15, (2, 4, 5)).astype(np.uint16)
    stored = stored if signed or bits < 16 else stored >> 1
    kind = {"BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": signed, "RescaleIntercept": 0}
    folder = write_series(tmp_path / "ct", stored=stored.view(np.int16) if signed else stored, **kind)
    expected = stored.astype(int) % 2**bits
    expected -= (signed and 2**bits) * (expected >= 2 ** (bits - 1))
    np.testing.assert_array_equal(read_volume(folder).array_zyx, expected)
    np.testing.assert_array_equal(oracle(folder), expected)


@pytest.mark.parametrize(
    "fields", [{"HighBit": 15, "BitsStored": 12}, {"BitsStored": 17, "HighBit": 16}, {"SamplesPerPixel": 3}]
)
def test_bits_that_readers_understand_differently_are_refused(tmp_path, write_series, fields):
    with pytest.raises(InputError, match=r"field without sense: (BitsStored|SamplesPerPixel)"):
        read_volume(write_series(tmp_path / "ct", **fields))


@pytest.mark.parametrize("allocated", [8, 32])
def test_other_widths(tmp_path, write_series, allocated):
    stored = np.random.default_rng(0).integers(0, 256, (2, 4, 6))
    folder = write_series(tmp_path / "ct", stored=stored)
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        header.PixelData = header.pixel_array.astype(f"<u{allocated // 8}").tobytes()
        header.BitsAllocated = header.BitsStored = allocated
        header.HighBit, header.PixelRepresentation = allocated - 1, 0
        header.save_as(path)
    np.testing.assert_array_equal(read_volume(folder).array_zyx, stored - 1024)


def test_a_number_that_needs_32_bits_does_not_come_round_to_a_hu(tmp_path, write_series):
    folder = write_series(tmp_path / "ct", stored=np.zeros((2, 4, 6), np.int16))
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        header.PixelData = np.full((4, 6), 2**32 - 1000, "<u4").tobytes()
        header.BitsAllocated = header.BitsStored = 32
        header.HighBit, header.PixelRepresentation, header.RescaleIntercept = 31, 0, 0
        header.save_as(path)
    with pytest.raises(InputError, match="values from 4294966296 to 4294966296"):
        read_volume(folder)


@pytest.mark.parametrize("syntax", [BASELINE, JPEG_LS[0]])
def test_letters_after_an_image_are_not_taken_for_its_filling(series, syntax):
    folder, _ = series(syntax, change=lambda frame: frame.rstrip(b"\0") + b"XX")
    with pytest.raises(InputError, match="JPEG data cut short"):
        read_volume(folder)


def test_pixels_of_another_length_than_rows_and_columns(tmp_path, write_series):
    folder = write_series(tmp_path / "ct")
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        header.Columns = 7
        header.save_as(path)
    with pytest.raises(
        InputError, match=r"other size: 128 bytes of pixels, too many for 8 x 7 voxels of 112, in 1-\d+\.dcm"
    ):
        read_volume(folder)


def test_an_odd_number_of_bytes_is_filled_up(tmp_path, write_series):
    stored = np.arange(18).reshape(2, 3, 3)
    folder = write_series(tmp_path / "ct", stored=stored)
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        pixels = header.pixel_array.astype(np.uint8)
        header.BitsAllocated = header.BitsStored = 8
        header.HighBit, header.PixelRepresentation = 7, 0
        header.PixelData = pixels.tobytes() + b"\0"
        header.save_as(path)
    np.testing.assert_array_equal(read_volume(folder).array_zyx, stored - 1024)


def test_a_file_that_shrinks_between_its_header_and_its_pixels(tmp_path, write_series):
    folder = write_series(tmp_path / "ct", slices=2)
    header = read_headers(folder)[0][0]
    header.path.write_bytes(header.path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"1-\d+\.dcm: .*shorter since its header was read"):
        read_slice(header)
    header.path.unlink()
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_slice(header)


def test_a_blank_slice_may_be_tiny(series):
    folder, _ = series(JPEG_2000[0], change=lambda frame: ENCODERS[JPEG_2000[0]][1](np.zeros((64, 64), np.uint16)))
    assert max(path.stat().st_size for path in folder.iterdir()) < 1500
    assert not read_volume(folder).array_zyx.any()


@pytest.mark.parametrize("units", [64 * 64, 64 * 32])
def test_restarts_are_counted(series, units):
    """A frame cut short at a restart does not depend on what comes after."""

    def announce(frame):
        scan = frame.index(b"\xff\xda")
        return frame[:scan] + b"\xff\xdd\0\x04" + struct.pack(">H", units) + frame[scan:]

    folder, stored = series(LOSSLESS, change=announce)
    if units == 64 * 64:
        np.testing.assert_array_equal(read_volume(folder).array_zyx, stored)
        return
    with pytest.raises(InputError, match="JPEG data cut short"):
        read_volume(folder)
