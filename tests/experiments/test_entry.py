"""`medssl NAME` beside `python -m experiments.NAME`."""

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from experiments import entry

ROOT = Path(__file__).parents[2]
SCRIPT = "import sys; sys.argv[0] = 'medssl'; from experiments.entry import main; sys.exit(main())"


def run(*arguments):
    """As the installed script does."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=False)
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
    names = [line.split()[0] for line in out.splitlines()[2:-4]]
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
    ("given", "hint"),
    [
        (["detct"], "no such command; did you mean detect?"),
        (["command"], "no such command; there are: "),
        (["--hlep"], "no such option; did you mean --help?"),
        (["-x"], "no such option; there are: --help, --version, --completion"),
    ],
)
def test_no_such_command(given, hint):
    status, out, error = run(*given)
    assert (status, out) == (2, "")
    assert hint in error
    assert len(error.splitlines()) == 1


def test_no_command_at_all_is_the_page_of_help():
    _, page, _ = run("--help")
    assert run() == (2, "", page)


def completed(*words):
    """What bash offers for the last of the words, as its Tab key asks for it."""
    script = f"""
        medssl() {{ {sys.executable} -c "{SCRIPT}" "$@"; }}
        eval "$(medssl --completion)"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _medssl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["medssl", "ev"], ["evaluate "]),
        (["medssl", "check"], ["check-data "]),
        (["medssl", "e"], ["evaluate ", "export "]),
        (["medssl", "evaluate", "--sub"], ["--submission="]),
        (["medssl", "check-data", "--allow"], ["--allow_absent "]),
        (["medssl", "evaluate", "--h"], ["--help "]),
        (["medssl", "evaluate", "--submission", "=", "a"], []),  # left to the shell, which knows files
        (["medssl", "focalmix", "--config", "=", "configs/phantom_n"], ["configs/phantom_nlst.py "]),
        (["medssl", "focalmix", "--config=configs/phantom_n"], ["--config=configs/phantom_nlst.py "]),
        (["medssl", "focalmix", "--config", "="], None),
        (["medssl", "detect", "--formats", "=", "s"], ["sr", "seg"]),
        (["medssl", "detect", "--formats", "=", "csv,json,m"], ["csv,json,mrk"]),
        (["medssl", "detect", "--formats=csv,l"], ["--formats=csv,labelmap"]),
    ],
)
def test_bash_completes(words, offered):
    if offered is None:
        every = completed(*words)
        assert "configs/own.py " in every
        assert not [name for name in every if "_plus" in name.split("/")[1][:5]]  # parts of configs are none
    else:
        assert completed(*words) == offered


def test_a_package_that_is_missing_is_one_line():
    script = (
        "import sys; sys.modules['absl'] = None; sys.argv = ['medssl', 'evaluate', '--help']\n"
        "from experiments.entry import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: medssl evaluate: absl is not installed: install medssl_jax again")
