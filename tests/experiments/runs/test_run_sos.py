"""The whole line in small: a phantom on disk, two methods trained, evaluated side by side, and slides classified."""

import copy
import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
import tifffile

from data_builders.lks.lks_files import CLASSES
from data_builders.slide_source import LksSource
from experiments.configs import lks_sos, phantom_sos
from experiments.runs.classify import classify_files
from experiments.runs.sos import sos_slides, sos_training
from experiments.runs.sos.sos_config import SosConfig
from experiments.runs.sos.sos_evaluation import evaluate
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.inference.trained_classifier import load_slide_classifier
from medssl_jax.inference.trained_detector import load_detector
from medssl_jax.models.deferral import fit_deferral
from medssl_jax.models.sos_networks import measure_intensities
from medssl_jax.report.slides.sos_summary import write_summary
from medssl_jax.run_folder.metric_writer import MetricsWriter
from medssl_jax.run_folder.run_record import read_run_record

STEPS = 4
NETWORKS_SAY = ("low_probability", "high_probability")


def small_config(folder, **changes):
    """Slides of 256 pixels, backbones that are little more than a stem."""
    config = phantom_sos.get_config()
    for network in ("low", "high", "policy"):
        changes = {f"model.{network}_features": (4, 8), f"model.{network}_blocks": (0, 1)} | changes
    config.update_from_flattened_dict(
        {
            "steps": STEPS,
            "data.grid": 4,
            "data.patch_side": 64,
            "data.phantom.train": 16,
            "data.phantom.test": 8,
            "data.manual_dir": str(folder / "LKS"),
            "data.data_dir": str(folder / "tfds"),
            "batches.slides": 2,
            "batches.chunk": 8,
            "model.attention_features": 4,
            "inference.patch_batch": 8,
            "inference.slide_batch": 4,
            "logging.log_every": 2,
            "logging.save_every": 2,
        }
        | changes
    )
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sos")


@pytest.fixture(scope="module")
def trained(folder):
    """SOS with c so high that the HRN is asked now and then."""
    return sos_training.train_method(small_config(folder, **{"inference.c": 0.3}), folder / "run")


@pytest.fixture(scope="module")
def evaluations(folder, trained):
    method, source, split = trained
    image_level = small_config(folder)
    image_level.inference.rule, image_level.method.name = "low", "Image-Level"
    always = small_config(folder)
    always.inference.rule, always.method.name = "high", "Multi-Scale"
    others = {"Image-Level": image_level, "Multi-Scale": always}
    methods = {name: method.used_as(settings_from(SosConfig, config)) for name, config in others.items()}
    methods = {"SOS": method} | methods
    return evaluate(methods, source, split)


def test_no_slide_is_in_two_parts_and_none_is_left_out(trained):
    _, source, split = trained
    together = split.train + split.validation + split.test
    assert sorted(together) == list(range(len(source)))
    assert {source.splits[index] for index in split.test} == {"test"}
    assert {source.splits[index] for index in split.train + split.validation} == {"train"}


def test_intensities_are_those_of_the_training_slides(trained):
    method, source, split = trained
    prepared = [source.slide(index) for index in split.train]
    expected = measure_intensities(slide.low_resolution() for slide in prepared)
    for slide in prepared:
        slide.close()
    assert method.networks.intensities == method.training_slides.intensities == expected


def test_a_run_knows_how_its_training_slides_look(trained, folder):
    method, source, split = trained
    appearances = []
    for index in split.train:
        with source.slide(index) as slide:
            tissue = source.foreground_counts[index] / source.layout.grid**2
            appearances.append((slide.low_resolution().mean() / 255, tissue))
    expected = dict(
        zip(("brightness", "tissue"), zip(np.mean(appearances, 0), np.std(appearances, 0), strict=True), strict=True)
    )
    for name, (mean, deviation) in expected.items():
        assert getattr(method.training_slides.appearance, name) == pytest.approx((mean, deviation))
    assert load_slide_classifier(folder / "run").training_slides == method.training_slides


def test_intensities_of_the_config_come_first_and_what_was_measured_stays_out_of_it(trained, folder):
    method, _, _ = trained
    config = small_config(folder, **{"model.intensity_mean": 0.4, "model.intensity_deviation": 0.3})
    given = dataclasses.replace(method, settings=settings_from(SosConfig, config))
    assert given.networks.intensities == (0.4, 0.3)
    assert method.config == small_config(folder, **{"inference.c": 0.3}).to_dict()
    assert read_run_record(folder / "run" / "run.json").config == json.loads(json.dumps(method.config))


