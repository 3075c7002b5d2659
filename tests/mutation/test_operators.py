"""Faults by hand on a few lines, and what is left alone."""

import ast
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTANTS_OF = runpy.run_path(str(Path(__file__).with_name("operators.py")))["mutants_of"]


def mutated(statement):
    """What becomes of one statement in a function."""
    source = f"import jax\n\n\ndef f(x, y):\n    {statement}\n    return x\n"
    return {mutant.after for mutant in MUTANTS_OF("made.py", source)}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("z = x < y", {"z = x <= y", "z = x >= y"}),
        ("z = x + y", {"z = x - y"}),
        ("z = 3", {"z = 4", "z = 2"}),
        ("z = 0.5", {"z = 1.5", "z = -0.5"}),
        ("z = True", {"z = False"}),
        ("z = 'mean'", {"z = 'XXmean'"}),
        ("z = not x", {"z = x"}),
        ("z = x[-1]", {"z = x[-2]", "z = x[-0]"}),
        ("z = x[-2:]", {"z = x[:]", "z = x[2:]", "z = x[-1:]", "z = x[-3:]", "z = x[-2 + 1:]"}),
        ("z = x and y", {"z = x or y", "z = y", "z = x"}),
        ("z = x if y else 2.0", {"z = (x)", "z = (2.0)", "z = x if y else 3.0", "z = x if y else -2.0"}),
        ("z = x.min()", {"z = x", "z = x.max()"}),
        ("z = jax.f(x, side=y)", {"z = (x)", "z = jax.f(x)"}),
        ("z = x[y:]", {"z = x[:]", "z = x[y + 1:]"}),
        ("x = -x", {"pass", "x = x"}),
        ("x.side = y", {"pass"}),
        ("g(y)", {"pass", "(y)"}),
        ("raise ValueError(f'{x} is not {y + 1}')", {"pass"}),
        ("print(x + 1)", set()),
        ("z = 'two words'", set()),
        ("assert x > 0", set()),
        ("'''A docstring of 3 words.'''", set()),
        ("z: Float[Array, '3'] = x", set()),
    ],
)
def test_the_faults_of_a_statement(statement, expected):
    assert mutated(statement) == expected


def test_conditions_and_exceptions():
    source = (
        "def f(x):\n    try:\n        if x.any():\n            return\n    except (KeyError, OSError):\n        g()\n"
    )
    assert {mutant.after for mutant in MUTANTS_OF("made.py", source)} == {
        "if not (x.any()):",
        "if x:",
        "if x.all():",
        "except (OSError):",
        "except (KeyError):",
        "pass",
    }


def test_what_is_listed_as_equivalent_is_still_there():
    listed = tomllib.loads(Path(__file__).with_name("equivalent.toml").read_text())["mutant"]
    for path in {each["path"] for each in listed}:
        there = {mutant.key for mutant in MUTANTS_OF(path, (ROOT / path).read_text())}
        of_path = {(each["path"], each["function"], each["before"], each["after"]) for each in listed}
        assert {key for key in of_path if key[0] == path} <= there


def test_each_fault_of_a_module_is_one_place_that_still_compiles():
    source = (ROOT / "medssl_jax/detection/boxes.py").read_text()
    mutants = MUTANTS_OF("medssl_jax/detection/boxes.py", source)
    assert len(mutants) > 50
    assert len({mutant.source for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        ast.parse(mutant.source)
        assert mutant.source != source
        assert mutant.function
        # All the rest is as it was.
        first, last = mutant.lines
        assert mutant.source.splitlines()[: first - 1] == source.splitlines()[: first - 1]
        assert mutant.source.endswith("".join(source.splitlines(keepends=True)[last:]))
