"""What is decoded and what is not, and that no batching changes a result; slides count what is read of them."""

import collections
import dataclasses
import functools
import threading
import types
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tifffile

from experiments.configs import sos
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.data.slides.foreground import foreground_patches
from medssl_jax.data.slides.patch_store import PreparedSlide, write_patch_store
from medssl_jax.imaging import slides as imaging_slides
from medssl_jax.imaging.slides import Slide, SlideLayout, TiffSlide, shrink_as_libvips
from medssl_jax.imaging.tiff.grey import GreyTiff
from medssl_jax.inference import patch_batches, selective
from medssl_jax.inference.selective import HIGH_STAGES, LOW_STAGES, SelectiveClassifier, most_relevant
from medssl_jax.inference.selective_settings import SelectiveSettings
from medssl_jax.models.sos_networks import MethodSettings, SosModelSettings, make_networks

LAYOUT = SlideLayout(grid=4, patch_side=8, shrink=2)
SETTINGS = SelectiveSettings(
    rule="confidence", c=0.5, deferral_budget=1.0, top_k=0, top_k_tried=(), slide_batch=3, patch_batch=5
)
ALL_LOW, ALL_HIGH = {"c": 0.0}, {"c": 1.0}


class PaintedSlide:
    """A slide in memory, some of its patches black; remembers which patches were asked for."""

    def __init__(self, seed, black_share=0.4, broken="", sound=0):
        rng = np.random.default_rng(seed)
        self.name, self.layout, self.closed = f"slide{seed}", LAYOUT, False
        self.broken, self.sound, self.opened = broken, sound, 0
        self.pixels = rng.integers(5, 250 // rng.integers(1, 6), (16, 8, 8), np.uint8)
        self.pixels[rng.random(16) < black_share] = 0
        self.asked = []

    @property
    def whole(self):
        return self.pixels.reshape(4, 4, 8, 8).swapaxes(1, 2).reshape(32, 32)

    @property
    def patches_read(self):
        return len(self.asked)

    def low_resolution(self):
        if self.broken == "low":
            raise InputError(f"{self.name}: truncated")
        return shrink_as_libvips(self.whole, LAYOUT.shrink)

    def patches(self, indices):
        for index in indices:
            if self.broken == "patches" and len(self.asked) == self.sound:
                raise InputError(f"{self.name}: truncated")
            self.asked.append(index)
            yield self.pixels[index]

    def close(self):
        self.closed = True

    def __call__(self):
        """Opens it."""
        self.opened, self.closed = self.opened + 1, False
        return self

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def networks_of(**method):
    config = sos.get_config()
    config.model.update(dict(intensity_mean=0.3, intensity_deviation=0.2, attention_features=3))
    for name in ("low", "high", "policy"):
        config.model[f"{name}_features"], config.model[f"{name}_blocks"] = (4,), (0,)  # only the stem: quick to compile
    config.model.low_stem_block = config.model.high_stem_block = 4
    config.method.update(method)
    model = settings_from(SosModelSettings, config.model)
    return make_networks(model, settings_from(MethodSettings, config.method), LAYOUT)


NETWORKS = networks_of()


def drawn(networks):
    """Parameters drawn by NumPy: what draws them in JAX takes seconds to compile."""
    rng = np.random.default_rng(3)
    shapes = jax.eval_shape(networks.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape, scale=0.4), leaf.dtype), shapes)


@pytest.fixture(scope="module")
def params():
    return drawn(NETWORKS)


def slides(count=7):
    return [PaintedSlide(seed) for seed in range(count)]


def classifier(params, networks=NETWORKS, **changes):
    return SelectiveClassifier(
        networks, params, LAYOUT, dataclasses.replace(SETTINGS, **changes), background_threshold=1.0
    )


def classify(params, each, networks=NETWORKS, **changes):
    return list(classifier(params, networks, **changes)(each))


@pytest.fixture(scope="module")
def middle_c(params):
    """A c that sends some slides and not others."""
    return float(np.median([result.low_probability.max() for result in classify(params, slides(), **ALL_LOW)]))


