"""A tiny step planned for the CPU, and, where libtpu is installed, for a TPU pod that is not there."""

import sys

import jax
import jax.numpy as jnp
import pytest

from experiments.configs import phantom
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.focalmix_job import abstract_training
from experiments.runs.plan import memory_wanted, plan, shared_batch
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.models.target import compiled_for
from medssl_jax.report.plan_tables import plan_text


@pytest.fixture
def tiny():
    config = phantom.get_config()
    config.patches.side = 16
    config.patches.jitter = 4
    config.patches.labelled_batch = config.patches.unlabelled_batch = 2
    # One stage and one level, which are quick to compile.
    config.model.features, config.model.blocks, config.model.pyramid_features = (8,), (1,), 8
    config.anchors.strides, config.anchors.sides_mm = (2,), ((4.5, 7.0),)
    config.mixup.object_window = 8
    config.inference.overlap = 4
    return config


def test_the_local_cpu(tiny):
    tiny.ssl.views, tiny.mixup.image, tiny.mixup.object = 1, False, False  # a third of the time to compile
    made = plan(tiny)
    assert made.title == "1 x cpu: 1 chip, batch 2 + 2, float32, blocks kept"
    # Parameters, two moments of Adam, and two windows a kind of patch.
    window = 22**3 * 2
    assert made.memory.arguments == pytest.approx(3 * made.memory.parameters + 4 * window, rel=0.1)
    assert made.memory.peak > made.memory.temporaries > made.memory.parameters
    assert made.work.flops > 0
    assert made.work.bytes_moved > made.memory.arguments
    assert made.work.collectives == []
    # Nobody publishes the peak of "cpu".
    assert made.seconds == {}
    text = plan_text([made])
    assert "batch 2 + 2, float32, blocks kept" in text
    assert "roofline" not in text


def test_state_and_losses_are_float32_where_the_network_is_not(tiny):
    _, step, state, batch = abstract_training(settings_from(FocalMixConfig, tiny), jax.devices()[:1])
    with compiled_for("tpu"):
        assert "bf16" in step.lower(state, batch).as_text()
        given = jax.eval_shape(step, state, batch)
    floats = {leaf.dtype for leaf in jax.tree.leaves(given) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert floats == {jnp.dtype("float32")}


def test_runs_that_differ_in_their_seed_share_the_compiled_programs(tiny):
    def programs(seed):
        tiny.seed = seed
        settings = settings_from(FocalMixConfig, tiny)
        _, step, state, batch = abstract_training(settings, jax.devices()[:1])
        return step.lower(state, batch).as_text(), jax.jit(settings.fresh_state).lower(seed=jnp.uint32(seed)).as_text()

    assert programs(0) == programs(2**32 - 1)


def test_the_batch_grows_until_the_chips_share_it_and_never_shrinks(tiny):
    def patches(chips):
        return shared_batch(settings_from(FocalMixConfig, tiny), chips).patches

    assert patches(1).labelled_batch == 2
    assert patches(12).unlabelled_batch == 12  # of which no mixing group of 16 could be made
    assert patches(16).unlabelled_batch == 16
    tiny.patches.labelled_batch, tiny.mixup.group = 24, 26
    assert patches(16).labelled_batch == 32
    tiny.patches.unlabelled_batch = tiny.split.unlabelled = 0
    assert patches(16).unlabelled_batch == 0


@pytest.mark.parametrize(
    ("message", "short"),
    [
        (
            "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (37.08G) exceeds available HBM (15.75G). HLO module: jit_focalmix_step.\nmore",
            "it needs 37.08GiB of 15.75GiB",
        ),
        (
            "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 21.95G of 15.48G hbm. Exceeded hbm "
            "capacity by 6.47G.\n\nTotal hbm usage >= 22.47G:",
            "it needs 21.95GiB of 15.48GiB",
        ),
        ("RESOURCE_EXHAUSTED: Out of memory\nmore", "RESOURCE_EXHAUSTED: Out of memory"),
    ],
)
def test_a_compiler_out_of_memory_says_how_much(message, short):
    assert memory_wanted(message) == short


@pytest.mark.parametrize("topology", ["v9:4x4", "4x4", ""])
def test_an_unknown_kind_of_tpu(tiny, topology):
    with pytest.raises(InputError, match="expected KIND:SHAPE with a kind of v4, v5e, v5p, v6e"):
        plan(tiny, topology)


def test_libtpu_is_asked_for(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "libtpu", None)
    with pytest.raises(InputError, match=r"pip install -c constraints.txt -e '\.\[plan\]'"):
        plan(tiny, "v5e:4x4")


def test_a_shape_that_no_pod_has(tiny):
    pytest.importorskip("libtpu", reason="needs libtpu: pip install -c constraints.txt -e '.[plan]'")
    with pytest.raises(InputError, match=r"--topology=v5e:3x3: .*not divisible"):
        plan(tiny, "v5e:3x3")


@pytest.mark.slow
def test_one_chip_is_compiled_for_itself(tiny):
    pytest.importorskip("libtpu", reason="needs libtpu: pip install -c constraints.txt -e '.[plan]'")
    made = plan(tiny, "v5e:1x1")
    assert made.title.startswith("v5e:1x1: 1 chip, batch 2 + 2, bfloat16, ")
    assert made.memory.program > 0  # a CPU's is not counted


@pytest.mark.slow
def test_a_pod(tiny):
    pytest.importorskip("libtpu", reason="needs libtpu: pip install -c constraints.txt -e '.[plan]'")
    made = plan(tiny, "v5e:2x2")
    assert made.title.startswith("v5e:2x2: 4 chips, batch 4 + 4, bfloat16, ")
    gradients = [each for each in made.work.collectives if each.kind == "all-reduce" and each.group == 4]
    assert sum(each.stored_bytes for each in gradients) > made.memory.parameters
    assert made.memory.peak < made.memory.limit
    assert made.seconds
    assert "roofline" in plan_text([made])
