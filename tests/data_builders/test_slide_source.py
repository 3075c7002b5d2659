"""A tiny LKS, in both its layouts, through the builder and back."""

import csv
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tifffile
from array_record.python import array_record_module
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from data_builders.lks.lks_files import CLASSES, find_slides
from data_builders.slide_source import open_lks, prepare_lks
from medssl_jax.core.errors import InputError
from medssl_jax.data.slides.foreground import foreground_patches
from medssl_jax.imaging.slides import Slide, SlideLayout, open_slide

LAYOUT = SlideLayout(grid=4, patch_side=16, shrink=4)
CLASS_OF = {
    "Train": {"b.tif": "Neg", "a.tif": "ama", "c.tif": "SMA_V", "d.tif": "SMA-T", "e.tif": "Negative"},
    "Test": {"b.tif": "SMA-T", "z.tif": "AMA", "y.tif": "NEG"},
}
SLIDES = [(split, name) for split, names in (("train", "abcde"), ("test", "byz")) for name in names]


def write_tiny_lks(folder):
    """Noise; the first patches of some slides are black, and all of the last slide is."""
    rng = np.random.default_rng(0)
    for split, class_of in CLASS_OF.items():
        (folder / split).mkdir(parents=True)
        for name in class_of:
            pixels = rng.integers(0, 80, (LAYOUT.side + 3, LAYOUT.side + 6), np.uint8)
            pixels[: 17 + 16 * rng.integers(3), :35] = 0
            options = {"compression": "lzw", "predictor": False} if rng.integers(2) else {}
            tifffile.imwrite(folder / split / name, pixels * (name != "z.tif"), rowsperstrip=5, **options)
        with (folder / f"{split}_Labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("any", "header"), *class_of.items()])
    return folder


def write_authors_layout(raw, folder):
    """The same slides as the authors' script leaves them; JPEG changes the pixels."""
    for slide in find_slides(raw):
        place = folder / slide.split.capitalize() / CLASSES[slide.label] / slide.name
        (place / "highres_patches" / "0").mkdir(parents=True)
        with open_slide(slide.path, LAYOUT) as source:
            Image.fromarray(source.low_resolution()).save(place / "lowres.jpg", quality=100)
            for index, patch in enumerate(source.patches(range(16))):
                path = place / "highres_patches" / "0" / f"{index % 4}_{index // 4}.jpg"
                Image.fromarray(patch).save(path, quality=100)


def prepare(raw, data, **options):
    prepare_lks(raw, data, **({"layout": LAYOUT} | options))
    return open_lks(data)


def records(data):
    """The records as any user of TFDS reads them, each with its split."""
    builder = tfds.builder_from_directory(data / "lks" / "1.0.0")
    return [(split, record) for split in ("train", "test") for record in builder.as_data_source(split)]


def low_resolutions(source):
    for index in range(len(source)):
        with source.slide(index) as slide:
            yield slide.low_resolution()


@pytest.fixture
def lks(tmp_path):
    return write_tiny_lks(tmp_path / "LKS")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("prepared")
    prepare(write_tiny_lks(root / "raw"), root / "data")
    return root


class TestRoundTrip:
    def test_order_is_by_split_then_name(self, prepared):
        source = open_lks(prepared / "data")
        assert list(zip(source.splits, source.names, strict=True)) == SLIDES
        assert source.labels == (1, 0, 2, 3, 0, 3, 0, 1)
        assert [(split, record["name"].decode()) for split, record in records(prepared / "data")] == SLIDES
        assert len(source) == 8
        with pytest.raises(IndexError):
            source.slide(8)

    def test_records_and_stores_are_what_the_reader_gives(self, prepared):
        source = open_lks(prepared / "data")
        assert (source.layout, source.background_threshold) == (LAYOUT, 1.0)
        made = zip(find_slides(prepared / "raw"), records(prepared / "data"), strict=True)
        for index, (file, (_, record)) in enumerate(made):
            with open_slide(file.path, LAYOUT) as slide, source.slide(index) as stored:
                assert isinstance(stored, Slide)
                low_resolution = slide.low_resolution()
                np.testing.assert_array_equal(record["low_resolution"], low_resolution)
                np.testing.assert_array_equal(stored.low_resolution(), low_resolution)
                np.testing.assert_array_equal(list(stored.patches(range(16))), list(slide.patches(range(16))))
            np.testing.assert_array_equal(record["foreground"], foreground_patches(low_resolution, LAYOUT))
            assert record["foreground"].sum() == source.foreground_counts[index]
            assert record["label"] == source.labels[index]

    def test_black_patches_are_background(self, prepared):
        source = open_lks(prepared / "data")
        assert source.foreground_counts[-1] == 0
        assert max(source.foreground_counts) < 16
        assert not records(prepared / "data")[0][1]["foreground"][0]

    def test_the_authors_layout(self, prepared, tmp_path):
        write_authors_layout(prepared / "raw", tmp_path / "authors")
        source, raw = prepare(tmp_path / "authors", tmp_path / "data"), open_lks(prepared / "data")
        assert (source.names, source.splits, source.labels) == (raw.names, raw.splits, raw.labels)
        for one, other in zip(low_resolutions(source), low_resolutions(raw), strict=True):
            assert np.abs(one.astype(int) - other).max() <= 2
        with source.slide(2) as one, raw.slide(2) as other:
            for patch, expected in zip(one.patches([3, 8]), other.patches([3, 8]), strict=True):
                assert np.abs(patch.astype(int) - expected).max() <= 3

    def test_shards_and_workers_do_not_matter(self, prepared, tmp_path, monkeypatch):
        monkeypatch.setattr("data_builders.lks.lks_dataset_builder.SLIDES_PER_SHARD", 2)
        source = prepare(prepared / "raw", tmp_path, workers=2)
        assert len(list((tmp_path / "lks" / "1.0.0").glob("*train*array_record*"))) == 3
        assert source.names == open_lks(prepared / "data").names
        for (_, one), (_, other) in zip(records(tmp_path), records(prepared / "data"), strict=True):
            assert one["name"] == other["name"]
            np.testing.assert_array_equal(one["low_resolution"], other["low_resolution"])

    def test_records_have_the_same_bytes_in_every_process(self, prepared):
        paths = list((prepared / "data" / "lks" / "1.0.0").glob("*.array_record*"))
        assert len(paths) == 2
        for path in paths:
            reader = array_record_module.ArrayRecordReader(str(path))
            for record in reader.read_all():
                fields = tf_example_pb2.Example.FromString(record)
                assert len(fields.features.feature) == 4
                assert record == fields.SerializeToString(deterministic=True)

    def test_listing_and_slides_need_no_records(self, prepared, tmp_path):
        shutil.copytree(prepared / "data", tmp_path / "data")
        for path in (tmp_path / "data" / "lks" / "1.0.0").glob("*array_record*"):
            path.unlink()
        source = open_lks(tmp_path / "data")
        assert source.labels == (1, 0, 2, 3, 0, 3, 0, 1)
        with source.slide(3) as slide:
            assert slide.name == "d"

    def test_travels_to_another_process(self, prepared):
        source = open_lks(prepared / "data")
        with source.slide(0) as first, pickle.loads(pickle.dumps(source)).slide(0) as there:
            np.testing.assert_array_equal(there.low_resolution(), first.low_resolution())

    def test_a_store_that_is_gone(self, prepared, tmp_path):
        shutil.copytree(prepared / "data", tmp_path / "data")
        shutil.rmtree(tmp_path / "data" / "lks" / "slides")
        with pytest.raises(InputError, match="no such prepared slide: run"):
            open_lks(tmp_path / "data").slide(0)
        prepare(prepared / "raw", tmp_path / "data")
        open_lks(tmp_path / "data").slide(0).close()


class TestPreparedOnce:
    def test_the_second_call_does_nothing(self, prepared):
        before = {path: path.stat().st_mtime_ns for path in (prepared / "data").rglob("*") if path.is_file()}
        prepare(prepared / "raw", prepared / "data")
        after = {path: path.stat().st_mtime_ns for path in (prepared / "data").rglob("*") if path.is_file()}
        assert after == before

    def test_the_data_set_is_enough_without_the_raw_files(self, prepared, tmp_path):
        prepare_lks(tmp_path / "nowhere", prepared / "data")

    def test_the_fingerprint_does_not_depend_on_the_place(self, prepared, lks, tmp_path):
        assert prepare(lks, tmp_path / "data").fingerprint == open_lks(prepared / "data").fingerprint

    @pytest.mark.parametrize("change", ["pixels", "class", "fewer"])
    def test_other_raw_files_are_refused_by_name(self, prepared, lks, change):
        table, path = lks / "Train_Labels.csv", lks / "Train" / "c.tif"
        if change == "pixels":
            tifffile.imwrite(path, 255 - tifffile.imread(path))
        elif change == "class":
            table.write_text(table.read_text().replace("SMA_V", "AMA"))
        else:
            path.unlink()
            table.write_text(table.read_text().replace("c.tif,SMA_V\n", ""))
        with pytest.raises(InputError, match=r"was prepared from other files .*\(train/c: SMA-V \w+, now [^;]*\)"):
            prepare(lks, prepared / "data")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"background_threshold": 9.0}, r"background_threshold: 1\.0, now 9\.0"),
            ({"layout": SlideLayout(2, 16, 4)}, "grid: 4, now 2"),
            ({"layout": None}, r"grid: 4, now 40; patch_side: 16, now 1000; shrink: 4, now 40"),
        ],
    )
    def test_other_settings_are_refused(self, prepared, options, said):
        with pytest.raises(InputError, match=rf"by other settings \({said}\)"):
            prepare(prepared / "raw", prepared / "data", **options)

    def test_of_many_differences_five_are_named(self, prepared, lks):
        for name in "ac":
            path = lks / "Train" / f"{name}.tif"
            tifffile.imwrite(path, 255 - tifffile.imread(path))
        said = r"\(background_threshold: .*; grid: .*; patch_side: .*; shrink: .*; train/a: [^;]*; and 1 more\)"
        with pytest.raises(InputError, match=said):
            prepare(lks, prepared / "data", layout=None, background_threshold=9.0)

    def test_anew_after_a_change_only_what_changed_is_read(self, lks, tmp_path):
        before = prepare(lks, tmp_path / "data").fingerprint
        stores = sorted((tmp_path / "data" / "lks" / "slides").rglob("*.array_record"))
        dates = [path.stat().st_mtime_ns for path in stores]
        path = lks / "Test" / "y.tif"
        tifffile.imwrite(path, 255 - tifffile.imread(path))
        shutil.rmtree(tmp_path / "data" / "lks" / "1.0.0")
        source = prepare(lks, tmp_path / "data")
        changed = [path.stem for path, date in zip(stores, dates, strict=True) if path.stat().st_mtime_ns != date]
        assert changed == ["y"]
        assert source.fingerprint != before