def assert_same_results(a, b):
    for left, right in zip(a, b, strict=True):
        assert (left.name, left.route, left.label) == (right.name, right.route, right.label)
        for name in ("low_probability", "high_probability", "attention"):
            if getattr(left, name) is None:
                assert getattr(right, name) is None
            else:
                np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=1e-4, atol=1e-6)


def test_the_painted_slide_is_a_slide():
    assert isinstance(PaintedSlide(0), Slide)


def test_no_patch_is_read_of_a_slide_that_the_lrn_settles(params, middle_c):
    each = slides()
    results = classify(params, each, c=middle_c)
    assert {result.route for result in results} == {"low", "high"}
    for slide, result in zip(each, results, strict=True):
        sent = result.low_probability.max() <= middle_c
        assert result.route == ("high" if sent else "low")
        foreground = foreground_patches(slide.low_resolution(), LAYOUT, 1.0)
        assert slide.asked == (np.flatnonzero(foreground).tolist() if sent else [])
        np.testing.assert_array_equal(result.foreground, foreground)


@pytest.fixture
def tiffs(tmp_path):
    paths = []
    for slide in slides():
        paths.append(tmp_path / f"{slide.name}.tif")
        tifffile.imwrite(paths[-1], slide.whole, tile=(16, 16), compression="lzw")
    return paths


@pytest.mark.parametrize("prepared", [False, True], ids=["TIFF", "prepared"])
def test_no_patch_is_read_from_a_real_file_that_the_lrn_settles(params, middle_c, tiffs, prepared):
    opened = collections.defaultdict(list)

    def open_one(path):
        slide = PreparedSlide(path.with_suffix(".array_record")) if prepared else TiffSlide(path, LAYOUT)
        opened[slide.name].append(slide)
        return slide

    if prepared:
        for path in tiffs:
            with TiffSlide(path, LAYOUT) as slide:
                write_patch_store(path.with_suffix(".array_record"), slide)
    results = classify(params, [functools.partial(open_one, path) for path in tiffs], c=middle_c)
    assert {result.route for result in results} == {"low", "high"}
    for result in results:
        read = [slide.patches_read for slide in opened[result.name]]
        assert read == ([0, result.foreground.sum()] if result.route == "high" else [0])
        assert result.foreground.any()
    assert_same_results(results, classify(params, slides(), c=middle_c))


def test_a_confidence_of_exactly_c_is_sent(params):
    (result,) = classify(params, [PaintedSlide(0)], **ALL_LOW)
    confidence = result.low_probability.max()
    for c, route in ((confidence, "high"), (np.nextafter(confidence, np.float32(0)), "low")):
        assert classify(params, [PaintedSlide(0)], c=float(c))[0].route == route


@pytest.mark.parametrize("batches", [{"slide_batch": 1}, {"slide_batch": 4}, {"patch_batch": 1}, {"patch_batch": 16}])
def test_batches_do_not_change_results(params, middle_c, batches):
    assert_same_results(classify(params, slides(), c=middle_c), classify(params, slides(), c=middle_c, **batches))


def test_the_probabilities_are_those_of_the_networks(params):
    slide = PaintedSlide(1)
    (result,) = classify(params, [slide], **ALL_HIGH)
    mask = foreground_patches(slide.low_resolution(), LAYOUT, 1.0)
    low = NETWORKS.low(params, jnp.asarray(slide.low_resolution()[None]))
    features = NETWORKS.encode(params, jnp.asarray(slide.pixels))
    high = NETWORKS.high(params, features[None], jnp.asarray(mask[None]), low.feature)
    np.testing.assert_allclose(result.low_probability, jax.nn.softmax(low.logits[0]), rtol=1e-4)
    np.testing.assert_allclose(result.high_probability, jax.nn.softmax(high.logits[0]), rtol=1e-4)
    np.testing.assert_allclose(result.attention, high.attention[0], rtol=1e-3, atol=1e-6)
    # Nothing is left on the devices, so the seconds are those of the networks too.
    assert {type(each) for each in (result.low_probability, result.high_probability, result.attention)} == {np.ndarray}
    assert result.label == high.logits[0].argmax()
    assert result.attention[~mask].tolist() == [0] * int((~mask).sum())
    assert result.attention.sum() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "expected"), [(ALL_LOW, 1), (ALL_HIGH, 2), ({"rule": "low"}, 1), ({"rule": "high"}, 2)]
)
def test_the_network_that_was_asked_last_decides(params, changes, expected):
    """Networks that always disagree: the LRN is sure of class 1, the HRN of class 2."""
    sure = jax.tree.map(lambda leaf: leaf, params)
    sure["low"]["Dense_0"]["bias"] = 50 * jnp.eye(4)[1]
    sure["high"]["head"]["Dense_0"]["bias"] = 50 * jnp.eye(4)[2]
    assert [result.label for result in classify(sure, slides(3), **changes)] == [expected] * 3


