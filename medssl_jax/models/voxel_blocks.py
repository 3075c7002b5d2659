"""Volumes as blocks of voxels: those of a block lie in one place, side by side as its channels.

An accelerator may hold few channels of many places in the memory of many channels; a few voxels in one place it does
not. A convolution of blocks is the one of voxels with another kernel.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from medssl_jax.models.target import target_platform

Block = tuple[int, int, int]  # the sides of a block, in voxels
VOXEL: Block = (1, 1, 1)


def space_to_depth(x: Float[Array, "b z y x c"], block: Block = (2, 2, 2)) -> Float[Array, "b _z _y _x _c"]:
    """Divides the sides by those of `block`, the voxels of each block becoming channels."""
    k, j, i = block
    b, z, y, x_side, c = x.shape
    if target_platform() == "tpu" and c == 1 and i > 1:
        return _rows_to_depth(x.reshape(b, z // k, k, y // j, j, x_side), i)
    blocks = x.reshape(b, z // k, k, y // j, j, x_side // i, i, c)
    return blocks.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(b, z // k, y // j, x_side // i, k * j * i * c)


def _rows_to_depth(rows: Float[Array, "b z k y j x"], i: int) -> Float[Array, "b z y _x _c"]:
    """`space_to_depth` of rows of voxels, exactly: each row times a matrix of zeros and ones.

    A TPU would divide it otherwise by writing the volume out with each two voxels padded to 128.
    """
    b, z, k, y, j, side = rows.shape
    place = np.eye(side, dtype=rows.dtype).reshape(side, side // i, i)
    divided = jnp.einsum("bzkyjx,xpi->bzykjip", rows, place, precision="highest")
    return divided.reshape(b, z, y, k * j * i, side // i).swapaxes(-1, -2)


def depth_to_space(x: Float[Array, "b z y x c"], block: Block) -> Float[Array, "b _z _y _x _c"]:
    """The volume whose `space_to_depth` is `x`."""
    k, j, i = block
    b, z, y, x_side, _ = x.shape
    voxels = x.reshape(b, z, y, x_side, k, j, i, -1).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    return voxels.reshape(b, k * z, j * y, i * x_side, -1)


def kernel_on_blocks(
    kernel: Float[Array, "k k k c d"], stride: int, given: Block, made: Block
) -> Float[Array, "_k _k _k _c _d"]:
    """The kernel that leads from blocks of voxels to blocks of voxels as `kernel` does from voxels to voxels."""
    z, y, x = (_taps_on_blocks(len(kernel), stride, *sides) for sides in zip(given, made, strict=True))
    on_blocks = jnp.einsum("ziap,yjbq,xkcr,abcde->zyxijkdpqre", z, y, x, kernel)
    channels, features = (math.prod(on_blocks.shape[places]) for places in (slice(3, 7), slice(7, 11)))
    return on_blocks.reshape(*on_blocks.shape[:3], channels, features)


def _taps_on_blocks(taps: int, stride: int, given: int, made: int) -> Float[np.ndarray, "_k {given} {taps} {made}"]:
    """Along one axis, 1 where a tap reads a place of a given block for one of the places of a block that is made."""
    read = [[divmod(stride * place + tap - taps // 2, given) for tap in range(taps)] for place in range(made)]
    first, last = read[0][0][0], read[-1][-1][0]
    axis = np.zeros((1 + last - first, given, taps, made), np.float32)
    for place, tap in np.ndindex(made, taps):
        block, within = read[place][tap]
        axis[block - first, within, tap, place] = 1
    return axis
