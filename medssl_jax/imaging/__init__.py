"""Readers of medical files, and the geometry of their contents."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.imaging.geometry import (
        Grid,
        boxes_from_points,
        isotropic_grid,
        upright_grid,
        voxel_zyx_to_world_xyz_mm,
        world_xyz_mm_to_voxel_zyx,
    )
    from medssl_jax.imaging.luna16_csv import (
        Findings,
        read_annotations,
        read_excluded,
        read_series_uids,
        write_series_uids,
    )
    from medssl_jax.imaging.lungs import segment_lungs
    from medssl_jax.imaging.resampling import resample_linear, resample_nearest
    from medssl_jax.imaging.slides import Slide, SlideLayout, open_slide, shrink_as_libvips
    from medssl_jax.imaging.submission import Marks, read_submission, write_submission
    from medssl_jax.imaging.volumes import Volume, has_label, read_grid, read_labels, read_volume, write_metaimage

__all__ = [
    "Findings",
    "Grid",
    "Marks",
    "Slide",
    "SlideLayout",
    "Volume",
    "boxes_from_points",
    "has_label",
    "isotropic_grid",
    "open_slide",
    "read_annotations",
    "read_excluded",
    "read_grid",
    "read_labels",
    "read_series_uids",
    "read_submission",
    "read_volume",
    "resample_linear",
    "resample_nearest",
    "segment_lungs",
    "shrink_as_libvips",
    "upright_grid",
    "voxel_zyx_to_world_xyz_mm",
    "world_xyz_mm_to_voxel_zyx",
    "write_metaimage",
    "write_series_uids",
    "write_submission",
]
