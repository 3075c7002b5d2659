"""The settings of the way through slides, and the networks that they need."""

import dataclasses
from typing import Any, ClassVar

from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import LARGEST_BATCH, SHARE, Settings, each, number, one_of, whole, within
from medssl_jax.models.sos_networks import SosNetworks

RULES = ("low", "high", "confidence", "policy", "deferral")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectiveSettings(Settings):
    """The way through slides; `experiments/configs/sos.py` explains each field.

    `rule` is who decides: `low` and `high` always take that network's answer, `confidence` is SOS's switch at `c`,
    `policy` is RDMS's, `deferral` asks the HRN where a head on v foretells the largest gain, within `deferral_budget`
    as a share of the slides. Above 0, `top_k` is how many patches of a slide the HRN looks at: those of the foreground
    that speak most for the LRN's class. An evaluation tells what the HRN would say of the `top_k_tried` too.
    """

    section: ClassVar[str] = "inference"
    rule: str = within(one_of(RULES))
    c: float = within(SHARE)
    deferral_budget: float = within(number(0, 1, above=True))
    top_k: int = within(whole(0))
    top_k_tried: tuple[int, ...] = within(each(whole(1), least=0))
    slide_batch: int = within(whole(1, LARGEST_BATCH))
    patch_batch: int = within(whole(1, LARGEST_BATCH))


def check_networks(networks: SosNetworks, settings: SelectiveSettings) -> None:
    """Raises `InputError` where the rule does not fit the networks."""
    needed: dict[str, dict[str, Any]] = {
        "low": {"low": networks.lrn},
        "high": {"high": networks.hrn},
        "confidence": {"low": networks.lrn, "high": networks.hrn},
        "policy": {"low": networks.lrn, "high": networks.hrn, "policy": networks.policy_network},
        "deferral": {"low": networks.lrn, "high": networks.hrn, "deferral": networks.defers or None},
    }
    if settings.top_k_tried and (networks.lrn is None or networks.hrn is None):
        raise InputError(
            f"config field inference.top_k_tried is {settings.top_k_tried}, expected () without both networks: the LRN "
            "chooses patches for the HRN"
        )
    if settings.top_k and networks.lrn is None:
        raise InputError(
            f"config field inference.top_k is {settings.top_k}, expected 0 where method.use_low is False: the LRN "
            "chooses the patches"
        )
    for name, network in needed[settings.rule].items():
        if network is None:
            raise InputError(
                f"config field inference.rule is {settings.rule}, which needs the {name} network: "
                f"set method.use_{name}, or choose another rule"
            )
