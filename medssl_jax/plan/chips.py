"""What makers publish of their chips, and what names them in `--topology` and in JAX."""

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
    source: str


def _tpu(name, peak_flops, memory_gib, memory_gb_per_second, link_gb_per_second, page):
    return Chip(
        name,
        peak_flops,
        peak_flops,
        round(memory_gib * 2**30),
        memory_gb_per_second * 1e9,
        link_gb_per_second * 1e9,
        f"cloud.google.com/tpu/docs/{page}",
    )


def _gpu(name, bfloat16_flops, tf32_flops, memory_gb, memory_gb_per_second, link_gb_per_second, page):
    return Chip(
        name,
        bfloat16_flops,
        tf32_flops,
        round(memory_gb * 1e9),
        memory_gb_per_second * 1e9,
        link_gb_per_second * 1e9,
        f"nvidia.com/en-us/data-center/{page}",
    )


# By the name that topologies begin with. No page gives the links of one v4 chip: six, of 400 Gbit/s each way.
TPUS = {
    "v4": _tpu("TPU v4", 275e12, 32, 1200, 300, "v4"),
    "v5e": _tpu("TPU v5e", 197e12, 16, 819, 200, "v5e"),
    "v5p": _tpu("TPU v5p", 459e12, 95, 2765, 600, "v5p"),
    "v6e": _tpu("TPU v6e", 918e12, 32, 1638, 400, "v6e"),
}

# By what JAX calls them. Without sparsity; the SXM boards, as other boards have other figures.
GPUS = {
    "NVIDIA A100-SXM4-80GB": _gpu("A100", 312e12, 156e12, 80, 2039, 300, "a100"),
    "NVIDIA H100 80GB HBM3": _gpu("H100", 989.4e12, 494.7e12, 80, 3350, 450, "h100"),
    "NVIDIA H200": _gpu("H200", 989.4e12, 494.7e12, 141, 4800, 450, "h200"),
}


def chip_of_kind(device_kind: str) -> Chip | None:
    """The chip behind JAX's `device_kind`, or None where its figures are not listed here."""
    tpus = {"TPU v4": "v4", "TPU v5 lite": "v5e", "TPU v5": "v5p", "TPU v5p": "v5p", "TPU v6 lite": "v6e"}
    return TPUS[tpus[device_kind]] if device_kind in tpus else GPUS.get(device_kind)
