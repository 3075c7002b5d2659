"""`medssl NAME` beside `python -m experiments.NAME`."""

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from experiments import entry

ROOT = Path(__file__).parents[2]


def run(*arguments):
    """As the installed script does."""
    script = "import sys; sys.argv[0] = 'medssl'; from experiments.entry import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def run_module(name, *arguments):
    command = [sys.executable, "-m", f"experiments.{name}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_script_that_is_installed_is_this_one():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (name,) = scripts
    assert name == "medssl"
    assert importlib.metadata.EntryPoint(name, scripts[name], "console_scripts").load() is entry.main


@pytest.mark.parametrize(
    ("name", "arguments"), [("check_data", ["--help"]), ("evaluate", ["--nonsense=1"]), ("evaluate", ["word"])]
)
def test_a_command_says_what_its_module_says(name, arguments):
    said = run_module(name, *arguments)
    assert any(said[1:])
    assert run(name.replace("_", "-"), *arguments) == said
    assert run(name, *arguments) == said


def test_the_module_runs_under_its_own_name_so_that_processes_it_spawns_find_it():
    script = (
        "import sys; sys.argv = ['medssl', 'evaluate', '--help']; from experiments.entry import main\n"
        "import absl.app; absl.app.run = lambda *_, **__: print(sys.modules['__main__'].__spec__.name)\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "experiments.evaluate\n"


def test_help_names_every_command_and_nothing_else():
    status, out, _ = run("--help")
    names = [line.split()[0] for line in out.splitlines()[2:]]
    modules = sorted(
        path.stem.replace("_", "-")
        for path in (ROOT / "experiments").glob("*.py")
        if 'if __name__ == "__main__":' in path.read_text()
    )
    assert (status, names) == (0, modules)
    assert "  detect        Finds nodules in CT scans.\n" in out


def test_the_version():
    assert run("--version") == (0, f"medssl_jax {importlib.metadata.version('medssl-jax')}\n", "")


@pytest.mark.parametrize(
    ("given", "hint"), [(["detct"], "did you mean detect?"), (["command"], "no such command"), ([], "there are: ")]
)
def test_no_such_command(given, hint):
    status, out, error = run(*given)
    assert (status, out) == (2, "")
    assert hint in error
    assert len(error.splitlines()) == 1
