"""The stream of rows that all hosts agree on, and the part of each batch that one of them reads.

The position in it is saved and set again by `train.trainer`, with each checkpoint.
"""

import functools
import sys
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np
from jaxtyping import Int

from medssl_jax.core.settings import LARGEST_STEPS


class _Shuffled:
    """Items by their place in the stream: the number of the epoch and `seed` give its order."""

    def __init__(self, items: Sequence[Any], seed: int):
        self._items, self._seed = list(items), seed

    def __len__(self) -> int:
        return sys.maxsize  # the stream has no end, and Python can count no further

    def __getitem__(self, place: int) -> Any:
        epoch, row = divmod(place, len(self._items))
        return self._items[_order(len(self._items), self._seed, epoch)[row]]


@functools.lru_cache(maxsize=4)  # of two streams, each with threads in an epoch and already in the next
def _order(count: int, seed: int, epoch: int) -> Int[np.ndarray, " count"]:
    return np.random.default_rng((seed, epoch)).permutation(count)


def shuffled(items: Sequence[Any], seed: int) -> grain.MapDataset:
    """All items in a new order every time round, without end; any place of it is found at once."""
    return grain.MapDataset.source(_Shuffled(items, seed)).seed(seed)


class _Then:
    def __init__(self, before: grain.MapDataset, after: grain.MapDataset, place: int):
        self._before, self._after, self._place = before, after, place

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, place: int) -> Any:
        return (self._before if place < self._place else self._after)[place]


def then(before: grain.MapDataset, after: grain.MapDataset, place: int) -> grain.MapDataset:
    """One stream up to a place, from there on another, both without end and with the places that they have alone."""
    return grain.MapDataset.source(_Then(before, after, place))


class _SideBySide:
    def __init__(self, first: grain.MapDataset, second: grain.MapDataset, counts: tuple[int, int]):
        self._streams, self._counts = (first, second), counts

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, place: int) -> Any:
        turn, row = divmod(place, sum(self._counts))
        which = int(row >= self._counts[0])
        return self._streams[which][turn * self._counts[which] + row - which * self._counts[0]]


def side_by_side(first: grain.MapDataset, second: grain.MapDataset, counts: tuple[int, int]) -> grain.MapDataset:
    """One stream without end of two: by turns as many of the first as `counts` says, then as many of the second."""
    return grain.MapDataset.source(_SideBySide(first, second, counts))


class _HostRows:
    """The host's rows of all batches, one after the other; what each holds, its place in the whole stream decides."""

    def __init__(self, rows: grain.MapDataset, batch: int, host_rows: range):
        self._rows, self._batch, self._host_rows = rows, batch, host_rows

    def __len__(self) -> int:
        # As many batches as a run may have steps: of more rows than floats can count, Grain computes a false length.
        return LARGEST_STEPS * len(self._host_rows)

    def __getitem__(self, index: int) -> Any:
        step, row = divmod(index, len(self._host_rows))
        return self._rows[step * self._batch + self._host_rows[row]]


def batch_on_host(rows: grain.MapDataset, batch: int, host_rows: range) -> grain.MapDataset:
    """Batches of `batch` rows of the stream, each cut down to the rows `host_rows` of it."""
    return grain.MapDataset.source(_HostRows(rows, batch, host_rows)).batch(len(host_rows))
