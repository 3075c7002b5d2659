"""The compiled programs that slides go through: the LRN with what asks, the encoder of patches, the HRN's head."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.models.sos_networks import SosNetworks
from medssl_jax.parallel.device_memory import peak_bytes

# Of each kind, for the next classifier: enough for the methods of one table, not for those of every seed.
KEPT_PROGRAMS = 8


class SlidePrograms:
    """The programs of one way through slides, each compiled when it is first asked for.

    Equal ones are compiled once, whatever c or which parameters are tried.
    """

    def __init__(
        self, networks: SosNetworks, layout: SlideLayout, *, rule: str, ranks: bool, slide_batch: int, patch_batch: int
    ):
        self._networks, self._layout, self._rule = networks, layout, rule
        self._ranks, self._slide_batch, self._patch_batch = ranks, slide_batch, patch_batch

    @functools.cached_property
    def low(self) -> jax.stages.Compiled:
        """(params, `slide_batch` images) to probabilities, v, what `policy` or `deferral` ask by, and relevance.

        Relevance is that of each patch of the grid if the program `ranks` them, else None.
        """
        return _compile_low(self._networks, self._slide_batch, self._rule, self._layout.grid if self._ranks else 0)

    @functools.cached_property
    def encode(self) -> jax.stages.Compiled:
        """(params, `patch_batch` patches) to their features."""
        return _compile_encode(self._networks, self._patch_batch)

    @functools.cached_property
    def high(self) -> jax.stages.Compiled:
        """(params, the features of a slide's patches, a mask of those looked at, v) to probabilities and attention."""
        return _compile_high(self._networks, self._layout.grid**2)

    @property
    def peak_memory_bytes(self) -> int:
        """Bytes that the largest program that some slide may need holds at once, by the compiler's account."""
        low = [self.low] if self._networks.lrn else []
        high = [] if self._rule == "low" else [self.encode, self.high]
        return max(peak_bytes(program) for program in low + high)


@functools.lru_cache(KEPT_PROGRAMS)
def _compile_low(networks: SosNetworks, slides: int, rule: str, grid: int) -> jax.stages.Compiled:
    def low(params: Any, images: Array) -> tuple[Array, Array, Array, Array | None]:
        logits, v = networks.low(params, images)
        match rule:
            case "policy":
                asks = networks.policy(params, images)
            case "deferral":
                asks = networks.foretold_gain(params, v)
            case _:
                asks = jnp.zeros(slides)
        relevance = networks.relevance(params, images, grid) if grid else None
        return jax.nn.softmax(logits), v, asks, relevance

    return _compiled(low, networks, jax.ShapeDtypeStruct((slides, networks.low_side, networks.low_side), jnp.uint8))


@functools.lru_cache(KEPT_PROGRAMS)
def _compile_encode(networks: SosNetworks, patches: int) -> jax.stages.Compiled:
    return _compiled(
        networks.encode, networks, jax.ShapeDtypeStruct((patches, networks.patch_side, networks.patch_side), jnp.uint8)
    )


@functools.lru_cache(KEPT_PROGRAMS)
def _compile_high(networks: SosNetworks, patches: int) -> jax.stages.Compiled:
    assert networks.encoder is not None

    def high(params: Any, features: Array, mask: Array, v: Array | None) -> tuple[Array, Array]:
        logits, attention = networks.high(params, features, mask, v)
        return jax.nn.softmax(logits), attention

    features = jax.ShapeDtypeStruct((1, patches, networks.encoder.features[-1]), jnp.float32)
    v = jax.ShapeDtypeStruct((1, networks.lrn.backbone.features[-1]), jnp.float32) if networks.lrn else None
    return _compiled(high, networks, features, jax.ShapeDtypeStruct((1, patches), bool), v)


def _compiled(
    function: Callable[..., Any], networks: SosNetworks, *arguments: jax.ShapeDtypeStruct | None
) -> jax.stages.Compiled:
    params = jax.eval_shape(networks.init, jax.random.key(0))
    return jax.jit(function).lower(params, *arguments).compile()
