"""Where trained weights lie: in a run's workdir, in the folder `checkpoints` of it, or in a file to hand on.

Looks at names alone, so that a wrong path is refused before anything that reads weights is imported.
"""

import os
from pathlib import Path

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import printable
from medssl_jax.steps.score_settings import BEST

SUFFIX = ".safetensors"


def is_weights_file(checkpoint: Path) -> bool:
    """True for the name of a file of weights, False for that of a folder."""
    return checkpoint.suffix == SUFFIX


def expect_weights(checkpoint: Path) -> None:
    """Raises `InputError` where there is neither a file of weights nor a folder of checkpoints."""
    if not is_weights_file(checkpoint):
        folder_of_checkpoints(checkpoint)
    elif not checkpoint.is_file():
        raise InputError(f"{checkpoint}: no such file, expected weights that experiments.export wrote")


def folder_of_checkpoints(checkpoint: Path) -> Path:
    """The folder `checkpoints` of a workdir, or the one given. Raises `InputError` where there is none."""
    folder = checkpoint / "checkpoints" if (checkpoint / "checkpoints").is_dir() else checkpoint
    if not folder.is_dir():
        raise InputError(f"{checkpoint}: no such folder, expected the --workdir of a training run")
    return folder


def folder_of_best(checkpoint: Path) -> Path:
    """The folder, beside `checkpoints`, of the one that was best on validation scans; of a workdir or one in it."""
    return folder_of_checkpoints(checkpoint).absolute().parent / BEST


def run_name(checkpoint: str | os.PathLike[str]) -> str:
    """The name of a run's workdir, which is given itself or by its folder `checkpoints` or `best`."""
    folder = Path(checkpoint).absolute()
    return printable(folder.parent.name if folder.name in ("checkpoints", BEST) else folder.name)
