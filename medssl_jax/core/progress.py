"""Progress of long work: how much is done, how fast, and how long it will still take."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 30.0  # our choice


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
    """A bar on stderr with count, rate in `unit`/s and time left; where that is no terminal, such as a log, lines."""

    def wrap(items: Iterable[Item], *, total: int | None = None) -> Iterator[Item]:
        if not sys.stderr.isatty():
            yield from _with_lines(items, len(items) if total is None else total, doing, unit)  # type: ignore[arg-type]
            return
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


def _with_lines(items: Iterable[Item], total: int, doing: str, unit: str) -> Iterator[Item]:
    """A line when it begins, one at most every `SECONDS_BETWEEN_LINES`, and one at the end."""

    def say(text: str) -> None:
        print(f"{doing}: {text}", file=sys.stderr, flush=True)

    say(f"{total} {unit}")
    begun = said = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN_LINES and done < total:
            said, rate = now, done / (now - begun)
            say(f"{done} of {total} {unit}, {rate:.2f} {unit}/s, {(total - done) / rate:.0f} s left")
    say(f"{done} of {total} {unit} in {time.monotonic() - begun:.0f} s")
