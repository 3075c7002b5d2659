"""Many files read in several processes, and all that is wrong with them told at once."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import some
from medssl_jax.core.progress import Progress
from medssl_jax.core.worker_pool import results_as_completed

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_all(
    read: Callable[[Item], Result], items: Sequence[Item], *, workers: int, progress: Progress
) -> list[Result]:
    """`read(item)` of all items, in no order; raises one `InputError` that tells those of all items."""
    if not items:
        return []
    finished = progress(results_as_completed(partial(_or_error, read), items, workers=workers), total=len(items))
    results: list[Result] = []
    errors: list[InputError] = []
    for result in finished:
        if isinstance(result, InputError):
            errors.append(result)
        else:
            results.append(result)
    if errors:
        told = sorted(map(str, errors))
        raise InputError(told[0] if len(told) == 1 else f"{len(told)} files cannot be used: {some(told, '; ')}")
    return results


def _or_error(read: Callable[[Item], Result], item: Item) -> Result | InputError:
    try:
        return read(item)
    except InputError as error:
        return error
