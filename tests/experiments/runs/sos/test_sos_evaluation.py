"""Methods with untrained networks on small slides: what is asked, how often, and who is named when one is bad."""

import dataclasses
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tifffile

from data_builders.lks import lks_files
from data_builders.lks.lks_files import CLASSES
from data_builders.slide_source import LksSource, open_lks, prepare_lks
from experiments.configs import sos
from experiments.runs.sos.sos_config import SosConfig
from experiments.runs.sos.sos_evaluation import Timed, both_networks, evaluate, seconds_of_methods
from experiments.runs.sos.sos_slides import SlideSplit
from experiments.runs.sos.timed_files import FILE_KINDS
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.data.slides.slide_appearance import Appearance, AppearanceStatistics
from medssl_jax.imaging.slides import SlideLayout, open_slide
from medssl_jax.inference.selective import SelectiveClassifier
from medssl_jax.inference.trained_classifier import UNIT_INTENSITIES, TrainedClassifier, TrainingSlides
from medssl_jax.metrics.slides.switching import MeanSeconds
from medssl_jax.parallel import hosts

SPLIT = SlideSplit(train=(), validation=(0, 1, 2), test=(3, 4, 5, 6, 7))


@pytest.fixture(scope="module")
def lks(tmp_path_factory) -> SosConfig:
    """The config of an LKS of three training and five test slides."""
    folder = tmp_path_factory.mktemp("slides")
    config = sos.get_config()
    config.data.update(grid=4, patch_side=8, shrink=2, manual_dir=str(folder / "LKS"), data_dir=str(folder / "tfds"))
    config.model.update(intensity_mean=0.3, intensity_deviation=0.2, attention_features=3)
    for name in ("low", "high", "policy"):
        config.model[f"{name}_features"], config.model[f"{name}_blocks"] = (4,), (0,)
    config.model.low_stem_block = config.model.high_stem_block = 4
    config.inference.update(slide_batch=2, patch_batch=5, c=0.3)
    config.seed = 11
    rng = np.random.default_rng(0)
    for split, count in (("Train", 3), ("Test", 5)):
        (folder / "LKS" / split).mkdir(parents=True)
        rows = ["Name,Class"]
        for place in range(count):
            name = f"{split}{place}.tif"
            tifffile.imwrite(folder / "LKS" / split / name, rng.integers(5, 250, (40, 40), np.uint8), compression="lzw")
            rows.append(f"{name},{('Neg', 'AMA', 'SMA-V', 'SMA-T')[place % 4]}")
        (folder / "LKS" / f"{split}_Labels.csv").write_text("\n".join(rows) + "\n")
    prepare_lks(config.data.manual_dir, config.data.data_dir, SlideLayout(4, 8, 2))
    return settings_from(SosConfig, config)


@pytest.fixture(scope="module")
def source(lks) -> LksSource:
    return open_lks(lks.data.data_dir)


@pytest.fixture(scope="module")
def methods(lks) -> dict[str, TrainedClassifier]:
    """SOS, and Multi-Scale and the cascade, which share parameters."""
    slides = TrainingSlides(CLASSES, UNIT_INTENSITIES, AppearanceStatistics.of([Appearance(0.5, 0.5)]))

    def method(params, name, rule):
        settings = dataclasses.replace(
            lks,
            method=dataclasses.replace(lks.method, name=name),
            inference=dataclasses.replace(lks.inference, rule=rule),
        )
        return TrainedClassifier({}, settings, 1, params, slides)

    networks = lks.networks(UNIT_INTENSITIES, classes=4)
    of_sos, shared = (networks.init(jax.random.key(seed)) for seed in range(2))
    return {
        "Multi-Scale": method(shared, "Multi-Scale", "high"),
        "SOS": method(of_sos, "SOS", "confidence"),
        "Cascade": method(shared, "Cascade", "confidence"),
    }


class CountingProgress:
    """A progress that remembers how long each pass was and that it came to its end."""

    def __init__(self):
        self.passes = []

    def __call__(self, items, total=None):
        self.passes.append([len(items), 0])
        for item in items:
            yield item
            self.passes[-1][1] += 1


