"""Balls in the voxels of the scan as read, held against distances taken voxel by voxel in the world."""

import nibabel
import numpy as np

from medssl_jax.imaging.submission import Marks
from medssl_jax.imaging.volumes import write_nifti
from medssl_jax.report.nodules.formats.label_map import label_map


def test_a_viewer_finds_the_balls_at_the_marks(tmp_path, turned_report):
    """Read by nibabel, whose world is RAS."""
    report = turned_report()
    write_nifti(tmp_path / "d.nii.gz", label_map(report, min_score=0.1))
    image = nibabel.load(tmp_path / "d.nii.gz")
    labels = np.asarray(image.dataobj)
    assert labels.shape == report.grid.size_zyx[::-1]
    indices = np.indices(labels.shape).reshape(3, -1)
    world_ras_mm = (image.affine @ np.vstack([indices, np.ones(indices.shape[1])]))[:3].T
    expected = np.zeros(labels.size, int)
    for number in (3, 2, 1):
        centre_lps_mm = report.marks.centre_xyz_mm[number - 1]
        distance = np.linalg.norm(world_ras_mm * [-1, -1, 1] - centre_lps_mm, axis=1)
        expected[distance <= report.diameter_mm[number - 1] / 2 - 1e-3] = number
    found = labels.reshape(-1)
    assert (found[expected > 0] == expected[expected > 0]).all()
    assert (found > 0).sum() - (expected > 0).sum() <= 2  # on the surface, where rounding decides
    assert set(found.tolist()) == {0, 1, 2, 3}


def test_unlikely_marks_are_left_out(turned_report):
    assert set(np.unique(label_map(turned_report(), min_score=0.5).array_zyx).tolist()) == {0, 1, 2}
    assert not label_map(turned_report(), min_score=0.95).array_zyx.any()


def test_a_mark_thinner_than_a_slice_and_one_at_the_edge_have_their_voxel(turned_report):
    report = turned_report()
    centres = report.grid.origin_xyz_mm + np.array([[0.0, 0.0, 22.0], [0.0, 0.0, 0.0]])
    marks = Marks(("1.2.3",) * 2, centres, np.array([0.9, 0.8]), np.array([0.5, 3.0]))
    labels = label_map(turned_report(marks=marks), min_score=0.0).array_zyx
    assert np.argwhere(labels == 1).tolist() == [[4, 0, 0]]  # 22 mm is nearest to slice 4, at 20 mm
    # Of a ball of 3 mm round a corner a part lies in the scan: sqrt((.8 y)^2 + (.7 x)^2) <= 1.5.
    assert np.argwhere(labels == 2).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 0], [0, 1, 1]]
