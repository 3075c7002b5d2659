"""A table of runs as data: rows, draws, what is set against what; and the config of each of its runs."""

import ast
import dataclasses
import difflib
import functools
import hashlib
import json
import runpy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ml_collections
from flax.traverse_util import flatten_dict

from experiments import command
from experiments.configs import focalmix
from experiments.runs.focalmix_config import FocalMixConfig
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import fate_of, settings_from
from medssl_jax.report.nodules.froc_tables import PaperResult
from medssl_jax.train.focalmix_settings import PSEUDO, SURE

FOLDER = command.EXPERIMENTS / "tables"
# These change what is shown, where data lies or how fast it comes, and nothing of a result.
NOT_TELLING = (
    *("logging.", "data.manual_dir", "data.data_dir", "data.cache_dir", "data.workers", "data.extra.manual_dir"),
    *("patches.loader_threads", "ssl.judge_pseudo_labels"),
)
# A gradient takes about as long as three passes forwards.
PASSES_OF_A_GRADIENT = 3


class DataSet(NamedTuple):
    """What a table can be made of: in words, and the config that its rows are changes of."""

    about: str
    config: str


DATA_SETS = {
    "luna16": DataSet("LUNA16", "configs/focalmix.py"),
    "phantom": DataSet("phantom (synthetic scans, not LUNA16)", "configs/phantom_table.py"),
    "real_crops": DataSet(
        "crops of real nodules, each a scan: never to be set beside whole scans", "configs/real_crops.py"
    ),
}


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
    which Holm's adjustment is over all; `shares` few labels, a method, all labels. `plot` is `froc`, `rows` or `sweep`,
    whose axis is `x_name`; `cited` are the paper's figures that no row stands beside.
    """

    title: str
    rows: tuple[Row, ...]
    draws: tuple[int, ...]
    joined: tuple[Joined, ...] = ()
    differences: tuple[tuple[str, str], ...] = ()
    shares: tuple[tuple[str, str, str], ...] = ()
    plot: str = "rows"
    x_name: str = ""
    cited: Mapping[str, PaperResult] = dataclasses.field(default_factory=dict)

    def row(self, name: str) -> Row:
        """The row of a name. Raises `InputError` where there is none."""
        for row in self.rows:
            if row.name == name:
                return row
        known = ", ".join(row.name for row in self.rows)
        raise InputError(f"row {name!r}: not in the table, expected one of {known}")


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One draw of a row, with its config."""

    row: str
    draw: int
    config: ml_collections.ConfigDict
    data: str

    @functools.cached_property
    def fields(self) -> dict[str, Any]:
        """The fields of its config that tell in its result."""
        return telling_fields(self.config)

    @functools.cached_property
    def key(self) -> str:
        """Names the run by all that tells in its result."""
        return telling_sha256(self.data, self.fields)[:16]


def table_names() -> list[str]:
    """The names of all tables."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def load_table(name: str, data: str) -> Table:
    """The table of a name, on a data set. Raises `InputError` where there is none, or it is not of that data set."""
    if name not in table_names():
        nearest = difflib.get_close_matches(name, table_names(), n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else "expected one of " + ", ".join(table_names())
        raise InputError(f"--name={name}: no such table; {hint}")
    if data not in DATA_SETS:
        raise InputError(f"--data={data}: expected one of {', '.join(DATA_SETS)}")
    table = runpy.run_path(str(FOLDER / f"{name}.py"))["get_table"](data)
    if table is None:
        raise InputError(f"--name={name} --data={data}: there is no such table on these scans, expected other --data")
    assert isinstance(table, Table)
    return table


def runs_of(
    table: Table,
    data: str,
    *,
    rows: Sequence[str] | None = None,
    draws: Sequence[int] | None = None,
    changes: Sequence[str] = (),
) -> list[Run]:
    """The runs of a table, draw after draw; of some `rows` and `draws`, where told, and with `changes` of the
    config that rows are changes of.

    Raises `InputError` for a row that there is not, for a change that is no `field=value` of a field that there is, and
    for a config that is not sound.
    """
    chosen = table.rows if rows is None else tuple(table.row(name) for name in rows)
    return [
        Run(row.name, draw, _config_of(table, row, draw, data, changes), data)
        for draw in (table.draws if draws is None else draws)
        for row in chosen
    ]


def telling_fields(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """The fields of a config that tell in its result, by their full names, as JSON has them."""
    flat = flatten_dict(json.loads(config.to_json()), sep=".")
    return {field: flat[field] for field in sorted(flat) if not field.startswith(NOT_TELLING)}


def telling_sha256(data: str, fields: Mapping[str, Any]) -> str:
    """Names what a result is of: the data set and the config's fields that tell in it."""
    return hashlib.sha256(json.dumps([data, fields], sort_keys=True).encode()).hexdigest()


def means_the_same(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """True where a result of `stored` fields answers for `wanted` ones.

    A field that is younger than the result had no other value than the one of `configs/focalmix.py`: a new field's
    default is what the code did before.
    """
    defaults, missing = _default_fields(), object()
    return stored.keys() <= wanted.keys() and all(
        value == stored.get(field, defaults.get(field, missing)) for field, value in wanted.items()
    )


def forward_passes(config: ml_collections.ConfigDict) -> int:
    """What a training step computes, in passes of one patch forwards through the network."""
    patches = config.patches
    trained = PASSES_OF_A_GRADIENT * (patches.labelled_batch + patches.unlabelled_batch)
    views = config.ssl.views if config.ssl.targets in (PSEUDO, SURE) else 0
    return trained + views * patches.unlabelled_batch


@functools.cache
def _default_fields() -> dict[str, Any]:
    return telling_fields(focalmix.get_config())


def _config_of(table: Table, row: Row, draw: int, data: str, changes: Sequence[str]) -> ml_collections.ConfigDict:
    config = command.load_config(row.config or DATA_SETS[data].config)
    try:
        for change in changes:
            field, _, text = change.partition("=")
            _override(config, field, _value_of(text))
        for field, value in row.overrides.items():
            _override(config, field, value)
        config.seed = config.split.seed = draw
        if row.compute_of is not None:
            whole = _config_of(table, table.row(row.compute_of), draw, data, changes)
            config.steps = round(whole.steps * forward_passes(whole) / forward_passes(config))
        settings_from(FocalMixConfig, config)
    except InputError as error:
        raise InputError(f"row {row.name}: {error}") from None
    return config


def _override(config: ml_collections.ConfigDict, field: str, value: Any) -> None:
    known = list(flatten_dict(config.to_dict(), sep="."))
    if field not in known:
        raise InputError(f"config field {field}: {fate_of(field, known)}")
    with config.ignore_type():  # the settings say what they take
        config.update_from_flattened_dict({field: value})


def _value_of(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
