"""A plan made by hand: a TPU v5e that computes, reads and sends in round numbers of milliseconds."""

import pytest

from medssl_jax.plan.chips import TPUS
from medssl_jax.plan.collectives import Collective
from medssl_jax.plan.plan import Memory, Plan
from medssl_jax.plan.roofline import Work, step_seconds, weak_scaling

GIB = 2**30


@pytest.fixture
def made_plan():
    """Four chips of one patch a kind each."""
    chip = TPUS["v5e"]
    work = Work(1_970_000_000_000, 8_190_000_000, (Collective("all-reduce", 2_000_000_000, 4, 1, "step/gradients"),))
    return Plan(
        name="v5e:2x2",
        chips=4,
        chip=chip,
        labelled_batch=4,
        unlabelled_batch=4,
        dtype="float32",
        remat=True,
        memory=Memory(GIB // 2, GIB, 5 * GIB // 2, GIB // 2, 4 * GIB, chip.memory_bytes),
        work=work,
        compile_seconds=60.0,
        seconds=step_seconds(work, chip, "float32"),
        scaling=weak_scaling(work, chip, "float32", chips=4, patches=8, smallest_batch=8, counts=(4, 8)),
    )
