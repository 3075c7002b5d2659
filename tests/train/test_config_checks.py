"""A range holds its ends and nothing beyond them; a refusal names the field, what was found and what was expected."""

import math
import sys

import ml_collections
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.train.config_checks import (
    COMMON,
    FOLDER,
    SHARE,
    SWITCH,
    WEIGHT,
    check_each,
    check_together,
    each,
    number,
    one_of,
    phantom_from,
    whole,
)

NO_NUMBERS = [True, None, "1", (1,), math.nan, math.inf, 10**400]


@pytest.mark.parametrize(
    ("a_range", "inside", "outside", "expected"),
    [
        (whole(1, 5), [1, 5], [0, 6, 2.0, *NO_NUMBERS], "1 or more, at most 5"),
        (whole(3), [3, 1_000_000], [2, 1_000_001], "3 or more, at most 1000000"),
        (number(0, 1), [0, 1, 0.0, 0.5, 1.0], [-1e-9, 1 + 1e-9, *NO_NUMBERS[1:]], "0 or more, at most 1"),
        (number(0, 2, above=True), [1e-9, 2], [0, 0.0, True], "more than 0, at most 2"),
        (number(0, 2, below=True), [0, 1.999], [2, 2.0], "0 or more, below 2"),
        (number(0, math.inf), [0, sys.float_info.max], [math.inf, 10**400], "0 or more, finite"),
        (SHARE, [0, 1], [-1e-9, 1 + 1e-9], "0 or more, at most 1"),
        (WEIGHT, [0, 1e6], [-1e-9, 1e6 + 1], "0 or more, at most 1e+06"),
        (SWITCH, [True, False], [0, 1, "True", None], "True or False"),
        (FOLDER, ["data"], ["", " ", None, 3], "the name of a folder"),
        (one_of(["a", "b"]), ["a", "b"], ["", "ab", None], "a or b"),
        (one_of(["a", "b", "c"]), ["c"], ["d"], "one of a, b, c"),
        (
            *(each(whole(1, 3)), [(1,), [2, 3], (1,) * 16], [(), (1, 4), (1,) * 17, 1, "1"]),
            "a tuple of 1 to 16, each of them 1 or more, at most 3",
        ),
        (
            *(each(SHARE, least=2, most=2), [(0, 1)], [(1,), (1, 1, 1), (0, 2)]),
            "a tuple of 2, each of them 0 or more, at most 1",
        ),
    ],
)
def test_a_range_holds_its_ends_and_nothing_beyond(a_range, inside, outside, expected):
    assert [value for value in inside if not a_range.holds(value)] == []
    assert [value for value in outside if a_range.holds(value)] == []
    assert a_range.expected == expected


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("seed", 0, 2**32 - 1),  # what NumPy and JAX take
        ("split.seed", 0, 2**32 - 1),
        ("steps", 1, 2**31 - 1),  # what 32 bits count
        ("logging.log_every", 1, 2**31 - 1),
        ("logging.save_every", 1, 2**31 - 1),
        ("logging.keep_checkpoints", 1, 10**6),
        ("logging.bootstraps", 1, 10**6),
    ],
)
def test_whole_numbers_of_every_config(field, least, most):
    assert [COMMON[field].holds(value) for value in (least - 1, least, most, most + 1)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        ("optimiser.learning_rate", [1e-9, 100], [0, 101]),
        ("optimiser.warmup_share", [0, 1], [-0.1, 1.1]),
        ("optimiser.b1", [0, 0.999], [-0.1, 1]),
        ("optimiser.b2", [0, 0.999], [-0.1, 1]),
        ("optimiser.weight_decay", [0, 100], [-0.1, 101]),
        ("optimiser.clip_norm", [1e-9, 1e300], [0, math.inf]),
        ("optimiser.ema_decay", [0, 0.999], [-0.1, 1]),
        ("data.manual_dir", ["raw"], [""]),
        ("data.data_dir", ["made"], [""]),
    ],
)
def test_other_fields_of_every_config(field, inside, outside):
    assert all(COMMON[field].holds(value) for value in inside)
    assert not any(COMMON[field].holds(value) for value in outside)


CONFIG = ml_collections.ConfigDict({"name": "", "model": {"side": 7}})


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ({"model.side": whole(8, 9)}, "config field model.side is 7, expected 8 or more, at most 9"),
        ({"model.side": whole(7, 7), "name": FOLDER}, "config field name is '', expected the name of a folder"),
        ({"model.width": SHARE}, "config field model.width is absent, expected 0 or more, at most 1"),
        ({"other.width": SWITCH}, "config field other.width is absent, expected True or False"),
        (
            {"model.side.of": SHARE, "name": FOLDER},
            "config field model.side.of is absent, expected 0 or more, at most 1",
        ),
    ],
)
def test_the_first_field_out_of_its_range_is_named(ranges, told):
    with pytest.raises(InputError) as refused:
        check_each(CONFIG, ranges)
    assert str(refused.value) == told


def test_what_holds_is_taken():
    check_each(CONFIG, {"model.side": whole(7, 7), "name": one_of(["", "x"])})
    check_together(CONFIG, [("model.side", True, "nothing"), ("name", True, "nothing")])


def test_the_first_field_that_does_not_fit_the_others_is_named():
    with pytest.raises(InputError, match=r"^config field model\.side is 7, expected a multiple of 4$"):
        check_together(
            CONFIG, [("name", True, "x"), ("model.side", False, "a multiple of 4"), ("name", False, "another")]
        )


def test_a_phantom_is_made_of_the_fields_of_a_config_and_others():
    def spec(side, scans, *, seed):
        if scans < 1:
            raise ValueError("scans is 0, expected 1 or more")
        return side, scans, seed

    def phantom(**fields):
        return phantom_from(spec, ml_collections.ConfigDict(fields), seed=3)

    assert phantom(side=16, scans=2) == (16, 2, 3)
    for fields, told in (
        ({"side": 16, "scans": 0}, "{'scans': 0, 'side': 16}, expected fields of spec: scans is 0, expected 1 or more"),
        ({"side": 16}, "{'side': 16}, expected fields of spec: .*missing 1 required positional argument: 'scans'"),
        ({"side": 16, "scans": 1, "x": 0}, ".*, expected fields of spec: .*unexpected keyword argument 'x'"),
    ):
        with pytest.raises(InputError, match=f"^config field data.phantom is {told}"):
            phantom(**fields)
