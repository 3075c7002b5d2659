"""A disk without room for another record."""

import pytest


@pytest.fixture
def full_disk(monkeypatch):
    """Makes every write of an ArrayRecord fail as on a full disk."""

    class FullDisk:
        def __init__(self, path, options):
            self.path = path

        def write(self, record):
            raise RuntimeError(f"write() failed: No space left on device; writing {self.path}")

        def close(self):
            self.write(b"")

    monkeypatch.setattr("array_record.python.array_record_module.ArrayRecordWriter", FullDisk)
