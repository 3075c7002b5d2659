"""The foundation of every room: errors, files that appear whole, locks, worker pools, progress."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.core.atomic import atomic_folder, atomic_path, writable_directory, write_text
    from medssl_jax.core.checksums import file_sha256
    from medssl_jax.core.csv_files import csv_text, read_table
    from medssl_jax.core.errors import InputError
    from medssl_jax.core.locks import alone, exclusive
    from medssl_jax.core.progress import Progress, progress_bar, silent
    from medssl_jax.core.settings import Settings, settings_from
    from medssl_jax.core.step_lines import StepLine, StepLines, read_step_lines
    from medssl_jax.core.versions import versions
    from medssl_jax.core.worker_pool import results_as_completed

__all__ = [
    "InputError",
    "Progress",
    "Settings",
    "StepLine",
    "StepLines",
    "alone",
    "atomic_folder",
    "atomic_path",
    "csv_text",
    "exclusive",
    "file_sha256",
    "progress_bar",
    "read_step_lines",
    "read_table",
    "results_as_completed",
    "settings_from",
    "silent",
    "versions",
    "writable_directory",
    "write_text",
]
