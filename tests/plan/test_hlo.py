"""Instructions read from hand-made text, and from what XLA compiles: its own counts are the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.plan.costs import bytes_moved, flops
from medssl_jax.plan.hlo import StoredArray, read_instructions

LOOP = """
HloModule made_by_hand, is_scheduled=true

%fused (p.0: f32[4,8]) -> f32[4,8] {
  %p.0 = f32[4,8]{1,0:T(8,128)} parameter(0)
  ROOT %twice = f32[4,8]{1,0:T(8,128)} add(%p.0, %p.0), metadata={op_name="jit(f)/while/body/add" stack_frame_id=3}
}

%body (state: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %state = (s32[]{:T(128)}, f32[4,8]{1,0:T(8,128)}) parameter(0)
  %at = s32[]{:T(128)} get-tuple-element(%state), index=0
  %x = f32[4,8]{1,0:T(8,128)} get-tuple-element(%state), index=1
  %doubled = f32[4,8]{1,0:T(8,128)} fusion(%x), kind=kLoop, calls=%fused
  ROOT %next = (s32[]{:T(128)}, f32[4,8]{1,0:T(8,128)}) tuple(%at, %doubled)
}

%condition (state.1: (s32[], f32[4,8])) -> pred[] {
  %n = s32[]{:T(128)} constant(5)
  %state.1 = (s32[]{:T(128)}, f32[4,8]{1,0:T(8,128)}) parameter(0)
  %at.1 = s32[]{:T(128)} get-tuple-element(%state.1), index=0
  ROOT %less = pred[]{:T(512)} compare(%at.1, %n), direction=LT
}

%never_called (a: f32[]) -> f32[] {
  ROOT %a = f32[] parameter(0)
}

ENTRY %main (x.1: f32[4,8]) -> (s32[], f32[4,8]) {
  %zero = s32[]{:T(128)} constant(0)
  %x.1 = f32[4,8]{1,0:T(8,128)} parameter(0)
  %start = (s32[]{:T(128)}, f32[4,8]{1,0:T(8,128)}) tuple(%zero, %x.1)
  ROOT %end = (s32[]{:T(128)}, f32[4,8]{1,0:T(8,128)}) while(%start), condition=%condition, body=%body, ENDING
}
"""


def by_name(text):
    return {line.name: line for line in read_instructions(text)}


@pytest.mark.parametrize(
    ("ending", "rounds"), [("x={}", 5), ('backend_config={"known_trip_count":{"n":"7"},"known_init_step":{}}', 7)]
)
def test_the_body_of_a_loop_runs_as_often_as_the_loop_goes_round(ending, rounds):
    lines = by_name(LOOP.replace("ENDING", ending))
    assert lines["doubled"].runs == lines["twice"].runs == rounds
    assert lines["end"].runs == 1
    assert (lines["twice"].fused, lines["doubled"].fused) == (True, False)
    assert lines["twice"].op_name == "jit(f)/while/body/add"


def test_loops_that_end_by_data_count_once_and_what_nobody_calls_not_at_all():
    lines = by_name(LOOP.replace("ENDING", "x={}").replace("direction=LT", "direction=NE"))
    assert lines["doubled"].runs == 1
    assert "a" not in lines


@pytest.mark.parametrize(
    ("array", "stored"),
    [
        (StoredArray(32, (4, 8)), 4 * 8 * 4),
        (StoredArray(32, (4, 8), (1, 0), (8, 128)), 8 * 128 * 4),
        (StoredArray(32, (4, 8), (0, 1), (8, 128)), 8 * 128 * 4),
        (StoredArray(16, (3, 9, 130), (2, 1, 0), (8, 128)), 3 * 16 * 256 * 2),
        (StoredArray(4, (3,)), 2),
        (StoredArray(32, (), (), (128,)), 4),
    ],
)
def test_stored_bytes_count_the_padding_of_tiles(array, stored):
    assert array.stored_bytes == stored


def test_traffic_leaves_out_what_stays_on_the_core():
    text = LOOP.replace("ENDING", "x={}")
    tile, compared = 8 * 128 * 4, 4 + 4 + 1
    assert bytes_moved(read_instructions(text)) == 5 * (2 * tile + compared)
    on_core = text.replace("%doubled = f32[4,8]{1,0:T(8,128)}", "%doubled = f32[4,8]{1,0:T(8,128)S(1)}")
    assert bytes_moved(read_instructions(on_core)) == 5 * (tile + compared)


def test_what_is_no_hlo_is_refused_in_one_line():
    with pytest.raises(InputError, match="no HLO text"):
        read_instructions("ENTRY of a diary")


def test_counts_are_those_of_xla_without_loops():
    def network(x, kernel, strided, matrix):
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.lax.conv_general_dilated(x, strided, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return (x @ matrix).sum()

    shapes = [(2, 32, 32, 8), (3, 3, 8, 16), (3, 3, 16, 16), (16, 24)]
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    compiled = jax.jit(jax.grad(network, argnums=(0, 1, 2, 3))).lower(*arguments).compile()
    instructions, cost = read_instructions(compiled.as_text()), compiled.cost_analysis()
    assert flops(instructions) == pytest.approx(cost["flops"], rel=0.03)
    assert bytes_moved(instructions) == pytest.approx(cost["bytes accessed"], rel=0.1)


def test_a_loop_costs_as_many_times_its_body():
    def rounds(x, matrix, count):
        return jax.lax.scan(lambda x, _: (jnp.tanh(x @ matrix), None), x, None, length=count)[0]

    x, matrix = jnp.ones((32, 64)), jnp.ones((64, 64))
    counted = [
        flops(read_instructions(jax.jit(rounds, static_argnums=2).lower(x, matrix, count).compile().as_text()))
        for count in (3, 12)
    ]
    np.testing.assert_array_equal(counted, [count * 2 * 32 * 64 * 64 for count in (3, 12)])


def test_only_one_branch_is_taken():
    def choose(which, x, matrix):
        return jax.lax.switch(which, [lambda: x, lambda: x @ matrix, lambda: (x @ matrix) @ matrix])

    text = jax.jit(choose).lower(1, jnp.ones((32, 64)), jnp.ones((64, 64))).compile().as_text()
    assert flops(read_instructions(text)) == 2 * 2 * 32 * 64 * 64
