"""Speed and memory of every part, in pairs with PyTorch and MONAI where they do the same.

    python -m experiments.benchmark                                   # all parts
    python -m experiments.benchmark network boxes --peer --threads=1  # two of them, beside PyTorch and MONAI
    python -m experiments.benchmark network --help                    # the sizes of one, as flags

Machines differ and are shared: compare ratios of one run, not seconds of two.
"""

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags

from experiments import command
from experiments.benchmarks import report
from experiments.benchmarks.bench import Bench
from experiments.benchmarks.own_process import in_own_process, use_processors
from medssl_jax.core.atomic import write_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.requirements import install_line

PARTS = {
    path.stem: (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    for path in sorted((Path(__file__).parent / "benchmarks" / "parts").glob("[!_]*.py"))
}
PEERS = ("torch", "monai")
WHAT_THERE_IS = "the parts are:" + "".join(f"\n  {name:<11} {about}" for name, about in PARTS.items())

_PEER = flags.DEFINE_bool("peer", False, "Also PyTorch and MONAI at the same work; needs the extra `peers`.")
_PAIRS = flags.DEFINE_integer("pairs", 5, "Times that everything is measured.", lower_bound=1)
_THREADS = flags.DEFINE_integer("threads", 0, "Processors that all may use; 0: as many as there are.", lower_bound=0)
_SMALLEST = flags.DEFINE_bool("smallest", False, "The smallest sizes, to see that everything runs.")
_JSON = flags.DEFINE_string("json", None, "A file to write all of it to, as JSON.")


def main(_: Sequence[str]) -> None:
    """Measures one part after another, each in a process of its own, and prints a table for each."""
    if _PEER.value:
        require_peers()
    sizes = {name: _sizes(name, module) for name, module in _modules.items()}
    bench = Bench(_PAIRS.value, _PEER.value, use_processors(_THREADS.value))
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a peer needs memory of the GPU as well
    environment = in_own_process(environment_here).result
    environment |= {"processors": bench.threads, "load": os.getloadavg()[0]}
    if _PEER.value:
        environment["versions"] |= {name: importlib.metadata.version(name) for name in PEERS}
    print(report.described(environment), flush=True)
    results: dict[str, Any] = {}
    for name, module in _modules.items():
        try:
            measured = in_own_process(module.measure, bench, **sizes[name])
        except Exception as error:  # the other parts are still worth their time
            traceback.print_exception(error)
            results[name] = {"failed": f"{type(error).__name__}: {error}"}
            print(f"\n{name}: failed, {results[name]['failed']}", flush=True)
        else:
            rows = [each.as_json() for each in measured.result]
            results[name] = {"measured": rows, "seconds": measured.cost.wall, "peak_mb": measured.peak_mb}
            print(f"\n{name}: {measured.cost.wall:.0f} s in all, {measured.peak_mb:.0f} MB at most", flush=True)
            print(report.table(measured.result), flush=True)
        if _JSON.value:
            write_text(_JSON.value, report.as_json(environment, results))
    if failed := [name for name, result in results.items() if "failed" in result]:
        raise InputError(f"{', '.join(failed)}: not measured, see above")


def environment_here() -> dict[str, Any]:
    """Code, devices and versions, of a process that takes the devices for itself."""
    import jax

    from medssl_jax.run_folder.environment import environment_of

    return environment_of(jax.devices())


def require_peers() -> None:
    """Raises `InputError` where PyTorch or MONAI is not installed."""
    if missing := [name for name in PEERS if importlib.util.find_spec(name) is None]:
        raise InputError(f"--peer needs {' and '.join(missing)}: {install_line('peers')}")


def define_sizes(name: str, module: ModuleType) -> None:
    """A flag for each size of a part, which are the keyword arguments of its `measure`."""
    for size, default in _defaults(module).items():
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        flags.DEFINE_string(f"{name}.{size}", None, f"{shown} unless given.", module_name="experiments.benchmark")


def _defaults(module: ModuleType) -> dict[str, Any]:
    sizes = list(inspect.signature(module.measure).parameters.values())[1:]
    return {each.name: each.default for each in sizes}


def _sizes(name: str, module: ModuleType) -> dict[str, Any]:
    chosen: dict[str, Any] = dict(module.SMALLEST) if _SMALLEST.value else {}
    for size, default in _defaults(module).items():
        given = flags.FLAGS[f"{name}.{size}"].value
        if given is not None:
            chosen[size] = read_size(f"--{name}.{size}", given, default)
    return chosen


def read_size(flag: str, given: str, default: Any) -> Any:
    """The text of a flag as the kind of its default. Raises `InputError` where it is none."""
    try:
        if isinstance(default, tuple):
            return tuple(type(default[0])(each) for each in given.split(","))
        return type(default)(given)
    except ValueError:
        kind = "numbers with commas between" if isinstance(default, tuple) else "a number"
        raise InputError(f"{flag}={given}: expected {kind}, such as {default}") from None


def _take_parts(argv: list[str]) -> Mapping[str, ModuleType]:
    """Takes the names of parts out of the command line, and imports them; all where none is named.

    Help on no part needs none.
    """
    names = [each for each in argv[1:] if not each.startswith("-")]
    if unknown := [each for each in names if each not in PARTS]:
        command.fail(f"found {unknown[0]!r}, {WHAT_THERE_IS}")
    argv[1:] = [each for each in argv[1:] if each.startswith("-")]
    told = {"--help", "-h", "--version"} & set(argv)
    return {
        name: importlib.import_module(f"experiments.benchmarks.parts.{name}")
        for name in names or ([] if told else PARTS)
    }


if __name__ == "__main__":
    __doc__ += f"\n{WHAT_THERE_IS}"
    _modules = _take_parts(sys.argv)
    for _name, _module in _modules.items():
        define_sizes(_name, _module)
    command.run(main)