class TestDamaged:
    def test_a_store_in_the_place_of_another_is_told(self, prepared, tmp_path):
        shutil.copytree(prepared / "data", tmp_path / "data")
        stores = tmp_path / "data" / "lks" / "slides"
        shutil.copy(stores / "train" / "a.array_record", stores / "train" / "c.array_record")
        shutil.copy(stores / "test" / "b.array_record", stores / "train" / "b.array_record")
        source = open_lks(tmp_path / "data")
        for index, name in ((1, "b"), (2, "c")):
            with pytest.raises(InputError, match=rf"train/{name}\.array_record: holds the slide .*: remove the file"):
                source.slide(index)
        with source.slide(0) as slide:
            assert slide.name == "a"

    def test_a_store_of_other_pixels_is_told(self, prepared, lks, tmp_path):
        shutil.copytree(prepared / "data", tmp_path / "data")
        tifffile.imwrite(lks / "Train" / "a.tif", 255 - tifffile.imread(lks / "Train" / "a.tif"))
        prepare(lks, tmp_path / "other")
        store = Path("lks", "slides", "train", "a.array_record")
        shutil.copy(tmp_path / "other" / store, tmp_path / "data" / store)
        with pytest.raises(InputError, match=r"a\.array_record: holds the slide a of other files"):
            open_lks(tmp_path / "data").slide(0)

    def test_its_description(self, prepared, tmp_path):
        shutil.copytree(prepared / "data", tmp_path / "data")
        path = tmp_path / "data" / "lks" / "1.0.0" / "metadata.json"
        path.write_text(path.read_text().replace("AMA", "Neg"))
        with pytest.raises(InputError, match=r"metadata\.json: damaged.*: remove .*/1\.0\.0 and run .*--dataset=lks"):
            open_lks(tmp_path / "data")


