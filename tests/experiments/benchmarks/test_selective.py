"""Small slides through SOS, which asks about as many of them as it is told to, whatever its networks say."""

import pytest

from experiments.benchmarks.bench import Bench
from experiments.benchmarks.parts import selective, whole_slide
from medssl_jax.core.errors import InputError

CUT = {"grid": 4, "patch_side": 16, "shrink": 2}
COUNT = 6


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("selective")
    made = [folder / f"{number}.tif" for number in range(COUNT)]
    for number, path in enumerate(made):
        whole_slide.write_slide(path, 64 + whole_slide.MARGIN, "strips", number)
    return made


@pytest.mark.parametrize("asked", [1, 4, COUNT])
def test_so_many_slides_are_asked_about_and_the_others_have_no_patch_read(small_networks, paths, asked):
    every = selective.pass_of(paths, small_networks, CUT, "Multi-Scale")
    sent = selective.pass_of(paths, small_networks, CUT, "SOS", asked)
    assert (every.asked, sent.asked) == (COUNT, asked)
    assert every.patches % COUNT == 0  # the disc of all slides is the same
    assert sent.patches == every.patches // COUNT * asked
    assert 0 < sent.waiting < 1
    few = selective.pass_of(paths, small_networks, CUT, "SOS", asked, top_k=3)
    assert (few.asked, few.patches) == (asked, 3 * asked)


def test_image_level_asks_about_none(small_networks, paths):
    sent = selective.pass_of(paths, small_networks, CUT, "Image-Level")
    assert (sent.asked, sent.patches) == (0, 0)


def test_slides_of_which_the_network_is_as_sure_are_not_told_apart(small_networks, paths):
    with pytest.raises(ValueError, match="asked about 2 slides, expected 1"):
        selective.pass_of([paths[0], paths[0]], small_networks, CUT, "SOS", 1)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"file": "JPEG"}, "file: found JPEG, expected strips"),
        ({"config": "configs/lks_rdms.py"}, "config: found the rule policy, expected confidence"),
        ({"asked": (0,)}, "asked: found 0, expected 1 to 32"),
        ({"asked": (2, 33)}, "asked: found 33, expected 1 to 32"),
        ({"top_k": 17}, "top_k: found 17, expected 1 to 16"),
    ],
)
def test_what_there_is_not_is_told(sizes, told):
    with pytest.raises(InputError, match=f"^--selective.{told}"):
        selective.measure(Bench(), **sizes)
