"""Progress of long work: how much is done, how fast, and how long it will still take."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item")


@runtime_checkable
class Progress(Protocol):
    """Shows the progress of a long loop."""

    def __call__(self, items: Iterable[Item], *, total: int | None = None) -> Iterator[Item]:
        """Yields `items` as they come; `total` is needed where they have no length."""


def silent(items: Iterable[Item], *, total: int | None = None) -> Iterator[Item]:
    """Yields `items` and shows nothing."""
    del total
    return iter(items)


def progress_bar(doing: str, unit: str) -> Progress:
    """A bar on stderr with count, rate in `unit`/s and time left."""

    def wrap(items: Iterable[Item], *, total: int | None = None) -> Iterator[Item]:
        from rich import progress
        from rich.console import Console

        rate = progress.TextColumn("{task.fields[rate]}")
        columns = (
            doing,
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            rate,
            "left",
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("", total=len(items) if total is None else total, rate="")  # type: ignore[arg-type]
            for item in items:
                yield item
                speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
                bar.update(task, advance=1, rate=f"{speed:.2f} {unit}/s" if speed else "")

    return wrap
