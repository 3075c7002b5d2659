"""Every kind of slide file against the pixels written into it, libvips as the oracle of the crop and the shrink."""

import errno
import itertools
import os
import threading
import tracemalloc
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from medssl_jax.core.errors import InputError
from medssl_jax.imaging import slides
from medssl_jax.imaging.slides import (
    BandedSlide,
    FolderSlide,
    Slide,
    SlideLayout,
    TiffSlide,
    open_slide,
    shrink_as_libvips,
)
from medssl_jax.imaging.tiff import grey
from medssl_jax.imaging.tiff.grey import GreyTiff

# It would give back a file of the same name that a test has replaced.
pyvips.cache_set_max(0)

LAYOUT = SlideLayout(grid=4, patch_side=60, shrink=20)
# Odd margins, and no strip or tile begins where a patch does.
HEIGHT, WIDTH = 251, 267

STRIPS_AND_TILES = {
    "rows": {"rowsperstrip": 1},
    "strips": {"rowsperstrip": 37},
    "one strip": {"rowsperstrip": HEIGHT},
    "tiles": {"tile": (48, 32)},
    "large tiles": {"tile": (128, 256)},
}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def write(tmp_path):
    def write_tiff(pixels, name="slide.tif", **options):
        options.setdefault("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
        tifffile.imwrite(tmp_path / name, pixels, **options)
        return tmp_path / name

    return write_tiff


def cut(pixels, layout=LAYOUT):
    """Patches and low-resolution image: libvips finds the centre, crops and shrinks."""
    crop = libvips_crop(pixels, layout)
    corners = itertools.product(range(0, layout.side, layout.patch_side), repeat=2)
    patches = [crop.crop(left, top, layout.patch_side, layout.patch_side).numpy() for top, left in corners]
    return patches, crop.shrink(layout.shrink, layout.shrink).numpy()


def libvips_crop(pixels, layout):
    return pyvips.Image.new_from_array(pixels).smartcrop(layout.side, layout.side, interesting="centre")


def libvips_shrink(pixels, shrink):
    return pyvips.Image.new_from_array(pixels).shrink(shrink, shrink).numpy()


def assert_reads_as(path, pixels, layout=LAYOUT, apart=0):
    """`apart` is how many grey levels the low-resolution image may be from that of the full one: it has levels."""
    patches, expected = cut(pixels, layout)
    with open_slide(path, layout) as slide:
        low = slide.low_resolution()
        assert np.abs(low - expected.astype(int)).max() <= apart
        assert slide.patches_read == 0
        bands = list(slide.bands())
        assert [band.row for band in bands] == list(range(layout.grid))
        np.testing.assert_array_equal(np.concatenate([band.low for band in bands]), low)
        np.testing.assert_array_equal(np.concatenate([band.patches for band in bands]), patches)
        some = [1, 2, layout.grid + 1, layout.grid**2 - 1]
        np.testing.assert_array_equal(list(slide.patches(some)), [patches[index] for index in some])
        assert slide.patches_read == layout.grid**2 + len(some)


class TestLayout:
    def test_is_lks_by_default(self):
        layout = SlideLayout()
        assert (layout.side, layout.low_side, layout.patch_low_side) == (40000, 1000, 25)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"grid": 0}, "grid: 0"),
            ({"patch_side": -1}, "patch_side: -1"),
            ({"shrink": 0}, "shrink: 0"),
            ({"patch_side": 100, "shrink": 40}, "shrink: 40, expected a divisor of patch_side, which is 100"),
        ],
    )
    def test_refuses_what_cannot_be_cut(self, fields, message):
        with pytest.raises(InputError, match=message):
            SlideLayout(**fields)