def test_an_all_black_slide_is_classified_and_has_no_foreground(params):
    for rule in (ALL_LOW, ALL_HIGH):
        slide = PaintedSlide(0, black_share=1.1)
        (result,) = classify(params, [slide], **rule)
        assert not result.foreground.any()
        assert slide.patches_read == 0
        deciding = result.low_probability if rule == ALL_LOW else result.high_probability
        assert np.isfinite(deciding).all()
        assert result.attention is None or not result.attention.any()


@pytest.mark.parametrize("rule", [{}, {"rule": "high"}], ids=["low first", "in one pass"])
@pytest.mark.parametrize(("broken", "sound"), [("low", 0), ("patches", 0), ("patches", 3)])
def test_a_slide_that_cannot_be_read_stops_nothing_else(params, broken, sound, rule):
    each = slides(5)
    each[1] = PaintedSlide(1, broken=broken, sound=sound)
    said = []
    told = classifier(params, **ALL_HIGH, **rule)(each, on_error=lambda place, error: said.append((place, str(error))))
    results = list(told)
    assert [result.name for result in results] == ["slide0", "slide2", "slide3", "slide4"]
    assert said == [(1, "slide1: truncated")]
    assert_same_results(
        results, [result for result in classify(params, slides(5), **ALL_HIGH) if result.name != "slide1"]
    )
    assert all(slide.closed for slide in each)
    with pytest.raises(InputError, match="slide1: truncated"):
        classify(params, [PaintedSlide(0), PaintedSlide(1, broken=broken)], **ALL_HIGH, **rule)


def test_a_file_that_is_not_there_stops_no_other_and_is_said_at_once(params, tmp_path):
    absent = functools.partial(TiffSlide, tmp_path / "absent.tif", LAYOUT)
    places = []
    results = classifier(params)([PaintedSlide(0), absent], on_error=lambda place, error: places.append(place))
    assert [result.name for result in results] == ["slide0"]
    assert places == [1]
    far = [PaintedSlide(seed) for seed in range(20)]
    with pytest.raises(InputError, match=r"absent\.tif: cannot be opened"):
        classify(params, [absent, *far])
    # A batch of three, and what is read ahead.
    assert sum(slide.opened for slide in far) <= 2 + 1


def test_where_no_slide_can_be_read_there_is_no_result(params):
    told = []
    each = [PaintedSlide(seed, broken="low") for seed in range(SETTINGS.slide_batch + 1)]
    assert list(classifier(params)(each, on_error=lambda place, error: told.append(place))) == []
    assert told == list(range(len(each)))


def test_low_resolution_of_all_slides_comes_first_then_those_in_doubt_are_opened_again(params, middle_c, monkeypatch):
    events = []
    low_resolution, patches = PaintedSlide.low_resolution, PaintedSlide.patches

    def told(kind, function):
        return lambda self, *rest: events.append((kind, self.name)) or function(self, *rest)

    monkeypatch.setattr(PaintedSlide, "low_resolution", told("low", low_resolution))
    monkeypatch.setattr(PaintedSlide, "patches", told("patches", patches))
    each = slides()
    results = classify(params, each, c=middle_c)
    assert [result.name for result in results] == [slide.name for slide in each]
    doubtful = [result.name for result in results if result.route == "high"]
    assert 0 < len(doubtful) < len(each)
    assert events == [("low", slide.name) for slide in each] + [("patches", name) for name in doubtful]
    assert {slide.name: slide.opened for slide in each} == {slide.name: 1 + (slide.name in doubtful) for slide in each}
    assert all(slide.closed for slide in each)


