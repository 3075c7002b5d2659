"""A ResNet-18 that somebody trained on colour photographs, as the start of a network for grey slides.

The file is torchvision's `state_dict` as NumPy arrays, which anybody with PyTorch makes once:

    weights = torchvision.models.resnet18(weights="DEFAULT").state_dict()
    numpy.savez(PATH, **{name: each.numpy() for name, each in weights.items()})
"""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from medssl_jax.errors import InputError

FEATURES = (64, 128, 256, 512)
BLOCKS = (2, 2, 2, 2)
BATCH_NORM_EPS = 1e-5  # torchvision's


def read_resnet18(path: str | os.PathLike) -> dict[str, Any]:
    """Parameters of `ResNet2D(FEATURES, BLOCKS, normalise=False)` on one channel.

    Every BatchNorm is frozen, a fixed scale and offset, and so becomes part of the convolution before it. The kernels
    of the three colours are added up: a grey image is one whose colours are equal. The classifier is left out.

    Raises:
      InputError: the file is absent or no such archive, or an array is absent or of another shape.
    """
    arrays = _read(Path(path))

    def convolution(name, norm, out_features, in_features, kernel):
        weight = _array(arrays, path, f"{name}.weight", (out_features, in_features, kernel, kernel))
        scale, offset, mean, variance = (
            _array(arrays, path, f"{norm}.{part}", (out_features,))
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + BATCH_NORM_EPS)
        return weight.transpose(2, 3, 1, 0) * factor, offset - mean * factor

    kernel, bias = convolution("conv1", "bn1", FEATURES[0], 3, 7)
    params = {"stem": _layer(kernel.sum(axis=2, keepdims=True), bias)}
    in_features = FEATURES[0]
    for stage, (features, count) in enumerate(zip(FEATURES, BLOCKS, strict=True)):
        for block in range(count):
            theirs = f"layer{stage + 1}.{block}"
            layers = {
                "Conv2D_0": convolution(f"{theirs}.conv1", f"{theirs}.bn1", features, in_features, 3),
                "Conv2D_1": convolution(f"{theirs}.conv2", f"{theirs}.bn2", features, features, 3),
            }
            if in_features != features:
                shortcut = convolution(f"{theirs}.downsample.0", f"{theirs}.downsample.1", features, in_features, 1)
                layers["Conv2D_2"] = shortcut
            params[f"stage{stage}_block{block}"] = {name: _layer(*layer) for name, layer in layers.items()}
            in_features = features
    return params


def _read(path):
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected the arrays of a ResNet-18 (model.pretrained)") from None
    except (OSError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a NumPy archive (.npz): {' '.join(str(error).split())[:100]}") from None


def _array(arrays, path, name, shape) -> Float[np.ndarray, "..."]:
    if name not in arrays or arrays[name].shape != shape:
        found = arrays[name].shape if name in arrays else "nothing"
        raise InputError(f"{path}: {name}: found {found}, expected an array of {shape} as torchvision's resnet18 has")
    return arrays[name].astype(np.float64)


def _layer(kernel, bias):
    return {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
