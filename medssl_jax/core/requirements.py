"""What packages ask of each other, by their own metadata, and what of it is not there."""

import importlib.metadata
import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

PACKAGE = "medssl-jax"
VERSIONS_FILE = "constraints.txt"


class Unmet(NamedTuple):
    """A requirement as pip takes it, such as `numpy>=2`, and the version found instead; None where there is none."""

    requirement: str
    found: str | None

    def __str__(self) -> str:
        return f"{self.requirement} is not installed" if self.found is None else f"{self.requirement}: {self.found}"


def installed_version(package: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def requirements_of(package: str, extra: str = "") -> list[Requirement]:
    """What an installed package needs on this machine: always, or else what one of its extras adds."""
    every = [Requirement(text) for text in importlib.metadata.requires(package) or ()]
    always = [each for each in every if each.marker is None or each.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    return [each for each in every if each not in always and each.marker and each.marker.evaluate({"extra": extra})]


def install_line(extra: str) -> str:
    """The shell's line that adds one of this package's extras to this installation, in whatever folder it is typed.

    In a clone it takes the versions that were tested together; elsewhere JAX stays in the version that is here.
    """
    root = Path(__file__).resolve().parents[2]
    if (root / VERSIONS_FILE).is_file():
        here = root == Path.cwd()
        versions, clone = VERSIONS_FILE if here else str(root / VERSIONS_FILE), "." if here else str(root)
        return shlex.join(["pip", "install", "-c", versions, "-e", f"{clone}[{extra}]"])
    asked = [str(each).partition(";")[0].strip() for each in requirements_of(PACKAGE, extra)]
    jax = importlib.metadata.version("jax")
    return shlex.join(["pip", "install", *(f"{each}=={jax}" if each.startswith("jax[") else each for each in asked)])


def unmet(
    requirements: Iterable[Requirement], *, version_of: Callable[[str], str | None] = installed_version
) -> Iterator[Unmet]:
    """Those of `requirements` that are not installed, or in a version that does not do; also of their extras."""
    for each in requirements:
        version = version_of(each.name)
        bare = f"{each.name}{each.specifier}"
        if version is None or not each.specifier.contains(version, prereleases=True):
            yield Unmet(bare, version)
        else:
            for extra in sorted(each.extras):
                yield from unmet(requirements_of(each.name, extra), version_of=version_of)
