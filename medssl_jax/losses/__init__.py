"""The losses of both methods, of each element or slide: pure functions of arrays."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.losses.confidence import (
        ExecutiveLosses,
        executive_losses,
        gatekeeper_loss,
        paradoxical_loss,
        switches,
    )
    from medssl_jax.losses.focal import posterior_behind, soft_target_focal_loss

__all__ = [
    "ExecutiveLosses",
    "executive_losses",
    "gatekeeper_loss",
    "paradoxical_loss",
    "posterior_behind",
    "soft_target_focal_loss",
    "switches",
]
