"""A tiny step planned for the CPU, and, where libtpu is installed, for a TPU pod that is not there."""

import sys

import pytest

from experiments.configs import phantom
from experiments.runs.plan import memory_wanted, plan, weak_batch
from medssl_jax.core.errors import InputError
from medssl_jax.plan.collectives import Collective
from medssl_jax.plan.plan import collectives_by_origin
from medssl_jax.report.plan.figure import write_plan_figure
from medssl_jax.report.plan.tables import plan_text


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


def test_the_local_cpu(tiny, tmp_path):
    made = plan(tiny)
    assert (made.chips, made.labelled_batch, made.unlabelled_batch) == (1, 2, 2)
    # Parameters, two moments of Adam, and two windows a kind of patch.
    window = 22**3 * 2
    assert made.memory.arguments == pytest.approx(3 * made.memory.parameters + 4 * window, rel=0.1)
    assert made.memory.peak > made.memory.temporaries > made.memory.parameters
    assert made.work.flops > 0
    assert made.work.bytes_moved > made.memory.arguments
    assert made.work.collectives == ()
    # Nobody publishes the peak of "cpu".
    assert made.seconds is None
    assert made.scaling == []
    text = plan_text([made])
    assert "batch 2 + 2, float32, blocks kept" in text
    assert "roofline" not in text
    write_plan_figure(tmp_path / "plan.png", [made])
    assert (tmp_path / "plan.png").stat().st_size > 5_000


def test_the_batch_grows_with_the_chips_but_never_shrinks(tiny):
    assert weak_batch(tiny, 1).patches.labelled_batch == 2
    assert weak_batch(tiny, 16).patches.unlabelled_batch == 16
    tiny.patches.unlabelled_batch = 0
    assert weak_batch(tiny, 16).patches.unlabelled_batch == 0


def test_collectives_of_one_origin_are_added_up():
    small, large = Collective("all-gather", 10, 4, 2, "a"), Collective("all-reduce", 50, 8, 1, "b")
    assert collectives_by_origin([small, small, large]) == [large, Collective("all-gather", 40, 4, 4, "a")]


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
    with pytest.raises(InputError, match=r"pip install 'medssl-jax\[plan\]'"):
        plan(tiny, "v5e:4x4")


def test_a_shape_that_no_pod_has(tiny):
    pytest.importorskip("libtpu", reason="needs libtpu: pip install 'medssl-jax[plan]'")
    with pytest.raises(InputError, match=r"--topology=v5e:3x3: .*not divisible"):
        plan(tiny, "v5e:3x3")


@pytest.mark.slow
def test_a_pod(tiny):
    pytest.importorskip("libtpu", reason="needs libtpu: pip install 'medssl-jax[plan]'")
    made = plan(tiny, "v5e:2x2")
    assert (made.chips, made.labelled_batch) == (4, 4)
    gradients = [each for each in made.work.collectives if each.kind == "all-reduce" and each.group == 4]
    assert sum(each.stored_bytes for each in gradients) > made.memory.parameters
    assert made.memory.peak < made.memory.limit
    assert made.seconds is not None
    assert [each.chips for each in made.scaling] == [4, 8, 16, 32, 64, 128, 256]
    assert "roofline" in plan_text([made])
