"""Slides from their files to a report, by untrained networks: which files are taken, and how often they are read."""

import dataclasses
import functools
import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest
import tifffile
from PIL import Image

from data_builders.lks.lks_files import CLASSES
from experiments.configs import sos
from experiments.runs import classify
from experiments.runs.classify import classify_files, find_slide_files
from experiments.runs.sos.sos_config import SosConfig
from medssl_jax.core.atomic import write_text
from medssl_jax.core.csv_files import read_table
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.data.slides.slide_appearance import AppearanceStatistics, Spread
from medssl_jax.imaging.tiff.grey import GreyTiff
from medssl_jax.inference.trained_classifier import UNIT_INTENSITIES, TrainedClassifier, TrainingSlides
from medssl_jax.metrics.slides.switch_budget import choice_within
from medssl_jax.report.json_report import write_json
from medssl_jax.report.slides.slide_page import slide_page
from medssl_jax.report.slides.slide_report import results_as_json, summary, write_results_csv
from medssl_jax.report.slides.sos_figures import read_validation_curves, switch_curves

SIDE = 32
# As `write_slide` makes them: grey levels of 5 to 119, all of it tissue.
TRAINING = AppearanceStatistics(brightness=Spread(62 / 255, 0.02), tissue=Spread(1.0, 0.0))


def write_slide(path, seed=0, side=SIDE, **options):
    pixels = np.random.default_rng(seed).integers(5, 120, (side, side), np.uint8)
    tifffile.imwrite(path, pixels, tile=(16, 16), compression="lzw", **options)
    return path


def small_config(rule):
    config = sos.get_config()
    config.data.update(grid=4, patch_side=8, shrink=2)
    config.model.update(intensity_mean=0.3, intensity_deviation=0.2, attention_features=3)
    for name in ("low", "high", "policy"):
        config.model[f"{name}_features"], config.model[f"{name}_blocks"] = (4,), (0,)
    config.model.low_stem_block = config.model.high_stem_block = 4
    config.method.use_policy = rule == "policy"
    config.inference.update(rule=rule, c=0.9, slide_batch=2, patch_batch=5)
    return settings_from(SosConfig, config)


@functools.cache
def params_of(use_policy):
    networks = small_config("policy" if use_policy else "low").networks(UNIT_INTENSITIES, classes=4)
    return networks.init(jax.random.key(0))


@pytest.fixture
def runs(monkeypatch):
    """Runs called by the rule they decide by."""

    def load(checkpoint):
        settings = small_config(Path(checkpoint).name)
        slides = TrainingSlides(CLASSES, UNIT_INTENSITIES, TRAINING)
        params = params_of(settings.method.use_policy)
        return TrainedClassifier(sos.get_config().to_dict(), settings, 7, params, slides)

    monkeypatch.setattr(classify, "load_slide_classifier", load)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "slides").mkdir()
    for seed, name in enumerate(("a.tif", "b.TIFF", "c.tif")):
        write_slide(tmp_path / "slides" / name, seed)
    return tmp_path / "slides"


class TestWhichFiles:
    def test_tiffs_and_what_the_authors_script_prepared(self, folder):
        for name in ("prepared", "half_prepared"):
            (folder / name / "highres_patches" / "0").mkdir(parents=True)
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(folder / "prepared" / "lowres.jpg")
        found = find_slide_files(folder)
        assert [path.name for path in found.slides] == ["a.tif", "b.TIFF", "c.tif", "half_prepared", "prepared"]
        assert found.refused == {}

    def test_what_might_be_a_slide_is_refused_by_name_and_the_rest_passed_over(self, folder):
        for name in ("d.svs", "e.btf", "f.NDPI", "g.png", "h"):
            (folder / name).write_bytes(b"")
        for name in (".hidden.svs", "labels.csv", "notes.TXT", "results.json", "slides.html"):
            (folder / name).write_bytes(b"")
        (folder / "more").mkdir()
        found = find_slide_files(folder)
        assert [path.name for path in found.slides] == ["a.tif", "b.TIFF", "c.tif"]
        assert list(found.refused) == ["d.svs", "e.btf", "f.NDPI", "g.png", "h"]
        assert found.refused["d.svs"].startswith(f"{folder / 'd.svs'}: the name ends in .svs, expected .tif or .tiff")
        assert "ends in nothing" in found.refused["h"]

    def test_a_lone_file_is_taken_whatever_its_ending(self, folder, runs):
        path = write_slide(folder / "lone.svs")
        report, _ = classify_files("low", path)
        assert [result.name for result in report.results] == ["lone"]

    def test_no_place_and_no_slide(self, tmp_path):
        with pytest.raises(InputError, match="no such file or folder"):
            find_slide_files(tmp_path / "absent")
        (tmp_path / "labels.csv").write_text("")
        with pytest.raises(InputError, match="no slide in this folder"):
            find_slide_files(tmp_path)

    def test_two_slides_of_one_name(self, folder, runs):
        write_slide(folder / "a.tiff")
        with pytest.raises(InputError, match=r"a\.tif: another slide here has the same name"):
            classify_files("low", folder)


