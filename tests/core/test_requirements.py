"""What is asked and not there, of hand-made requirements."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from medssl_jax.core import requirements
from medssl_jax.core.requirements import Unmet, install_line, installed_version, requirements_of, unmet

VERSIONS = {"a": "1.5", "b": "2.0rc1", "pytest": "1000"}


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ("a", []),
        ("a>=1.5", []),
        ("a>1.5", [Unmet("a>1.5", "1.5")]),
        ("a==1.4.*", [Unmet("a==1.4.*", "1.5")]),
        ("b<3", []),  # what was installed on purpose may be a release candidate
        ("c", [Unmet("c", None)]),
        ("c>=2; sys_platform == 'nowhere'", [Unmet("c>=2", None)]),  # markers are the asker's to look at
    ],
)
def test_by_hand(asked, wrong):
    assert [*unmet([Requirement(asked)], version_of=VERSIONS.get)] == wrong


def test_extras_of_what_is_there_are_looked_at_too(tmp_path, monkeypatch):
    """As `jax[cuda12]` is to find its plugin, and that its own extra."""
    asks = {"first": "second[deep]==2; extra == 'wide'", "second": "third>=3; extra == 'deep'"}
    for name, line in asks.items():
        (tmp_path / f"{name}-2.dist-info").mkdir()
        (tmp_path / f"{name}-2.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 2\nRequires-Dist: {line}\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    assert [*unmet([Requirement("first[wide]")])] == [Unmet("third>=3", None)]
    assert [*unmet([Requirement("first")])] == []


def test_extras_add_to_what_is_always_needed():
    always, dicom = ({each.name for each in requirements_of("medssl-jax", extra)} for extra in ("", "beam"))
    assert "numpy" in always
    assert dicom == {"apache-beam"}


def test_what_is_needed_on_another_system_is_not_asked_for():
    assert "colorama" not in {each.name for each in requirements_of("pytest")}


def test_versions():
    assert installed_version("numpy") == __import__("numpy").__version__
    assert installed_version("no-such-package") is None


def test_an_extra_is_added_by_one_line_in_any_folder(tmp_path, monkeypatch):
    root = Path(requirements.__file__).parents[2]
    monkeypatch.chdir(root)
    assert install_line("dicom") == "pip install -c constraints.txt -e '.[dicom]'"
    monkeypatch.chdir(tmp_path)
    assert install_line("dicom") == f"pip install -c {root}/constraints.txt -e '{root}[dicom]'"


def test_outside_a_clone_it_is_what_the_extra_asks_for_and_the_jax_that_is_here(tmp_path, monkeypatch):
    monkeypatch.setattr(requirements, "__file__", str(tmp_path / "medssl_jax" / "core" / "requirements.py"))
    assert install_line("beam") == "pip install 'apache-beam>=2.77'"
    assert install_line("gpu") == f"pip install 'jax[cuda12]=={installed_version('jax')}'"
