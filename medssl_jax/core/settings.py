"""Settings: the sections of a config as frozen dataclasses, each field of which declares what it may be.

`FORMER_FIELDS` lists the fields that were renamed or removed.
"""

import dataclasses
import difflib
import functools
import math
import sys
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from ml_collections import ConfigDict

from medssl_jax.core.errors import InputError

Kind = TypeVar("Kind", bound="Settings")

# Bounds that no sensible run meets: beyond them a typing error would only be noticed when memory or patience runs out.
MANY = 1_000_000
LARGEST_STEPS = 2**31 - 1  # counted in 32 bits on devices
LARGEST_SEED = 2**32 - 1
LARGEST_BATCH = 2**20
LARGEST_WIDTH = 2**14  # channels
LARGEST_SIDE = 512  # voxels, which are mm: no CT shows more of a chest
# What became of fields that older configs have.
FORMER_FIELDS: Mapping[str, str] = {
    "inference.whole_scan": "was removed, with whole-scan inference: leave it out",
    "ssl.judge_guesses": "is now ssl.judge_pseudo_labels",
}


class Range(NamedTuple):
    """The values that a field may have, to the code and in words."""

    holds: Callable[[Any], bool]
    expected: str


def whole(low: int, high: int = MANY) -> Range:
    """A whole number from `low` to `high`, both included."""
    return Range(lambda value: _is_whole(value) and low <= value <= high, f"{low} or more, at most {high}")


def number(
    low: float | int, high: float | int, *, above: bool = False, below: bool = False, or_zero: bool = False
) -> Range:
    """A finite number from `low` to `high`; above the first or below the second, or else zero, where told."""

    def holds(value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= sys.float_info.max:
            return False
        if or_zero and value == 0:
            return True
        return (low < value if above else low <= value) and (value < high if below else value <= high)

    least = f"more than {low:g}" if above else f"{low:g} or more"
    most = f"{'below' if below else 'at most'} {high:g}" if math.isfinite(high) else "finite"
    return Range(holds, f"{'0, or ' if or_zero else ''}{least}, {most}")


def each(one: Range, *, least: int = 1, most: int = 16) -> Range:
    """From `least` to `most` values, all of them in the range `one`."""

    def holds(values: Any) -> bool:
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
SEED = whole(0, LARGEST_SEED)
FOLDER = Range(lambda value: isinstance(value, str) and bool(value.strip()), "the name of a folder")
TEXT = Range(lambda value: isinstance(value, str), "a text")


def within(allowed: Range, *, default: Any = dataclasses.MISSING) -> Any:
    """A field of `Settings` whose values are in a range; `default` is what configs meant that are older than it."""
    return dataclasses.field(default=default, metadata={"range": allowed})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """A section of a config, or all of it, where `section` is empty. Raises `InputError` for a field out of range.

    A class made with `excerpt=True` has some of the fields of its section, and passes over the others.
    """

    section: ClassVar[str] = ""
    excerpt: ClassVar[bool] = False

    def __init_subclass__(cls, *, excerpt: bool = False):
        super().__init_subclass__()
        cls.excerpt = excerpt

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self.check(field, getattr(self, field.name))

    @classmethod
    def check(cls, field: dataclasses.Field[Any], value: Any) -> None:
        """Raises `InputError`, which names the field, where a value is out of its range."""
        allowed = field.metadata.get("range")
        if allowed is not None and not allowed.holds(value):
            raise InputError(_refusal(cls.path_of(field.name), value, allowed.expected))

    def expect(self, field: str, holds: bool, expected: str) -> None:
        """Raises `InputError`, which names the field, what it is and what was expected, unless that `holds`."""
        if not holds:
            found = functools.reduce(getattr, field.split("."), self)
            raise InputError(_refusal(self.path_of(field), found, expected))

    @classmethod
    def path_of(cls, field: str) -> str:
        """The name of a field from the root of the config, such as `patches.side`."""
        return f"{cls.section}.{field}" if cls.section else field


def settings_from(kind: type[Kind], config: ConfigDict | Mapping[str, Any]) -> Kind:
    """The settings that a config, or a section of one, gives; its lists, which JSON has made of tuples, are tuples.

    Raises `InputError` for a field that `kind` does not have, that is absent, out of its range or does not fit others.
    """
    return _settings_from(kind, config, list(field_names(kind)))


def field_names(kind: type[Settings]) -> Iterator[str]:
    """All fields of some settings and of their sections, named from the root of the config."""
    sections = _sections(kind)
    for field in dataclasses.fields(kind):
        yield kind.path_of(field.name)
        if field.name in sections:
            yield from field_names(sections[field.name])


def fate_of(field: str, known: Collection[str]) -> str:
    """Tells a reader who gave a field that is not `known`, by its full name, what became of it or which may be meant.

    A field of the same name in another section is nearer than one that is spelt alike.
    """
    if field in FORMER_FIELDS:
        return FORMER_FIELDS[field]
    leaf = field.rpartition(".")[2]
    namesakes = [name for name in known if "." in name and name.rpartition(".")[2] == leaf]
    nearest = [*difflib.get_close_matches(field, namesakes, n=1, cutoff=0), *difflib.get_close_matches(field, known, 1)]
    hint = f"did you mean {nearest[0]}?" if nearest else "see the config file for the fields there are"
    return f"the config has no such field; {hint}"


def _settings_from(kind: type[Kind], config: Any, known: Collection[str]) -> Kind:
    if not isinstance(config, ConfigDict | Mapping):
        raise InputError(f"config field {kind.section} is {config}, expected a section with fields")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in config:
        path = kind.path_of(name)
        if name not in fields and (not kind.excerpt or path in FORMER_FIELDS):
            raise InputError(f"config field {path}: {fate_of(path, known)}")
    given, sections = {}, _sections(kind)
    for name, field in fields.items():
        if name in config and name in sections:
            given[name] = _settings_from(sections[name], config[name], known)
        elif name in config:
            given[name] = _with_tuples(config[name])
            kind.check(field, given[name])  # before a type checker, where there is one, sees the value
        elif field.default is dataclasses.MISSING:
            expected = field.metadata["range"].expected if "range" in field.metadata else "a section with fields"
            raise InputError(f"config field {kind.path_of(name)} is absent, expected {expected}")
    return kind(**given)


def _refusal(field: str, found: Any, expected: str) -> str:
    return f"config field {field} is {found if found != '' else repr('')}, expected {expected}"


def _sections(kind: type[Settings]) -> dict[str, type[Settings]]:
    """The fields that hold settings, or may hold some, with their kind."""
    sections = {}
    for name, annotation in typing.get_type_hints(kind).items():
        for each_type in typing.get_args(annotation) or (annotation,):
            if isinstance(each_type, type) and issubclass(each_type, Settings):
                sections[name] = each_type
    return sections


def _with_tuples(value: Any) -> Any:
    if isinstance(value, ConfigDict | Mapping):
        return {name: _with_tuples(value[name]) for name in value}
    return tuple(map(_with_tuples, value)) if isinstance(value, list | tuple) else value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
