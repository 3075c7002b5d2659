"""Our LRN in PyTorch, a ResNet-18 with GroupNorm, as a function of our own parameters."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from experiments.benchmarks.peers.devices import tensor
from experiments.benchmarks.peers.layers import Params, channels_last, conv, leaves_of, norm
from medssl_jax.models.sos_networks import Intensities


def images(grey_levels: Any, intensities: Intensities) -> torch.Tensor:
    """Images (b, y, x) of grey levels, normalised as for the LRN."""
    pixels = (tensor(grey_levels).float() / 255 - intensities.mean) / intensities.deviation
    return channels_last(pixels[:, None])


def classify(params: Params, x: torch.Tensor) -> torch.Tensor:
    """Logits (b, k) of images (b, 1, y, x)."""
    feature = _backbone(params["backbone"], x).mean((2, 3))
    return feature @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]


def forward(params: Params, x: torch.Tensor) -> Callable[[], torch.Tensor]:
    """`classify` without gradients."""

    def run() -> torch.Tensor:
        with torch.inference_mode():
            return classify(params, x)

    return run


def gradient(params: Params, x: torch.Tensor) -> Callable[[], Any]:
    """The gradient of the sum of squared logits."""
    leaves = [leaf.requires_grad_() for leaf in leaves_of(params)]
    return lambda: torch.autograd.grad((classify(params, x) ** 2).sum(), leaves)


def _backbone(params: Params, x: torch.Tensor) -> torch.Tensor:
    stem = params["stem"]
    if stem["kernel"].shape[-1] == 3:  # blocks of pixels became channels
        x = torch.relu(conv(functional.pixel_unshuffle(x, math.isqrt(stem["kernel"].shape[1])), stem))
    else:
        x = functional.max_pool2d(torch.relu(conv(x, stem, 2)), 3, 2, 1)
    for stage in itertools.count():
        if f"stage{stage}_block0" not in params:
            return x
        for index in itertools.count():
            if f"stage{stage}_block{index}" not in params:
                break
            x = _block(params[f"stage{stage}_block{index}"], x, 2 if stage > 0 and index == 0 else 1)
    raise AssertionError("stages come to an end")


def _block(params: Params, x: torch.Tensor, stride: int) -> torch.Tensor:
    residual = torch.relu(norm(conv(x, params["Conv2D_0"], stride), params["GroupNorm_0"]))
    residual = norm(conv(residual, params["Conv2D_1"]), params["GroupNorm_1"])
    if "Conv2D_2" in params:
        x = conv(x, params["Conv2D_2"], stride)
    return torch.relu(x + residual)