class TestIncomplete:
    def refused(self, folder, said, **options):
        with pytest.raises(InputError, match=said) as caught:
            prepare(folder, folder.parent / "data", **options)
        assert "\n" not in str(caught.value)
        with pytest.raises(InputError, match="no prepared LKS"):
            open_lks(folder.parent / "data")

    def test_nothing_there(self, tmp_path):
        self.refused(tmp_path / "nowhere", r"LKS is not here.*python -m experiments\.prepare")

    @pytest.mark.parametrize("workers", [1, 2])
    def test_a_bad_slide_is_named_when_all_others_are_finished(self, lks, workers):
        path = lks / "Train" / "a.tif"
        path.write_bytes(path.read_bytes()[:300])
        tifffile.imwrite(lks / "Test" / "b.tif", np.zeros((64, 63), np.uint8))
        self.refused(lks, r"2 of 8 slides cannot be prepared.*b\.tif: 63 x 64 pixels.*a\.tif", workers=workers)
        stores = sorted(path.stem for path in (lks.parent / "data" / "lks" / "slides").rglob("*.array_record"))
        assert stores == sorted("bcde" + "yz")
        assert not list((lks.parent / "data").rglob("*incomplete*"))

    def test_then_the_mended_slide_is_all_that_is_done(self, lks):
        path = lks / "Train" / "a.tif"
        whole = path.read_bytes()
        path.write_bytes(whole[:300])
        self.refused(lks, "1 of 8 slides")
        path.write_bytes(whole)
        totals = []
        prepare(lks, lks.parent / "data", progress=lambda items, total: totals.append(total) or items)
        assert totals == [1]


