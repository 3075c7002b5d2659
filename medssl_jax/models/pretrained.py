"""A ResNet-18 (arXiv 1512.03385) that somebody trained on colour photographs, as the start of a network for slides.

The file is torchvision's `state_dict` as NumPy arrays, which anybody with PyTorch makes once:

    weights = torchvision.models.resnet18(weights="DEFAULT").state_dict()
    numpy.savez(PATH, **{name: each.numpy() for name, each in weights.items()})
"""

import io
import math
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import printable

FEATURES = (64, 128, 256, 512)
BLOCKS = (2, 2, 2, 2)
BATCH_NORM_EPS = 1e-5  # torchvision's
LONGEST_HEADER = 2**17  # bytes; NumPy itself reads 10,000 of one
PIECE_BYTES = 1 << 20
MOST_BYTES_UNPACKED = 1 << 28  # a ResNet-18 takes 47 million


def read_resnet18(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Parameters of `ResNet2D(FEATURES, BLOCKS, normalise=False)` on one channel.

    Every BatchNorm is frozen, a fixed scale and offset, and so becomes part of the convolution before it. The kernels
    of the three colours are added up: a grey image is one whose colours are equal. The classifier is left out.

    Raises:
      InputError: the file is absent or no such archive, or an array is absent, damaged, not finite or of another shape.
    """
    arrays = _Arrays(Path(path))

    def convolution(
        name: str, norm: str, out_features: int, in_features: int, kernel: int
    ) -> tuple[np.ndarray, np.ndarray]:
        weight = arrays.read(f"{name}.weight", (out_features, in_features, kernel, kernel))
        scale, offset, mean, variance = (
            arrays.read(f"{norm}.{part}", (out_features,)) for part in ("weight", "bias", "running_mean", "running_var")
        )
        if variance.min() < 0:
            raise InputError(f"{path}: {norm}.running_var: found {variance.min():g}, expected 0 or more: copy it again")
        factor = scale / np.sqrt(variance + BATCH_NORM_EPS)
        return weight.transpose(2, 3, 1, 0) * factor, offset - mean * factor

    kernel, bias = convolution("conv1", "bn1", FEATURES[0], 3, 7)
    params: dict[str, Any] = {"stem": _layer(kernel.sum(axis=2, keepdims=True), bias)}
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


class _Arrays:
    """The arrays of an .npz, each checked before memory is taken for it: by name, shape, kind and checksum."""

    def __init__(self, path: Path):
        self._path = path
        try:
            self._members = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
            self._check_sums()
        except InputError:
            raise
        except FileNotFoundError:
            raise InputError(f"{path}: no such file, expected the arrays of a ResNet-18 (model.pretrained)") from None
        except Exception as error:  # whatever a damaged file makes of zipfile
            raise InputError(f"{path}: no whole NumPy archive (.npz): {_short(error)}: copy the file again") from None

    def read(self, name: str, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
        """The numbers of one array. Raises `InputError` where it is not as expected."""
        try:
            member = self._members.getinfo(f"{name}.npy")
        except KeyError:
            raise self._unlike(name, "nothing", shape) from None
        try:
            with self._members.open(member) as file:
                found, dtype = _header(file)
            if found != shape or dtype.kind != "f":
                raise self._unlike(name, f"{dtype} of {found}" if found == shape else found, shape)
            if member.file_size > math.prod(shape) * dtype.itemsize + LONGEST_HEADER:
                raise ValueError(f"{member.file_size} bytes, more than its shape takes")
            with np.errstate(over="ignore"):
                array = np.load(io.BytesIO(self._members.read(member)), allow_pickle=False).astype(np.float64)
        except InputError:
            raise
        except Exception as error:  # whatever NumPy makes of a file that is none of its own
            raise self._unreadable(name, error) from None
        if not np.isfinite(array).all():
            raise InputError(f"{self._path}: {name}: holds numbers that are not finite: copy the file again")
        return array

    def _check_sums(self) -> None:
        """Of all members, also those that are not read."""
        byte_count = sum(member.file_size for member in self._members.infolist())
        if byte_count > MOST_BYTES_UNPACKED:
            raise InputError(
                f"{self._path}: unpacks to {byte_count >> 20} MiB, expected the arrays of a ResNet-18, of at most "
                f"{MOST_BYTES_UNPACKED >> 20} MiB: choose another file"
            )
        for member in self._members.infolist():
            try:
                with self._members.open(member) as file:
                    while file.read(PIECE_BYTES):
                        pass
            except Exception as error:  # whatever a damaged file makes of zipfile and zlib
                raise self._unreadable(printable(member.filename.removesuffix(".npy")), error) from None

    def _unreadable(self, name: str, error: Exception) -> InputError:
        return InputError(f"{self._path}: {name}: cannot be read ({_short(error)}): copy the file again")

    def _unlike(self, name: str, found: object, shape: tuple[int, ...]) -> InputError:
        return InputError(
            f"{self._path}: {name}: found {found}, expected an array of {shape} as torchvision's resnet18 has"
        )


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {printable(' '.join(str(error).split())[:100])}"


def _layer(kernel: Float[np.ndarray, "y x c d"], bias: Float[np.ndarray, " d"]) -> dict[str, np.ndarray]:
    return {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
