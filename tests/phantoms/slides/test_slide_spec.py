"""Fields out of range are named; what counts the same is the same."""

import dataclasses

import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.phantoms.slides.spec import LksPhantom


def test_sides_follow_from_grid_patch_and_shrink():
    spec = LksPhantom(grid=40, patch_side=1000, shrink=40, layouts=("strips-lzw",))
    assert (spec.side, spec.slide_layout.low_side) == (40000, 1000)


def test_whole_numbers_make_the_same_phantom():
    assert LksPhantom(noise=2, stain=1) == LksPhantom(noise=2.0, stain=1.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("train", 0),
        ("train", 10**400),
        ("seed", 10**400),
        ("grid", 0),
        ("patch_side", 100),  # no multiple of 8
        ("shrink", 2),
        ("shrink", 64),  # a low-resolution image of 16 pixels
        ("margin", (5, 2)),
        ("margin", (0, 1000)),
        ("layouts", ()),
        ("layouts", ("strips-jpeg",)),
        ("share_fine_only", 1.5),
        ("share_hazy", -0.1),
        ("stain", float("nan")),
        ("noise", -1),
    ],
)
def test_bad_fields_are_named(field, value):
    with pytest.raises(InputError, match=field) as caught:
        dataclasses.replace(LksPhantom(), **{field: value})
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_slides_over_4_gb_need_bigtiff():
    huge = {"grid": 70, "patch_side": 1000, "shrink": 40}
    with pytest.raises(InputError, match="BigTIFF"):
        LksPhantom(**huge, layouts=("strips-none",))
    LksPhantom(**huge, layouts=("strips-none-big",))