class TestReport:
    def test_what_cannot_be_read_stops_nothing_else(self, folder, runs):
        (folder / "broken.tif").write_bytes((folder / "a.tif").read_bytes()[:300])
        write_slide(folder / "small.tif", side=16)
        tifffile.imwrite(folder / "zblack.tif", np.zeros((SIDE, SIDE), np.uint8))
        (folder / "d.svs").write_bytes(b"")
        (folder / "half_prepared" / "highres_patches").mkdir(parents=True)
        (folder / "gone.tif").symlink_to(folder / "nowhere.tif")
        report, thumbnails = classify_files("high", folder)
        assert [result.name for result in report.results] == ["a", "b", "c", "zblack"]
        assert report.refused.keys() == {"broken.tif", "small.tif", "d.svs", "half_prepared", "gone.tif"}
        assert "without lowres.jpg" in report.refused["half_prepared"]
        assert thumbnails.keys() == {"a", "b", "c", "zblack"}
        assert "zblack: no tissue found" in summary(report)
        assert f"not read: {folder / 'd.svs'}" in summary(report)

    def test_a_folder_of_other_files_only_says_why_of_each(self, tmp_path, runs):
        (tmp_path / "d.svs").write_bytes(b"")
        report, thumbnails = classify_files("low", tmp_path)
        assert (report.results, thumbnails) == ((), {})
        assert report.refused.keys() == {"d.svs"}

    @pytest.mark.parametrize("rule", ["high", "low"])
    def test_a_tiff_is_decoded_once_its_picture_included(self, folder, runs, monkeypatch, rule):
        decoded = []
        decode = GreyTiff.decode
        monkeypatch.setattr(
            GreyTiff, "decode", lambda self, piece: decoded.append((self.path, piece)) or decode(self, piece)
        )
        _, thumbnails = classify_files(rule, folder)
        assert len(thumbnails) == 3
        assert sorted(decoded) == [(path, piece) for path in sorted(folder.iterdir()) for piece in range(4)]


