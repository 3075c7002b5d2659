"""Everything that a training step changes, as one immutable tree."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class TrainState:
    """`step` counts finished steps, an int32; `ema` is a moving average of `params`, or None where it is not kept.

    `extra` is whatever else a method carries from step to step, such as a running mean. `seed`, a uint32, never
    changes: it is no constant of the compiled step, which runs of other seeds share.
    """

    step: Any
    params: Any
    opt_state: optax.OptState
    ema: Any = None
    extra: Any = None
    seed: Any = None

    @classmethod
    def create(
        cls, params: Any, optimiser: optax.GradientTransformation, *, keep_ema: bool, extra: Any = None, seed: Any = 0
    ) -> "TrainState":
        """The state before the first step."""
        ema = jax.tree.map(jnp.copy, params) if keep_ema else None
        opt_state = jax.jit(optimiser.init)(params)  # one program, not one for every shape of zeros
        return cls(jnp.zeros((), jnp.int32), params, opt_state, ema, extra, jnp.asarray(seed, jnp.uint32))

    def update(
        self, gradients: Any, optimiser: optax.GradientTransformation, *, ema_decay: float, extra: Any = None
    ) -> "TrainState":
        """The state one optimiser step later, with a new `extra`."""
        with jax.numpy_dtype_promotion("standard"):  # Optax raises floats to whole powers
            updates, opt_state = optimiser.update(gradients, self.opt_state, self.params)
        params = optax.apply_updates(self.params, updates)
        ema = None if self.ema is None else optax.incremental_update(params, self.ema, 1 - ema_decay)
        return TrainState(self.step + 1, params, opt_state, ema, extra, self.seed)

    @property
    def params_to_evaluate(self) -> Any:
        """The average where one is kept, else the parameters."""
        return self.params if self.ema is None else self.ema
