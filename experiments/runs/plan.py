"""What training a config would cost on other devices: its step is compiled for them, not run."""

import re
import time
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections

from experiments.runs.focalmix import abstract_training, check_config
from medssl_jax.core.errors import InputError
from medssl_jax.models.layers import compiled_for
from medssl_jax.plan.chips import TPUS, chip_of_kind
from medssl_jax.plan.collectives import read_collectives
from medssl_jax.plan.costs import bytes_moved, flops
from medssl_jax.plan.hlo import read_instructions
from medssl_jax.plan.plan import Memory, Plan
from medssl_jax.plan.roofline import Work, step_seconds, weak_scaling
from medssl_jax.plan.topology import memory_limit, topology_devices

CHIP_COUNTS = (4, 8, 16, 32, 64, 128, 256)


def plan(config: ml_collections.ConfigDict, topology: str | None = None) -> Plan:
    """Compiles the step of `config` for the chips of `topology`, or for the local devices.

    The config's batch is the smallest one; where there are more chips than rows of it, each has one row of each kind.
    Takes minutes for a real network. Raises `InputError` for an unknown topology, a batch that the chips cannot share,
    and a step that does not fit in a chip's memory.
    """
    check_config(config)
    if topology is None:
        devices: Sequence[jax.Device] = jax.devices()
        chip = chip_of_kind(devices[0].device_kind)
        limit = memory_limit(devices[0]) or (chip.memory_bytes if chip else None)
        name = f"{len(devices)} x {devices[0].device_kind}"
    else:
        devices = topology_devices(topology)
        chip, name = TPUS[topology.partition(":")[0]], topology
        limit = chip.memory_bytes
    smallest = config.patches.labelled_batch + config.patches.unlabelled_batch
    config = weak_batch(config, len(devices))
    placement, step, state, batch = abstract_training(config, devices)
    if placement.count < len(devices):
        raise InputError(
            f"{name} has {len(devices)} chips, of which only {placement.count} can share batches of "
            f"{config.patches.labelled_batch} + {config.patches.unlabelled_batch} patches equally: "
            "change patches.labelled_batch and patches.unlabelled_batch, or the number of chips"
        )
    started = time.monotonic()
    with compiled_for(devices[0].platform):
        lowered = step.lower(state, batch)
    compiled = _compile(lowered, name)
    seconds = time.monotonic() - started
    instructions = read_instructions(compiled.as_text())
    collectives = read_collectives(instructions, len(devices))
    work = Work(flops(instructions), bytes_moved(instructions), tuple(collectives))
    patches = config.patches.labelled_batch + config.patches.unlabelled_batch
    shared: dict[str, Any] = {"chips": len(devices), "patches": patches, "smallest_batch": smallest}
    dtype = config.model.dtype
    return Plan(
        name=name,
        chips=len(devices),
        chip=chip,
        labelled_batch=config.patches.labelled_batch,
        unlabelled_batch=config.patches.unlabelled_batch,
        dtype=dtype,
        remat=config.model.remat,
        memory=_memory(compiled, state, limit),
        work=work,
        compile_seconds=seconds,
        seconds=step_seconds(work, chip, dtype) if chip else None,
        scaling=weak_scaling(work, chip, dtype, counts=CHIP_COUNTS, **shared) if chip else [],
    )


def weak_batch(config: ml_collections.ConfigDict, chips: int) -> ml_collections.ConfigDict:
    """The config with as many patches of each kind as there are chips, where its own batch has fewer."""
    config = config.copy_and_resolve_references()
    patches = config.patches
    patches.labelled_batch = max(patches.labelled_batch, chips)
    patches.unlabelled_batch = max(patches.unlabelled_batch, chips) if patches.unlabelled_batch else 0
    return config


def _compile(lowered, name):
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(
            f"the step does not fit in the memory of a chip of {name}: {memory_wanted(str(error))}; set "
            "model.remat=True or model.dtype=bfloat16, choose a smaller patches.side, fewer patches a chip, or a chip "
            "with more memory"
        ) from None


def memory_wanted(message: str) -> str:
    """What a compiler says of memory that does not suffice, in short; libtpu has said it in two ways so far."""
    found = re.search(r"([\d.]+[KMGT])(?:\) exceeds available HBM \(| of )([\d.]+[KMGT])", message)
    return f"it needs {found[1]}iB of {found[2]}iB" if found else message.splitlines()[0]


def _memory(compiled, state, limit) -> Memory:
    sizes = compiled.memory_analysis()
    written = sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    resident = sizes.argument_size_in_bytes + written + sizes.generated_code_size_in_bytes
    return Memory(
        parameters=sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state.params)),
        arguments=sizes.argument_size_in_bytes,
        temporaries=sizes.temp_size_in_bytes,
        program=sizes.generated_code_size_in_bytes,
        peak=resident + sizes.temp_size_in_bytes,
        limit=limit,
    )
