"""Published peak figures of chips, by what JAX calls them.

From cloud.google.com/tpu/docs and nvidia.com/en-us/data-center; of GPUs the SXM boards, without sparsity. No page gives
the links of one v4 chip: six, of 400 Gbit/s each way.
"""

from typing import NamedTuple


class Chip(NamedTuple):
    """Peak figures of one chip.

    `peak_float32_flops` is what JAX computes float32 convolutions at unless told otherwise: one bfloat16 pass on a TPU,
    TF32 on a GPU. `link_bytes_per_second` is all that leaves a chip at a time, one way: half of what is published as
    bidirectional.
    """

    name: str
    peak_bfloat16_flops: float
    peak_float32_flops: float
    memory_bytes: int
    memory_bytes_per_second: float
    link_bytes_per_second: float


CHIPS = {
    "TPU v4": Chip("TPU v4", 275e12, 275e12, 32 * 2**30, 1200e9, 300e9),
    "TPU v5 lite": Chip("TPU v5e", 197e12, 197e12, 16 * 2**30, 819e9, 200e9),
    "TPU v5": Chip("TPU v5p", 459e12, 459e12, 95 * 2**30, 2765e9, 600e9),
    "TPU v6 lite": Chip("TPU v6e", 918e12, 918e12, 32 * 2**30, 1638e9, 400e9),
    "NVIDIA A100-SXM4-80GB": Chip("A100", 312e12, 156e12, 80 * 10**9, 2039e9, 300e9),
    "NVIDIA H100 80GB HBM3": Chip("H100", 989.4e12, 494.7e12, 80 * 10**9, 3350e9, 450e9),
    "NVIDIA H200": Chip("H200", 989.4e12, 494.7e12, 141 * 10**9, 4800e9, 450e9),
}
CHIPS["TPU v5p"] = CHIPS["TPU v5"]  # by its newer name
