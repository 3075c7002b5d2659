"""The wheel, built from the files of this checkout and installed away from it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("medssl_jax", "data_builders", "experiments")
NARROW = (
    *("--config.patches.side=16", "--config.patches.jitter=4", "--config.mixup.object_window=8"),
    *("--config.model.features=(8,)", "--config.model.blocks=(1,)", "--config.model.pyramid_features=8"),
    *("--config.anchors.strides=(2,)", "--config.anchors.sides_mm=((4.5, 7.0),)", "--config.inference.overlap=0"),
    *("--config.data.phantom.scans=12", "--config.data.phantom.chest_zyx_mm=(64.0, 64.0, 64.0)"),
    *("--config.split.labelled=3", "--config.split.unlabelled=3", "--config.logging.bootstraps=20"),
    *("--config.steps=2", "--config.logging.log_every=1", "--config.logging.save_every=2"),
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, since a build leaves folders beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / "sources" / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "sources")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "built", "./sources"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "built").glob("medssl_jax-*.whl")
    return path


@pytest.fixture(scope="module")
def start(wheel, tmp_path_factory):
    """Runs a command from the wheel alone, in a folder that is no checkout."""
    folder = tmp_path_factory.mktemp("elsewhere")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)

    def start(*arguments, workdir=folder):
        environment = os.environ | {"PYTHONPATH": str(site)}
        return subprocess.run(
            [sys.executable, *arguments], cwd=workdir, env=environment, capture_output=True, text=True, check=False
        )

    where = start("-c", "import experiments.entry, medssl_jax; print(experiments.entry.__file__, medssl_jax.__file__)")
    assert all(Path(each).is_relative_to(site) for each in where.stdout.split()), where
    return start


@pytest.mark.slow
def test_it_holds_every_file_of_the_packages_and_nothing_else(wheel):
    """Or a page, a model card or a config would be missed only where there is no checkout."""
    with zipfile.ZipFile(wheel) as packed:
        held = {name for name in packed.namelist() if not name.startswith("medssl_jax-")}
        (entry,) = [name for name in packed.namelist() if name.endswith("entry_points.txt")]
        assert "medssl = experiments.entry:main" in packed.read(entry).decode()
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert held == {*tracked}


@pytest.mark.slow
def test_a_command_says_what_is_missing_as_it_does_in_a_checkout(start):
    done = start("-m", "experiments.focalmix", "--config=configs/luna_25.py", "--workdir=run")
    assert done.returncode == 2
    assert "LUNA16 is not here. Download it" in done.stderr


@pytest.mark.slow
def test_the_phantoms_first_steps(start):
    script = "import sys; sys.argv[0] = 'medssl'; from experiments.entry import main; main()"
    done = start("-c", script, "focalmix", "--config=configs/phantom.py", "--workdir=phantom", *NARROW)
    assert done.returncode == 0, done.stderr
    assert "step 2/2" in done.stdout
    assert "phantom (synthetic scans, not LUNA16), " in done.stdout
