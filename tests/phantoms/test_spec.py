"""Every field of every phantom's spec is checked by name, and numbers count the same however they are written."""

import dataclasses
import math

import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.phantoms.chests.spec import Luna16Phantom
from medssl_jax.phantoms.slides.spec import LksPhantom
from medssl_jax.phantoms.studies.spec import NlstPhantom

FIELDS = [
    pytest.param(spec, field, id=f"{spec.__name__}.{field.name}")
    for spec in (Luna16Phantom, NlstPhantom, LksPhantom)
    for field in dataclasses.fields(spec)
]


@pytest.mark.parametrize(("spec", "field"), FIELDS)
def test_no_number_takes_what_is_no_sensible_value(spec, field):
    one = field.default[0] if isinstance(field.default, tuple) else field.default
    if isinstance(one, str):
        senseless = ["", "x"]
    else:
        senseless = [10**400, -(10**400), -1, *([] if isinstance(one, int) else [math.nan, math.inf])]
    for value in senseless:
        given = (value,) * len(field.default) if isinstance(field.default, tuple) else value
        with pytest.raises(InputError, match=f"^phantom {field.name}: found .*, expected ") as caught:
            spec(**{field.name: given})
        assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("spec", [Luna16Phantom, NlstPhantom, LksPhantom])
def test_whole_numbers_make_the_same_phantom(spec):
    defaults = {field.name: field.default for field in dataclasses.fields(spec)}
    whole = {name: int(value) for name, value in defaults.items() if isinstance(value, float) and value == int(value)}
    assert whole
    assert repr(spec(**whole)) == repr(spec())