def test_whoever_waits_for_another_says_so_and_takes_what_that_one_made(prepared, tmp_path, while_another_holds):
    made, of_other = tmp_path / "lks", prepared / "data" / "lks"
    made.mkdir()
    waiting, of_other_settings = while_another_holds(
        *(made, "preparing"),
        lambda: prepare(prepared / "raw", tmp_path),
        lambda: prepare(prepared / "raw", tmp_path, background_threshold=7.0),
        making=lambda: shutil.copytree(of_other, made, dirs_exist_ok=True),
    )
    waiting.result()
    with pytest.raises(InputError, match=r"background_threshold: 1\.0, now 7\.0"):
        of_other_settings.result()
    times = {path.relative_to(made): path.stat().st_mtime_ns for path in made.rglob("*.array_record*")}
    assert times == {path: (of_other / path).stat().st_mtime_ns for path in times}


def test_whoever_waits_for_the_stores_of_another_decodes_nothing(prepared, tmp_path, while_another_holds):
    made, of_other = tmp_path / "lks", prepared / "data" / "lks"
    shutil.copytree(of_other, made)
    shutil.rmtree(made / "slides")
    (waiting,) = while_another_holds(
        *(made, "preparing", lambda: prepare(prepared / "raw", tmp_path)),
        making=lambda: shutil.copytree(of_other / "slides", made / "slides"),
    )
    waiting.result()
    times = {path.relative_to(made): path.stat().st_mtime_ns for path in made.rglob("*.array_record*")}
    assert times == {path: (of_other / path).stat().st_mtime_ns for path in times}


def test_the_index_is_plain_json(prepared):
    index = json.loads((prepared / "data" / "lks" / "1.0.0" / "metadata.json").read_text())
    assert index["description"]["train/a"].startswith("AMA ")
    assert index["layout"] == {"grid": 4, "patch_side": 16, "shrink": 4}
