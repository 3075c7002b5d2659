"""How an answer is judged: what it must equal, and the words for why it is right or wrong."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

SAME = "what was read is what was written"
AS_IT_SAYS = "read as the file now says, which no checksum or length tells from another file"


class Wrong(Exception):  # noqa: N818 - no error of the fuzzer: a fault that it found
    """What was read is not what the input holds, or the input should have been refused."""


class MustRefuse(Exception):  # noqa: N818
    """The oracle's own reader knows that the input is damaged or makes no sense."""


class Beyond(Exception):  # noqa: N818
    """The oracle's own reader cannot tell: only what was written before the damage is right then."""


def judged(
    expected: Callable[[Path], Any],
    read: Callable[[Path], Any],
    damaged: Path,
    valid: Path,
    reading: Any,
    *,
    tolerance: float = 1e-6,
) -> str:
    """Why `reading`, which came from the folder `damaged`, is right; raises `Wrong` where it is not.

    `expected` is the oracle's own reader, `read` the project's, which is asked for the reading of the undamaged folder
    `valid`.
    """

    def difference(wanted):
        return difference_between(reading, wanted, tolerance=tolerance)

    try:
        wanted = expected(damaged)
    except MustRefuse as reason:
        raise Wrong(f"was read, but {reason}") from None
    except Beyond as reason:
        if between := difference(read(valid)):
            raise Wrong(f"not what was written ({between}); the oracle cannot tell: {reason}") from None
        return SAME
    if between := difference(wanted):
        raise Wrong(f"not what the file says: {between}")
    return AS_IT_SAYS if difference(read(valid)) else SAME


def difference_between(found: Any, wanted: Any, where: str = "it", *, tolerance: float = 1e-6) -> str | None:
    """Where two nested values differ; None where they are equal, floats to `tolerance` of their size."""

    def within(found, wanted, where):
        return difference_between(found, wanted, where, tolerance=tolerance)

    if isinstance(wanted, np.ndarray) or isinstance(found, np.ndarray):
        return _of_arrays(np.asarray(found), np.asarray(wanted), where, tolerance)
    if dataclasses.is_dataclass(wanted) and dataclasses.is_dataclass(found):
        if type(found) is not type(wanted):
            return f"{where} is a {type(found).__name__}, expected a {type(wanted).__name__}"
        names = [field.name for field in dataclasses.fields(wanted)]
        pairs = {name: (getattr(found, name), getattr(wanted, name)) for name in names}
        return _first(within(*pair, f"{where}.{name}") for name, pair in pairs.items())
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        if found.keys() != wanted.keys():
            return f"{where} has {sorted(found, key=str)}, expected {sorted(wanted, key=str)}"[:300]
        return _first(within(found[key], wanted[key], f"{where}.{key}") for key in wanted)
    if isinstance(wanted, list | tuple) and isinstance(found, list | tuple):
        if len(found) != len(wanted):
            return f"{where} has {len(found)} parts, expected {len(wanted)}"
        pairs = enumerate(zip(found, wanted, strict=True))
        return _first(within(*pair, f"{where}[{number}]") for number, pair in pairs)
    if isinstance(wanted, float) and isinstance(found, int | float):
        equal = math.isclose(found, wanted, rel_tol=tolerance, abs_tol=tolerance / 10) or (
            math.isnan(found) and math.isnan(wanted)
        )
    else:
        equal = type(found) is type(wanted) and found == wanted
    return None if equal else f"{where} is {found!r}, expected {wanted!r}"[:300]


def _first(differences):
    return next(filter(None, differences), None)


def _of_arrays(found, wanted, where, tolerance):
    if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
        return f"{where} is {found.shape} {found.dtype}, expected {wanted.shape} {wanted.dtype}"
    differing = ~np.isclose(found, wanted, rtol=tolerance, atol=tolerance / 10, equal_nan=True)
    if found.dtype.kind not in "fc":
        differing = found != wanted
    return f"{where} differs in {differing.sum()} of {differing.size} numbers" if differing.any() else None
