"""Trains several methods with several seeds and evaluates them on the same slides, in one run; prints both tables.

    python -m experiments.compare_sos --workdir=runs/sos_table

A seed draws the validation slides, the first parameters and the batches. Configs that differ only in what is done after
training share one. Started again, training that is finished is kept.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
from absl import flags
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from data_builders.slide_source import LksSource
from experiments import command, comparison
from experiments.runs.sos_config import SosConfig
from experiments.runs.sos_evaluation import evaluate
from experiments.runs.sos_job import write_results
from experiments.runs.sos_slides import SlideSplit
from experiments.runs.sos_training import train_method, training_of
from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.core.settings import settings_from
from medssl_jax.inference.trained_classifier import TrainedClassifier
from medssl_jax.metrics.evaluated_method import EvaluatedMethod
from medssl_jax.train.workdir import only_run_in

MUST_AGREE = ("data.", "split.", "inference.slide_batch", "inference.patch_batch")
METHODS = ("image", "patch", "multiscale", "rdms", "sos", "cascade")
CONFIGS = [f"configs/phantom_{method}.py" for method in METHODS]

FLAGS = flags.FLAGS
comparison.define_flags(CONFIGS, about="Configs of experiments.sos, a method each.")
_COMPILATION_CACHE = command.define_compilation_cache_flag()


def main(_: Sequence[str]) -> None:
    """Trains every method, evaluates all on the same slides, then makes the tables."""
    configs = _load_configs()
    workdir = writable_directory(FLAGS.workdir)
    command.start_devices(compilation_cache=_COMPILATION_CACHE.value)
    runs: dict[str, list[EvaluatedMethod]] = {config.method.name: [] for config in configs.values()}
    for seed in FLAGS.seed:
        methods, source, split = _train_all(configs, seed, workdir)
        evaluated = evaluate(methods, source, split, progress_bar(f"evaluating, seed {seed}", "batches"))
        for name, evaluation in evaluated.items():
            runs[name].append(evaluation)
        jax.clear_caches()
    data = next(iter(methods.values())).settings.data
    about = f", seeds {', '.join(map(str, FLAGS.seed))}"
    comparison.write_table(workdir, write_results(workdir, runs, data, source, about=about, markdown=True) + "\n")


def _load_configs() -> dict[str, ConfigDict]:
    """The configs by path, all of them checked before hours are spent on the first."""
    if not FLAGS.configs:
        raise InputError(
            "--configs: found none, expected one or more configs of experiments.sos, such as configs/phantom_sos.py"
        )
    comparison.check_each_is_given_once()
    configs = {path: command.load_config(path) for path in FLAGS.configs}
    for path, config in configs.items():
        try:
            command.require_config_of("experiments.sos", config)
            settings_from(SosConfig, config)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    _check_comparable(configs)
    return configs


def _check_comparable(configs: Mapping[str, ConfigDict]) -> None:
    names = [config.method.name for config in configs.values()]
    if len(set(names)) < len(names):
        raise InputError(f"--configs: found the methods {', '.join(names)}, expected each method.name once")
    fields = {path: flatten_dict(config.to_dict(), sep=".") for path, config in configs.items()}
    first, *others = configs
    for path in others:
        for field in sorted(fields[first].keys() | fields[path].keys()):
            found, expected = fields[path].get(field), fields[first].get(field)
            if found != expected and field.startswith(MUST_AGREE):
                raise InputError(
                    f"{path}: {field} is {found}, expected {expected} as in {first}: methods are compared on the same "
                    "slides, their times with equal batches"
                )


def _train_all(
    configs: Mapping[str, ConfigDict], seed: int, workdir: Path
) -> tuple[dict[str, TrainedClassifier[SosConfig]], LksSource, SlideSplit]:
    trained: dict[str, TrainedClassifier[SosConfig]] = {}
    methods = {}
    for path, config in configs.items():
        comparison.set_run(config, seed)
        training = training_of(config)
        if training not in trained:
            with comparison.announced_run(path, seed, workdir) as folder, only_run_in(folder):
                trained[training], source, split = train_method(config, folder)
        methods[config.method.name] = trained[training].used_as(settings_from(SosConfig, config))
    return methods, source, split


if __name__ == "__main__":
    command.run(main)
