"""Collectives read from lines as XLA writes them, and from a program of 8 virtual devices."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from medssl_jax.plan.collectives import Collective, read_collectives
from medssl_jax.plan.hlo import read_program

MODULE = """
%sum (a: f32[], b: f32[]) -> f32[] {{
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %s = f32[] add(%a, %b)
}}

ENTRY %main (x: f32[16]) -> f32[16] {{
  %x = f32[16]{{0}} parameter(0)
  {}
}}
"""


def read(line, chips=8):
    (collective,) = read_collectives(read_program(MODULE.format(line)), chips)
    return collective


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "ROOT %r = f32[16]{0} all-reduce(%x), channel_id=1, replica_groups={{0,1},{2,3},{4,5},{6,7}}, "
            'to_apply=%sum, metadata={op_name="jit(step)/grad"}',
            Collective("all-reduce", 64, 2),
        ),
        (
            "ROOT %r = f32[64]{0} all-gather(%x), replica_groups=[2,4]<=[8], dimensions={0}",
            Collective("all-gather", 256, 4),
        ),
        (
            "ROOT %r = f32[4]{0} reduce-scatter(%x), replica_groups=[2,4]<=[4,2]T(1,0), dimensions={0}, to_apply=%sum",
            Collective("reduce-scatter", 64, 4),
        ),
        (
            "ROOT %r = f32[16]{0} all-reduce(%x), replica_groups={}, to_apply=%sum",
            Collective("all-reduce", 64, 8),
        ),
        (
            "ROOT %r = f32[32]{0} all-gather(%x), replica_groups=mesh['group'=4,'member'=2] {'member'}, dimensions={0}",
            Collective("all-gather", 128, 2),
        ),
        (
            "ROOT %r = f32[32]{0} all-gather(%x), replica_groups=mesh['all'=8] {'all':(1)2}, dimensions={0}",
            Collective("all-gather", 128, 2),
        ),
        (
            "ROOT %r = (f32[16]{0}, f32[16]{0}, u32[], u32[]) collective-permute-start(%x), "
            "source_target_pairs={{0,1},{1,2},{2,0}}",
            Collective("collective-permute", 64, 3),
        ),
        (
            "ROOT %r = (f32[16]{0}, f32[64]{0}) all-gather-start(%x), replica_groups=[2,4]<=[8], dimensions={0}",
            Collective("all-gather", 256, 4),
        ),
        (
            "ROOT %r = (f32[16]{0}, f32[16]{0}) all-reduce-start(%x, %x), replica_groups=[1,8]<=[8], to_apply=%sum",
            Collective("all-reduce", 128, 8),
        ),
    ],
)
def test_every_way_of_writing_a_group(line, expected):
    assert read(line) == expected


def test_the_second_half_of_an_asynchronous_one_is_no_second_one():
    line = (
        "%s = f32[16]{0} all-reduce-start(%x), replica_groups=[1,8]<=[8], to_apply=%sum\n"
        "  ROOT %d = f32[16]{0} all-reduce-done(%s)"
    )
    assert read(line).kind == "all-reduce"


def test_one_that_runs_beside_several_fusions_is_written_into_each():
    gather = "all-gather(%x), channel_id=6, replica_groups=[2,4]<=[8], dimensions={0}"
    lines = [f"%{name} = f32[64]{{0}} {gather}" for name in ("started", "beside", "ended")]
    other = f"ROOT %r = f32[64]{{0}} {gather.replace('6', '7')}"
    hlo = MODULE.format("\n  ".join([*lines, other]))
    assert read_collectives(read_program(hlo), 8) == [Collective("all-gather", 256, 4)] * 2


def test_sent_bytes_are_those_of_rings():
    assert Collective("all-reduce", 100, 4).sent_bytes == pytest.approx(2 * 100 * 3 / 4)
    assert Collective("all-gather", 100, 4).sent_bytes == pytest.approx(75)
    assert Collective("collective-permute", 100, 4).sent_bytes == 100
    assert Collective("all-reduce", 100, 1).sent_bytes == 0


def test_a_program_of_eight_devices():
    program = """
        import json, jax, jax.numpy as jnp
        from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
        from medssl_jax.plan.collectives import read_collectives
        from medssl_jax.plan.hlo import read_program

        mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
        rows, everywhere = NamedSharding(mesh, P("a")), NamedSharding(mesh, P())

        def gradient(w, x):
            return jax.grad(lambda w: jnp.tanh(x @ w).sum())(w), jax.lax.with_sharding_constraint(x, everywhere)

        shapes = [jax.ShapeDtypeStruct((8, 8), jnp.float32, sharding=s) for s in (everywhere, rows)]
        text = jax.jit(gradient, out_shardings=everywhere).lower(*shapes).compile().as_text()
        print(json.dumps(read_collectives(read_program(text), 8)))
    """
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, env=os.environ | flags
    )
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(done.stdout)) == [["all-gather", 256, 4], ["all-reduce", 256, 4]]
