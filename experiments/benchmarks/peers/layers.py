"""The layers of our networks in PyTorch, eager and with channels last, as functions of our own parameters."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional

from experiments.benchmarks.peers.devices import device, tensor

Params = dict[str, Any]


def tensors_of(params: Any) -> Params:
    """The parameters of Flax by the same names, kernels in PyTorch's order of axes."""
    return {name: tensors_of(leaf) if isinstance(leaf, dict) else _tensor_of(leaf) for name, leaf in params.items()}


def leaves_of(params: Params) -> Iterator[torch.Tensor]:
    """All tensors of the parameters."""
    for leaf in params.values():
        yield from leaves_of(leaf) if isinstance(leaf, dict) else [leaf]


def channels_last(images: torch.Tensor) -> torch.Tensor:
    """Images or volumes (b, c, ...) as the convolutions like them."""
    return images.contiguous(memory_format=torch.channels_last if images.ndim == 4 else torch.channels_last_3d)


def conv(x: torch.Tensor, params: Params, stride: int = 1) -> torch.Tensor:
    """Keeps the size, or halves it with stride 2; of as many axes as its kernel has."""
    kernel = params["kernel"]
    convolve = functional.conv2d if kernel.ndim == 4 else functional.conv3d
    return convolve(x, kernel, params.get("bias"), stride, padding=kernel.shape[-1] // 2)


def norm(x: torch.Tensor, params: Params) -> torch.Tensor:
    """Our GroupNorm."""
    affine = params["GroupNorm_0"]
    return functional.group_norm(x, math.gcd(8, x.shape[1]), affine["scale"], affine["bias"], 1e-6)


def computing_in(dtype: str) -> torch.autocast:
    """Within, layers compute in `dtype`."""
    return torch.autocast(device().type, torch.bfloat16, enabled=dtype == "bfloat16")


def _tensor_of(leaf: Any) -> torch.Tensor:
    found = tensor(leaf)
    if found.ndim < 4:
        return found
    *space, inputs, outputs = range(found.ndim)
    return channels_last(found.permute(outputs, inputs, *space))
