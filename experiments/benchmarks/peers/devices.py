"""PyTorch on the device that JAX uses, and numbers that both must agree on."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch

LARGEST_DIFFERENCE = 1e-3


def device() -> torch.device:
    """The GPU where JAX has one, else the CPU."""
    return torch.device("cuda" if jax.default_backend() == "gpu" else "cpu")


def use_threads(count: int) -> None:
    """As many threads as there are processors, and TensorFloat-32 where JAX takes it."""
    torch.set_num_threads(count)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def tensor(array: Any) -> torch.Tensor:
    """A copy on that device."""
    return torch.tensor(np.asarray(array), device=device())


def waiting(run: Callable[[], Any]) -> Callable[[], None]:
    """As `run`, but it returns when the device is done."""

    def run_and_wait() -> None:
        run()
        if device().type == "cuda":
            torch.cuda.synchronize()

    return run_and_wait


def difference(ours: Any, theirs: torch.Tensor) -> float:
    """The largest difference between two results. Raises `ValueError` where it is above 1e-3 of the largest number."""
    wanted = theirs.detach().float().cpu().numpy()
    found = np.asarray(ours, np.float32)
    largest = float(np.abs(found - wanted).max(initial=0))
    if not largest <= LARGEST_DIFFERENCE * max(1, np.abs(wanted).max(initial=0)):
        raise ValueError(f"the results differ by {largest:.3g}, expected at most {LARGEST_DIFFERENCE}")
    return largest
