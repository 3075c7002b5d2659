"""A phantom's fields come from a config; what they lack, or have too many of, is refused by name."""

import pytest

from experiments.runs.phantoms import phantom_from
from medssl_jax.core.errors import InputError


def test_a_phantom_is_made_of_the_fields_of_a_config_and_others():
    def spec(side, scans, *, seed):
        if scans < 1:
            raise ValueError("scans is 0, expected 1 or more")
        return side, scans, seed

    def phantom(**fields):
        return phantom_from(spec, fields, field="data.phantom", seed=3)

    assert phantom(side=16, scans=2) == (16, 2, 3)
    for fields, told in (
        ({"side": 16, "scans": 0}, "{'side': 16, 'scans': 0}, expected fields of spec: scans is 0, expected 1 or more"),
        ({"side": 16}, "{'side': 16}, expected fields of spec: .*missing 1 required positional argument: 'scans'"),
        ({"side": 16, "scans": 1, "x": 0}, ".*, expected fields of spec: .*unexpected keyword argument 'x'"),
    ):
        with pytest.raises(InputError, match=f"^config field data.phantom is {told}"):
            phantom(**fields)
