"""The next item of a sequence is made in a thread while the one before it is used."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def made_ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """The same items in the same order, one more of them in memory; what making one raises is raised in its place.

    One thread makes all of them, so that `items` need not be fit for several.
    """
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]  # it is not the end
