"""Work timed in interleaved pairs: how many times what one way costs costs the other.

A shared machine is faster at one minute than at the next, so figures of two runs say little; the ratio within a pair,
and its range over pairs, say much. Seconds of a processor are those of this process and of the workers it waited for.
"""

import dataclasses
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

LEAST_SECONDS = 0.05  # shorter work is called several times


class Cost(NamedTuple):
    """Seconds of one call: by the clock on the wall, and of all processors together."""

    wall: float
    cpu: float


class Ratio(NamedTuple):
    """The median of the ratios of pairs, and their range."""

    median: float
    low: float
    high: float


Clock = Callable[[], Cost]
Notes = Mapping[str, float | str]


def clock() -> Cost:
    """The time now, and what this process and its finished children have used of processors."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(time.perf_counter(), time.process_time() + children.ru_utime + children.ru_stime)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The costs of some work, and in pairs with them those of the work beside it, where there is one.

    `notes` are what else was found, each by a name that holds its unit.
    """

    work: str
    costs: Sequence[Cost] = ()
    beside: str = ""
    costs_beside: Sequence[Cost] = ()
    notes: Notes = dataclasses.field(default_factory=dict)

    @property
    def median(self) -> Cost:
        """The median of the wall and of the processors, each by itself."""
        return Cost(*map(statistics.median, zip(*self.costs, strict=True)))

    def ratio(self, kind: str) -> Ratio:
        """Ratios of `wall` or `cpu` seconds to those of the work beside it: below 1 is faster."""
        pairs = zip(self.costs, self.costs_beside, strict=True)
        ratios = [getattr(own, kind) / getattr(other, kind) for own, other in pairs]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios))

    def noting(self, **notes: float | str) -> "Measurement":
        """This and what else was found."""
        return dataclasses.replace(self, notes={**self.notes, **notes})

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        fields: dict[str, Any] = {"work": self.work, "costs": [each._asdict() for each in self.costs]}
        if self.beside:
            fields |= {"beside": self.beside, "costs_beside": [each._asdict() for each in self.costs_beside]}
            fields |= {f"{kind}_ratio": self.ratio(kind)._asdict() for kind in Cost._fields}
        return fields | {"notes": dict(self.notes)}


@dataclasses.dataclass(frozen=True)
class Bench:
    """The way everything is measured: `pairs` times, beside the peers where `peer`, on `threads` processors."""

    pairs: int = 5
    peer: bool = False
    threads: int = 1
    clock: Clock = clock

    def alone(self, work: str, run: Callable[[], Any], **notes: float | str) -> Measurement:
        """The costs of `run`, after calls that do not count."""
        calls = self._calls(run)
        return Measurement(work, [self._cost(run, calls) for _ in range(self.pairs)], notes=notes)

    def pair(
        self, work: str, run: Callable[[], Any], beside: str, other: Callable[[], Any], **notes: float | str
    ) -> Measurement:
        """The costs of `run` and `other` in turns, after calls that do not count; each begins every other pair."""
        calls, other_calls = self._calls(run), self._calls(other)
        own_costs: list[Cost] = []
        other_costs: list[Cost] = []
        for number in range(self.pairs):
            turns = [(own_costs, run, calls), (other_costs, other, other_calls)]
            for costs, function, count in turns if number % 2 == 0 else turns[::-1]:
                costs.append(self._cost(function, count))
        return Measurement(work, own_costs, beside, other_costs, notes)

    def _calls(self, run: Callable[[], Any]) -> int:
        run()
        wall = self._cost(run, 1).wall
        return max(1, round(LEAST_SECONDS / max(wall, LEAST_SECONDS / 1000)))

    def _cost(self, run: Callable[[], Any], calls: int) -> Cost:
        begin = self.clock()
        for _ in range(calls):
            run()
        end = self.clock()
        return Cost((end.wall - begin.wall) / calls, (end.cpu - begin.cpu) / calls)
