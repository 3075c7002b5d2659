"""A table as it is declared: its rows, the draws of each, and what is set against what."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from medssl_jax.core.errors import InputError
from medssl_jax.report.nodules.froc_tables import PaperResult


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: `overrides` of the data set's config, or of another `config`.

    `compute_of` names a row whose computation this one is given, in more steps of its own; `paper` is what the paper
    has in its place; `x` is where the row stands in a plot of a sweep.
    """

    name: str
    label: str
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    config: str | None = None
    compute_of: str | None = None
    paper: PaperResult | None = None
    x: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joined:
    """A line made of several rows, each tested on scans of its own, scored as one list."""

    name: str
    label: str
    rows: tuple[str, ...]
    paper: PaperResult | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Rows, the draws of each, and what is said of them.

    A draw is the seed of a run and of its split. `differences` are pairs of a row and the one it is set against, of
    which Holm's adjustment is over all; `shares` few labels, a method, all labels; `gains` a method of SOS's kind and
    the low-resolution network trained alone. `plot` is `froc`, `rows` or `sweep`, whose axis is `x_name`, of scans;
    slides have one plot. `cited` are the paper's figures that no row stands beside.
    """

    title: str
    rows: tuple[Row, ...]
    draws: tuple[int, ...]
    joined: tuple[Joined, ...] = ()
    differences: tuple[tuple[str, str], ...] = ()
    shares: tuple[tuple[str, str, str], ...] = ()
    gains: tuple[tuple[str, str], ...] = ()
    plot: str = "rows"
    x_name: str = ""
    cited: Mapping[str, PaperResult] = dataclasses.field(default_factory=dict)

    @property
    def lines(self) -> tuple[Row | Joined, ...]:
        """The rows, then what is joined of them."""
        return (*self.rows, *self.joined)

    def row(self, name: str) -> Row:
        """The row of a name. Raises `InputError` where there is none."""
        for row in self.rows:
            if row.name == name:
                return row
        known = ", ".join(row.name for row in self.rows)
        raise InputError(f"row {name!r}: not in the table, expected one of {known}")
