"""The base of all phantoms' specs: fields checked by name, and numbers that count the same however written."""

import sys
from collections.abc import Iterable
from typing import Any

from medssl_jax.core.errors import InputError

Number = int | float  # 80 and 80.0 make the same phantom
MOST_ITEMS = 100_000  # scans, slides and the like


class PhantomSpec:
    """A frozen dataclass that says what a phantom is made of."""

    def expect(self, holds: bool, field: str, expected: str, found: Any = None) -> None:
        """Raises `InputError` unless what is `expected` of a field `holds`; `found` is by default the field's value."""
        if not holds:
            shown = getattr(self, field) if found is None else found
            raise InputError(f"phantom {field}: found {shown}, expected {expected}")

    def expect_within(self, low: Number, high: Number, expected: str, fields: Iterable[str]) -> None:
        """Raises `InputError` for the first of some fields that is not between two bounds, these included."""
        for field in fields:
            self.expect(low <= getattr(self, field) <= high, field, expected)

    def expect_counts(self, *fields: str) -> None:
        """Raises `InputError` unless each field is a sensible number of things."""
        self.expect_within(1, MOST_ITEMS, f"1 or more, at most {MOST_ITEMS}", fields)

    def expect_shares(self, *fields: str) -> None:
        """Raises `InputError` unless each field is a share."""
        self.expect_within(0, 1, "a share between 0 and 1", fields)

    def expect_amounts(self, *fields: str) -> None:
        """Raises `InputError` unless each field is a finite number and not negative."""
        self.expect_within(0, sys.float_info.max, "a finite number, 0 or more", fields)
