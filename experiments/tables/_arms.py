"""What a labelled count is trained by, as overrides: the arms that tables share."""

from collections.abc import Mapping
from typing import Any

from experiments.configs._plus import plus
from experiments.runs.table.declaration import Row
from medssl_jax.report.nodules.froc_tables import PaperResult

Changes = Mapping[str, tuple[str, Mapping[str, Any]]]  # by the name of the row: its label, and what it overrides

STEPS = {"luna16": 30_000, "phantom": 1500, "real_crops": 1500}  # of their configs, which a test holds
SUPERVISED = {"split.unlabelled": 0, "patches.unlabelled_batch": 0}
AVERAGED = {"optimiser.ema_decay": 0.99}  # weights, of the last hundred steps or so
NO_MIXUP = {"mixup.image": False, "mixup.object": False}


def focalmix(labelled: int) -> Mapping[str, Any]:
    """FocalMix as the config has it."""
    return {"split.labelled": labelled}


def focalmix_plus(labelled: int, steps: int) -> Mapping[str, Any]:
    """FocalMix with the changes of `configs/_plus.py`, for runs of `steps`, which the config or a row says."""
    return {**focalmix(labelled), **plus(steps)}


def supervised_steady(labelled: int, steps: int) -> Mapping[str, Any]:
    """The supervised baseline with the optimiser of `focalmix_plus`: a constant rate, an average evaluated."""
    optimiser = {field: value for field, value in plus(steps).items() if field.startswith("optimiser.")}
    return {**supervised(labelled), **optimiser}


def supervised(labelled: int) -> Mapping[str, Any]:
    """The supervised baseline, with MixUp among the labelled patches; -1 for every training scan."""
    return {"split.labelled": labelled, **SUPERVISED}


def changed(overrides: Mapping[str, Any], changes: Changes) -> tuple[Row, ...]:
    """A row for each change of a config that `overrides` have changed already."""
    return tuple(
        Row(name=name, label=label, overrides={**overrides, **change}) for name, (label, change) in changes.items()
    )


def changed_beside_supervised(labelled: int, changes: Changes) -> tuple[Row, ...]:
    """Supervised training, the same with an average of the weights, FocalMix, and FocalMix with one change a row."""
    few = supervised(labelled)
    return (
        Row(name="supervised", label="supervised", overrides=few),
        Row(name="supervised_ema", label="supervised, averaged", overrides={**few, **AVERAGED}),
        Row(name="focalmix", label="FocalMix", overrides=focalmix(labelled)),
        *changed(focalmix(labelled), changes),
    )


def supervised_beside_focalmix(labelled: int, *, paper: PaperResult | None = None) -> tuple[Row, Row, Row]:
    """Rows of the baseline, of the same for FocalMix's computation, and of FocalMix, which `paper` is a figure of."""
    method = f"focalmix_{labelled}"
    return (
        Row(name=f"supervised_{labelled}", label=f"{labelled} labelled, supervised", overrides=supervised(labelled)),
        Row(
            name=f"supervised_compute_{labelled}",
            label=f"{labelled} labelled, supervised, FocalMix's computation",
            overrides=supervised(labelled),
            compute_of=method,
        ),
        Row(name=method, label=f"{labelled} labelled, FocalMix", overrides=focalmix(labelled), paper=paper),
    )
