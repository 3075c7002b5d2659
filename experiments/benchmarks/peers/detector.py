"""Our detector in PyTorch, as a function of our own parameters."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional

from experiments.benchmarks.peers.devices import tensor
from experiments.benchmarks.peers.layers import Params, channels_last, computing_in, conv, leaves_of, norm


def volumes(patches: Any) -> torch.Tensor:
    """Patches (b, z, y, x, 1) as PyTorch takes them."""
    return channels_last(tensor(patches).permute(0, 4, 1, 2, 3))


def predict(params: Params, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (b, anchors) and deltas (b, anchors, 4) of volumes (b, 1, z, y, x), as `FPN3D` has them."""
    rows, maps = len(x), predict_maps(params, x)
    logits = [maps[stride][0].permute(0, 2, 3, 4, 1).reshape(rows, -1) for stride in sorted(maps)]
    deltas = [maps[stride][1].permute(0, 2, 3, 4, 1).reshape(rows, -1, 4) for stride in sorted(maps)]
    return torch.cat(logits, 1).float(), torch.cat(deltas, 1).float()


def predict_maps(params: Params, x: torch.Tensor) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """Logits and deltas of each stride, as maps (b, channels, z, y, x)."""
    features = dict(_backbone(params["ResNet3D_0"], x))
    coarser, maps = None, {}
    for stride in sorted(features, reverse=True):
        if f"lateral{stride}" not in params:
            continue
        lateral = conv(features[stride], params[f"lateral{stride}"])
        coarser = lateral if coarser is None else lateral + functional.interpolate(coarser, scale_factor=2)
        if f"smooth{stride}" in params:
            smooth = conv(coarser, params[f"smooth{stride}"])
            logits = conv(_tower(params["classify"], smooth), params[f"logits{stride}"])
            maps[stride] = logits, conv(_tower(params["locate"], smooth), params[f"codes{stride}"])
    return maps


def predictor(params: Params, x: torch.Tensor, dtype: str) -> Callable[[], tuple[torch.Tensor, torch.Tensor]]:
    """`predict` without gradients, in `dtype`."""

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        with torch.inference_mode(), computing_in(dtype):
            return predict(params, x)

    return run


def training_step(params: Params, x: torch.Tensor, dtype: str) -> Callable[[], None]:
    """Mean squares of all outputs, their gradient and a step of Adam, each time from where it ended."""
    leaves = [leaf.requires_grad_() for leaf in leaves_of(params)]
    optimiser = torch.optim.Adam(leaves, lr=1e-3)

    def run() -> None:
        optimiser.zero_grad()
        with computing_in(dtype):
            logits, deltas = predict(params, x)
        ((logits**2).mean() + (deltas**2).mean()).backward()
        optimiser.step()

    return run


def _backbone(params: Params, x: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """The stride and the feature map of each stage."""
    if "Conv3D_1" in params:
        x = torch.relu(norm(conv(x, params["Conv3D_0"]), params["GroupNorm_0"]))
        x = torch.relu(norm(conv(x, params["Conv3D_1"], 2), params["GroupNorm_1"]))
    else:
        x = torch.relu(norm(conv(_space_to_depth(x), params["Conv3D_0"]), params["GroupNorm_0"]))
    for stage in itertools.count():
        if f"stage{stage}_block0" not in params:
            return
        for index in itertools.count():
            if f"stage{stage}_block{index}" not in params:
                break
            x = _block(params[f"stage{stage}_block{index}"], x, 2 if stage > 0 and index == 0 else 1)
        yield 2 ** (stage + 1), x


def _block(params: Params, x: torch.Tensor, stride: int) -> torch.Tensor:
    residual = torch.relu(norm(conv(x, params["Conv3D_0"], stride), params["GroupNorm_0"]))
    residual = norm(conv(residual, params["Conv3D_1"]), params["GroupNorm_1"])
    if "Conv3D_2" in params:
        x = norm(conv(x, params["Conv3D_2"], stride), params["GroupNorm_2"])
    return torch.relu(x + residual)


def _tower(params: Params, x: torch.Tensor) -> torch.Tensor:
    for index in range(len(params) // 2):
        x = torch.relu(norm(conv(x, params[f"Conv3D_{index}"]), params[f"GroupNorm_{index}"]))
    return x


def _space_to_depth(x: torch.Tensor) -> torch.Tensor:
    b, c, z, y, x_side = x.shape
    blocks = x.reshape(b, c, z // 2, 2, y // 2, 2, x_side // 2, 2).permute(0, 3, 5, 7, 1, 2, 4, 6)
    return channels_last(blocks.reshape(b, 8 * c, z // 2, y // 2, x_side // 2))
