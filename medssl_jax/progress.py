"""Progress of long work: how much is done, how fast, and how long it will still take."""

from collections.abc import Callable, Collection, Iterator
from typing import Any


def with_progress(doing: str, unit: str) -> Callable[[Collection[Any]], Iterator[Any]]:
    """A wrapper for the collection of a long loop: shows count, rate and time left while it is gone through."""

    def wrap(items: Collection[Any]) -> Iterator[Any]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        rate = TextColumn("{task.fields[rate]}")
        with Progress(doing, BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn()) as bar:
            task = bar.add_task("", total=len(items), rate="")
            for item in items:
                yield item
                speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
                bar.update(task, advance=1, rate=f"{speed:.2f} {unit}/s" if speed else "")

    return wrap