@pytest.mark.parametrize("changes", [ALL_LOW, ALL_HIGH, {"rule": "high"}])
def test_one_slide_at_a_time_is_open_and_none_when_left_early(params, changes, monkeypatch):
    each, at_once = slides(), []
    for kind in ("low_resolution", "patches"):
        function = getattr(PaintedSlide, kind)

        def counted(self, *rest, function=function):
            at_once.append(sum(slide.opened > 0 and not slide.closed for slide in each))
            return function(self, *rest)

        monkeypatch.setattr(PaintedSlide, kind, counted)
    results = classifier(params, **changes)(each)
    next(results)
    results.close()
    assert set(at_once) == {1}
    assert all(slide.closed for slide in each if slide.opened)


@pytest.mark.parametrize("method", [{}, {"use_low": False, "join": "none"}], ids=["SOS", "Patch-Level"])
def test_the_images_of_two_batches_at_most_are_in_memory(method, monkeypatch):
    networks, made = networks_of(**method), []

    def held(self, function=PaintedSlide.low_resolution):
        image = function(self)
        made.append(weakref.ref(image))
        return image

    monkeypatch.setattr(PaintedSlide, "low_resolution", held)
    slides_each = slides(20)
    most = 0
    for _ in classifier(drawn(networks), networks, rule="high", slide_batch=2)(slides_each):
        most = max(most, sum(image() is not None for image in made))
    assert len(made) == len(slides_each)
    assert most <= 4


def first_batch_waits_for(event, module, monkeypatch):
    """A network's first batch in a module waits for an event; the list gets whether it came within ten seconds."""
    waited, filled_up = [], module.filled_up

    def waits(images, count):
        if not waited:
            waited.append(event.wait(10))
        return filled_up(images, count)

    monkeypatch.setattr(module, "filled_up", waits)
    return waited


def test_the_next_slides_are_read_while_the_lrn_looks_at_these(params, monkeypatch):
    each = slides(4)
    beyond_the_batch = threading.Event()
    low_resolution = PaintedSlide.low_resolution

    def told(self):
        if self is each[3]:
            beyond_the_batch.set()
        return low_resolution(self)

    monkeypatch.setattr(PaintedSlide, "low_resolution", told)
    waited = first_batch_waits_for(beyond_the_batch, selective, monkeypatch)
    classify(params, each, **ALL_LOW)
    assert waited == [True]


@pytest.mark.parametrize("changes", [ALL_LOW, {"rule": "high"}])
def test_who_listens_is_told_of_each_slide_while_it_is_open(params, changes):
    each, told = slides(), []

    def listen(place, slide, foreground):
        assert slide is each[place]
        assert not slide.closed
        told.append((place, foreground))

    results = list(classifier(params, **changes)(each, on_read=listen))
    assert [place for place, _ in told] == list(range(len(each)))
    for (_, foreground), result in zip(told, results, strict=True):
        np.testing.assert_array_equal(foreground, result.foreground)


def test_the_seconds_are_those_of_the_stages_gone_through(params):
    (low,) = classify(params, [PaintedSlide(0)], **ALL_LOW)
    (high,) = classify(params, [PaintedSlide(0)], **ALL_HIGH)
    assert low.seconds.keys() == {"low_resolution_read", "low_network"}
    assert high.seconds.keys() == {"low_resolution_read", "low_network", "patch_read", "high_network"}
    assert all(seconds > 0 for seconds in high.seconds.values())