class TestWhatWasRead:
    def test_share_channels_and_looks_of_every_slide(self, folder, runs):
        wide = np.random.default_rng(0).integers(5, 120, (SIDE, 2 * SIDE, 3), np.uint8)
        tifffile.imwrite(folder / "wide.tif", wide, photometric="rgb")
        for name, grey in (("white", 255), ("black", 0)):
            tifffile.imwrite(folder / f"{name}.tif", np.full((SIDE, SIDE), grey, np.uint8))
        report, _ = classify_files("low", folder)
        read = {slide["name"]: slide["read"] for slide in results_as_json(report)["slides"]}
        assert {name: each["share_of_area"] for name, each in read.items()} == {
            **dict.fromkeys("abc", 1.0),
            **{"wide": 0.5, "white": 1.0, "black": 1.0},
        }
        assert {name for name, each in read.items() if each["channel_read"] == "green"} == {"wide"}
        crop = wide[:, SIDE // 2 : -SIDE // 2, 1]
        assert read["wide"]["brightness"] == pytest.approx(crop.mean() / 255, abs=0.003)  # the shrunk image is rounded
        assert {name: each["far_from_training_slides"] for name, each in read.items()} == {
            **{name: [] for name in ("a", "b", "c", "wide")},
            **{"white": ["brightness"], "black": ["brightness", "tissue"]},
        }

    def test_some_rows_of_flat_slides_are_told(self, folder, runs):
        tifffile.imwrite(folder / "flat.tif", np.random.default_rng(0).integers(5, 120, (SIDE, SIDE), np.uint8))
        tifffile.imwrite(folder / "tiled.tif", np.zeros((SIDE, SIDE), np.uint8), tile=(16, 16))
        report, _ = classify_files("low", folder, low_rows=1)
        rows = {slide["name"]: slide["read"]["low_resolution_rows"] for slide in results_as_json(report)["slides"]}
        assert (rows["flat"], rows["tiled"]) == (1, None)
        with pytest.raises(InputError, match="low_rows is 41, expected 1 to "):
            classify_files("low", folder, low_rows=41)

    def test_of_a_prepared_slide_the_share_is_not_known(self, folder, runs):
        (folder / "prepared").mkdir()
        Image.fromarray(np.full((16, 16, 3), 62, np.uint8)).save(folder / "prepared" / "lowres.jpg")
        report, _ = classify_files("low", folder / "prepared")
        assert report.readings["prepared"].share_of_area is None
        assert report.readings["prepared"].channels == 3


class TestNames:
    NAMES = (
        b"L\xf6sche.tif",
        b"=1+1.tif",
        b"a,b.tif",
        b"a\rb.tif",
        b"a\nb.tif",
        b"x" * 251 + b".tif",
        b"..x.tif",
        b"\xf6.svs",
    )

    @pytest.mark.parametrize("folder_name", [b"slides", b"Sch\xe4dling"])
    def test_whatever_they_are_all_slides_are_in_all_reports(self, tmp_path, runs, folder_name):
        folder = tmp_path / os.fsdecode(folder_name)
        folder.mkdir()
        for seed, name in enumerate(self.NAMES):
            write_slide(folder / os.fsdecode(name), seed)
        write_slide(folder / os.fsdecode(b"\xe4.tif"), side=16)  # too small
        report, thumbnails = classify_files("low", folder)
        names = [r"L\xf6sche", "=1+1", "a,b", r"a\rb", r"a\nb", "x" * 251]
        assert sorted(result.name for result in report.results) == sorted(names)
        assert report.refused.keys() == {r"\xf6.svs", r"\xe4.tif"}
        write_results_csv(tmp_path / "results.csv", report)
        write_json(tmp_path / "results.json", results_as_json(report))
        write_text(tmp_path / "slides.html", slide_page(report, thumbnails))
        rows = list(read_table(tmp_path / "results.csv", ["slide", "foreground_patches"]))
        assert sorted(slide for _, (slide, _) in rows) == sorted(names)
        assert "'=1+1" in (tmp_path / "results.csv").read_text()
        read = json.loads((tmp_path / "results.json").read_text())
        assert sorted(slide["name"] for slide in read["slides"]) == sorted(names)
        assert "L\\xf6sche" in (tmp_path / "slides.html").read_text()
        assert len(summary(report).encode().decode().splitlines()) == 6


class TestC:
    def test_moves_the_switch_and_not_the_card(self, folder, runs):
        as_trained, settled, sent = (classify_files("confidence", folder, c=c)[0] for c in (None, 0.0, 1.0))
        assert {result.route for result in settled.results} == {"low"}
        assert {result.route for result in sent.results} == {"high"}
        assert (as_trained.c, settled.c, sent.c) == (0.9, 0.0, 1.0)
        assert settled.classifier == sent.classifier == as_trained.classifier
        assert settled.classifier.config_sha256 == as_trained.classifier.config_sha256
        written = results_as_json(sent)
        assert (written["switch"]["c"], written["classifier"]["inference"]["c"]) == (1.0, 0.9)

    @pytest.mark.parametrize("rule", ["low", "high", "policy"])
    def test_is_refused_where_nothing_would_follow_it(self, folder, runs, rule):
        with pytest.raises(InputError, match=rf"c is 0\.5, but this run decides by inference\.rule = {rule}"):
            classify_files(rule, folder, c=0.5)

    def test_out_of_range(self, folder, runs):
        with pytest.raises(InputError, match=r"inference\.c is 1\.5, expected 0 or more, at most 1"):
            classify_files("confidence", folder, c=1.5)


class TestBudget:
    @pytest.fixture
    def checkpoint(self, tmp_path, evaluation):
        """A run that decides by confidence and had best looked at two patches, with the curves that it left."""
        made = evaluation("SOS", c=0.9)
        few = np.eye(4, dtype=np.float32)[made.validation.label]  # two patches tell all
        made = dataclasses.replace(made, validation_high_by_top_k={2: few}, high_seconds_by_top_k={2: 0.25})
        (tmp_path / "confidence").mkdir()
        write_json(tmp_path / "confidence" / "switch.json", switch_curves({"SOS": [made]}))
        return tmp_path / "confidence"

    @pytest.mark.parametrize("budget", [4.0, 50.0])
    def test_it_sets_c_and_the_patches_to_the_best_of_the_validation_slides(self, folder, runs, checkpoint, budget):
        report, _ = classify_files(checkpoint, folder, budget=budget)
        curves = read_validation_curves(checkpoint / "switch.json", "SOS")
        assert report.chosen == choice_within(curves, budget)
        assert report.chosen.seconds_per_slide <= budget
        assert report.c == report.chosen.c
        assert {result.route for result in report.results} == {"high"}
        assert [np.count_nonzero(result.attention) for result in report.results] == [2, 2, 2]
        assert results_as_json(report)["switch"]["chosen_by_budget"] == report.chosen._asdict()
        assert f"for the budget c = {report.c:.4g} and " in summary(report)

    def test_of_curves_the_seconds_are_those_of_so_many_patches(self, checkpoint):
        all_of_them, few = read_validation_curves(checkpoint / "switch.json", "SOS").values()
        np.testing.assert_array_equal(few.c, all_of_them.c)
        assert few.seconds_per_slide[-1] - few.seconds_per_slide[0] == pytest.approx(0.25)
        assert few.seconds_per_slide[0] == all_of_them.seconds_per_slide[0]

    def test_without_curves_or_beside_c_it_is_refused(self, folder, runs, checkpoint):
        with pytest.raises(InputError, match=r"c is 0\.5 and budget is 1, expected one of them"):
            classify_files(checkpoint, folder, c=0.5, budget=1.0)
        with pytest.raises(InputError, match=r"budget is 0\.001 seconds a slide, expected "):
            classify_files(checkpoint, folder, budget=0.001)
        (checkpoint / "switch.json").unlink()
        with pytest.raises(InputError, match=r"switch\.json: no curve of SOS on validation slides"):
            classify_files(checkpoint, folder, budget=1.0)
