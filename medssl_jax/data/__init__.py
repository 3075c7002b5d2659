"""Scans and slides on their way to batches; of scans also how files and arrays become what a detector is shown."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.data.scans.preparation import Preparation, PreparedScan, prepare_scan, prepare_volume
    from medssl_jax.data.scans.scan_files import ScanFiles

__all__ = ["Preparation", "PreparedScan", "ScanFiles", "prepare_scan", "prepare_volume"]
