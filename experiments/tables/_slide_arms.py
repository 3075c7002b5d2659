"""The methods that SOS is compared with, as rows of tables: what each changes of SOS's config."""

from collections.abc import Callable, Mapping
from typing import Any

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from experiments.configs import _methods, sos
from experiments.runs.table.declaration import Row
from medssl_jax.metrics.slides import sos_methods

# The share of slides that may be asked about: 6 % are what the paper's SOS asks about; of the slide phantom about a
# quarter shows its class at full resolution only.
BUDGET = {"lks": 0.06, "slide_phantom": 0.25, "telling_phantom": 0.06}

# (o) A quarter of each step's slides are of a fold held out. Four steps of LKS, a slide each, are an update; here it is
# one step of four slides: as many updates, and as many slides read.
HELD_OUT: Mapping[str, Mapping[str, Any]] = {
    "lks": {"batches.slides": 4, "batches.held_out": 1, "optimiser.accumulate": 1, "steps": 12_000},
    "slide_phantom": {"batches.held_out": 2},
    "telling_phantom": {"batches.held_out": 2},
}
# (o) What the rows of RDMS that are charged for asking change of how its policy learns.
KEPT_LOOKING = {
    # Without it a policy asks always or never within a hundred steps, before there is anything to learn, and stays so.
    "method.even_weight": 0.1,
    # At the config's .01 the cost that keeps a budget swings, and takes all slides with it.
    "method.budget_rate": 0.002,
}


def overrides_of(method: Callable[[ConfigDict], ConfigDict]) -> dict[str, Any]:
    """What a function of `configs/_methods.py` changes of SOS's config."""
    plain, changed = (flatten_dict(each.to_dict(), sep=".") for each in (sos.get_config(), method(sos.get_config())))
    return {field: value for field, value in changed.items() if value != plain[field]}


def method_row(name: str, method: Callable[[ConfigDict], ConfigDict], changes: Mapping[str, Any] | None = None) -> Row:
    """The row of a method, called in the table as in the paper, with further `changes`."""
    overrides = {**overrides_of(method), **(changes or {})}
    return Row(name=name, label=overrides["method.name"], overrides=overrides)


def sos_row() -> Row:
    """SOS as its config has it."""
    return Row(name="sos", label=sos_methods.SOS)


def cascade_apart() -> Row:
    """The networks of learned deferral, which saw fewer slides, switched by confidence: the two differ in the rule."""
    overrides = overrides_of(_methods.deferral) | {"inference.rule": "confidence"}
    return Row(name="cascade_apart", label="Cascade, Deferral's networks", overrides=overrides)


def paid_rdms(name: str, label: str, data: str, *, cost: float = 0.0, budget: float = 1.0) -> Row:
    """RDMS paid by right answers on slides held out, and charged for asking: a fixed cost, or what keeps a budget."""
    paid = {"method.reward": "correct", "method.ask_cost": cost, "method.budget": budget}
    return Row(
        name=name, label=label, overrides={**overrides_of(_methods.rdms), **paid, **KEPT_LOOKING, **HELD_OUT[data]}
    )
