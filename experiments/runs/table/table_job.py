"""All that the runner of tables must know of the work that runs do, and all that it says of them itself."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections

from experiments.runs.table.declaration import Table
from medssl_jax.steps.run_settings import RunSettings

Scored = Mapping[str, Mapping[int, Any]]  # what the runs of each row came to, by draw


class Frame(NamedTuple):
    """What a report says whatever its runs are of.

    `about` names the data, `facts` are on the runs; `labels` are those of all lines in their order, with a mark at
    those that `notes` are on. `is_as_declared` where no config was changed for all rows. `seconds` are what the job's
    `time` measured of each row, by name, and `timed` how.
    """

    about: str
    facts: Mapping[str, str]
    labels: Mapping[str, str]
    notes: Sequence[str]
    is_as_declared: bool
    bootstraps: int
    seconds: Mapping[str, Any]
    timed: str


class Printed(NamedTuple):
    """A table in the four forms in which it is written: Markdown, a page of HTML, content for JSON, a PNG."""

    markdown: str
    page: str
    numbers: Mapping[str, Any]
    picture: bytes


class TableJob(NamedTuple):
    """The work of the runs of a table.

    `kind` reads a config, `parent` gives the one with every default. A run is `prepare(config)`, then
    `run(config, workdir)`, which returns what a score goes by; `pack` makes JSON of that, `unpack` reads it and raises
    `InputError`, `ValueError`, `KeyError` or `TypeError` where it cannot. Runs whose configs differ in nothing but
    fields that begin as one of `after_training` share a training. `passes(config)` is what a step computes, in passes
    of one patch forwards, where rows may be given each other's computation. `report` is of a table, what its runs came
    to, and the words around it; `printed` has its four forms. `time` measures trained rows in turn, each given by its
    config and the folder of its training, on so many cases, and returns what it found of each row as JSON has it.
    """

    kind: type[RunSettings]
    parent: Callable[[], ml_collections.ConfigDict]
    prepare: Callable[[ml_collections.ConfigDict], Any]
    run: Callable[[ml_collections.ConfigDict, Path], Any]
    pack: Callable[[Any], dict[str, Any]]
    unpack: Callable[[Mapping[str, Any]], Any]
    report: Callable[[Table, Scored, Frame], Any]
    printed: Callable[[Table, Any], Printed]
    after_training: tuple[str, ...] = ()
    passes: Callable[[ml_collections.ConfigDict], int] | None = None
    time: Callable[[Mapping[str, tuple[ml_collections.ConfigDict, Path]], int], dict[str, Any]] | None = None

    @property
    def command(self) -> str:
        """The command whose configs it reads."""
        return self.kind.COMMAND
