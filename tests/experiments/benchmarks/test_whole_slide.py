"""A small slide through the methods as the large one goes: each route with its stages, patches and memory."""

import pytest

from experiments.benchmarks.bench import Bench
from experiments.benchmarks.parts import whole_slide
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.slides import SlideLayout, TiffSlide

CUT = {"grid": 4, "patch_side": 16, "shrink": 2}
LOW, HIGH = {"low_resolution_read", "low_network"}, {"patch_read", "high_network"}


@pytest.fixture(scope="module")
def small(small_networks, tmp_path_factory):
    """A config of small networks, and a slide."""
    path = tmp_path_factory.mktemp("whole_slide") / "slide.tif"
    whole_slide.write_slide(path, 64 + whole_slide.MARGIN, "strips")
    return small_networks, path


@pytest.mark.parametrize(
    ("method", "route", "stages"),
    [
        ("SOS", "settled", LOW),
        ("SOS", "asked", LOW | HIGH),
        ("RDMS", "settled", LOW),
        ("RDMS", "asked", LOW | HIGH),
    ],
)
def test_a_route_has_its_stages_and_looks_at_all_patches_or_at_none(small, method, route, stages):
    config, path = small
    passage = whole_slide.classify(path, config, CUT, method, route)
    assert passage.seconds.keys() == stages
    assert sum(passage.seconds.values()) <= passage.cost.wall
    with TiffSlide(path, SlideLayout(**CUT)) as slide:
        # Noise lies in a disc: the corner patches are dark, not black.
        bright = sum(patch.mean() > 1 for patch in slide.patches(range(16)))
    assert passage.patches == (bright if stages >= HIGH else 0)
    assert bright > 8
    assert passage.program_bytes > 0


@pytest.mark.parametrize("method", ["Image-Level", "Patch-Level", "RDMS", "SOS"])
def test_a_training_step_holds_the_patches_that_are_not_black(small, method):
    config, path = small
    passage = whole_slide.train(path, config, CUT, method, steps=2)
    looked_at = whole_slide.classify(path, config, CUT, "Multi-Scale", "").patches
    assert passage.patches == (0 if method == "Image-Level" else looked_at)
    assert passage.program_bytes > 0
    assert passage.seconds["read"] > 0
    assert passage.cost.wall > 0


@pytest.mark.parametrize("method", ["Image-Level", "SOS"])
def test_the_bytes_of_a_step_are_told_without_a_slide(small, method):
    config, path = small
    trained, compiled = whole_slide.train(path, config, CUT, method, 1), whole_slide.compile_alone(config, CUT, method)
    assert compiled.patches == (CUT["grid"] ** 2 if method == "SOS" else 0)
    dark = (compiled.patches - trained.patches) * CUT["patch_side"] ** 2
    assert 0 <= compiled.program_bytes - trained.program_bytes - dark < 20_000


def test_what_is_written_is_a_slide_of_each_kind(tmp_path):
    for kind in whole_slide.KINDS:
        whole_slide.write_slide(tmp_path / f"{kind}.tif", 64 + whole_slide.MARGIN, kind)
        with TiffSlide(tmp_path / f"{kind}.tif", SlideLayout(4, 16, 8)) as slide:
            assert slide.one_pass_pays == (kind != "pyramid")
            assert slide.low_resolution().max() > 5


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"file": "JPEG"}, "file: found JPEG, expected strips"),
        ({"methods": ("SOS", "LOS")}, "methods: found LOS"),
        ({"steps": -1}, "steps: found -1, expected 0 or more"),
        ({"low_rows": 41}, "low_rows: found 41, expected 0 to 40"),
    ],
)
def test_what_there_is_not_is_told(sizes, told):
    with pytest.raises(InputError, match=f"^--whole_slide.{told}"):
        whole_slide.measure(Bench(), **sizes)
