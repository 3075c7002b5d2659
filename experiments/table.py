"""A table of the FocalMix paper, or of ours, by one command: its runs are made, or found finished, and printed.

    python -m experiments.table --name=gain --data=phantom --workdir=runs/tables --list
    python -m experiments.table --name=gain --data=phantom --workdir=runs/tables

What is in a table is declared in experiments/tables. Each draw of a row is a run in a folder of its own; started again,
those that are finished are kept and the others go on. Several processes and machines may share a workdir on a common
file system: each run is made by one. `results` in it has a small file for each finished run, without weights, which
--results of another workdir reads. A run's `run.json` is for experiments.reproduce. --seconds times rows of slides in
turn, where their weights are, and keeps what it finds beside the results.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from etils import epy

from experiments import command
from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError

with epy.lazy_imports():
    from experiments.runs.table import table_report, table_seconds, table_work, tables

_NAME = flags.DEFINE_string("name", None, "The table: a file of experiments/tables.", required=True)
_DATA = flags.DEFINE_string("data", None, "The scans or slides: luna16, phantom, real_crops, lks, ...", required=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for runs, results and the table.", required=True)
_ROWS = flags.DEFINE_list("rows", None, "Makes these rows only, by name; all of them if none are given.")
_DRAWS = flags.DEFINE_list("draws", None, "Makes these draws only, such as 0,1; those of the table if none are given.")
_LIST = flags.DEFINE_bool("list", False, "Makes nothing: lists what is done and left, and the hours expected.")
_RESULTS = flags.DEFINE_multi_string(
    "results", [], "A folder of results of other workdirs; may be given several times."
)
_SET = flags.DEFINE_multi_string(
    "set",
    [],
    "A field of all configs, before rows set theirs: --set=data.manual_dir=/data/LUNA16; may be given several times.",
)
_SECONDS = flags.DEFINE_integer(
    "seconds",
    None,
    "Slides that the rows of the first draw are timed on, in turn; not timed if not given.",
    lower_bound=1,
)
_COMPILATION_CACHE = command.define_compilation_cache_flag()


def main(_: Sequence[str]) -> None:
    """Lists, or makes what is left, then the table."""
    table = tables.load_table(_NAME.value, _DATA.value)
    draws = _draws()
    runs = tables.runs_of(table, _DATA.value, rows=_ROWS.value, draws=draws, changes=_SET.value)
    workdir, others = Path(_WORKDIR.value), [Path(folder) for folder in _RESULTS.value]
    if _LIST.value:
        print(listing(runs, table_work.standing(runs, table_work.results_known(workdir, others))))
        return
    writable_directory(workdir)
    command.start_devices(keep_programs=_COMPILATION_CACHE.value)
    left = table_work.standing(runs, table_work.results_known(workdir, others)).left
    table_work.prepare_data(left)
    failed = table_work.make_runs(_NAME.value, runs, workdir, others=others)
    if _SECONDS.value and not failed:
        table_seconds.time_rows(_NAME.value, runs, workdir, _SECONDS.value)
    # Of the whole table, whatever was asked for this time; draws beyond its own stand in it too.
    shown = sorted({*table.draws, *(draws or ())})
    whole = tables.runs_of(table, _DATA.value, draws=shown, changes=_SET.value)
    state = table_work.standing(whole, table_work.results_known(workdir, others))
    seconds = table_seconds.read_seconds(_NAME.value, whole, [workdir / "results", *others])
    report = table_report.table_report(table, _DATA.value, state, changes=_SET.value, seconds=seconds)
    printed = tables.DATA_SETS[_DATA.value].job.printed(table, report)
    paths = table_report.write_report(workdir, f"{_NAME.value}_{_DATA.value}", printed)
    print(f"\n{printed.markdown}\nwritten to {', '.join(map(str, paths))}")
    if failed:
        told = "; ".join(f"{run.row}, draw {run.draw}: {message}" for run, message in failed)
        raise InputError(f"{len(failed)} of {len(runs)} runs failed: {told}")


def listing(runs: Sequence["tables.Run"], state: "table_work.Standing") -> str:
    """A line for each run, and one for all of them."""
    results = {run.key: result for run, result in state.done}
    lines = []
    for run in runs:
        result = results.get(run.key)
        made = "left" if result is None else f"done, {', '.join(result.commits)}"
        lines.append(f"{run.row:<28} draw {run.draw}  {run.key}  {run.config.steps:>7} steps  {made}")
    hours = "unknown before one is done" if state.hours_left is None else f"{state.hours_left:.1f}"
    return "\n".join([*lines, f"{len(state.done)} done, {len(state.left)} left; hours expected: {hours}"])


def _draws() -> list[int] | None:
    if _DRAWS.value is None:
        return None
    if not _DRAWS.value or not all(text.isascii() and text.isdigit() for text in _DRAWS.value):
        raise InputError(f"--draws={','.join(_DRAWS.value)}: expected seeds with a comma between two, such as 0,1")
    if len(set(_DRAWS.value)) < len(_DRAWS.value):
        raise InputError(f"--draws={','.join(_DRAWS.value)}: expected each draw once")
    return [int(text) for text in _DRAWS.value]


if __name__ == "__main__":
    command.run(main)
