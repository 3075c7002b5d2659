"""The base of all phantoms' specs: fields that say what they may be; 80 and 80.0 make the same phantom."""

import dataclasses
import hashlib
import json
import math
from typing import Any, ClassVar

import numpy as np

from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import SEED, Range, each, number, whole

MOST_ITEMS = 100_000  # scans, slides and the like
COUNT = whole(1, MOST_ITEMS)
AMOUNT = number(0, math.inf)


def lowest_highest(one: Range) -> Range:
    """Two values in the range `one`, in order."""
    pair = each(one, least=2, most=2)
    expected = f"lowest and highest, each of them {one.expected}"
    return Range(lambda values: pair.holds(values) and values[0] <= values[1], expected)


def within(allowed: Range, default: Any) -> Any:
    """A field of a spec whose values are in a range; None is allowed too where it is the default."""
    return dataclasses.field(default=default, metadata={"range": allowed})


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhantomSpec:
    """The fields that a phantom is made of. Raises `InputError` for a field out of range."""

    salt: ClassVar[tuple[int, ...]] = ()  # keeps phantoms of the same seed and another kind apart

    seed: int = within(SEED, 0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, default = getattr(self, field.name), field.default
            if value is None and default is None:
                continue
            allowed = field.metadata["range"]
            self.expect(allowed.holds(value), field.name, allowed.expected)
            if isinstance(default, tuple):
                object.__setattr__(self, field.name, tuple(map(type(default[0]), value)))
            elif default is None or isinstance(default, float):
                object.__setattr__(self, field.name, float(value))

    def expect(self, holds: bool, field: str, expected: str, found: Any = None) -> None:
        """Raises `InputError` unless what is `expected` of a field `holds`; `found` is by default the field's value."""
        if not holds:
            shown = getattr(self, field) if found is None else found
            raise InputError(f"phantom {field}: found {shown}, expected {expected}")

    def generator(self, *key: int) -> np.random.Generator:
        """Random numbers of their own for each thing in the phantom and each purpose, both told by the `key`."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, *self.salt], spawn_key=key))


def synthetic_uid(*about: Any) -> str:
    """The UID of what is told by JSON values: under 2.25, the root for UUIDs, so never a real one."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