class TestShrink:
    @pytest.mark.parametrize("shrink", [1, 2, 3, 7, 20, 40, 64, 300])
    def test_is_libvips_to_the_bit(self, shrink):
        pixels = noise(5 * shrink, 7 * shrink)
        np.testing.assert_array_equal(shrink_as_libvips(pixels, shrink), libvips_shrink(pixels, shrink))

    @pytest.mark.parametrize("shrink", [3, 10, 40, 64])
    def test_rounds_every_sum_of_a_column_as_libvips(self, shrink):
        sums = np.arange(255 * shrink + 1)
        columns = np.clip(sums - 255 * np.arange(shrink)[:, None], 0, 255).astype(np.uint8)
        pixels = columns.repeat(shrink, axis=1)
        np.testing.assert_array_equal(shrink_as_libvips(pixels, shrink), libvips_shrink(pixels, shrink))

    def test_half_way_is_rounded_down_by_40_and_up_by_a_power_of_two(self):
        for shrink, expected in ((40, 10), (4, 11)):
            pixels = np.full((shrink, shrink), 10, np.uint8)
            pixels[: shrink // 2] = 11
            assert shrink_as_libvips(pixels, shrink) == expected

    def test_keeps_a_flat_image_and_takes_many(self):
        flat = np.arange(256, dtype=np.uint8)[:, None, None] * np.ones((40, 80), np.uint8)
        np.testing.assert_array_equal(shrink_as_libvips(flat, 40)[:, 0, 1], np.arange(256))


class TestCut:
    @pytest.mark.parametrize("height", [240, 241, 250])
    @pytest.mark.parametrize("width", [240, 241, 243])
    def test_the_crop_is_libvips_centre_whatever_the_margins(self, write, height, width):
        pixels = noise(height, width)
        assert_reads_as(write(pixels, rowsperstrip=16, compression="lzw"), pixels)

    def test_patches_joined_by_libvips_are_the_crop(self, write):
        pixels = noise(HEIGHT, WIDTH)
        with open_slide(write(pixels), LAYOUT) as slide:
            patches = [pyvips.Image.new_from_array(patch) for patch in slide.patches(range(LAYOUT.grid**2))]
        joined = pyvips.Image.arrayjoin(patches, across=LAYOUT.grid)
        np.testing.assert_array_equal(joined.numpy(), libvips_crop(pixels, LAYOUT).numpy())

    def test_column_and_row_are_those_of_libvips_deep_zoom(self, write, tmp_path):
        """With which the authors of SOS cut their patches."""
        pixels = noise(HEIGHT, WIDTH)
        libvips_crop(pixels, LAYOUT).dzsave(
            str(tmp_path / "zoom"), tile_size=LAYOUT.patch_side, overlap=0, depth="one", suffix=".png"
        )
        with open_slide(write(pixels), LAYOUT) as slide:
            for number, patch in enumerate(slide.patches(range(LAYOUT.grid**2))):
                row, column = divmod(number, LAYOUT.grid)
                tile = Image.open(tmp_path / "zoom_files" / "0" / f"{column}_{row}.png")
                np.testing.assert_array_equal(patch, np.asarray(tile))


class TestFormats:
    @pytest.mark.parametrize("bigtiff", [False, True], ids=["classic", "big"])
    @pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd"])
    @pytest.mark.parametrize("pieces", STRIPS_AND_TILES)
    def test_grey(self, write, pieces, compression, bigtiff):
        pixels = noise(HEIGHT, WIDTH)
        assert_reads_as(
            write(pixels, compression=compression, bigtiff=bigtiff, **STRIPS_AND_TILES[pieces]),
            pixels,
        )

    @pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
    @pytest.mark.parametrize("pieces", STRIPS_AND_TILES)
    @pytest.mark.parametrize("planes", ["contig", "separate"])
    def test_of_three_channels_the_green(self, write, pieces, compression, planes):
        pixels = noise(HEIGHT, WIDTH, 3)
        stored = pixels if planes == "contig" else pixels.transpose(2, 0, 1).copy()
        path = write(
            stored,
            compression=compression,
            predictor=compression is not None,
            planarconfig=planes,
            **STRIPS_AND_TILES[pieces],
        )
        assert_reads_as(path, pixels[..., 1])

    @pytest.mark.parametrize("compression", ["lzw", "zlib"])
    def test_what_libvips_wrote_as_libvips_reads_it(self, tmp_path, compression):
        for tile, bigtiff in itertools.product((False, True), (False, True)):
            path = tmp_path / f"{tile}{bigtiff}.tif"
            image = pyvips.Image.new_from_array(noise(HEIGHT, WIDTH))
            image.tiffsave(
                str(path), compression={"zlib": "deflate"}.get(compression, compression), tile=tile, bigtiff=bigtiff
            )
            assert_reads_as(path, pyvips.Image.new_from_file(str(path)).numpy())

    @pytest.mark.parametrize("channels", [1, 3])
    def test_jpeg_tiles(self, tmp_path, channels):
        smooth = shrink_as_libvips(noise(channels, 4 * HEIGHT, 4 * WIDTH), 4).transpose(1, 2, 0)
        path = tmp_path / "slide.tif"
        pyvips.Image.new_from_array(np.ascontiguousarray(smooth)).tiffsave(
            str(path), compression="jpeg", tile=True, Q=95
        )
        decoded = pyvips.Image.new_from_file(str(path)).numpy()
        assert_reads_as(path, decoded if channels == 1 else decoded[..., 1])

    def test_white_is_bright_also_where_it_is_zero(self, write):
        pixels = noise(HEIGHT, WIDTH)
        for options in ({}, {"compression": "lzw"}):
            path = write(pixels, photometric="miniswhite", **options)
            np.testing.assert_array_equal(pyvips.Image.new_from_file(str(path)).numpy(), 255 - pixels)
            assert_reads_as(path, 255 - pixels)

    def test_a_pyramid_and_a_thumbnail_before_it(self, tmp_path):
        pixels = noise(HEIGHT, WIDTH)
        with tifffile.TiffWriter(tmp_path / "slide.tif") as tiff:
            tiff.write(pixels[::16, ::16], compression="lzw")
            tiff.write(pixels, tile=(64, 64), compression="zlib")
            tiff.write(halved(pixels), tile=(64, 64), compression="zlib", subfiletype=1)
        assert_reads_as(tmp_path / "slide.tif", pixels, apart=3)  # noise, and a margin of an odd number of pixels

    def test_a_slide_of_just_the_crop(self, write):
        pixels = noise(LAYOUT.side, LAYOUT.side)
        assert_reads_as(write(pixels, compression="lzw"), pixels)

    @pytest.mark.parametrize(
        ("name", "layout", "apart"),
        [("grey10kx5k.tif", SlideLayout(3, 1600, 40), 0), ("boxes.tiff", SlideLayout(4, 60, 20), 10)],
    )
    def test_real_files_as_libvips_reads_them(self, shared_data, name, layout, apart):
        """The second is a pyramid of black boxes on white, with a margin that is no whole number of its pixels."""
        oracle = pyvips.Image.new_from_file(str(shared_data / "tiff" / name))
        assert_reads_as(shared_data / "tiff" / name, oracle[min(1, oracle.bands - 1)].numpy(), layout, apart)

    def test_a_real_zstd_pyramid(self, shared_data):
        path = shared_data / "tiff" / "yb10kx5k.zstd.tiff"
        pixels = tifffile.imread(path, level=0)[..., 1]
        assert_reads_as(path, pixels, SlideLayout(3, 1600, 40), apart=1)

    @pytest.mark.parametrize("name", ["test3-DAPI-2.ndpi", "CMU-1-Small-Region.svs"])
    def test_real_slides_as_tifffile_and_libvips_read_them(self, shared_data, name):
        path = shared_data / "real" / "slides" / name
        oracle = tifffile.imread(path, key=0)
        np.testing.assert_array_equal(pyvips.Image.new_from_file(str(path)).numpy(), oracle)
        assert_reads_as(path, oracle[..., 1], SlideLayout(4, 500, 20), apart=4 if name.endswith("ndpi") else 0)


class TestSomeRows:
    """The low-resolution image of a few rows of each pixel."""

    @pytest.mark.parametrize(
        ("count", "rows"), [(1, [10]), (2, [5, 15]), (3, [3, 10, 16]), (4, [2, 7, 12, 17]), (20, range(20))]
    )
    @pytest.mark.parametrize("kind", ["grey", "white is zero", "three channels", "three planes"])
    def test_has_the_means_of_these_rows(self, write, kind, count, rows):
        stored = pixels = noise(HEIGHT, WIDTH, *([3] if kind.startswith("three") else []))
        options = {"photometric": "miniswhite"} if kind == "white is zero" else {}
        if kind == "three planes":
            stored, options = pixels.transpose(2, 0, 1).copy(), {"planarconfig": "separate"}
        seen = {"grey": lambda: pixels, "white is zero": lambda: 255 - pixels}.get(kind, lambda: pixels[..., 1])()
        patches, _ = cut(seen)
        boxes = (
            libvips_crop(seen, LAYOUT).numpy().reshape(LAYOUT.low_side, LAYOUT.shrink, LAYOUT.low_side, LAYOUT.shrink)
        )
        with open_slide(write(stored, rowsperstrip=37, **options), LAYOUT, low_rows=count) as slide:
            low = slide.low_resolution()
            np.testing.assert_array_equal(low, np.rint(boxes[:, list(rows)].mean(axis=(1, 3))))
            assert slide.of_low_rows == count
            np.testing.assert_array_equal(np.concatenate([band.low for band in slide.bands()]), low)
            np.testing.assert_array_equal(list(slide.patches([1, 9])), [patches[1], patches[9]])

    @pytest.mark.parametrize(
        "options", [{"compression": "lzw"}, {"tile": (64, 64)}, {"compression": "zlib", "predictor": 2}]
    )
    def test_where_single_rows_cannot_be_read_all_count(self, write, options):
        pixels = noise(HEIGHT, WIDTH)
        _, expected = cut(pixels)
        with open_slide(write(pixels, **options), LAYOUT, low_rows=1) as slide:
            np.testing.assert_array_equal(slide.low_resolution(), expected)
            assert slide.of_low_rows is None

    def test_where_all_is_read_anyhow_all_count(self, write):
        pixels = noise(HEIGHT, WIDTH)
        _, expected = cut(pixels)
        with open_slide(write(pixels), LAYOUT, low_rows=1) as slide:
            assert len(list(slide.bands())) == LAYOUT.grid
            np.testing.assert_array_equal(slide.low_resolution(), expected)
            assert slide.of_low_rows is None

    def test_reads_no_other_row(self, write, monkeypatch):
        pread, bytes_read = os.pread, []
        path = write(noise(HEIGHT, WIDTH))
        with open_slide(path, LAYOUT, low_rows=2) as slide:
            monkeypatch.setattr(os, "pread", lambda *of: bytes_read.append(of[1]) or pread(*of))
            monkeypatch.setattr(GreyTiff, "decode", None)
            slide.low_resolution()
        assert bytes_read == [LAYOUT.side] * (2 * LAYOUT.low_side)

    def test_a_row_that_ends_too_soon_is_named(self, write):
        path = write(noise(HEIGHT, WIDTH))
        with open_slide(path, LAYOUT, low_rows=1, decoding_threads=1) as slide:
            os.truncate(path, 100 * WIDTH)
            with pytest.raises(
                InputError, match=r"slide\.tif: row \d+ ends after \d+ of 240 bytes: the file is damaged"
            ):
                slide.low_resolution()

    def test_a_row_that_the_disk_does_not_give_is_named(self, write, monkeypatch):
        def pread(*_):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with open_slide(write(noise(HEIGHT, WIDTH)), LAYOUT, low_rows=1) as slide:
            monkeypatch.setattr(os, "pread", pread)
            with pytest.raises(InputError, match=r"slide\.tif: row \d+ cannot be read \(Input/output error\): copy"):
                slide.low_resolution()

    @pytest.mark.parametrize("count", [-1, 0, 21])
    def test_no_more_than_a_pixel_shows(self, write, count):
        with pytest.raises(InputError, match=f"low_rows is {count}, expected 1 to 20, the rows that"):
            open_slide(write(noise(HEIGHT, WIDTH)), LAYOUT, low_rows=count)


def halved(pixels):
    """Means of 2 x 2 pixels; what is left at the end is left out."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    return np.rint(pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3))).astype(np.uint8)


class TestPyramids:
    """Of which the low-resolution image is made from one level, and nothing of the full image is read for it."""

    LAYOUT = SlideLayout(grid=4, patch_side=128, shrink=32)

    def write(self, path, pixels, levels=3, scale=1, **options):
        """A pyramid of full, half, quarter and eighth, the reduced ones in grey levels `scale` times as bright."""
        options = {"tile": (64, 64), "compression": "zlib"} | options
        with tifffile.TiffWriter(path) as tiff:
            tiff.write(pixels, **options)
            for _ in range(levels):
                pixels = halved(pixels)
                tiff.write((pixels * scale).astype(np.uint8), subfiletype=1, **options)
        return path

    @pytest.fixture
    def bytes_read(self, monkeypatch):
        lengths, pread = [], os.pread

        def counted(descriptor, length, place):
            lengths.append(length)
            return pread(descriptor, length, place)

        monkeypatch.setattr(grey, "os", types.SimpleNamespace(pread=counted))
        return lengths

    @pytest.mark.parametrize(("levels", "reduction"), [(1, 2), (2, 4), (3, 8), (4, 8)])
    def test_the_smallest_level_with_four_pixels_along_each(self, tmp_path, bytes_read, levels, reduction):
        pixels = np.random.default_rng(0).integers(0, 60, (700, 650), np.uint8)
        path = self.write(tmp_path / "slide.tif", pixels, levels)
        with open_slide(path, self.LAYOUT) as slide:
            low = slide.low_resolution()
            assert np.abs(low - cut(pixels, self.LAYOUT)[1].astype(int)).max() <= 1
        with tifffile.TiffFile(path) as tiff:
            level = tiff.pages[reduction.bit_length() - 1]
            assert 0 < sum(bytes_read) <= sum(level.databytecounts)

    def test_the_means_are_those_of_the_level(self, tmp_path):
        """Where boxes begin with its pixels libvips tells them, of a level that is brighter than the full image."""
        pixels = np.random.default_rng(1).integers(0, 60, (512 + 64, 512 + 32), np.uint8)
        path = self.write(tmp_path / "slide.tif", pixels, scale=3)
        level = halved(halved(halved(pixels))) * 3
        expected = libvips_shrink(level[4:68, 2:66], 4)
        with open_slide(path, self.LAYOUT) as slide:
            assert np.abs(slide.low_resolution() - expected.astype(int)).max() <= 1  # half-way it rounds otherwise

    @pytest.mark.parametrize(("height", "width"), [(512, 512), (513, 519), (514, 577), (525, 640)])
    @pytest.mark.parametrize("tile", [(16, 32), (48, 256)])
    def test_a_pixel_of_the_level_counts_by_the_part_that_lies_in_a_box(self, tmp_path, height, width, tile):
        """Of a slope the mean of a box is what it is at its middle, wherever the boxes begin."""
        rows, columns = np.ogrid[:height, :width]
        slope = 10 + rows / 8 + columns / 4
        path = tmp_path / "slide.tif"
        with tifffile.TiffWriter(path) as tiff:
            tiff.write(slope.astype(np.uint8), tile=(64, 64))
            reduced = slope[: height // 8 * 8, : width // 8 * 8].reshape(height // 8, 8, width // 8, 8).mean((1, 3))
            tiff.write(np.rint(reduced).astype(np.uint8), tile=tile, subfiletype=1)
        top, left = (height - 512) // 2, (width - 512) // 2
        middle = 15.5 + 32 * np.arange(16)
        expected = 10 + (top + middle)[:, None] / 8 + (left + middle) / 4
        with open_slide(path, self.LAYOUT) as slide:
            # But for rounding, and for the last pixels of the full image, which the level may leave out.
            assert np.abs(slide.low_resolution() - expected)[:-1, :-1].max() < 1.1
            assert np.abs(slide.low_resolution() - expected).max() < 2

    def test_patches_and_passes_are_of_the_full_image_and_agree_on_low_resolution(self, tmp_path, bytes_read):
        pixels = np.random.default_rng(2).integers(0, 60, (600, 600), np.uint8)
        path = self.write(tmp_path / "slide.tif", pixels, scale=3)
        patches, _ = cut(pixels, self.LAYOUT)
        with open_slide(path, self.LAYOUT) as slide:
            assert not slide.one_pass_pays
            bands = list(slide.bands())
            low = slide.low_resolution()
        np.testing.assert_array_equal(np.concatenate([band.patches for band in bands]), patches)
        np.testing.assert_array_equal(np.concatenate([band.low for band in bands]), low)
        assert low.mean() > 2 * pixels.mean()
        bytes_read.clear()
        with open_slide(path, self.LAYOUT) as slide:
            np.testing.assert_array_equal(next(slide.patches([5])), patches[5])
        with tifffile.TiffFile(path) as tiff:
            # A patch of 128 lies on 3 x 3 tiles of 64.
            assert sum(bytes_read) <= 9 * max(tiff.pages[0].databytecounts)

    @pytest.mark.parametrize(
        "options",
        [{"tile": None, "rowsperstrip": 16}, {"compression": "lzw"}, {"photometric": "miniswhite"}, "other shape"],
        ids=["strips", "other compression", "other colours", "other shape"],
    )
    def test_what_is_stored_in_another_way_is_no_level(self, tmp_path, options):
        pixels = np.random.default_rng(3).integers(0, 60, (600, 600), np.uint8)
        plain = {"tile": (64, 64), "compression": "zlib", "photometric": "minisblack"}
        reduced = np.zeros((75, 75), np.uint8)
        if options == "other shape":
            options, reduced = {}, reduced[:, :66]
        with tifffile.TiffWriter(tmp_path / "slide.tif") as tiff:
            tiff.write(pixels, **plain)
            tiff.write(reduced, **plain | options)
        assert_reads_as(tmp_path / "slide.tif", pixels, self.LAYOUT)

    def test_a_damaged_level_is_refused(self, tmp_path):
        path = self.write(tmp_path / "slide.tif", np.zeros((600, 600), np.uint8))
        with tifffile.TiffFile(path) as tiff:
            offset, length = tiff.pages[3].dataoffsets[0], tiff.pages[3].databytecounts[0]
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(b"\xff" * length)
        with (
            open_slide(path, self.LAYOUT) as slide,
            pytest.raises(InputError, match="tile at row 0, column 0 cannot be decoded"),
        ):
            slide.low_resolution()


class TestWhatIsDecoded:
    @pytest.fixture
    def decoded(self, monkeypatch):
        pieces = []
        decode = GreyTiff.decode
        monkeypatch.setattr(GreyTiff, "decode", lambda self, piece: pieces.append(piece) or decode(self, piece))
        return pieces

    @pytest.mark.parametrize("pieces", STRIPS_AND_TILES)
    def test_a_pass_decodes_each_piece_once(self, write, decoded, pieces):
        with open_slide(write(noise(HEIGHT, WIDTH), compression="lzw", **STRIPS_AND_TILES[pieces]), LAYOUT) as slide:
            list(slide.bands())
        assert len(decoded) == len(set(decoded))

    @pytest.mark.parametrize("options", [{}, {"rowsperstrip": 16, "compression": "lzw"}], ids=["uncompressed", "LZW"])
    def test_of_strips_only_the_rows_under_the_crop_and_under_a_patch(self, write, decoded, options):
        """In pieces of 64 rows; the crop of 240 begins at row 380, in piece 5, its second row of patches in piece 6."""
        with open_slide(write(noise(1000, 400), **options), LAYOUT) as slide:
            slide.low_resolution()
            assert set(decoded) == set(range(5, 10))
            decoded.clear()
            list(slide.patches([4, 6]))
            assert sorted(decoded) == [6, 7]

    def test_patches_decode_the_tiles_under_them_once(self, write, decoded):
        # No margin, three tiles a patch side, but 64 pixels across patches of 60: neighbours share a column of tiles.
        path = write(noise(240, 240), compression="lzw", tile=(16, 16))
        with open_slide(path, LAYOUT) as slide:
            assert not decoded
            list(slide.patches([5]))
            # Rows and columns 60 to 119 lie on tiles 3 to 7 of 15.
            assert sorted(decoded) == sorted(15 * row + column for row in range(3, 8) for column in range(3, 8))
            decoded.clear()
            list(slide.patches([5, 6, 9]))
        assert len(decoded) == len(set(decoded))

    @pytest.mark.parametrize(("asked", "cores", "threads"), [(None, 3, 3), (5, 3, 5), (None, None, 1)])
    def test_as_many_threads_decode_as_there_are_cores_unless_told(self, write, monkeypatch, asked, cores, threads):
        pools = []
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(
            slides, "ThreadPoolExecutor", lambda number: pools.append(number) or ThreadPoolExecutor(number)
        )
        pixels = noise(HEIGHT, WIDTH)
        with open_slide(write(pixels, compression="lzw"), LAYOUT, decoding_threads=asked) as slide:
            np.testing.assert_array_equal(list(slide.patches(range(16))), cut(pixels)[0])
        assert pools == [threads]

    def test_what_the_caller_leaves_is_not_decoded(self, write, decoded):
        threads = threading.active_count()
        with open_slide(write(noise(HEIGHT, WIDTH), compression="lzw", rowsperstrip=60), LAYOUT) as slide:
            next(slide.patches(range(16)))
            assert slide.patches_read == 1
            assert list(slide.patches([])) == []
        # The row asked for, and at most the one read ahead.
        assert max(decoded) <= 2
        assert threading.active_count() <= threads

    def test_the_low_resolution_image_is_made_once(self, write, decoded):
        with open_slide(write(noise(HEIGHT, WIDTH), compression="lzw"), LAYOUT) as slide:
            low = slide.low_resolution()
            decoded.clear()
            assert slide.low_resolution() is low
        assert not decoded

    def test_a_whole_pass_makes_the_low_resolution_image_and_half_a_pass_does_not(self, write, decoded):
        pixels = noise(HEIGHT, WIDTH)
        _, low = cut(pixels)
        with open_slide(write(pixels, compression="lzw"), LAYOUT) as slide:
            next(slide.bands())
            np.testing.assert_array_equal(slide.low_resolution(), low)
        with open_slide(write(pixels, compression="lzw"), LAYOUT) as slide:
            list(slide.bands())
            decoded.clear()
            np.testing.assert_array_equal(slide.low_resolution(), low)
        assert not decoded

    @pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"compression": "lzw", "tile": (256, 256)}])
    def test_memory_holds_a_few_rows_of_patches(self, write, options):
        layout = SlideLayout(20, 100, 20)
        pixels = np.zeros((layout.side, layout.side), np.uint8)
        path = write(pixels, rowsperstrip=None if "tile" in options else 16, **options)
        with open_slide(path, layout) as slide:
            tracemalloc.start()
            for _ in slide.bands():
                pass
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        row_of_patches, row_of_tiles = 100 * layout.side, 256 * layout.side
        assert peak < 3 * row_of_patches + 2 * row_of_tiles < 0.45 * pixels.nbytes

    @pytest.mark.parametrize("indices", [[3, 2], [1, 1], [-1], [16]])
    def test_indices_ascend_within_the_grid(self, write, indices):
        with open_slide(write(noise(HEIGHT, WIDTH)), LAYOUT) as slide, pytest.raises(ValueError, match="ascend"):
            list(slide.patches(indices))


class TestBadFiles:
    def refuses(self, path, *words, layout=LAYOUT):
        with pytest.raises(InputError) as refusal, open_slide(path, layout) as slide:
            slide.low_resolution()
        message = str(refusal.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        for word in words:
            assert word in message

    def test_smaller_than_the_crop(self, write):
        self.refuses(write(noise(HEIGHT, 239)), "239 x 251 pixels", "240 x 240", "patch_side 60")

    def test_unknown_compression(self, shared_data):
        self.refuses(shared_data / "tiff" / "unopenable.tiff", "compression 52479", "expected one of none, LZW")

    def test_a_corrupt_tile(self, shared_data):
        path = shared_data / "tiff" / "unreadable.svs"
        self.refuses(path, "tile at row 0, column 0", "damaged", layout=SlideLayout(1, 16, 4))

    def test_no_file(self, tmp_path):
        self.refuses(tmp_path / "absent.tif", "no such file or folder")

    @pytest.mark.parametrize(
        "options",
        [{}, {"compression": "lzw"}, {"compression": "zlib", "rowsperstrip": 1}, {"tile": (64, 64), "bigtiff": True}],
        ids=["uncompressed", "LZW", "deflate rows", "tiles"],
    )
    def test_truncated_anywhere(self, write, options):
        path = write(noise(HEIGHT, WIDTH), **options)
        whole = path.read_bytes()
        for length in [*range(1, 400, 13), len(whole) // 2, len(whole) - 1]:
            path.write_bytes(whole[:length])
            self.refuses(path, "copy or export it again")

    @pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "jpeg"])
    def test_damaged_in_the_middle(self, write, compression):
        threads = threading.active_count()
        path = write(noise(HEIGHT, WIDTH), compression=compression, tile=(64, 64))
        with tifffile.TiffFile(path) as tiff:
            offset = tiff.pages[0].dataoffsets[12]
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(b"\xff" * 40)
        with open_slide(path, LAYOUT) as slide:
            bands = slide.bands()
            next(bands)
            with pytest.raises(InputError, match="tile at row 128, column 128 cannot be decoded"):
                list(bands)
        assert threading.active_count() <= threads


class TestPreparedFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        patches, low = cut(noise(HEIGHT, WIDTH))
        (tmp_path / "slide_7" / "highres_patches" / "0").mkdir(parents=True)
        Image.fromarray(low).save(tmp_path / "slide_7" / "lowres.jpg", quality=95)
        for index, patch in enumerate(patches):
            row, column = divmod(index, LAYOUT.grid)
            Image.fromarray(patch).save(tmp_path / "slide_7" / "highres_patches" / "0" / f"{column}_{row}.jpg")
        return tmp_path / "slide_7"

    def test_is_read_as_it_is(self, folder):
        jpeg = {path.name: np.asarray(Image.open(path)) for path in folder.rglob("*.jpg")}
        with open_slide(folder, LAYOUT) as slide:
            assert slide.name == "slide_7"
            np.testing.assert_array_equal(slide.low_resolution(), jpeg["lowres.jpg"])
            # Patch 6 is in row 1, column 2; names are column first.
            np.testing.assert_array_equal(list(slide.patches([6, 8])), [jpeg["2_1.jpg"], jpeg["0_2.jpg"]])
            assert slide.patches_read == 2

    def test_green_of_three_channels(self, folder):
        Image.fromarray(noise(12, 12, 3)).save(folder / "lowres.jpg")
        expected = np.asarray(Image.open(folder / "lowres.jpg"))[..., 1]
        np.testing.assert_array_equal(open_slide(folder, LAYOUT).low_resolution(), expected)

    def test_a_folder_without_a_low_resolution_image(self, tmp_path):
        with pytest.raises(InputError, match=r"without lowres\.jpg"):
            open_slide(tmp_path, LAYOUT)

    def test_a_missing_a_broken_and_a_smaller_patch(self, folder):
        patches = folder / "highres_patches" / "0"
        (patches / "0_0.jpg").unlink()
        whole = (patches / "1_0.jpg").read_bytes()
        (patches / "1_0.jpg").write_bytes(whole[: len(whole) // 2])
        Image.fromarray(noise(30, 60)).save(patches / "2_0.jpg")
        with open_slide(folder, LAYOUT) as slide:
            for index, words in enumerate((r"cannot be read \(no such file\)", "cannot be read", "expected 60 x 60")):
                with pytest.raises(InputError, match=f"{index}_0.jpg.*{words}"):
                    next(slide.patches([index]))
            assert slide.patches_read == 0


def test_each_kind_is_a_slide(write, tmp_path):
    Image.fromarray(noise(12, 12)).save(tmp_path / "lowres.jpg")
    for path, kind in ((write(noise(HEIGHT, WIDTH), name="a.b.tif"), TiffSlide), (tmp_path, FolderSlide)):
        with open_slide(path, LAYOUT) as slide:
            assert isinstance(slide, kind)
            assert isinstance(slide, Slide)
            assert isinstance(slide, BandedSlide) == (kind is TiffSlide)
            assert slide.name in ("a.b", tmp_path.name)
            assert slide.layout == LAYOUT