def test_all_that_is_known_of_each_method(methods, source):
    progress = CountingProgress()
    evaluations = evaluate(methods, source, SPLIT, progress)
    assert list(evaluations) == list(methods)
    for name, each in evaluations.items():
        assert each.names == tuple(f"Test{place}" for place in range(5))
        assert (each.seed, each.slide_batch, each.patch_batch) == (11, 2, 5)
        assert (each.rule, each.has_c) == (("high", False) if name == "Multi-Scale" else ("confidence", True))
        assert (each.test.low.shape, each.validation.high.shape) == ((5, 4), (3, 4))
        assert each.raw_seconds is not None
        np.testing.assert_array_equal(each.right, each.predicted == [source.labels[index] for index in SPLIT.test])
    # Prepared and raw in batches of two; then slides, by two pairs of networks on test and on validation.
    assert progress.passes == [[3, 3], [3, 3], [5, 5], [5, 5], [3, 3], [3, 3]]


def test_seconds_are_told_for_each_kind_of_file_and_how_much_of_them_is_waiting(methods, source, monkeypatch):
    opened = []
    call = SelectiveClassifier.__call__

    def timed(self, slides, **rest):
        opened.extend(slides)
        seconds = {"low_resolution_read": 1.0, "low_network": 1.0, "patch_read": 2.0, "high_network": 4.0}
        return [result._replace(seconds=seconds, route="high") for result in call(self, slides, **rest)]

    monkeypatch.setattr(SelectiveClassifier, "__call__", timed)
    measured = seconds_of_methods(methods, source, SPLIT.test[:3])
    for kinds in measured.values():
        assert list(kinds) == ["as downloaded", "as prepared", *FILE_KINDS]
        assert set(kinds.values()) == {Timed(MeanSeconds(2.0, 6.0), 3 / 8)}
    assert measured.keys() == methods.keys()
    assert len(opened) == 3 * len(methods) * 5
    files = [each.args[0] for each in opened if each.func is open_slide]
    # As downloaded they are still there, as written for a time they are not.
    assert Counter(path.exists() for path in files) == {True: 3 * len(methods), False: 3 * len(methods) * 3}


def test_networks_that_methods_share_are_asked_once(methods, source, monkeypatch):
    asked = []
    call = SelectiveClassifier.__call__

    def counted(self, slides, **rest):
        asked.extend(slides)
        return call(self, slides, **rest)

    monkeypatch.setattr(SelectiveClassifier, "__call__", counted)
    said = both_networks(methods, source, SPLIT.test)
    assert len(asked) == 2 * 5
    assert said["Cascade"] is said["Multi-Scale"]
    np.testing.assert_array_equal(said["SOS"].label, [source.labels[index] for index in SPLIT.test])
    image = jnp.stack([source.slide(index).low_resolution() for index in SPLIT.test])
    for name, method in methods.items():
        logits, _ = method.networks.low(method.params, image)
        np.testing.assert_allclose(said[name].low, jax.nn.softmax(logits), rtol=1e-4)


def test_accuracy_by_the_number_of_patches_has_the_decisions_of_the_method(methods, source):
    tried = (1, 16)
    settings = methods["SOS"].settings
    inference = dataclasses.replace(settings.inference, top_k_tried=tried)
    sos = dataclasses.replace(methods["SOS"], settings=dataclasses.replace(settings, inference=inference))
    evaluated = evaluate({"SOS": sos}, source, SPLIT)["SOS"]
    assert tuple(evaluated.high_by_top_k) == tried
    np.testing.assert_allclose(evaluated.high_by_top_k[16], evaluated.test.high, rtol=1e-4)  # all of them
    right = evaluated.right_by_top_k()
    np.testing.assert_array_equal(right[16], evaluated.right)
    few = np.where(evaluated.sent, evaluated.high_by_top_k[1].argmax(1), evaluated.predicted)
    np.testing.assert_array_equal(right[1], few == evaluated.test.label)
    np.testing.assert_allclose(evaluated.validation_high_by_top_k[16], evaluated.validation.high, rtol=1e-4)
    assert evaluated.high_seconds_by_top_k.keys() == {1, 16}
    assert min(evaluated.high_seconds_by_top_k.values()) > 0
    plain = evaluate({"SOS": methods["SOS"]}, source, SPLIT)["SOS"]
    assert plain.high_by_top_k == plain.validation_high_by_top_k == plain.high_seconds_by_top_k == {}


