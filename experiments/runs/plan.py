"""The cost of training a config on other devices: its step is compiled for them, not run."""

import dataclasses
import re
from typing import Any

import jax
import ml_collections

from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.focalmix_job import abstract_training
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.models.target import compiled_for, computation_dtype, computes_again
from medssl_jax.parallel.device_memory import peak_bytes
from medssl_jax.plan.chips import CHIPS
from medssl_jax.plan.collectives import read_collectives
from medssl_jax.plan.hlo import read_program
from medssl_jax.plan.plan import Memory, Plan, Work, least_seconds
from medssl_jax.plan.topology import topology_devices
from medssl_jax.plan.traffic import memory_traffic


def plan(config: ml_collections.ConfigDict, topology: str | None = None) -> Plan:
    """Compiles the step of `config` for the chips of `topology`, or for the local devices.

    Takes minutes for a real network. Raises `InputError` for an unknown topology, and for too little memory on a chip.
    """
    devices = jax.devices() if topology is None else topology_devices(topology)
    count, kind, platform = len(devices), devices[0].device_kind, devices[0].platform
    name, chip = topology or f"{count} x {kind}", CHIPS.get(kind)
    settings = shared_batch(settings_from(FocalMixConfig, config), count)
    _, step, state, batch = abstract_training(settings, devices)
    try:
        with compiled_for(platform):
            dtype = computation_dtype(settings.model.dtype).name
            blocks = "blocks computed again" if computes_again(settings.model.remat) else "blocks kept"
            compiled = step.lower(state, batch).compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(
            f"the step does not fit in the memory of a chip of {name}: {memory_wanted(str(error))}; set "
            "model.remat=True or model.dtype=bfloat16, a smaller patches.side, fewer patches a chip, or a larger chip"
        ) from None
    cost: Any = compiled.cost_analysis()
    program = read_program(compiled.as_text() or "")
    work = Work(cost["flops"], memory_traffic(program), read_collectives(program, count))
    batches = f"{settings.patches.labelled_batch} + {settings.patches.unlabelled_batch}"
    return Plan(
        name=name,
        title=f"{name}: {count} chip{'s' * (count > 1)}, batch {batches}, {dtype}, {blocks}",
        memory=_memory(compiled, state.params, chip.memory_bytes if chip else None),
        work=work,
        seconds=least_seconds(work, chip, dtype) if chip else {},
    )


def shared_batch(settings: FocalMixConfig, chips: int) -> FocalMixConfig:
    """The settings with as many more patches of each kind as it takes for `chips` to share them equally."""
    patches, mixup = settings.patches, settings.mixup
    labelled, unlabelled = (-(-rows // chips) * chips for rows in (patches.labelled_batch, patches.unlabelled_batch))
    groups = max(1, (labelled + unlabelled) // mixup.group)
    return dataclasses.replace(
        settings,
        patches=dataclasses.replace(patches, labelled_batch=labelled, unlabelled_batch=unlabelled),
        mixup=dataclasses.replace(mixup, group=max(mixup.group, (labelled + unlabelled) // groups)),
    )


def memory_wanted(message: str) -> str:
    """A compiler's words on memory that does not suffice, in short; libtpu has said it in two ways so far."""
    found = re.search(r"([\d.]+[KMGT])(?:\) exceeds available HBM \(| of )([\d.]+[KMGT])", message)
    return f"it needs {found[1]}iB of {found[2]}iB" if found else message.splitlines()[0]


def _memory(compiled: jax.stages.Compiled, params: Any, limit: int | None) -> Memory:
    sizes: Any = compiled.memory_analysis()
    program, temporaries = sizes.generated_code_size_in_bytes, sizes.temp_size_in_bytes
    parameters = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
    return Memory(parameters, sizes.argument_size_in_bytes, temporaries, program, peak_bytes(compiled), limit)
