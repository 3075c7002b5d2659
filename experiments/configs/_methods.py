"""Each method that SOS is compared with, as a delta of SOS's config, at any size."""

from ml_collections import ConfigDict

from medssl_jax.metrics.slides import sos_methods


def image_level(config: ConfigDict) -> ConfigDict:
    """The LRN alone (p)."""
    config.method.name = sos_methods.IMAGE_LEVEL
    config.method.use_high = False
    config.inference.rule = "low"
    return config


def patch_level(config: ConfigDict) -> ConfigDict:
    """The HRN alone, nothing to join (p)."""
    config.method.name = sos_methods.PATCH_LEVEL
    config.method.use_low = False
    config.method.join = "none"
    config.inference.rule = "high"
    return config


def multi_scale(config: ConfigDict) -> ConfigDict:
    """Both networks on every slide, with the parameters of SOS and cross entropy only (p)."""
    config.method.name = sos_methods.MULTI_SCALE
    config.method.paradoxical_weight = 0.0
    config.method.hesitant_weight = 0.0
    config.method.hurried_weight = 0.0
    config.inference.rule = "high"
    return config


def rdms(config: ConfigDict) -> ConfigDict:
    """Multi-Scale and a policy network that decides from the low-resolution image (p); its reward is ours (o)."""
    config = multi_scale(config)
    config.method.name = sos_methods.RDMS
    config.method.use_policy = True
    config.inference.rule = "policy"
    return config


def cascade(config: ConfigDict) -> ConfigDict:
    """Trained as Multi-Scale, switched at inference as SOS; asked for by arXiv 2201.01415, not in the paper."""
    config = multi_scale(config)
    config.method.name = sos_methods.CASCADE
    config.inference.rule = "confidence"
    return config


def gatekeeper(config: ConfigDict) -> ConfigDict:
    """The cascade, its LRN tuned in the last quarter to doubt where it is wrong (arXiv 2502.19335); not in the paper.

    Gatekeeper tunes the small network alone, once it is trained; here the HRN goes on learning beside it, so that both
    arms have the same steps.
    """
    config = cascade(config)
    config.method.name = sos_methods.GATEKEEPER
    config.method.gatekeeper_share = 0.25
    return config


def deferral(config: ConfigDict) -> ConfigDict:
    """Multi-Scale, its HRN asked where a head on v foretells that it gains (arXiv 2307.02764); not in the paper.

    The head is fitted to the validation slides, which the networks do not see: there must be more of them.
    """
    config = multi_scale(config)
    config.method.name = sos_methods.DEFERRAL
    config.method.use_deferral = True
    config.split.validation_share = 0.3
    config.inference.rule = "deferral"
    config.inference.deferral_budget = 0.06  # what the paper's SOS asks about
    return config