def test_opening_foreground_and_stacking_are_in_the_seconds(params, monkeypatch):
    """By a clock that moves with the work alone, and by a different amount for each kind of it."""
    now = 0.0

    def costs(seconds, function):
        def slow(*arguments):
            nonlocal now
            now += seconds
            return function(*arguments)

        return slow

    monkeypatch.setattr(patch_batches, "time", types.SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr(selective, "foreground_patches", costs(1.0, foreground_patches))
    for module in (selective, patch_batches):
        monkeypatch.setattr(module, "filled_up", costs(4.0, patch_batches.filled_up))
    monkeypatch.setattr(PaintedSlide, "low_resolution", costs(10.0, PaintedSlide.low_resolution))
    monkeypatch.setattr(PaintedSlide, "__call__", costs(100.0, PaintedSlide.__call__))
    settled, other = classify(params, slides(2), slide_batch=2, **ALL_LOW)
    assert settled.seconds == other.seconds == {"low_resolution_read": 111.0, "low_network": 2.0}
    (sent,) = classify(params, [PaintedSlide(0, black_share=0)], patch_batch=16, **ALL_HIGH)
    assert sent.seconds == {"low_resolution_read": 111.0, "low_network": 4.0, "patch_read": 100.0, "high_network": 4.0}
    (whole,) = classify(params, [PaintedSlide(0, black_share=0)], patch_batch=16, rule="high")
    assert whole.seconds == {"low_resolution_read": 0.0, "low_network": 4.0, "patch_read": 111.0, "high_network": 4.0}


@pytest.mark.parametrize("slide_batch", [7, 4, 1])
def test_batches_are_filled_across_all_slides(params, monkeypatch, slide_batch):
    """Seven slides, two patches of each."""
    looked_at, filled_up = [], patch_batches.filled_up
    monkeypatch.setattr(
        patch_batches, "filled_up", lambda images, count: looked_at.append(len(images)) or filled_up(images, count)
    )
    each = slides()
    results = classify(params, each, top_k=2, slide_batch=slide_batch, **ALL_HIGH)
    assert looked_at == [5, 5, 4]
    assert [slide.patches_read for slide in each] == [2] * 7
    assert_same_results(results, classify(params, slides(), top_k=2, slide_batch=1, **ALL_HIGH))


def test_a_result_comes_before_the_patches_of_slides_that_follow(params):
    each = [PaintedSlide(seed, black_share=0) for seed in range(3)]
    results = classifier(params, patch_batch=8, **ALL_HIGH)(each)
    next(results)
    # One batch is read while the network looks at the one before it, and a slide is whole when the next has begun.
    assert [slide.patches_read for slide in each][2] == 0
    results.close()
    assert all(slide.closed for slide in each)


def test_slides_share_the_seconds_of_a_batch_by_their_patches_in_it(params, monkeypatch):
    now = 0.0

    def costs_six(images, count, filled_up=patch_batches.filled_up):
        nonlocal now
        now += 6.0
        return filled_up(images, count)

    monkeypatch.setattr(patch_batches, "time", types.SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr(patch_batches, "filled_up", costs_six)
    each = [PaintedSlide(0, black_share=0), PaintedSlide(1, black_share=0)]
    each[0].pixels[4:] = 0
    four, twelve_and_four = classify(params, each, patch_batch=16, **ALL_HIGH)
    assert four.seconds["high_network"] == 6 * 4 / 16
    assert twelve_and_four.seconds["high_network"] == 6 * 12 / 16 + 6


def test_the_next_patches_are_read_while_the_network_looks_at_these(params, monkeypatch):
    slide = PaintedSlide(0, black_share=0)
    beyond_the_first = threading.Event()
    patches = slide.patches

    def told(indices):
        for place, patch in enumerate(patches(indices)):
            if place == 4:
                beyond_the_first.set()
            yield patch

    monkeypatch.setattr(slide, "patches", told)
    waited = first_batch_waits_for(beyond_the_first, patch_batches, monkeypatch)
    classify(params, [slide], patch_batch=4, **ALL_HIGH)
    assert waited == [True]


@pytest.mark.parametrize("rule", [{"rule": "confidence", "c": 0.0}, {"rule": "confidence", "c": 1.0}, {"rule": "high"}])
def test_memory_is_that_of_all_that_the_rule_may_need(params, rule):
    """Whoever is sent: here the patches need most."""
    asked = classifier(params, patch_batch=64, **rule)
    before = asked.peak_memory_bytes
    list(asked(slides(2)))
    assert asked.peak_memory_bytes == before > 64 * 8 * 8
    assert before > classifier(params, patch_batch=64, rule="low").peak_memory_bytes


def test_the_most_relevant_of_the_foreground_by_hand():
    relevance = np.array([0.1, 0.9, 0.5, 0.5, -1.0])
    foreground = np.array([True, False, True, True, True])
    for count, expected in ((1, [2]), (2, [2, 3]), (3, [0, 2, 3]), (9, [0, 2, 3, 4])):
        assert np.flatnonzero(most_relevant(relevance, foreground, count)).tolist() == expected


def test_only_the_top_patches_are_decoded_and_all_of_them_are_as_before(params):
    each = slides(3)
    results = classify(params, each, top_k=2, **ALL_HIGH)
    assert [slide.patches_read for slide in each] == [2, 2, 2]
    for slide, result in zip(each, results, strict=True):
        assert np.flatnonzero(result.attention).tolist() == sorted(slide.asked)
        relevance = NETWORKS.relevance(params, jnp.asarray(slide.low_resolution()[None]), LAYOUT.grid)[0]
        others = result.foreground.copy()
        others[slide.asked] = False
        assert relevance[jnp.array(slide.asked)].min() >= relevance[others].max()
        assert result.foreground.sum() > 2
    assert_same_results(classify(params, slides(3), top_k=16, **ALL_HIGH), classify(params, slides(3), **ALL_HIGH))


def test_relevance_sums_to_the_logit_of_the_lrns_class(params):
    """By the definition of class activation maps, where there is a cell for each patch: the stem's 4 pixels."""
    image = jnp.asarray(PaintedSlide(1).low_resolution()[None])
    logits = NETWORKS.low(params, image).logits[0]
    relevance = NETWORKS.relevance(params, image, 4)[0]
    bias = params["low"]["Dense_0"]["bias"][logits.argmax()]
    assert float(relevance.mean() + bias) == pytest.approx(float(logits.max()), rel=1e-4)


def test_rules_that_always_take_one_network(params):
    low, high = slides(3), slides(3)
    assert {result.route for result in classify(params, low, rule="low")} == {"low"}
    assert all(slide.patches_read == 0 for slide in low)
    results = classify(params, high, rule="high")
    assert {result.route for result in results} == {"high"}
    assert all(result.low_probability is not None for result in results)


def test_one_pass_over_a_tiff_is_enough_where_the_hrn_is_always_asked(params, tiffs, monkeypatch):
    decoded = []
    decode = GreyTiff.decode
    monkeypatch.setattr(GreyTiff, "decode", lambda self, piece: decoded.append(piece) or decode(self, piece))
    opening = [functools.partial(TiffSlide, path, LAYOUT) for path in tiffs]
    one_pass = classify(params, opening, rule="high")
    assert sorted(decoded) == sorted(len(tiffs) * list(range(4)))
    two_passes = classify(params, opening, **ALL_HIGH)
    assert len(decoded) > 2 * len(tiffs) * 4
    assert all(result.seconds.keys() == {*LOW_STAGES, *HIGH_STAGES} for result in one_pass)
    assert_same_results(one_pass, two_passes)


def test_of_a_pyramid_only_patches_that_are_looked_at_are_decoded(params, tmp_path, monkeypatch):
    monkeypatch.setattr(imaging_slides, "LEAST_LEVEL_PIXELS", 1)
    pixels, opened = PaintedSlide(3).whole, []
    with tifffile.TiffWriter(tmp_path / "slide.tif") as tiff:
        tiff.write(pixels, tile=(16, 16))
        tiff.write(shrink_as_libvips(pixels, 2), tile=(16, 16), subfiletype=1)

    def open_one():
        opened.append(TiffSlide(tmp_path / "slide.tif", LAYOUT))
        return opened[-1]

    (result,) = classify(params, [open_one], rule="high")
    assert [slide.patches_read for slide in opened] == [result.foreground.sum()]
    assert 0 < result.foreground.sum() < 16
    assert_same_results([result._replace(name="slide3")], classify(params, [PaintedSlide(3)], rule="high"))


def test_one_look_tells_what_any_number_of_patches_would_give(params):
    counts = (1, 3, 16)
    looks = slides(4)
    said = list(classifier(params, rule="high", top_k=1).high_by_top_k(looks, counts))
    assert [slide.asked for slide in looks] == [np.flatnonzero(slide.pixels.any((1, 2))).tolist() for slide in looks]
    assert all(slide.closed for slide in looks)
    for place, count in enumerate(counts):
        alone = classify(params, slides(4), rule="high", top_k=count)
        np.testing.assert_allclose(
            [each[place] for each in said], [result.high_probability for result in alone], rtol=1e-5
        )
    assert not np.allclose(said[0][0], said[0][2], rtol=1e-3)


def test_patch_level_needs_no_lrn():
    networks = networks_of(use_low=False, join="none")
    (result,) = classify(drawn(networks), [PaintedSlide(0)], networks, rule="high")
    assert result.low_probability is None
    assert result.seconds.keys() == {"low_resolution_read", "patch_read", "high_network"}


def test_the_policy_decides_for_each_slide():
    networks = networks_of(use_policy=True)
    params = drawn(networks)
    each = slides()
    images = np.stack([slide.low_resolution() for slide in each])
    logits = np.asarray(networks.policy(params, jnp.asarray(images)))
    params = networks.shift_policy(params, by=-float(np.median(logits)) - 1e-4)
    results = classify(params, each, networks, rule="policy")
    expected = np.where(logits > np.median(logits) + 1e-4, "high", "low")
    assert [result.route for result in results] == expected.tolist()
    assert set(expected) == {"high", "low"}
    np.testing.assert_allclose([result.asking for result in results], logits - np.median(logits) - 1e-4, atol=1e-5)


@pytest.mark.parametrize(("budget", "asked"), [(0.1, 1), (0.25, 2), (0.4, 3), (1.0, 5)])
def test_deferral_asks_where_most_is_gained_within_its_budget_and_never_for_a_loss(budget, asked):
    networks = networks_of(use_deferral=True)
    params, each = drawn(networks), slides()
    images = np.stack([slide.low_resolution() for slide in each])
    products = np.asarray(networks.low(params, jnp.asarray(images)).feature @ params["deferral"]["kernel"])
    order = np.argsort(-products)
    nothing = products[order[4:6]].mean()  # five of seven gain
    gain = products - nothing
    params["deferral"]["bias"] = -jnp.asarray(nothing)
    params["deferral"]["percentiles"] = jnp.asarray(np.quantile(gain, np.linspace(0, 1, 101)), jnp.float32)
    results = classify(params, each, networks, rule="deferral", deferral_budget=budget)
    sent = [place for place, result in enumerate(results) if result.route == "high"]
    assert sent == sorted(order[:asked].tolist())
    features = np.stack([result.feature for result in results])
    np.testing.assert_allclose(features @ params["deferral"]["kernel"] + params["deferral"]["bias"], gain, atol=1e-4)
    np.testing.assert_allclose([result.asking for result in results], gain, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "best"}, r"inference\.rule is best, expected one of low, high, confidence, policy, deferral"),
        ({"rule": "policy"}, r"inference\.rule is policy, which needs the policy network: set method\.use_policy"),
        (
            {"rule": "deferral"},
            r"inference\.rule is deferral, which needs the deferral network: set method\.use_deferral",
        ),
        ({"c": 1.5}, r"inference\.c is 1\.5, expected 0 or more, at most 1"),
        ({"patch_batch": 0}, r"inference\.patch_batch is 0, expected 1 or more"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        classifier({}, **changes)
