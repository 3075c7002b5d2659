"""Many slides: each is finished or not there, a bad one stops no other, a killed build goes on where it was."""

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from medssl_jax.core.errors import InputError
from medssl_jax.data.slides.patch_store import PreparedSlide, StoreError
from medssl_jax.data.slides.slide_stores import SlideToStore, describe_source, store_path, write_stores
from medssl_jax.imaging.slides import SlideLayout

LAYOUT = SlideLayout(grid=4, patch_side=16, shrink=4)


@pytest.fixture
def slides(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abcd":
        tifffile.imwrite(tmp_path / f"{name}.tif", rng.integers(0, 256, (70, 66), np.uint8))
    return [SlideToStore(tmp_path / f"{name}.tif", store_path(tmp_path, "train", name), LAYOUT) for name in "abcd"]


@pytest.mark.parametrize("name", ["a" * 251, "../../../evil", "..", "/etc/x", "L\udcf6sche", ".lock", "a\nb"])
def test_no_name_leads_out_of_the_folder_or_is_too_long(tmp_path, name):
    path = store_path(tmp_path, "train", name)
    assert path.parent == tmp_path / "slides" / "train"
    tifffile.imwrite(tmp_path / "slide.tif", np.zeros((70, 66), np.uint8))
    write_stores([SlideToStore(tmp_path / "slide.tif", path, LAYOUT)])
    assert os.listdir(path.parent) == [path.name]
    assert os.path.realpath(path) == str(path)


def test_upper_and_lower_case_are_two_stores_on_any_disk(tmp_path):
    one, other = (str(store_path(tmp_path, "train", name)) for name in ("Neg_1", "neg_1"))
    assert one.casefold() != other.casefold()
    assert other.endswith("neg_1.array_record")


def dates(slides):
    return [slide.store.stat().st_mtime_ns for slide in slides]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_slide_gets_its_store(slides, workers):
    counted = []
    write_stores(slides, workers=workers, progress=lambda items, total: counted.append(total) or items)
    assert counted == [4]
    for slide in slides:
        with PreparedSlide(slide.store) as stored:
            np.testing.assert_array_equal(next(stored.patches([5])), tifffile.imread(slide.source)[19:35, 17:33])


def test_a_bad_slide_is_told_of_at_the_end_and_stops_nothing(slides):
    slides[0].source.write_bytes(slides[0].source.read_bytes()[:2000])
    tifffile.imwrite(slides[2].source, np.zeros((63, 64), np.uint8))
    with pytest.raises(InputError, match=r"2 of 4 slides cannot be prepared.*a\.tif.*\|.*c\.tif.*64 x 63") as caught:
        write_stores(slides)
    assert "\n" not in str(caught.value)
    assert [slide.store.exists() for slide in slides] == [False, True, False, True]


def test_a_mended_slide_is_all_the_next_call_does(slides):
    good = slides[0].source.read_bytes()
    slides[0].source.write_bytes(b"")
    with pytest.raises(InputError, match="1 of 4 slides"):
        write_stores(slides)
    before = dates(slides[1:])
    slides[0].source.write_bytes(good)
    write_stores(slides)
    assert slides[0].store.exists()
    assert dates(slides[1:]) == before


@pytest.mark.parametrize("change", ["pixels", "layout", "damaged store"])
def test_a_stale_store_is_written_anew(slides, change):
    write_stores(slides)
    before = dates(slides)
    if change == "pixels":
        tifffile.imwrite(slides[1].source, 255 - tifffile.imread(slides[1].source))
    elif change == "layout":
        slides[1] = SlideToStore(slides[1].source, slides[1].store, SlideLayout(grid=2, patch_side=16, shrink=4))
    else:
        slides[1].store.write_bytes(slides[1].store.read_bytes()[:-1000])
    write_stores(slides)
    assert [after != date for after, date in zip(dates(slides), before, strict=True)] == [False, True, False, False]
    with PreparedSlide(slides[1].store) as slide:
        grid, crop = slide.layout.grid, (70 - slide.layout.side) // 2
        np.testing.assert_array_equal(
            next(slide.patches([0])),
            tifffile.imread(slides[1].source)[crop : crop + 16, (66 - 16 * grid) // 2 :][:, :16],
        )


def test_a_full_disk_stops_at_once(slides, monkeypatch):
    asked = []

    def full(path, slide, source):
        asked.append(path)
        raise StoreError(f"{path}: cannot be written")

    monkeypatch.setattr("medssl_jax.data.slides.slide_stores.write_patch_store", full)
    with pytest.raises(StoreError):
        write_stores(slides)
    assert len(asked) == 1


def test_what_killed_writers_left_is_cleared_away(slides):
    folder = slides[0].store.parent
    folder.mkdir(parents=True)
    for name, age in ((".1-ab.a.array_record", 7200), (".2-cd.b.array_record", 0)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    (folder / ".3-ef.c.array_record").symlink_to("gone")  # as if it went while this run looked
    write_stores(slides)
    assert not (folder / ".1-ab.a.array_record").exists()
    assert (folder / ".2-cd.b.array_record").exists()  # its writer may be at work


BUILD = """
import sys
from pathlib import Path
from medssl_jax.data.slides.slide_stores import SlideToStore, store_path, write_stores
from medssl_jax.imaging.slides import SlideLayout

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    paths, layout = sorted(folder.glob("*.tif")), SlideLayout(4, 16, 4)
    write_stores([SlideToStore(path, store_path(folder, "train", path.stem), layout) for path in paths], workers=2)
"""


def test_a_killed_build_leaves_whole_stores_and_the_next_does_the_rest(slides, tmp_path):
    command = [sys.executable, tmp_path / "build.py", tmp_path]
    (tmp_path / "build.py").write_text(BUILD)
    slow = slides[1]
    pixels = slow.source.read_bytes()
    slow.source.unlink()
    os.mkfifo(slow.source)  # whoever opens it waits for a writer that never comes
    finished = [slide for slide in slides if slide is not slow]
    with subprocess.Popen(command) as build:
        try:
            deadline = time.monotonic() + 60
            while not all(slide.store.exists() for slide in finished):
                assert build.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            build.kill()
    before = dates(finished)
    slow.source.unlink()
    slow.source.write_bytes(pixels)
    subprocess.run(command, check=True)
    assert dates(finished) == before
    for slide in slides:
        with PreparedSlide(slide.store) as stored:
            np.testing.assert_array_equal(next(stored.patches([5])), tifffile.imread(slide.source)[19:35, 17:33])


class TestDescribeSource:
    def test_does_not_depend_on_the_place(self, slides, tmp_path):
        shutil.copy(slides[0].source, tmp_path / "elsewhere.tif")
        assert describe_source(tmp_path / "elsewhere.tif") == describe_source(slides[0].source)
        assert len({describe_source(slide.source) for slide in slides}) == 4

    def test_notices_a_change_at_either_end_of_a_large_file(self, tmp_path):
        path = tmp_path / "large.tif"
        data = bytearray(100_000)
        found = set()
        for place in (0, 50_000, 99_999, None):
            changed = bytearray(data)
            if place is not None:
                changed[place] = 1
            path.write_bytes(changed)
            found.add(describe_source(path))
        path.write_bytes(data + b"\0")
        found.add(describe_source(path))
        assert len(found) == 5

    def test_of_a_folder_all_patches_count(self, tmp_path):
        for name in ("lowres.jpg", "highres_patches/0/0_0.jpg", "highres_patches/0/1_0.jpg"):
            (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "s" / name).write_bytes(b"jpeg")
        before = describe_source(tmp_path / "s")
        (tmp_path / "s" / "highres_patches" / "0" / "1_0.jpg").write_bytes(b"other")
        assert describe_source(tmp_path / "s") != before

    def test_a_file_that_is_gone(self, tmp_path):
        with pytest.raises(InputError, match=r"gone\.tif: cannot be read"):
            describe_source(tmp_path / "gone.tif")
