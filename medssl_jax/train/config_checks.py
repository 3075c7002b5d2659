"""What the fields of a config may be: each by itself first, then those that must fit each other."""

import functools
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import ml_collections

from medssl_jax.core.errors import InputError

Phantom = TypeVar("Phantom")

# Bounds that no sensible run meets: beyond them a typing error would only be noticed when memory or patience runs out.
MANY = 1_000_000
LARGEST_STEPS = 2**31 - 1  # counted in 32 bits on devices
LARGEST_SEED = 2**32 - 1
LARGEST_BATCH = 2**20
LARGEST_WIDTH = 2**14  # channels
LARGEST_SIDE = 512  # voxels, which are mm: no CT shows more of a chest


class Range(NamedTuple):
    """Which values a field may have, to the code and in words."""

    holds: Callable[[Any], bool]
    expected: str


def whole(low: int, high: int = MANY) -> Range:
    """A whole number from `low` to `high`, both included."""
    return Range(lambda value: _is_whole(value) and low <= value <= high, f"{low} or more, at most {high}")


def number(low: float | int, high: float | int, *, above: bool = False, below: bool = False) -> Range:
    """A finite number from `low` to `high`; above the first or below the second, where told."""

    def holds(value):
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= sys.float_info.max:
            return False
        return (low < value if above else low <= value) and (value < high if below else value <= high)

    least = f"more than {low:g}" if above else f"{low:g} or more"
    most = f"{'below' if below else 'at most'} {high:g}" if math.isfinite(high) else "finite"
    return Range(holds, f"{least}, {most}")


def each(one: Range, *, least: int = 1, most: int = 16) -> Range:
    """From `least` to `most` values, all of them in the range `one`."""

    def holds(values):
        return isinstance(values, tuple | list) and least <= len(values) <= most and all(map(one.holds, values))

    count = f"{least} to {most}" if least < most else f"{most}"
    return Range(holds, f"a tuple of {count}, each of them {one.expected}")


def one_of(names: Iterable[str]) -> Range:
    """One of some words."""
    known = tuple(names)
    return Range(known.__contains__, " or ".join(known) if len(known) == 2 else f"one of {', '.join(known)}")


SWITCH = Range(lambda value: isinstance(value, bool), "True or False")
SHARE = number(0, 1)
WEIGHT = number(0, MANY)
FOLDER = Range(lambda value: isinstance(value, str) and bool(value.strip()), "the name of a folder")

# What configs of both methods have.
COMMON: Mapping[str, Range] = {
    "seed": whole(0, LARGEST_SEED),
    "steps": whole(1, LARGEST_STEPS),
    "data.manual_dir": FOLDER,
    "data.data_dir": FOLDER,
    "split.seed": whole(0, LARGEST_SEED),
    "optimiser.learning_rate": number(0, 100, above=True),
    "optimiser.warmup_share": SHARE,
    "optimiser.b1": number(0, 1, below=True),
    "optimiser.b2": number(0, 1, below=True),
    "optimiser.weight_decay": number(0, 100),
    "optimiser.clip_norm": number(0, math.inf, above=True),
    "optimiser.ema_decay": number(0, 1, below=True),
    "logging.log_every": whole(1, LARGEST_STEPS),
    "logging.save_every": whole(1, LARGEST_STEPS),
    "logging.keep_checkpoints": whole(1),
    "logging.bootstraps": whole(1),
}


def check_each(config: ml_collections.ConfigDict, ranges: Mapping[str, Range]) -> None:
    """Raises `InputError` for the first field that is absent or out of its range."""
    for field, each_range in ranges.items():
        try:
            found = _value_of(config, field)
        except (AttributeError, KeyError):
            raise InputError(f"config field {field} is absent, expected {each_range.expected}") from None
        if not each_range.holds(found):
            raise _refusal(field, found, each_range.expected)


def check_together(config: ml_collections.ConfigDict, expectations: Iterable[tuple[str, bool, str]]) -> None:
    """Raises `InputError` for the first of (field, whether it fits the others, what was expected) that does not."""
    for field, holds, expected in expectations:
        if not holds:
            raise _refusal(field, _value_of(config, field), expected)


def phantom_from(spec: Callable[..., Phantom], fields: Any, **others: Any) -> Phantom:
    """`spec(**fields, **others)`, `fields` from a config. Raises `InputError` for one out of range or that it lacks."""
    try:
        return spec(**fields, **others)
    except (TypeError, ValueError, OverflowError) as error:
        found = dict(fields) if isinstance(fields, ml_collections.ConfigDict) else fields
        expected = f"fields of {spec.__name__}: {error}"
        raise InputError(f"config field data.phantom is {found}, expected {expected}") from None


def _refusal(field, found, expected):
    return InputError(f"config field {field} is {found if found != '' else repr('')}, expected {expected}")


def _value_of(config, field):
    return functools.reduce(getattr, field.split("."), config)


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)
