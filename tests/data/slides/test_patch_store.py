"""A store gives back what the slide held, decodes what is asked for only, and says when it is not whole."""

import os

import numpy as np
import pytest
import tifffile

from medssl_jax.core.errors import InputError
from medssl_jax.data.slides.patch_store import PreparedSlide, StoreError, write_patch_store
from medssl_jax.imaging.slides import Slide, SlideLayout, open_slide

LAYOUT = SlideLayout(grid=4, patch_side=32, shrink=8)


@pytest.fixture
def tiff(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (LAYOUT.side + 5, LAYOUT.side + 8), np.uint8)
    tifffile.imwrite(tmp_path / "slide.tif", pixels, compression="lzw", predictor=False, rowsperstrip=7)
    return tmp_path / "slide.tif"


@pytest.fixture
def store(tiff):
    path = tiff.with_suffix(".array_record")
    with open_slide(tiff, LAYOUT) as slide:
        write_patch_store(path, slide, source="abc")
    return path


def test_the_store_holds_the_slide(tiff, store):
    crop = tifffile.imread(tiff)[2:-3, 4:-4]
    with PreparedSlide(store) as prepared, open_slide(tiff, LAYOUT) as slide:
        assert isinstance(prepared, Slide)
        assert (prepared.name, prepared.layout, prepared.source) == ("slide", LAYOUT, "abc")
        np.testing.assert_array_equal(prepared.low_resolution(), slide.low_resolution())
        for index, patch in enumerate(prepared.patches(range(16))):
            row, column = divmod(index, 4)
            np.testing.assert_array_equal(patch, crop[32 * row : 32 * row + 32, 32 * column : 32 * column + 32])


def test_it_is_closed_behind_the_block(store, tiff):
    def is_open(path):
        return str(path) in {os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")}

    with PreparedSlide(store), open_slide(tiff, LAYOUT):
        assert is_open(store)
        assert is_open(tiff)
    assert not is_open(store)
    assert not is_open(tiff)


def test_a_slide_without_bands_gives_the_same_store(store, tmp_path):
    with PreparedSlide(store) as slide:
        write_patch_store(tmp_path / "copy", slide, source="abc")
    assert (tmp_path / "copy").read_bytes() == store.read_bytes()


def test_only_what_is_asked_for_is_decoded(store):
    with PreparedSlide(store) as prepared:
        prepared.low_resolution()
        assert prepared.patches_read == 0
        patches = prepared.patches([3, 7, 11])
        next(patches)
        assert prepared.patches_read == 1
        assert len(list(patches)) == 2
        assert prepared.patches_read == 3


def test_a_patch_outside_the_grid(store):
    with PreparedSlide(store) as prepared, pytest.raises(IndexError):
        next(prepared.patches([16]))


def test_no_store(tmp_path):
    with pytest.raises(InputError, match=r"no such prepared slide: run .*experiments\.prepare --dataset=lks"):
        PreparedSlide(tmp_path / "none.array_record")


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.999])
def test_a_truncated_store(store, keep):
    data = store.read_bytes()
    store.write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
    with pytest.raises(InputError, match=r"slide\.array_record: .*remove the file"):
        PreparedSlide(store)


def test_a_store_damaged_in_the_middle(store):
    data = bytearray(store.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    store.write_bytes(data)
    with pytest.raises(InputError, match=r"slide\.array_record: .*remove the file"), PreparedSlide(store) as prepared:
        list(prepared.patches(range(16)))


@pytest.mark.parametrize("lost", range(3))
def test_a_store_without_one_of_its_blocks(store, tmp_path, lost):
    layout = SlideLayout(grid=2, patch_side=200, shrink=8)
    tifffile.imwrite(tmp_path / "large.tif", np.random.default_rng(0).integers(0, 256, (400, 400), np.uint8))
    with open_slide(tmp_path / "large.tif", layout) as slide:
        write_patch_store(store, slide)
    data = store.read_bytes()
    store.write_bytes(data[: lost << 16] + data[(lost + 1) << 16 :])
    with pytest.raises(InputError, match=r"slide\.array_record: .*remove the file"), PreparedSlide(store) as prepared:
        list(prepared.patches(range(4)))


def test_a_damaged_patch_leaves_the_others_readable(store, tmp_path):
    # Only where patches are far larger than ArrayRecord's blocks of 64 KB is there room for damage within one.
    layout = SlideLayout(grid=2, patch_side=400, shrink=8)
    pixels = np.random.default_rng(0).integers(0, 256, (layout.side, layout.side), np.uint8)
    tifffile.imwrite(tmp_path / "large.tif", pixels)
    with open_slide(tmp_path / "large.tif", layout) as slide:
        write_patch_store(store, slide)
    data = bytearray(store.read_bytes())
    data[300_000:300_100] = bytes(100)
    store.write_bytes(data)
    with PreparedSlide(store) as prepared:
        np.testing.assert_array_equal(next(prepared.patches([0])), pixels[:400, :400])
        with pytest.raises(InputError, match=r"slide\.array_record: .*remove the file"):
            list(prepared.patches([1, 2]))


def test_another_array_record_file(tmp_path):
    from array_record.python.array_record_module import ArrayRecordWriter

    layout = b'"layout": {"grid": 1, "patch_side": %s, "shrink": 8}'
    for records in (
        *([b"hello"], [b"{}"], [b"[" * 100_000], [b'{"layout": {"grid": 4}, "name": "", "source": ""}']),
        [bytes(64), bytes(64), b'{"name": null, "source": "", %s}' % (layout % b"8")],
        *(
            [bytes(64), bytes(64), b'{"name": "", "source": "", %s}' % (layout % side)]
            for side in (b"7", b"8.0", b"null")
        ),
        [bytes(64), bytes(64), b'{"name": "", %s}' % (layout % b"8")],
    ):
        writer = ArrayRecordWriter(str(tmp_path / "other"), "group_size:1")
        for record in records:
            writer.write(record)
        writer.close()
        with pytest.raises(InputError, match="no header of a prepared slide"):
            PreparedSlide(tmp_path / "other")


def test_an_array_record_file_without_records(tmp_path):
    from array_record.python.array_record_module import ArrayRecordWriter

    ArrayRecordWriter(str(tmp_path / "empty"), "group_size:1").close()
    with pytest.raises(InputError, match="empty: not a whole ArrayRecord file: remove the file"):
        PreparedSlide(tmp_path / "empty")


def test_a_slide_that_fails_half_way_leaves_nothing(tiff, tmp_path):
    data = bytearray(tiff.read_bytes())
    start = len(data) * 2 // 3
    data[start : start + 3000] = b"\xff" * 3000
    tiff.write_bytes(data)
    with pytest.raises(InputError, match=r"slide\.tif"), open_slide(tiff, LAYOUT) as slide:
        write_patch_store(tmp_path / "new.array_record", slide)
    assert os.listdir(tmp_path) == ["slide.tif"]


def test_a_full_disk_is_the_stores_fault(store, tmp_path, full_disk):
    with (
        PreparedSlide(store) as slide,
        pytest.raises(StoreError, match=r"new: cannot be written \(write\(\) failed: No space left on device\)"),
    ):
        write_patch_store(tmp_path / "new", slide)
