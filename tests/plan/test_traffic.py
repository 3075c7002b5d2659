"""Traffic of lines as XLA writes them for a TPU: a row of 128 float32 is 512 bytes, S(1) is the memory of a core."""

import pytest

from medssl_jax.plan.hlo import read_program
from medssl_jax.plan.traffic import memory_traffic

ROW = 512
MODULE = """
%sum (a: f32[], b: f32[]) -> f32[] {{
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %s = f32[] add(%a, %b)
}}

%sliced (whole: f32[64,128], at: s32[]) -> f32[8,128] {{
  %whole = f32[64,128]{{1,0}} parameter(0)
  %at = s32[]{{:S(1)}} parameter(1)
  %same = f32[64,128]{{1,0}} bitcast(%whole)
  %slice = f32[8,128]{{1,0}} dynamic-slice(%same, %at, %at), dynamic_slice_sizes={{8,128}}
  ROOT %twice = f32[8,128]{{1,0}} add(%slice, %slice)
}}

%updated (into: f32[64,128], update: f32[8,128], at: s32[]) -> f32[64,128] {{
  %into = f32[64,128]{{1,0}} parameter(0)
  %update = f32[8,128]{{1,0}} parameter(1)
  %at = s32[]{{:S(1)}} parameter(2)
  ROOT %dus = f32[64,128]{{1,0}} dynamic-update-slice(%into, %update, %at, %at)
}}

%both (x: f32[8,128], into: f32[64,128], update: f32[8,128], at: s32[]) -> (f32[8,128], f32[64,128], f32[64,128]) {{
  %x.3 = f32[8,128]{{1,0}} parameter(0)
  %into.1 = f32[64,128]{{1,0}} parameter(1)
  %at.1 = s32[]{{:S(1)}} parameter(2)
  %double = f32[8,128]{{1,0}} add(%x.3, %x.3)
  %dus.1 = f32[64,128]{{1,0}} dynamic-update-slice(%into.1, %double, %at.1, %at.1)
  %gathered = f32[64,128]{{1,0}} all-gather(%x.3), channel_id=1, dimensions={{0}}
  ROOT %all = (f32[8,128]{{1,0}}, f32[64,128]{{1,0}}, f32[64,128]{{1,0}}) tuple(%x.3, %dus.1, %gathered)
}}

%round (x: f32[8,128]) -> f32[8,128] {{
  %x.1 = f32[8,128]{{1,0}} parameter(0)
  ROOT %next = f32[8,128]{{1,0}} negate(%x.1)
}}

%idle (x: f32[8,128]) -> f32[8,128] {{
  ROOT %x.2 = f32[8,128]{{1,0}} parameter(0)
}}

ENTRY %main (x: f32[8,128], big: f32[64,128], at: s32[]) -> f32[8,128] {{
  %x = f32[8,128]{{1,0:T(8,128)}} parameter(0)
  %big = f32[64,128]{{1,0:T(8,128)}} parameter(1)
  %near = f32[8,128]{{1,0:T(8,128)S(1)}} parameter(2)
  %at = s32[]{{:S(1)}} parameter(3)
  {}
}}
"""


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("ROOT %r = f32[8,128]{1,0:T(8,128)} add(%x, %x)", 24),
        ("ROOT %r = f32[8,128]{1,0:T(8,128)S(1)} add(%x, %near)", 8),  # what stays on the core is no traffic
        ("ROOT %r = f32[8,24]{1,0:T(8,128)} slice(%x), slice={[0:8], [0:24]}", 16),  # padded to whole rows
        ("ROOT %r = f32[1024]{0:T(1024)} bitcast(%x)", 0),
        ('ROOT %r = f32[64,128]{1,0} custom-call(), custom_call_target="AllocateBuffer"', 0),  # nothing is in it yet
        ("ROOT %r = (f32[8,128]{1,0}, f32[64,128]{1,0}) tuple(%x, %big)", 0),
        ("ROOT %r = f32[8,128]{1,0} dynamic-slice(%big, %at, %at), dynamic_slice_sizes={8,128}", 16),
        ("ROOT %r = f32[64,128]{1,0} dynamic-update-slice(%big, %x, %at, %at)", 16),
        ("ROOT %r = f32[8,128]{1,0} fusion(%big, %at), kind=kLoop, calls=%sliced", 16),
        ("ROOT %r = f32[64,128]{1,0} fusion(%big, %x, %at), kind=kLoop, calls=%updated", 16),
        ("ROOT %r = (f32[8,128], f32[64,128], f32[64,128]) fusion(%x, %big, %at), kind=kLoop, calls=%both", 16),
        ("ROOT %r = f32[8,128]{1,0} while(%x), condition=%sum, body=%round", 16),
        ("ROOT %r = f32[8,128]{1,0} conditional(%at, %x, %x), branch_computations={%idle, %round}", 16),
        ("ROOT %r = f32[8,128]{1,0} call(%x), to_apply=%round", 16),
        (
            "%c = (f32[8,128]{1,0:S(1)}, f32[8,128]{1,0}, u32[]{:S(2)}) copy-start(%x)\n"
            "  ROOT %r = f32[8,128]{1,0:S(1)} copy-done(%c)",
            8,
        ),
        (
            "%c = ((f32[64,128]{1,0}), f32[8,128]{1,0:S(1)}, s32[]{:S(2)}) slice-start(%big), slice={[0:8], [0:128]}\n"
            "  ROOT %r = f32[8,128]{1,0:S(1)} slice-done(%c)",
            8,
        ),
    ],
)
def test_each_kind_of_instruction(line, rows):
    assert memory_traffic(read_program(MODULE.format(line))) == rows * ROW
