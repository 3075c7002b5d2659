"""Configs from the command line: fields of FocalMix and SOS with any value, and config files that are none."""

import ast
import contextlib
import importlib
import io
import json
import math
import sys
from pathlib import Path
from typing import Any

from absl import flags
from flax.traverse_util import flatten_dict

from experiments import command
from experiments.configs import phantom, phantom_sos
from experiments.runs import jobs
from medssl_jax.core.errors import InputError
from tests.fuzz.damage import NUMBER_TEXTS, damage_file, other_text
from tests.fuzz.legal_values import LEGAL
from tests.fuzz.oracle import AS_IT_SAYS, SAME, Wrong, difference_between

CONFIGS = {"focalmix": phantom, "sos": phantom_sos}
VARIANTS = (*CONFIGS, "focalmix", "file")
TUPLES = (
    *(
        "()",
        "(16,)",
        "(16, 32)",
        "(16, 32, 48)",
        "(8, 8, 8, 8, 8)",
        "(0, 0, 0, 0)",
        "(-1, 2, 3, 4)",
        "('a', 'b')",
        "16",
    ),
    *(
        "(1.5, 2.5)",
        "(0.75, 1.25)",
        "(1.25, 0.75)",
        "(0, 1)",
        "(nan, 1)",
        "(4, 8, 16)",
        "(4, 4)",
        "(1000000,)",
        "(True,)",
    ),
    *("((4.5,), (9,))", "((), ())", "(((", "(0, 1, 2)", "(5,)", "(10, 11)", "(-1,)", "{}", "[16, 32]", "(1e400, 1)"),
)
# Config files that give no config of the command, or none at all.
BODIES = (
    *("", "x = 1", "\0", "\xff", "  x", "é = (", "1 / 0", "while: pass", "yield 1", "def get_config(:"),
    *("get_config = 5", "def get_config(): return 5", "def get_config(): return None", "def get_config(): return {}"),
    *(
        "raise ValueError('no\\nway')",
        "import nothing_of_that_name",
        "import sys\nsys.exit(0)",
        "import os\nos.getcwd(5)",
    ),
    *("def get_config(): raise KeyError('x')", "def get_config(a, b, c): return a"),
    *(
        f"import ml_collections as m\ndef get_config(): return m.ConfigDict({given})"
        for given in ("", "{'command': 'experiments.focalmix'}")
    ),
    *(
        f"from experiments.configs import phantom\ndef get_config():\n c = phantom.get_config()\n {change}\n return c"
        for change in ("del c.patches", "c.steps = 'x'", "c.data.phantom = 5", "c.method = {}")
    ),
)
# What a message has to name: the config, or a field of how slides are cut.
FIELDS_NAMED = ("config", "phantom", "grid", "patch_side", "shrink")
FOLLOWS = {"inference.c": "method.c"}


def make(folder: Path, variant: str) -> None:
    """A config file that gives the phantom's config, and no further argument."""
    name = "focalmix" if variant == "file" else variant
    source = CONFIGS[name].__name__
    (folder / "config.py").write_text(f"from {source} import get_config\n\n__all__ = ['get_config']\n")
    (folder / "arguments.json").write_text(json.dumps({"command": name, "fields": {}}))


def mutate(folder: Path, variant: str, rng) -> str:
    """One field or two, or the config file."""
    if variant == "file":
        path = folder / "config.py"
        if rng.random() < 0.3:
            return damage_file(path, rng)
        body = rng.choice(BODIES)
        path.write_bytes(body.encode("latin-1"))
        return f"config.py: {body[:60]!r}"
    path = folder / "arguments.json"
    given = json.loads(path.read_text())
    values = _flat(CONFIGS[variant].get_config())
    for field in rng.sample(sorted(values), rng.choice((1, 1, 1, 2))):
        given["fields"][field] = _other(values[field], rng)
    if rng.random() < 0.03:
        given["fields"][rng.choice(("nothing", "model", "patches.sides", "", "seed.x"))] = "1"
    path.write_text(json.dumps(given))
    return ", ".join(f"{field}={text[:40]!r}" for field, text in given["fields"].items())


def _other(value, rng):
    if isinstance(value, bool):
        return rng.choice(("true", "false", "1", "0", "True", "no", "x", "2"))
    if isinstance(value, tuple):
        return rng.choice((*TUPLES, other_text(str(value), rng)))
    if isinstance(value, int):
        near = (value + 1, value - 1, 2 * value, -value, 3, 5, 1000, 2**31, 2**32, 2**63)
        return rng.choice((*NUMBER_TEXTS, *map(str, near)))
    if isinstance(value, float):
        return rng.choice((*NUMBER_TEXTS, str(value / 2), str(2 * value), str(-value), "1.5", "1000"))
    return rng.choice((other_text(value, rng), "cube", "flips", "low", "high", "policy", "concat", "bfloat16", "nlst"))


def read(folder: Path):
    """The config that the command takes, after all that it checks before it computes anything."""
    given = json.loads((folder / "arguments.json").read_text())
    importlib.import_module(f"experiments.{given['command']}")
    arguments = [f"--config.{field}={text}" for field, text in given["fields"].items()]
    # What a shell can hand on.
    arguments = [each.replace("\0", "") for each in arguments]
    sys.argv = [given["command"], f"--config={folder / 'config.py'}", "--workdir=unused", *arguments]
    taken: list[Any] = []

    def main(_):
        config = flags.FLAGS.config
        command.require_config_of(f"experiments.{given['command']}", config)
        jobs.job_of(config).settings(config)
        taken.append(config)

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            command.run(main)
    except SystemExit as ended:
        if ended.code == command.BAD_INPUT_STATUS and said.getvalue().startswith("error: "):
            raise InputError(said.getvalue().removesuffix("\n")) from None
        if ended.code or not taken:  # a config file may itself leave, in peace even
            raise
    if said.getvalue():
        raise RuntimeError(f"said {said.getvalue()[:300]!r}")
    return {"command": given["command"], "fields": _flat(taken[0])}


def judge(damaged: Path, valid: Path, reading) -> str:
    """Fields that were given have that value, and one that means something; all others have their own."""
    name, found = reading["command"], reading["fields"]
    given = json.loads((damaged / "arguments.json").read_text())["fields"]
    wanted = _flat(CONFIGS[name].get_config())
    for field, text in given.items():
        if not _says(text.replace("\0", ""), found[field]):
            raise Wrong(f"{field} is {found[field]!r}, given was {text[:60]!r}")
        if field in LEGAL[name] and not LEGAL[name][field](found[field]):
            raise Wrong(f"{field} = {found[field]!r} was taken")
        wanted[field] = found[field]
    for follower, leader in FOLLOWS.items():
        if leader in given and follower not in given:
            wanted[follower] = wanted[leader]
    if difference := difference_between(found, wanted, "config"):
        raise Wrong(difference)
    return AS_IT_SAYS if given else SAME


def _says(text, value):
    try:
        if isinstance(value, bool):
            return text.lower() in (("true", "1") if value else ("false", "0"))
        if isinstance(value, int) and text[:2].lower() in ("0x", "0o"):  # absl's integers
            return int(text, 0) == value
        if isinstance(value, int | float):
            return math.isclose(float(text), value) or (math.isnan(value) and math.isnan(float(text)))
        if isinstance(value, tuple):
            return ast.literal_eval(text) in (value, list(value), *value[:1])
    except (ValueError, SyntaxError, OverflowError, TypeError):
        return False
    return value == text


def _flat(config):
    return {name: value for name, value in flatten_dict(config.to_dict(), sep=".").items()}
