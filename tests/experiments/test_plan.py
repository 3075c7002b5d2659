"""The command itself: tables printed, or one line that says what is wrong."""

import os
import re
import subprocess
import sys

import pytest

TINY = (
    "--config.patches.side=16",
    "--config.patches.jitter=4",
    "--config.patches.labelled_batch=2",
    "--config.patches.unlabelled_batch=2",
    # One stage and one level, which are quick to compile.
    "--config.model.features=(8,)",
    "--config.model.blocks=(1,)",
    "--config.model.pyramid_features=8",
    "--config.anchors.strides=(2,)",
    "--config.anchors.sides_mm=((4.5,7.0),)",
    "--config.mixup.object_window=8",
    "--config.inference.overlap=4",
)
# Compiled sooner.
SUPERVISED = ("--config.patches.unlabelled_batch=0", "--config.split.unlabelled=0")


def plan(folder, *flags, config="configs/phantom.py"):
    tiny = TINY if config == "configs/phantom.py" else ()
    command = [sys.executable, "-m", "experiments.plan", f"--config={config}", *tiny, *flags]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    # What is in the folder is found before what is installed.
    path = os.pathsep.join(filter(None, (str(folder), environment.get("PYTHONPATH"))))
    return subprocess.run(
        command, cwd=folder, env=environment | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


def refused(folder, *flags, **options):
    done = plan(folder, *flags, **options)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_the_devices_here(tmp_path):
    done = plan(tmp_path, *SUPERVISED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("compiling the step for the devices here")
    assert "1 x cpu: 1 chip, batch 2 + 0, float32, blocks kept" in done.stdout
    for name in ("parameters", "temporaries", "peak memory", "arithmetic", "memory traffic"):
        (row,) = [line for line in done.stdout.splitlines() if line.startswith(f"| {name} ")]
        assert float(row.split("|")[2].split()[0]) > 0


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        ("v9:4x4", "--topology=v9:4x4: unknown kind of TPU, expected KIND:SHAPE"),
        ("", "--topology=: unknown kind of TPU, expected KIND:SHAPE"),
    ],
)
def test_a_topology_that_is_none(tmp_path, topology, message):
    assert message in refused(tmp_path, f"--topology={topology}")


def test_without_libtpu(tmp_path):
    (tmp_path / "libtpu.py").write_text("raise ImportError('not installed')")
    assert "pip install -c " in refused(tmp_path, "--topology=v5e:2x2")


def test_a_config_of_another_command(tmp_path):
    assert "expected experiments.focalmix: give a config of it" in refused(tmp_path, config="configs/phantom_sos.py")


@pytest.mark.slow
def test_pods_that_are_not_there(tmp_path):
    pytest.importorskip("libtpu", reason="needs libtpu: pip install -c constraints.txt -e '.[plan]'")
    done = plan(tmp_path, "--topology=v5e:2x2", "--topology=v5p:2x2x1")
    assert done.returncode == 0, done.stderr
    for name in ("v5e:2x2", "v5p:2x2x1"):
        assert f"{name}: 4 chips, batch 4 + 4, bfloat16" in done.stdout
    # Each is printed when it is done, and both together at last.
    rows = [line for line in done.stdout.splitlines() if line.startswith("| roofline, memory traffic ")]
    assert [row.count(" ms ") for row in rows] == [1, 2]


@pytest.mark.slow
def test_a_step_that_no_chip_can_hold(tmp_path):
    pytest.importorskip("libtpu", reason="needs libtpu: pip install -c constraints.txt -e '.[plan]'")
    # Many small patches: large ones take the compiler far longer to give up.
    many = ("--config.patches.labelled_batch=640000", "--config.mixup.image=False", "--config.mixup.object=False")
    line = refused(tmp_path, "--topology=v5e:2x2", *SUPERVISED, *many)
    assert re.search(
        r"does not fit in the memory of a chip of v5e:2x2: it needs [\d.]+GiB of 15.75GiB; set model", line
    )
