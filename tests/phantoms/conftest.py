"""What lies in a phantom's folder."""

import csv

import pytest


@pytest.fixture(scope="session")
def files():
    """The bytes of every file below a folder, by its path from there."""

    def read(directory):
        return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}

    return read


@pytest.fixture(scope="session")
def rows():
    """The rows of a CSV file, its header among them."""

    def read(path):
        with path.open(newline="") as file:
            return list(csv.reader(file))

    return read
