"""Slides in files of other kinds are the same slides, and the files are gone afterwards."""

import functools
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from experiments.runs.sos import timed_files
from experiments.runs.sos.timed_files import FILE_KINDS, written_as
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.slides import SlideLayout, TiffSlide
from medssl_jax.phantoms.slides.tiff import write_tiff

LAYOUT = SlideLayout(grid=3, patch_side=48, shrink=8)


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_a_slide_in_another_file_is_the_same_slide(kind, tmp_path):
    rng, opening, expected = np.random.default_rng(0), [], []
    for number in range(2):
        pixels = rng.integers(0, 60, (150, 161), np.uint8)
        tifffile.imwrite(tmp_path / f"{number}.tif", pixels)
        opening.append(functools.partial(TiffSlide, tmp_path / f"{number}.tif", LAYOUT))
        with opening[-1]() as slide:
            expected.append((slide.low_resolution(), list(slide.patches(range(9)))))
    with written_as(FILE_KINDS[kind], LAYOUT, opening) as made:
        for open_one, (low, patches) in zip(made, expected, strict=True):
            with open_one() as slide:
                is_pyramid = FILE_KINDS[kind].levels
                assert slide.one_pass_pays != is_pyramid
                assert np.abs(slide.low_resolution() - low.astype(int)).max() <= is_pyramid
                np.testing.assert_array_equal(list(slide.patches(range(9))), patches)
    for open_one in made:
        assert not open_one.args[0].parent.exists()


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(monkeypatch):
    monkeypatch.setattr(timed_files.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2 * LAYOUT.side**2))
    kind = FILE_KINDS["in LZW tiles"]
    with written_as(kind, LAYOUT, []):
        pass
    with (
        pytest.raises(InputError, match=r"2 at once take up to 0\.0 GB, .* has 0\.0 GB free: set TMPDIR"),
        written_as(kind, LAYOUT, 2 * [functools.partial(TiffSlide, "absent.tif", LAYOUT)]),
    ):
        pass


def test_levels_are_means_of_the_one_before(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (600, 301), np.uint8)
    write_tiff(tmp_path / "slide.tif", [pixels[:70], pixels[70:]], pixels.shape, "tiles-deflate", levels=True)
    with tifffile.TiffFile(tmp_path / "slide.tif") as tiff:
        levels = [page.asarray() for page in tiff.pages]
    assert [level.shape for level in levels] == [(600, 301), (300, 150), (150, 75), (75, 37), (37, 18)]
    np.testing.assert_array_equal(levels[0], pixels)
    for one, half in itertools.pairwise(levels):
        corners = [
            one[top:, left:][: 2 * half.shape[0] : 2, : 2 * half.shape[1] : 2] for top in (0, 1) for left in (0, 1)
        ]
        assert np.abs(np.mean(corners, axis=0) - half).max() <= 0.5
