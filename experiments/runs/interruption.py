"""A run that is interrupted again and again: a signal at a random moment, and the same command started again.

Moments are drawn from the run's own course, measured where nobody interrupts it: so many seconds after a step was
logged, or after the start. So start-up, steps, saving and scoring are hit as often as they take time.
"""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress, silent
from medssl_jax.train.preemption import PREEMPTED_STATUS

PATIENCE = 20  # times what the whole run took: a start that takes longer hangs
LEAST_PATIENCE_SECONDS = 300.0
_STEP = re.compile(r"(?:resumed at )?step (\d+)(?:/| of )\d+")


class Command(NamedTuple):
    """What is started, with which environment; what it says is appended to `log`."""

    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str]


class Mark(NamedTuple):
    """So many `seconds` after the start a line named `step`; the start itself is (0, 0)."""

    step: int
    seconds: float


class Course(NamedTuple):
    """A run from its start to its end."""

    marks: tuple[Mark, ...]
    seconds: float

    def seconds_left(self, step: int) -> float:
        """From when `step` was logged or passed to the end."""
        return self.seconds - next(mark.seconds for mark in self.marks if mark.step >= step)


class Moment(NamedTuple):
    """So many `seconds` after `step` was logged or passed; step 0 is the start."""

    step: int
    seconds: float


class Interruption(NamedTuple):
    """A signal sent after the newest `step` a start had logged, None where it had none, and how the start ended."""

    step: int | None
    status: int
    seconds_to_end: float


def draw_moments(course: Course, count: int, seed: int) -> list[Moment]:
    """Moments drawn evenly over the time of a run, in an order in which it can meet one of them each start.

    That is the order of their steps; those of start-up, which every start has, come anywhere between.
    """
    rng = np.random.default_rng(seed)
    moments = [_moment_at(course, float(seconds)) for seconds in sorted(rng.uniform(0, course.seconds, count))]
    starting = [moment for moment in moments if moment.step == 0]
    later = [moment for moment in moments if moment.step > 0]
    places = set(rng.choice(count, len(starting), replace=False).tolist())
    return [(starting if place in places else later).pop(0) for place in range(count)]


def _moment_at(course, seconds) -> Moment:
    mark = max(mark for mark in course.marks if mark.seconds <= seconds)
    return Moment(mark.step, seconds - mark.seconds)


def run_whole(command: Command) -> Course:
    """Runs the command to its end and shows its steps. Raises `InputError` where it does not end with status 0."""
    with _started(command, echo=True) as start:
        start.must_end_well(patience=None)
        return start.course()


def run_interrupted(
    command: Command,
    course: Course,
    moments: Sequence[Moment],
    signal_number: signal.Signals,
    progress: Progress = silent,
) -> list[Interruption]:
    """Starts the command, sends the signal to its processes at the next moment, and so on; at last lets it end.

    A start that ends before its moment, because it was faster than the whole run, does not count: another follows,
    whose moment comes sooner in proportion. Raises `InputError` where a start fails by itself, or hangs.
    """
    patience = max(LEAST_PATIENCE_SECONDS, PATIENCE * course.seconds)
    interruptions = []
    for number, moment in enumerate(progress(moments), 1):
        met = None
        while met is None:
            with _started(command) as start:
                met = start.interrupted_at(moment, signal_number, patience)
                if met is None:
                    pace = start.course().seconds_left(moment.step) / course.seconds_left(moment.step)
                    moment = Moment(moment.step, min(pace, 0.9) * moment.seconds)
        interruptions.append(met)
        place = "in start-up" if met.step is None else f"at step {met.step} of {course.marks[-1].step}"
        end = f"status {met.status} after {met.seconds_to_end:.1f} s"
        print(f"{signal_number.name} {number} of {len(moments)} {place}: {end}", flush=True)
    with _started(command) as start:
        start.must_end_well(patience)
    return interruptions


class _Start:
    """One start of the command, in a process group of its own."""

    def __init__(self, command: Command, echo: bool):
        self.marks = [Mark(0, 0.0)]
        self._log, self._echo, self._last_line = command.log, echo, ""
        self._since = time.monotonic()
        self._process = subprocess.Popen(
            command.arguments,
            env=command.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def age(self) -> float:
        return time.monotonic() - self._since

    def course(self) -> Course:
        return Course(tuple(self.marks), self.age())

    def must_end_well(self, patience: float | None) -> None:
        status = self._status(patience)
        if status != 0:
            raise InputError(
                f"{self._log}: the run ended by itself with status {status}, expected 0; the last it said: "
                f"{self._last_line}"
            )

    def interrupted_at(self, moment: Moment, signal_number: signal.Signals, patience: float) -> Interruption | None:
        """None where the run was at its end before."""
        while not (reached := [mark.seconds for mark in self.marks if mark.step >= moment.step]):
            if self.age() > patience:
                raise self._hang()
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, reached[0] + moment.seconds - self.age()) if reached else None)
            self.must_end_well(patience)
            return None
        sent, step = self.age(), self.marks[-1].step if len(self.marks) > 1 else None
        os.killpg(self._process.pid, signal_number)
        status = self._status(patience)
        if status not in (-signal_number, PREEMPTED_STATUS):
            self.must_end_well(patience)
            if signal_number == signal.SIGKILL:  # nobody can pass over it, so it came too late
                return None
        return Interruption(step, status, self.age() - sent)

    def end(self) -> None:
        """Nothing of it outlives this."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()

    def _status(self, patience) -> int:
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            raise self._hang() from None
        self.end()
        return status

    def _hang(self) -> InputError:
        return InputError(
            f"{self._log}: the run has not ended after {self.age():.0f} s, expected a fraction of it, so it hangs; the "
            f"last it said: {self._last_line}"
        )

    def _read(self):
        lines = self._process.stdout
        assert lines is not None  # it is a pipe
        with self._log.open("a") as log, lines:
            for line in lines:
                log.write(line)
                log.flush()
                self._last_line = line.strip() or self._last_line
                if found := _STEP.match(line):
                    self.marks.append(Mark(int(found[1]), self.age()))
                    if self._echo:
                        print(line, end="", flush=True)


@contextmanager
def _started(command: Command, *, echo: bool = False) -> Iterator[_Start]:
    start = _Start(command, echo)
    try:
        yield start
    finally:
        start.end()
