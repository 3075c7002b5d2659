"""The phantoms that configs ask for."""

from collections.abc import Callable
from typing import Any, TypeVar

from medssl_jax.core.errors import InputError

Phantom = TypeVar("Phantom")


def phantom_from(spec: Callable[..., Phantom], given: Any, *, field: str, **others: Any) -> Phantom:
    """`spec(**given, **others)`, where a config gives `given` in a `field`.

    Raises `InputError` for what is out of range, absent or unknown, or no fields at all.
    """
    try:
        return spec(**given, **others)
    except (TypeError, ValueError) as error:
        raise InputError(f"config field {field} is {given}, expected fields of {spec.__name__}: {error}") from None
