"""The tables that there are, the data sets that they can be made of, and the config of each of their runs."""

import ast
import dataclasses
import difflib
import functools
import hashlib
import json
import runpy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import ml_collections
from flax.traverse_util import flatten_dict

from experiments import command
from experiments.runs.focalmix.focalmix_table import FOCALMIX, LUNA16
from experiments.runs.sos.sos_table import LKS, SOS
from experiments.runs.table.declaration import Row, Table
from experiments.runs.table.table_job import TableJob
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import fate_of, settings_from

FOLDER = command.EXPERIMENTS / "tables"
# These change what is shown, where data lies or how fast it comes, and nothing of a result.
NOT_TELLING = (
    *("logging.", "data.manual_dir", "data.data_dir", "data.cache_dir", "data.workers", "data.extra.manual_dir"),
    *("patches.loader_threads", "batches.loader_threads", "ssl.judge_pseudo_labels"),
)


class DataSet(NamedTuple):
    """What a table can be made of: in words, the config that its rows are changes of, and what its runs do."""

    about: str
    config: str
    job: TableJob


DATA_SETS = {
    "luna16": DataSet(LUNA16, "configs/focalmix.py", FOCALMIX),
    "phantom": DataSet("phantom (synthetic scans, not LUNA16)", "configs/phantom_table.py", FOCALMIX),
    "real_crops": DataSet(
        "crops of real nodules, each a scan: never to be set beside whole scans", "configs/real_crops.py", FOCALMIX
    ),
    "lks": DataSet(LKS, "configs/sos.py", SOS),
    "slide_phantom": DataSet("phantom (synthetic slides, not LKS)", "configs/phantom_sos.py", SOS),
    "telling_phantom": DataSet("telling phantom (synthetic slides, not LKS)", "configs/telling_sos.py", SOS),
}


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

    @functools.cached_property
    def training(self) -> str:
        """Names what it is trained by: runs that differ in what is done after it share one."""
        after = self.job.after_training
        trained = {field: value for field, value in self.fields.items() if not (after and field.startswith(after))}
        return telling_sha256(self.data, trained)[:16]

    @property
    def job(self) -> TableJob:
        """What it does."""
        return DATA_SETS[self.data].job


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
    declared = runpy.run_path(str(FOLDER / f"{name}.py"))

    def on(data: str) -> Table | None:
        is_of_it = declared["COMMAND"] == DATA_SETS[data].job.command
        return declared["get_table"](data) if is_of_it else None

    table = on(data)
    if table is None:
        served = ", ".join(each for each in DATA_SETS if on(each) is not None)
        raise InputError(f"--name={name} --data={data}: there is no such table on these data, expected one of {served}")
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


def means_the_same(stored: Mapping[str, Any], wanted: Mapping[str, Any], job: TableJob) -> bool:
    """True where a result of `stored` fields answers for `wanted` ones, of runs of a `job`.

    A field that is younger than the result had no other value than the one of the job's parent config: a new field's
    default is what the code did before.
    """
    defaults, missing = _default_fields(job.parent), object()
    return stored.keys() <= wanted.keys() and all(
        value == stored.get(field, defaults.get(field, missing)) for field, value in wanted.items()
    )


@functools.cache
def _default_fields(parent: Callable[[], ml_collections.ConfigDict]) -> dict[str, Any]:
    return telling_fields(parent())


def _config_of(table: Table, row: Row, draw: int, data: str, changes: Sequence[str]) -> ml_collections.ConfigDict:
    config, job = command.load_config(row.config or DATA_SETS[data].config), DATA_SETS[data].job
    try:
        for change in changes:
            field, _, text = change.partition("=")
            _override(config, field, _value_of(text))
        for field, value in row.overrides.items():
            _override(config, field, value)
        config.seed = config.split.seed = draw
        if row.compute_of is not None:
            whole = _config_of(table, table.row(row.compute_of), draw, data, changes)
            assert job.passes is not None, "these runs have no measure of computation"
            config.steps = round(whole.steps * job.passes(whole) / job.passes(config))
        settings_from(job.kind, config)
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
