"""SOS, or a method it is compared with, from its config to its results: trained, then evaluated."""

import json
from pathlib import Path

import ml_collections

from data_builders.lks.lks_files import CLASSES
from data_builders.slide_source import LksSource
from experiments.runs.sos.sos_evaluation import evaluate
from experiments.runs.sos.sos_slides import SlideDataSettings, data_name, is_lks, needs_high_resolution
from experiments.runs.sos.sos_training import train_method
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.metrics.slides.sos_comparison import Runs
from medssl_jax.parallel import hosts
from medssl_jax.report.slides.sos_summary import write_summary
from medssl_jax.run_folder.records import Watch, unwatched
from medssl_jax.run_folder.workdir import only_run_in


def run(config: ml_collections.ConfigDict, workdir: Path, *, watch: Watch = unwatched) -> None:
    """Trains and evaluates; below `workdir` is what `train_method` and `write_summary` leave.

    Hosts share the slides of the evaluation; seconds are those of the host that a slide was on. Raises `InputError`,
    see both; or another run is in `workdir`.
    """
    with only_run_in(workdir):
        method, source, split = train_method(config, workdir, watch=watch)
        name = method.settings.method.name
        evaluated = evaluate({name: method}, source, split, progress_bar("evaluating", "batches"))
        if hosts.is_first():
            results = write_results(workdir, {name: [evaluated[name]]}, method.settings.data, source)
            print(f"\n{results}\nwritten to {workdir}")


def write_results(workdir: Path, runs: Runs, data: SlideDataSettings, source: LksSource) -> str:
    """Writes the files of `write_summary`; returns its text below a line on the data."""
    names = next(iter(runs.values()))[0].names
    needs_high = needs_high_resolution(data, names)
    of_lks = is_lks(data, source)
    summary = write_summary(workdir, runs, CLASSES, is_lks=of_lks, needs_high=needs_high)
    return f"{data_name(data, source)}, {len(names)} test slides\n\n{summary}"


def slides_in(results: Path) -> bytes:
    """The answer to each slide in a `results.json`; beside it there are times and memory, which no run repeats.

    Raises `InputError` where there is none.
    """
    try:
        return json.dumps(json.loads(results.read_text())["slides"], indent=1).encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{results}: no results of experiments.sos ({error!r}): start that run again") from error
