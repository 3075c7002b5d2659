"""The folder on disk: LKS's layout, read back by tifffile, libvips and csv; resumed, never mixed."""

import dataclasses
import shutil

import numpy as np
import pytest
import tifffile

from medssl_jax.core.errors import InputError
from medssl_jax.phantoms import lks
from medssl_jax.phantoms.lks import read_truth, slide_path, write_lks_phantom
from medssl_jax.phantoms.slides.render import draw_slide, render_bands
from medssl_jax.phantoms.slides.roster import plan_slides
from medssl_jax.phantoms.slides.spec import LksPhantom
from medssl_jax.phantoms.slides.tiff import LAYOUTS

SPEC = LksPhantom(seed=1, train=12, test=4, grid=2, patch_side=64, shrink=4, margin=(0, 9), layouts=LAYOUTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("phantom")
    write_lks_phantom(SPEC, directory)
    return directory


def test_layout_is_that_of_lks(folder, rows):
    names = {path.name for path in folder.iterdir()}
    assert names == {"Train", "Test", "Train_Labels.csv", "Test_Labels.csv", "spec.json", "phantom"}
    for split, count in (("Train", 12), ("Test", 4)):
        header, *labels = rows(folder / f"{split}_Labels.csv")
        assert len(header) == 2
        assert sorted(name for name, _ in labels) == sorted(path.name for path in (folder / split).iterdir())
        assert len(labels) == count
        assert {label for _, label in labels} == {"Neg", "AMA", "SMA-V", "SMA-T"}
        for name, label in labels:
            assert read_truth(folder, name.removesuffix(".tif")).label == label


def test_the_builder_finds_the_slides(folder):
    files_module = pytest.importorskip("data_builders.lks.lks_files")
    found = files_module.find_slides(folder)
    expected = {(slide.name, slide.split, slide.label) for slide in plan_slides(SPEC)}
    assert {(file.name, file.split, files_module.CLASSES[file.label]) for file in found} == expected


def test_every_layout_holds_the_rendered_pixels(folder):
    pyvips = pytest.importorskip("pyvips")
    compressions = {"none": 1, "lzw": 5, "deflate": 8}
    for slide in plan_slides(SPEC):
        path, truth = slide_path(folder, slide), read_truth(folder, slide.name)
        rendered = np.concatenate(list(render_bands(SPEC, slide, draw_slide(SPEC, slide))))
        np.testing.assert_array_equal(tifffile.imread(path), rendered)
        np.testing.assert_array_equal(pyvips.Image.new_from_file(str(path)).numpy(), rendered)
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            pieces, compression, *big = truth.layout.split("-")
            assert (page.is_tiled, page.compression, tiff.is_bigtiff) == (
                pieces == "tiles",
                compressions[compression],
                bool(big),
            )
            assert (page.shape, page.dtype, page.samplesperpixel) == (truth.size_yx, np.uint8, 1)
    assert {read_truth(folder, slide.name).layout for slide in plan_slides(SPEC)} == set(LAYOUTS)


def test_truth_tells_where_the_crop_and_the_organs_lie(folder):
    for slide in plan_slides(SPEC):
        truth, drawn = read_truth(folder, slide.name), draw_slide(SPEC, slide)
        assert (truth.split, truth.label, truth.fine_only) == (slide.split, slide.label, slide.fine_only)
        assert truth.crop_yx == tuple((size - SPEC.side) // 2 for size in truth.size_yx)
        y, x = (
            int(place / SPEC.shrink) - first for place, first in zip(truth.edge_yx, drawn.grid.first_yx, strict=True)
        )
        assert abs(drawn.section.depth[y, x]) < 0.06 * SPEC.side


def test_two_workers_write_the_same_bytes_as_one(folder, tmp_path, files):
    write_lks_phantom(SPEC, tmp_path, workers=2)
    assert files(tmp_path) == files(folder)


def test_fewer_slides_keep_the_bytes_of_each(folder, tmp_path, files):
    write_lks_phantom(dataclasses.replace(SPEC, train=2, test=1), tmp_path)
    few, all_files = files(tmp_path), files(folder)
    same = [path for path in few if path.endswith((".tif", ".json")) and path != "spec.json"]
    assert len(same) == 6
    assert all(few[path] == all_files[path] for path in same)


def test_interrupted_writing_goes_on_and_finished_slides_are_kept(folder, tmp_path, monkeypatch, files):
    draw = lks.draw_slide
    made: list[str] = []

    def interrupted(spec, planned):
        made.append(planned.name)
        if made.count("train_0003") == 1 and planned.name == "train_0003":
            raise KeyboardInterrupt
        return draw(spec, planned)

    monkeypatch.setattr(lks, "draw_slide", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_lks_phantom(SPEC, tmp_path)
    assert not (tmp_path / "Train_Labels.csv").exists()
    assert sorted(path.name for path in (tmp_path / "Train").iterdir()) == [f"train_000{n}.tif" for n in range(3)]
    write_lks_phantom(SPEC, tmp_path)
    assert files(tmp_path) == files(folder)
    assert made.count("train_0000") == 1
    written = len(made)
    write_lks_phantom(SPEC, tmp_path)
    assert len(made) == written


def test_whoever_waits_for_another_takes_its_slides(folder, tmp_path, monkeypatch, files, while_another_holds):
    truths = tmp_path / "phantom"
    truths.mkdir()
    made: list[str] = []
    monkeypatch.setattr(lks, "draw_slide", lambda spec, planned: made.append(planned.name))
    other = dataclasses.replace(SPEC, seed=SPEC.seed + 1)
    waiting, for_other_slides = while_another_holds(
        *(truths, "writing", lambda: write_lks_phantom(SPEC, tmp_path), lambda: write_lks_phantom(other, tmp_path)),
        making=lambda: shutil.copytree(folder, tmp_path, dirs_exist_ok=True),
    )
    waiting.result()
    with pytest.raises(InputError, match="this phantom was made with seed = "):
        for_other_slides.result()
    assert not made
    assert files(tmp_path) == files(folder)


def test_a_killed_write_leaves_no_half_slide(tmp_path, monkeypatch):
    def breaking(*_):
        yield np.zeros((8, 128), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(lks, "render_bands", breaking)
    with pytest.raises(KeyboardInterrupt):
        write_lks_phantom(SPEC, tmp_path)
    assert list((tmp_path / "Train").iterdir()) == []


def test_another_spec_is_refused(folder, files):
    before = files(folder)
    with pytest.raises(InputError, match="seed = 1, asked for is 2") as caught:
        write_lks_phantom(dataclasses.replace(SPEC, seed=2), folder)
    assert str(folder) in str(caught.value)
    assert files(folder) == before


def test_a_folder_that_is_no_phantom_is_refused(tmp_path):
    (tmp_path / "Train").mkdir()
    with pytest.raises(InputError, match="Train"):
        write_lks_phantom(SPEC, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["Train"]


def test_an_unknown_slide_is_named(folder):
    with pytest.raises(InputError, match=r"nobody\.json"):
        read_truth(folder, "nobody")
