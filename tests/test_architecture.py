"""The order of the rooms, and what one file alone knows, read from the imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PURE = ("detection", "losses", "ssl", "metrics")
# From the ground: each room may import those before it, and those of its own line.
FLOORS = (
    ("core",),
    ("imaging",),
    PURE,
    ("models",),
    ("parallel",),
    ("data",),
    ("data_check",),
    ("phantoms",),
    ("steps",),
    ("run_folder",),
    ("train",),
    ("inference",),
    ("plan",),
    ("report",),
)
ROOMS = [*((f"medssl_jax.{room}", floor) for floor, rooms in enumerate(FLOORS) for room in rooms)]
ROOMS += [("data_builders", len(FLOORS)), ("experiments", len(FLOORS) + 1)]
# What a package is for, and the only files of the library that import it.
KNOWN_TO = {
    "orbax": {"medssl_jax.run_folder.checkpoint", "medssl_jax.parallel.hosts"},  # of which hosts has one barrier
    "tensorstore": {"medssl_jax.run_folder.checkpoint"},
    "tensorflow_datasets": {"medssl_jax.data.tfds_store"},
    "jax.sharding": {"medssl_jax.parallel.sharding"},
    "jax.distributed": {"medssl_jax.parallel.hosts"},
    "jax.experimental.multihost_utils": {"medssl_jax.parallel.hosts"},
    # Of JAX and of a device alike.
    "process_index": {"medssl_jax.parallel.hosts"},
    "process_count": {"medssl_jax.parallel.hosts"},
}


def modules(root):
    """Each module of the three packages with its syntax tree."""
    for package in ("medssl_jax", "data_builders", "experiments"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), ast.parse(path.read_text())


def names_in(tree):
    """What a module imports or reads by a dotted name, as `package.module.name`, inside its functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def floor_of(name):
    """The floor of a name's room; none for what is not ours."""
    return next((floor for room, floor in ROOMS if f"{name}.".startswith(f"{room}.")), None)


def is_in(name, package):
    return f"{name}.".startswith(f"{package}.")


def offences(root):
    """Every import that goes upwards, makes a pure folder impure, or knows what another file alone may know."""
    found = []
    for module, tree in modules(root):
        floor, library = floor_of(module), is_in(module, "medssl_jax")
        if floor is None and module != "medssl_jax":
            found.append(f"{module} stands in no room")
        pure = any(is_in(module, f"medssl_jax.{room}") for room in PURE)
        for name in names_in(tree):
            other = floor_of(name)
            if floor is not None and other is not None and other > floor:
                found.append(f"{module} imports {name}, which stands above it")
            if pure and other is not None and not is_pure_enough(name):
                found.append(f"{module} is pure and imports {name}")
            phantom = is_in(module, "medssl_jax.phantoms") and other is not None
            if phantom and not any(is_in(name, f"medssl_jax.{room}") for room in ("core", "imaging", "phantoms")):
                found.append(f"{module} is a phantom and imports {name}")
            for package, files in KNOWN_TO.items():
                known = is_in(name, package) or name.endswith(f".{package}")
                if library and known and module not in files:
                    found.append(f"{module} uses {name}, which is for {' and '.join(files)}")
    return found


def is_pure_enough(name):
    """Pure folders know each other, errors, and the two records that a score is of."""
    records = ("medssl_jax.imaging.luna16_csv.Findings", "medssl_jax.imaging.submission.Marks")
    return is_in(name, "medssl_jax.core.errors") or name in records or floor_of(name) == FLOORS.index(PURE)


def test_imports_go_down():
    assert offences(ROOT) == []


@pytest.mark.parametrize(
    ("module", "line", "offence"),
    [
        ("medssl_jax/train/trainer.py", "import experiments.runs", "medssl_jax.train.trainer imports experiments.runs"),
        ("medssl_jax/core/errors.py", "from medssl_jax.imaging import volumes", "medssl_jax.core.errors imports"),
        (
            "medssl_jax/losses/focal.py",
            "from medssl_jax.core.atomic import write_text",
            "medssl_jax.losses.focal is",
        ),
        ("medssl_jax/phantoms/lks.py", "from medssl_jax.data import splits", "medssl_jax.phantoms.lks is a phantom"),
        ("medssl_jax/train/trainer.py", "import orbax.checkpoint", "medssl_jax.train.trainer uses orbax.checkpoint"),
        (
            "medssl_jax/train/trainer.py",
            "from jax import process_index",
            "medssl_jax.train.trainer uses jax.process_index",
        ),
        (
            "medssl_jax/parallel/sharding.py",
            "def f(device):\n    return device.process_index",
            "medssl_jax.parallel.sharding uses device.process_index, which is for medssl_jax.parallel.hosts",
        ),
        ("medssl_jax/loose.py", "import jax", "medssl_jax.loose stands in no room"),
        (
            "data_builders/scan_shard.py",
            "def f():\n    from experiments import command",
            "data_builders.scan_shard",
        ),
    ],
)
def test_a_wrong_import_is_told(tmp_path, module, line, offence):
    (tmp_path / module).parent.mkdir(parents=True)
    (tmp_path / module).write_text(line)
    (told,) = offences(tmp_path)
    assert told.startswith(offence)