@pytest.fixture
def as_two_hosts(monkeypatch):
    """Calls a function on each of two hosts, threads here, that tell each other what real ones would."""
    here, meeting, told = threading.local(), threading.Barrier(2, timeout=60), ["", ""]

    def gather(own):
        told[here.index] = json.dumps(own)
        meeting.wait()
        everyone = list(map(json.loads, told))
        meeting.wait()
        return everyone

    def call_as(index, function):
        here.index = index
        return function()

    def call(function):
        with ThreadPoolExecutor(2) as threads:
            return [each.result() for each in [threads.submit(call_as, index, function) for index in range(2)]]

    monkeypatch.setattr(hosts, "index", lambda: here.index)
    monkeypatch.setattr(hosts, "count", lambda: 2)
    monkeypatch.setattr(hosts, "gather", gather)
    return call


@pytest.fixture
def asked_by_one_host(methods, source):
    """The methods, SOS also with few patches, and their evaluation; before there are two hosts."""
    settings = methods["SOS"].settings
    inference = dataclasses.replace(settings.inference, top_k_tried=(1, 16))
    sos = dataclasses.replace(methods["SOS"], settings=dataclasses.replace(settings, inference=inference))
    return {**methods, "SOS": sos}, evaluate({**methods, "SOS": sos}, source, SPLIT)


def test_hosts_share_the_slides_and_each_comes_back_with_all_answers(
    asked_by_one_host, as_two_hosts, source, monkeypatch
):
    asked, expected = asked_by_one_host
    opened = []
    open_slide = type(source).slide
    monkeypatch.setattr(type(source), "slide", lambda self, index: opened.append(index) or open_slide(self, index))
    for evaluations in as_two_hosts(lambda: evaluate(asked, source, SPLIT)):
        for name, one in evaluations.items():
            of_one = expected[name]
            assert (one.names, one.predicted.tolist()) == (of_one.names, of_one.predicted.tolist())
            assert one.sent.tolist() == of_one.sent.tolist()
            for part in ("test", "validation"):
                for network in ("label", "low", "high"):
                    said, of_part = (getattr(getattr(each, part), network) for each in (one, of_one))
                    np.testing.assert_allclose(said, of_part, rtol=1e-4)
                    assert said.dtype == of_part.dtype
            for field in ("high_by_top_k", "validation_high_by_top_k"):
                said, of_field = getattr(one, field), getattr(of_one, field)
                assert said.keys() == of_field.keys()
                for count, probability in said.items():
                    np.testing.assert_allclose(probability, of_field[count], rtol=1e-4)
            assert one.raw_seconds is not None
    # By both hosts together: each method in turn, each pair of networks, and each look for top_k, a slide once.
    assert Counter(opened) == {index: (3 + 2 + 1) if index in SPLIT.test else (2 + 1) for index in range(8)}


def test_slides_that_one_host_does_not_have_are_raw_on_none(methods, source, as_two_hosts, monkeypatch):
    monkeypatch.setattr(lks_files, "is_there", lambda folder: hosts.index() == 0)
    for evaluations in as_two_hosts(lambda: evaluate(methods, source, SPLIT)):
        assert all(each.raw_seconds is None for each in evaluations.values())


def test_no_validation_slide_is_no_error(methods, source):
    said = both_networks(methods, source, ())
    assert said["SOS"].low is None
    assert len(said["SOS"].label) == 0


@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_a_raw_slide_that_cannot_be_read_is_named(methods, source, lks, damage):
    path = Path(lks.data.manual_dir) / "Test" / "Test3.tif"
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[0].dataoffsets[0]
    broken = whole[: len(whole) // 2] if damage == "cut" else whole[:start] + b"\0" * (len(whole) - start)
    path.write_bytes(broken)
    try:
        with pytest.raises(InputError, match=r"Test3\.tif: .*copy or export it again"):
            evaluate(methods, source, SPLIT)
    finally:
        path.write_bytes(whole)


def test_slides_that_are_gone_have_no_raw_seconds(methods, source, tmp_path):
    moved = {}
    for name, method in methods.items():
        data = dataclasses.replace(method.settings.data, manual_dir=str(tmp_path))
        moved[name] = dataclasses.replace(method, settings=dataclasses.replace(method.settings, data=data))
    assert all(each.raw_seconds is None for each in evaluate(moved, source, SPLIT).values())
