"""Trains several methods with several seeds and evaluates them on the same slides, in one run; prints both tables.

    python -m experiments.compare_sos --workdir=runs/sos_table

A seed draws the validation slides, the first parameters and the batches. Configs that differ only in what is done after
training share one. Started again, training that is finished is kept.
"""

from __future__ import annotations  # so that a signature does not import what it names

from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import flags
from etils import epy
from ml_collections import ConfigDict

from experiments import command, comparison
from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.core.settings import settings_from

with epy.lazy_imports():
    import jax
    from flax import traverse_util

    from data_builders import slide_source
    from experiments.runs import sos_config, sos_evaluation, sos_job, sos_slides, sos_training
    from medssl_jax.inference import trained_classifier
    from medssl_jax.metrics import evaluated_method
    from medssl_jax.train import workdir as workdirs

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
    command.start_devices(keep_programs=_COMPILATION_CACHE.value)
    runs: dict[str, list[evaluated_method.EvaluatedMethod]] = {config.method.name: [] for config in configs.values()}
    for seed in FLAGS.seed:
        methods, source, split = _train_all(configs, seed, workdir)
        evaluated = sos_evaluation.evaluate(methods, source, split, progress_bar(f"evaluating, seed {seed}", "batches"))
        for name, evaluation in evaluated.items():
            runs[name].append(evaluation)
        jax.clear_caches()
    data = next(iter(methods.values())).settings.data
    about = f", seeds {', '.join(map(str, FLAGS.seed))}"
    comparison.write_table(
        workdir, sos_job.write_results(workdir, runs, data, source, about=about, markdown=True) + "\n"
    )


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
            settings_from(sos_config.SosConfig, config)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    _check_comparable(configs)
    return configs


def _check_comparable(configs: Mapping[str, ConfigDict]) -> None:
    names = [config.method.name for config in configs.values()]
    if len(set(names)) < len(names):
        raise InputError(f"--configs: found the methods {', '.join(names)}, expected each method.name once")
    fields = {path: traverse_util.flatten_dict(config.to_dict(), sep=".") for path, config in configs.items()}
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
) -> tuple[
    dict[str, trained_classifier.TrainedClassifier[sos_config.SosConfig]], slide_source.LksSource, sos_slides.SlideSplit
]:
    trained: dict[str, trained_classifier.TrainedClassifier[sos_config.SosConfig]] = {}
    methods = {}
    for path, config in configs.items():
        comparison.set_run(config, seed)
        training = sos_training.training_of(config)
        if training not in trained:
            with comparison.announced_run(path, seed, workdir) as folder, workdirs.only_run_in(folder):
                trained[training], source, split = sos_training.train_method(config, folder)
        methods[config.method.name] = trained[training].used_as(settings_from(sos_config.SosConfig, config))
    return methods, source, split


if __name__ == "__main__":
    command.run(main)