def test_no_test_slide_of_the_phantom_looks_unlike_and_blank_ones_do(trained, folder, tmp_path):
    for path in (folder / "LKS" / "Test").iterdir():
        (tmp_path / path.name).symlink_to(path)
    for name, grey in (("white", 255), ("black", 0)):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.full((256, 256), grey, np.uint8))
    report, _ = classify_files(folder / "run", tmp_path)
    assert len(report.results) == 8 + 2
    assert report.unlike_training.keys() == {"white", "black"}


def test_a_run_that_was_stopped_ends_as_one_that_was_not(trained, folder, monkeypatch):
    whole, _, _ = trained
    config = small_config(folder, **{"inference.c": 0.3})

    write = MetricsWriter.__call__

    def write_until_stopped(self, step, means):
        if step > STEPS / 2:
            raise KeyboardInterrupt
        write(self, step, means)

    with monkeypatch.context() as patched:
        patched.setattr(MetricsWriter, "__call__", write_until_stopped)
        with pytest.raises(KeyboardInterrupt):
            sos_training.train_method(config, folder / "stopped")
    again, _, _ = sos_training.train_method(config, folder / "stopped")
    for one, other in zip(jax.tree.leaves(whole.params), jax.tree.leaves(again.params), strict=True):
        np.testing.assert_array_equal(one, other)


