"""Types and instructions as XLA writes them."""

import pytest

from medssl_jax.plan.hlo import read_program, stored_bytes


@pytest.mark.parametrize(
    ("hlo_type", "stored"),
    [
        ("f32[4,8]", 4 * 8 * 4),
        ("f32[4,8]{1,0:T(8,128)}", 8 * 128 * 4),
        ("f32[4,8]{0,1:T(8,128)}", 8 * 128 * 4),
        ("bf16[3,9,130]{2,1,0:T(8,128)(2,1)S(1)}", 3 * 16 * 256 * 2),
        ("s4[3]", 2),
        ("f32[]{:T(128)}", 4),
        ("(pred[3], token[], f32[2]{0})", 3 + 8),
    ],
)
def test_stored_bytes_count_the_padding_of_tiles(hlo_type, stored):
    assert stored_bytes(hlo_type) == stored


def test_what_lies_in_the_memory_of_a_core_is_told_apart():
    both = "(f32[8]{0:T(128)S(1)}, bf16[4,8]{1,0:T(8,128)(2,1)})"
    assert stored_bytes(both) == 128 * 4 + 8 * 128 * 2
    assert stored_bytes(both, off_core=True) == 8 * 128 * 2


def test_instructions_are_read_with_what_they_take_and_call():
    program = read_program("""HloModule step, is_scheduled=true

%body.1 (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %p = (s32[]{:T(128)}, f32[4]{0:T(128)}) parameter(0)
  ROOT %t = (s32[]{:T(128)}, f32[4]{0:T(128)}) tuple(%p)
}

ENTRY %main.2 (x: f32[4]) -> (s32[], f32[4]) {
  %x = f32[4]{0:T(128)} parameter(3)
  ROOT %loop = (s32[], f32[4]) while(%x), condition=%body.1, body=%body.1, metadata={op_name="jit(f)/while"}
}
""")
    assert program.entry == "main.2"
    loop = program.computations["main.2"]["loop"]
    assert (loop.opcode, loop.operands, loop.called("body"), loop.is_root) == ("while", ["x"], ["body.1"], True)
    assert loop.called("branch_computations") == []
    assert program.computations["main.2"]["x"].arguments == "3"
    assert program.computations["body.1"]["t"].hlo_type == "(s32[]{:T(128)}, f32[4]{0:T(128)})"
