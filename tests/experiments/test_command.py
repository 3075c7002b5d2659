"""How every command starts and ends: help, version, configs that are none, Ctrl-C."""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from absl import flags
from ml_collections import config_flags

from experiments import command
from medssl_jax.core.errors import InputError


def start(*arguments, folder):
    return subprocess.run([sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_help_names_every_flag_and_is_no_failure(tmp_path):
    done = start("experiments.focalmix", "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("Trains FocalMix")
    for flag in ("--config: ", "--config.FIELD=VALUE: ", "--workdir: ", "--deterministic: ", "--version: "):
        assert f"\n  {flag}" in done.stdout


@pytest.mark.parametrize("flag", ["--version", "-version=true"])
def test_version_is_that_of_the_package(tmp_path, flag):
    done = start("experiments.evaluate", flag, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("medssl_jax 0.")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\n", "has no function get_config"),
        ("get_config = 5\n", "has no function get_config"),
        ("def get_config(\n", r"cannot be loaded \(SyntaxError: "),
        ("def get_config():\n    return 1 / 0\n", r"cannot be loaded \(ZeroDivisionError: division by zero\)"),
        ("raise SystemExit(0)\n", r"cannot be loaded \(SystemExit: 0\)"),
        ("import absent_module\n", r"cannot be loaded \(ModuleNotFoundError: "),
        ("def get_config():\n    return {}\n", "get_config gives a dict, expected a ConfigDict"),
    ],
)
def test_a_config_that_is_none(tmp_path, text, told):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        command.load_config(str(path))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_config_that_is_none_ends_a_command_in_one_line(tmp_path):
    (tmp_path / "mine.py").write_text("def get_config(\n")
    done = start("experiments.focalmix", "--config=mine.py", "--workdir=w", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: config mine.py: cannot be loaded (SyntaxError: ")
    assert done.stderr.count("\n") == 1


def started_with(main, folder, **environment):
    """A command with this body, with the devices that a user has and nothing compiled before."""
    (folder / "started.py").write_text(f"from experiments import command\n\n\n{main}\n\ncommand.run(main)\n")
    ours = ("JAX_PLATFORMS", "JAX_COMPILATION_CACHE_DIR", "TF_CPP_MIN_LOG_LEVEL")
    environment = {name: each for name, each in os.environ.items() if name not in ours} | environment
    done = subprocess.run(
        [sys.executable, "started.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_no_library_looks_for_tpus_aloud(tmp_path):
    main = "def main(_):\n    command.start_devices(keep_programs=False)\n    print(len(jax.devices()))\n\n\nimport jax"
    told, warned = started_with(main, tmp_path)
    assert int(told) > 0
    assert warned == ""


SLOW_TO_COMPILE = """
def main(_):
    import jax
    import numpy as np
    x = np.ones((64, 64), np.float32)  # folded in some 3 s
    sums = jax.jit(lambda: jax.lax.reduce_window(x, 0.0, jax.lax.add, (24, 24), (1, 1), "SAME").sum())
    sums.lower().compile()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("level", "is_told"), [("3", False), ("2", True)])
def test_xla_tells_of_slow_compilation_only_if_asked(tmp_path, level, is_told):
    """That a constant takes over a second comes from the alarm that a compilation of two minutes sets off, too."""
    environment = {} if level == "3" else {"TF_CPP_MIN_LOG_LEVEL": level}
    _, warned = started_with(SLOW_TO_COMPILE, tmp_path, **environment)
    assert ("slow_operation_alarm" in warned) == is_told


@pytest.mark.parametrize("threads_are_ended_by", ["os.kill", "the terminal"])
def test_ctrl_c_is_one_line_and_status_130_wherever_it_comes(tmp_path, threads_are_ended_by):
    """Into code that swallows every exception, with a file half written and workers at work."""
    script = tmp_path / "swallows.py"
    script.write_text(
        "import time\n"
        "from experiments import command\n"
        "from medssl_jax.core.atomic import atomic_path\n"
        "from medssl_jax.core.worker_pool import results_as_completed\n"
        "def work(item):\n"
        "    time.sleep(60)\n"
        "def main(_):\n"
        "    with atomic_path('result.txt') as temporary:\n"
        "        temporary.write_text('half')\n"
        "        print('begun', flush=True)\n"
        "        while True:\n"
        "            try:\n"
        "                list(results_as_completed(work, range(4), workers=2))\n"
        "            except BaseException:\n"
        "                pass\n"
        "if __name__ == '__main__':\n"
        "    command.run(main)\n"
    )
    process = subprocess.Popen(
        [sys.executable, script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout.readline() == "begun\n"
        time.sleep(1)
        if threads_are_ended_by == "the terminal":
            os.killpg(process.pid, signal.SIGINT)
        else:
            os.kill(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == "stopped by Ctrl-C: what is finished is kept, start it again to go on\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["swallows.py"]


def test_what_was_printed_before_ctrl_c_is_not_lost(tmp_path):
    """Into a pipe, where Python keeps lines back until there are many."""
    (tmp_path / "prints.py").write_text(
        "import os, signal, time\n"
        "from experiments import command\n"
        "def main(_):\n"
        "    print('CPM 0.5')\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
        "command.run(main)\n"
    )
    environment = {name: each for name, each in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "prints.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (130, "CPM 0.5\n")


@pytest.mark.parametrize("lines", [1, 100_000])
def test_output_that_nobody_reads_any_more_is_no_traceback(tmp_path, lines):
    """As of `| head`: one line is still in the buffer when the command ends, many fill the pipe before."""
    told = f"from experiments import command\ncommand.run(lambda _: [print('a line', _) for _ in range({lines})])"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_pipe_of_our_own_that_breaks_is_told(tmp_path):
    """Such as one to a worker that has died: nobody would know why a command ended."""
    told = "import os\nfrom experiments import command\nreading, writing = os.pipe()\nos.close(reading)\n"
    told += "command.run(lambda _: os.write(writing, b'x'))"
    done = subprocess.run([sys.executable, "-c", told], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr


@pytest.mark.parametrize("send", ["os.kill(os.getpid(), signal.SIGINT)", "Gone()"])
def test_ctrl_c_while_a_command_is_imported(tmp_path, send):
    """Between the package and the command's own modules: as early as it can come, and into what loses exceptions."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Gone:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # shells start what runs behind with it ignored
        "class Interrupts:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'experiments.command':\n"
        f"            {send}\n"
        "sys.meta_path.insert(0, Interrupts())\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH"), os.getcwd()])])
    done = subprocess.run(
        [sys.executable, "-m", "experiments.evaluate", "--help"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "stopped by Ctrl-C: nothing was begun\n")


@pytest.mark.parametrize(
    ("name", "prepared", "is_refused"),
    [
        ("own", "w/prepared", True),
        ("own", "w/prepared/nlst", True),  # another data set
        ("own", "w/prepared/folder", False),
        ("lks_sos", "w/prepared/lks", True),
        ("lks_sos", "data/tfds/lks", False),
        ("phantom", "data", False),
    ],
)
def test_raw_data_that_is_not_there_is_refused_unless_prepared_or_a_phantoms(
    tmp_path, monkeypatch, name, prepared, is_refused
):
    monkeypatch.chdir(tmp_path)
    Path(prepared).mkdir(parents=True)
    config = importlib.import_module(f"experiments.configs.{name}").get_config()
    monkeypatch.setattr(sys, "argv", ["command", "--config.data.manual_dir=gone"])
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict("config", config, flag_values=values)
    values(sys.argv)
    monkeypatch.setattr(command.flags, "FLAGS", values)
    refused = pytest.raises(InputError, match=r"^--config\.data\.manual_dir=gone: no such file or folder from ")
    with refused if is_refused else contextlib.nullcontext():
        command.expect_data_of_config(values.config, Path("w"))


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (AssertionError(), "found cuda, with which JAX cannot compute (there is no such device); expected"),
        (RuntimeError("no\nluck"), "found cuda, with which JAX cannot compute (no luck); expected"),
    ],
)
def test_a_device_that_is_not_there_is_told(monkeypatch, raised, told):
    """JAX has an assertion without a word for a platform that it knows and has no plugin of."""

    def devices():
        raise raised

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr("jax.devices", devices)
    with pytest.raises(InputError) as refused:
        command.start_devices(keep_programs=False)
    assert told in str(refused.value)