def test_whom_to_ask_is_learnt_last_from_slides_that_were_not_trained_on(folder):
    """The head is that of the validation slides; everything else is trained as without it; one file has it all."""
    plain = small_config(folder, **{"split.validation_share": 0.3, "inference.c": 0.3, "steps": 2})
    config = plain.copy_and_resolve_references()
    config.method.use_deferral, config.inference.rule = True, "deferral"
    method, source, split = sos_training.train_method(config, folder / "deferral")
    untouched, _, _ = sos_training.train_method(plain, folder / "no_deferral")
    head = method.params.pop("deferral")
    for one, other in zip(jax.tree.leaves(method.params), jax.tree.leaves(untouched.params), strict=True):
        np.testing.assert_array_equal(one, other)
    slides = [functools.partial(source.slide, index) for index in split.validation]
    results = list(untouched.classifier(rule="high")(slides))
    label = np.array([source.labels[index] for index in split.validation])
    right = [np.array([getattr(each, name).argmax() for each in results]) == label for name in NETWORKS_SAY]
    feature = np.stack([each.feature for each in results])
    expected = fit_deferral(feature, right[1].astype(int) - right[0])
    for name, values in expected._asdict().items():
        np.testing.assert_allclose(head[name], values, rtol=1e-5, atol=1e-7)
    assert not set(split.validation) & set(split.train)
    loaded = load_slide_classifier(folder / "deferral")
    np.testing.assert_array_equal(loaded.params["deferral"]["percentiles"], head["percentiles"])


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_policy_with_a_budget_asks_about_that_share_of_slides_not_trained_on(
    folder, tmp_path, monkeypatch, ema_decay
):
    changes = {"method.use_policy": True, "method.name": "RDMS", "method.budget": 0.25, "inference.rule": "policy"}
    changes |= {"split.validation_share": 0.3, "steps": 2, "optimiser.ema_decay": ema_decay}
    config = small_config(folder, **changes)
    method, source, split = sos_training.train_method(config, tmp_path / "budget")
    with monkeypatch.context() as patched:
        patched.setattr(sos_training, "post_training", lambda *_: None)
        before, _, _ = sos_training.train_method(config, tmp_path / "no_budget")
    slides = [functools.partial(source.slide, index) for index in split.validation]
    results, logits = list(method.classifier()(slides)), [each.asking for each in before.classifier()(slides)]
    assert (len(slides), [each.route for each in results].count("high")) == (4, 1)
    expected = before.networks.shift_policy(before.params, by=-np.quantile(logits, 0.75))
    for one, other in zip(jax.tree.leaves(method.params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_whom_to_ask_is_not_known_before_the_last_step(folder, tmp_path, monkeypatch):
    """The run ends after two of its four steps."""
    config = small_config(folder, **{"method.use_policy": True, "method.name": "RDMS", "method.budget": 0.25})
    config.inference.rule, config.logging.save_every = "policy", 2
    write = MetricsWriter.__call__

    def write_until_stopped(self, step, means):
        if step > 2:
            raise KeyboardInterrupt
        write(self, step, means)

    monkeypatch.setattr(MetricsWriter, "__call__", write_until_stopped)
    with pytest.raises(KeyboardInterrupt):
        sos_training.train_method(config, tmp_path / "run")
    with pytest.raises(
        InputError, match=r"trained for 2 of 4 steps, and who asks the HRN is learnt after the last one"
    ):
        load_slide_classifier(tmp_path / "run")


def test_a_loaded_method_is_the_trained_one(trained, folder):
    method, _, _ = trained
    loaded = load_slide_classifier(folder / "run")
    assert loaded.config == json.loads(json.dumps(method.config))
    part, whole = dataclasses.asdict(loaded.settings), dataclasses.asdict(method.settings)
    assert part.pop("data").items() <= whole["data"].items()
    assert part.items() <= whole.items()
    assert (loaded.networks, loaded.layout) == (method.networks, method.layout)
    assert loaded.step == STEPS
    for one, other in zip(jax.tree.leaves(method.params), jax.tree.leaves(loaded.params), strict=True):
        np.testing.assert_array_equal(one, other)


def test_rules_agree_with_the_networks_own_words(evaluations):
    sos, low, high = (evaluations[name] for name in ("SOS", "Image-Level", "Multi-Scale"))
    np.testing.assert_array_equal(low.predicted, low.test.low.argmax(1))
    np.testing.assert_array_equal(high.predicted, high.test.high.argmax(1))
    np.testing.assert_array_equal(sos.sent, sos.test.low.max(1) <= np.float32(0.3))
    np.testing.assert_array_equal(sos.predicted, np.where(sos.sent, high.predicted, low.predicted))
    assert (low.low_share, high.low_share) == (1, 0)


def test_the_summary_says_what_was_measured(evaluations, folder):
    runs = {name: [each] for name, each in evaluations.items()}
    needs_high = np.arange(len(evaluations["SOS"].names)) % 2 == 0
    text = write_summary(folder, runs, CLASSES, is_lks=False, needs_high=needs_high)
    assert "which the data above is not" in text
    results = json.loads((folder / "results.json").read_text())
    by_name = {method["method"]: method for method in results["methods"]}
    for name, evaluation in evaluations.items():
        seconds, share = evaluation.raw_seconds, evaluation.low_share
        expected = seconds.low + (0 if share == 1 else (1 - share) * seconds.high)
        assert by_name[name]["seconds_per_slide"] == pytest.approx(expected)
        assert by_name[name]["total_accuracy"]["value"] == pytest.approx(
            (evaluation.predicted == evaluation.test.label).mean()
        )
        assert len(results["slides"][name][0]) == len(evaluation.names)
    multi_scale = by_name["Multi-Scale"]["seconds_per_slide"]
    assert by_name["SOS"]["speed_boost"] == pytest.approx(multi_scale / by_name["SOS"]["seconds_per_slide"])
    for picture in ("confusion.png", "switch.png"):
        assert (folder / picture).stat().st_size > 5000


def test_prepared_slides_cut_otherwise_are_refused(folder, trained):
    data = settings_from(SosConfig, small_config(folder, **{"data.manual_dir": str(folder / "gone")})).data
    data = dataclasses.replace(data, phantom=None)
    assert len(sos_slides.open_slides(data)) == 24
    with pytest.raises(
        InputError, match=r"background_threshold = 8\.0, config field data\.background_threshold is 3\.0"
    ):
        sos_slides.open_slides(dataclasses.replace(data, background_threshold=3.0))
    with pytest.raises(InputError, match=r"prepared with grid = 4, config field data\.grid is 2"):
        sos_slides.open_slides(dataclasses.replace(data, grid=2, patch_side=128))


def test_too_few_slides_to_validate_on_are_refused(trained, folder):
    one_of_each_class = copy.copy(trained[1])
    one_of_each_class.splits, one_of_each_class.labels = ("train",) * 4 + ("test",), (0, 1, 2, 3, 0)
    settings = settings_from(SosConfig, small_config(folder))
    with pytest.raises(InputError, match="no slide to validate on"):
        sos_slides.split_of(settings.data, settings.split, one_of_each_class)


def test_what_l3_alone_looks_at_is_neither_trained_validated_nor_tested_on(trained, folder):
    settings, source = settings_from(SosConfig, small_config(folder)), trained[1]
    plain, apart = (sos_slides.split_of(settings.data, settings.split, source, hold_out=each) for each in (False, True))
    assert plain.held_out == ()
    assert apart.held_out
    assert (apart.validation, apart.test) == (plain.validation, plain.test)
    assert sorted(apart.train + apart.held_out) == list(plain.train)
    assert not set(apart.train) & set(apart.held_out)


def test_a_run_with_slides_held_out_reads_some_of_them_at_each_step(trained, folder):
    changes = {"batches.held_out": 1, "steps": 2}
    _, source, split = sos_training.train_method(small_config(folder, **changes), folder / "held_out")
    held_out = [source.names[index] for index in split.held_out]
    assert json.loads((folder / "held_out" / "split.json").read_text())["held_out"] == held_out
    lines = (folder / "held_out" / "hashes.jsonl").read_text().splitlines()
    assert "held_out" in json.loads(lines[0])["batch"]
    assert len(split.train) + len(held_out) + len(split.validation) == 16


def test_the_switch_is_where_training_put_it_unless_it_is_moved():
    config = lks_sos.get_config()
    config.method.c = 0.8
    assert config.inference.c == 0.8
    config.inference.c = 0.7
    assert (config.method.c, config.inference.c) == (0.8, 0.7)


def test_truth_is_known_of_phantoms_only(folder, trained):
    _, source, split = trained
    data = settings_from(SosConfig, small_config(folder)).data
    names = [source.names[index] for index in split.test]
    assert sos_slides.needs_high_resolution(data, names).dtype == bool
    assert sos_slides.needs_high_resolution(settings_from(SosConfig, lks_sos.get_config()).data, names) is None


def test_classes_are_those_of_the_evaluation(folder, trained, evaluations):
    report, _ = classify_files(folder / "run", folder / "LKS" / "Test")
    given = {result.name: result.label for result in report.results}
    assert given == dict(zip(evaluations["SOS"].names, evaluations["SOS"].predicted.tolist(), strict=True))
    assert report.are_phantom_slides


def test_a_run_of_another_method_is_refused(folder, trained, tmp_path):
    with pytest.raises(InputError, match=r"another method, expected the --workdir of experiments\.focalmix"):
        load_detector(folder / "run")
    with pytest.raises(InputError, match="no such folder"):
        load_slide_classifier(tmp_path / "absent")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method.c": 0.97}, "method.c is 0.97"),
        ({"method.c": 0.2}, "method.c is 0.2, expected more than 1/4"),
        ({"steps": 0}, "steps is 0"),
        ({"inference.rule": "both"}, "inference.rule is both, expected one of low, high, confidence, policy, deferral"),
        ({"data.shrink": 7}, "shrink"),
        ({"method.use_low": False, "method.use_high": False}, "method.use_low"),
        ({"logging.save_every": 3}, "logging.save_every is 3"),
        (
            {"optimiser.accumulate": 3, "logging.save_every": 6},
            "steps is 4, expected a multiple of optimiser.accumulate",
        ),
        ({"optimiser.accumulate": 2, "optimiser.ema_decay": 0.9}, "optimiser.ema_decay is 0.9, expected 0 where"),
        ({"method.use_high": False}, r"inference\.rule is confidence, which needs the high network"),
        ({"method.join": "sum"}, "method.join is sum"),
        ({"model.low_stem_block": 7}, "model.low_stem_block is 7"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(tmp_path, changes, message):
    config = small_config(tmp_path)
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=message):
        sos_training.train_method(config, tmp_path / "run")
    assert not (tmp_path / "LKS").exists()


def test_lks_is_known_by_the_slides_of_its_classes():
    """479 to train on and 205 to test on, as the paper counts them; a slide more or of another class is not LKS."""
    splits = ["train"] * 479 + ["test"] * 205
    labels = np.repeat([0, 1, 2, 3, 0, 1, 2, 3], [239, 106, 107, 27, 103, 45, 46, 11]).tolist()
    data, phantom = (settings_from(SosConfig, each.get_config()).data for each in (lks_sos, phantom_sos))

    def slides(splits, labels):
        source = object.__new__(LksSource)  # without files
        source.splits, source.labels = splits, labels
        return source

    def known(splits, labels):
        source = slides(splits, labels)
        assert (sos_slides.data_name(data, source) == "LKS") == sos_slides.is_lks(data, source)
        return sos_slides.is_lks(data, source)

    assert known(splits, labels)
    assert not known(splits[1:], labels[1:])
    assert not known(splits, [*labels[:-1], 2])
    assert not sos_slides.is_lks(phantom, slides(splits, labels))
