"""A FocalMix run on the scans that are kept apart from its training: scored while it trains, by the test's own code."""

from collections.abc import Callable
from pathlib import Path

import jax
import ml_collections

from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.scans import findings_of
from medssl_jax.core.errors import InputError
from medssl_jax.data.scans.crop_cache import CropCache
from medssl_jax.data.splits import Split
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.nodules.froc import score
from medssl_jax.parallel.sharding import DataParallel
from medssl_jax.report.json_report import write_json
from medssl_jax.run_folder.checkpoint import Checkpoints, Restored
from medssl_jax.steps.score_settings import BEST
from medssl_jax.steps.state import TrainState
from medssl_jax.train.validation import Validation

CPM = "validation_cpm"


def validation_of(
    config: ml_collections.ConfigDict,
    settings: FocalMixConfig,
    cache: CropCache,
    split: Split,
    workdir: Path,
    find: Callable[[TrainState], Marks],
) -> Validation:
    """FROC on the validation scans, where `find` marks them by a state; the best checkpoint is kept in `best/`.

    Raises `InputError` where the validation scans hold no nodule.
    """
    annotations, excluded = findings_of(settings.data, cache, split.validation)
    if not {*annotations.series_uid} & {*split.validation}:
        raise InputError(
            f"split.validation: the {len(split.validation)} scans hold no nodule, expected one at least: ask for more"
        )
    rates = settings.score.fps_per_scan

    def measure(state: TrainState) -> dict[str, float]:
        result = score(find(state), annotations, excluded, split.validation, fps_per_scan=rates, bootstraps=1)
        at = {f"validation_at_{rate:.3g}": each for rate, each in zip(rates, result.sensitivity, strict=True)}
        return {CPM: result.cpm} | at

    # Two are kept: until the run is saved, the one before may be the best of a run that is started again.
    checkpoints = Checkpoints(workdir / BEST, config=config.to_dict(), keep=2)
    return Validation(every=settings.validation.every, measure=measure, metric=CPM, checkpoints=checkpoints)


def best_of(settings: FocalMixConfig, workdir: Path, sharding: DataParallel) -> Restored:
    """The checkpoint that was best on the validation scans, with its arrays on this host."""
    checkpoints = Checkpoints(workdir / BEST)
    best = checkpoints.restore(sharding.abstract_state(jax.eval_shape(settings.fresh_state)))
    checkpoints.close()
    if best is None:
        raise InputError(f"{workdir / BEST}: no checkpoint found, expected that of the best validation: train again")
    return best._replace(state=sharding.host_local(best.state))


def write_validation(workdir: Path, best: Restored, *, scored_step: int) -> None:
    """Writes and says which step had the best CPM on the validation scans, and which one is scored."""
    step, cpm = int(best.state.step), float(best.pending[0][CPM][0])
    write_json(workdir / "validation.json", {"best_step": step, "best_cpm": cpm, "scored_step": scored_step})
    print(f"best on the validation scans: step {step}, CPM {cpm:.3f}; scored: step {scored_step}")
