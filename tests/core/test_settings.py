"""A range holds its ends and nothing beyond them; a refusal names the field, what was found and what was expected."""

import dataclasses
import math
import sys
from typing import ClassVar

import ml_collections
import pytest

from medssl_jax.core import settings
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import (
    FOLDER,
    SHARE,
    SWITCH,
    WEIGHT,
    Settings,
    each,
    number,
    one_of,
    settings_from,
    whole,
    within,
)

NO_NUMBERS = [True, None, "1", (1,), math.nan, math.inf, 10**400]


@pytest.mark.parametrize(
    ("a_range", "inside", "outside", "expected"),
    [
        (whole(1, 5), [1, 5], [0, 6, 2.0, *NO_NUMBERS], "1 or more, at most 5"),
        (whole(3), [3, 1_000_000], [2, 1_000_001], "3 or more, at most 1000000"),
        (number(0, 1), [0, 1, 0.0, 0.5, 1.0], [-1e-9, 1 + 1e-9, *NO_NUMBERS[1:]], "0 or more, at most 1"),
        (number(0, 2, above=True), [1e-9, 2], [0, 0.0, True], "more than 0, at most 2"),
        (number(1, 9, or_zero=True), [0, 0.0, 1, 9], [0.5, -0.0001, 9.1, False], "0, or 1 or more, at most 9"),
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model(Settings):
    section: ClassVar[str] = "model"
    side: int = within(whole(7, 9))
    widths: tuple[int, ...] = within(each(whole(1)))
    name: str = within(FOLDER)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extra(Settings):
    section: ClassVar[str] = "data.extra"
    share: float = within(SHARE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data(Settings):
    section: ClassVar[str] = "data"
    gamma: float = within(number(1, 100, or_zero=True))
    extra: Extra | None = None
    phantom: dict | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole(Settings):
    seed: int = within(whole(0))
    model: Model
    data: Data

    def __post_init__(self):
        super().__post_init__()
        self.expect("model.side", self.model.side != 8 or self.seed == 0, "7 or 9 where there is a seed")


def config(**changes):
    model, data = {"side": 7, "widths": (1, 2), "name": "n"}, {"gamma": 2.0, "extra": {"share": 0.5}}
    content = {"seed": 0, "model": model, "data": data}
    made = ml_collections.ConfigDict(content)
    with made.unlocked():
        made.update_from_flattened_dict(changes)
    return made


def test_sections_are_read_with_what_is_optional():
    given = config()
    model, data = Model(side=7, widths=(1, 2), name="n"), Data(gamma=2.0, extra=Extra(share=0.5))
    assert settings_from(Whole, given) == Whole(seed=0, model=model, data=data)
    del given.data.extra
    given.data.phantom = ml_collections.ConfigDict({"sides": [1, 2]})
    assert settings_from(Whole, given).data == Data(gamma=2.0, phantom={"sides": (1, 2)})


def test_what_json_made_of_a_config_is_read_as_it_was():
    assert settings_from(Whole, {**config().to_dict(), "model": {"side": 7, "widths": [1, 2], "name": "n"}}) == (
        settings_from(Whole, config())
    )


def test_a_reference_to_another_field_is_its_value():
    given = config()
    given.seed = given.model.get_oneway_ref("side")
    assert settings_from(Whole, given).seed == 7


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": -1}, "config field seed is -1, expected 0 or more, at most 1000000"),
        ({"data.gamma": 0.5}, "config field data.gamma is 0.5, expected 0, or 1 or more, at most 100"),
        ({"model.side": 6}, "config field model.side is 6, expected 7 or more, at most 9"),
        ({"model.name": ""}, "config field model.name is '', expected the name of a folder"),
        ({"model.side": 8, "seed": 1}, "config field model.side is 8, expected 7 or 9 where there is a seed"),
        ({"data.extra.share": 2.0}, "config field data.extra.share is 2.0, expected 0 or more, at most 1"),
        ({"model.sides": 7}, "config field model.sides: the config has no such field; did you mean model.side?"),
        ({"model.gamma": 7}, "config field model.gamma: the config has no such field; did you mean data.gamma?"),
        (
            {"data.extra.shares": 1},
            "config field data.extra.shares: the config has no such field; did you mean data.extra.share?",
        ),
        ({"x": 7}, "config field x: the config has no such field; see the config file for the fields there are"),
    ],
)
def test_the_first_field_that_is_wrong_is_named(changes, told):
    with pytest.raises(InputError) as refused:
        settings_from(Whole, config(**changes))
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("absent", "told"),
    [
        ("model.side", "config field model.side is absent, expected 7 or more, at most 9"),
        ("model", "config field model is absent, expected a section with fields"),
        ("seed", "config field seed is absent, expected 0 or more, at most 1000000"),
    ],
)
def test_a_field_or_section_that_is_absent_is_named(absent, told):
    given = config()
    section, _, name = absent.rpartition(".")
    del (given[section] if section else given)[name]
    with pytest.raises(InputError, match=told):
        settings_from(Whole, given)


def test_a_value_in_place_of_a_section_is_refused():
    with pytest.raises(InputError, match=r"^config field model is 5, expected a section with fields$"):
        settings_from(Whole, {"seed": 0, "model": 5, "data": {"gamma": 2.0}})


def test_a_field_of_former_times_is_told_what_became_of_it(monkeypatch):
    monkeypatch.setattr(settings, "FORMER_FIELDS", {"model.size": "is now model.side"})
    with pytest.raises(InputError, match=r"^config field model\.size: is now model\.side$"):
        settings_from(Whole, config(**{"model.size": 7}))
