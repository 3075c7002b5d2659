"""Lesions elsewhere than in lungs, from a folder and a table to marks: one job, in a window of soft tissue."""

import json

import numpy as np
import pytest

from data_builders.incoming.find import find_scans
from data_builders.scan_source import open_scans, prepare_scans
from experiments.configs import own
from experiments.runs.detect import search_scans
from experiments.runs.focalmix import chosen, focalmix_job
from medssl_jax.core.errors import InputError
from medssl_jax.data.scans.preparation import BODY, DEFAULT_PREPARATION, LUNGS, Preparation, prepare_scan
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.volumes import Volume, write_metaimage
from medssl_jax.inference.trained_detector import load_detector
from medssl_jax.report.nodules.scan_page import scan_page

GRID = Grid((16, 30, 30), (3.0, 2.0, 2.0), (10.0, 15.0, 100.0))
SPACING_MM = 2.0
LESION_ZYX = np.array([[8.0, 17.0, 12.0]])
DIAMETER_MM = 14.0


def body_with_lesion(name):
    """A round body of 50 HU without lungs, in air, with a lesion of -30 HU in it, as a metastasis in a liver."""
    z, y, x = np.indices(GRID.size_zyx) * np.array(GRID.spacing_zyx_mm).reshape(3, 1, 1, 1)
    hu = np.where((y - 29) ** 2 + (x - 29) ** 2 < 25**2, 50, -1000)
    at = LESION_ZYX[0] * GRID.spacing_zyx_mm
    hu[(z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2 < (DIAMETER_MM / 2) ** 2] = -30
    noise = np.random.default_rng(ord(name)).normal(0, 10, hu.shape)
    return Volume((hu + noise).astype(np.int16), GRID, name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("liver")
    (folder / "scans").mkdir()
    ((x, y, z),) = voxel_zyx_to_world_xyz_mm(LESION_ZYX, GRID)
    rows = ["seriesuid,coordX,coordY,coordZ,diameter_mm"]
    for name in "abc":
        write_metaimage(folder / "scans" / f"{name}.mhd", body_with_lesion(name))
        rows.append(f"{name},{x},{y},{z},{DIAMETER_MM}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "scans" / "folds.csv").write_text("seriesuid,subset\na,0\nb,0\nc,7\n")
    return folder


def config_of(folder, **given):
    config = own.get_config()
    config.data.manual_dir, config.data.options.labels = str(folder / "scans"), str(folder / "labels.csv")
    config.data.workers = 1
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in given.items()})
    config.lock()
    return config


@pytest.fixture(scope="module")
def run(folder):
    """A run of two steps by a network of one narrow stage, of what own.py chooses otherwise."""
    workdir = folder / "run"
    small = {
        "patches__side": 16,
        "patches__jitter": 4,
        "model__features": (8,),
        "model__blocks": (1,),
        "model__stem_features": 4,
        "model__pyramid_features": 8,
        "model__head_depth": 0,
        "model__prior": 0.5,  # marks from the beginning
        "anchors__strides": (2,),
        "anchors__sides_mm": ((9.0, 14.0),),
        "inference__overlap": 0,
        "steps": 2,
        "optimiser__accumulate": 1,
        "logging__log_every": 1,
        "logging__save_every": 2,
        "logging__bootstraps": 2,
    }
    config = config_of(folder, data__mask_lungs=False, data__spacing_mm=SPACING_MM, **small)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(focalmix_job, "step_bytes", lambda _: 0)  # spares a compilation
        focalmix_job.run(config, workdir)
    return workdir


def test_the_run_searches_the_body_in_a_window_of_soft_tissue(run):
    data = json.loads((run / "config.json").read_text())["data"]
    assert (data["region"], data["window_hu"], data["spacing_mm"]) == (BODY, [-160, 240], SPACING_MM)
    first, *_ = json.loads((run / "choice.json").read_text())["reasons"]
    assert first.startswith("region: the whole body is searched")
    assert "-160 to 240 HU" in first
    page = (run / "mistakes.html").read_text()
    assert "what the detector saw, 2 mm voxels; -160 to 240 HU from black to white" in page


def test_its_detector_prepares_scans_as_it_learned_them(folder, run):
    detector = load_detector(run)
    assert detector.preparation == Preparation(BODY, SPACING_MM)
    ((_, report, volume),) = search_scans(lambda: detector, find_scans(folder / "scans" / "c.mhd").scans, run="run")
    assert len(report.marks)
    low, high = (np.array(each) for each in ((10.0, 15.0, 100.0), (68.0, 73.0, 145.0)))
    assert ((report.marks.centre_xyz_mm > low - 6) & (report.marks.centre_xyz_mm < high + 6)).all()
    page = scan_page(report, volume, min_score=0.0)
    assert '"window":"soft"' in page.replace(" ", "").replace("\\u0022", '"')
    assert "<dt>Body</dt>" in page


def test_what_is_prepared_is_so_and_cannot_be_taken_for_anything_else(folder, run):
    scans = open_scans("folder", run / "prepared")
    assert {scan.grid.spacing_zyx_mm for scan in scans} == {(SPACING_MM,) * 3}
    given = {"labels": folder / "labels.csv", "workers": 1}
    for preparation in (DEFAULT_PREPARATION, Preparation(BODY, 1.0), Preparation(LUNGS, SPACING_MM)):
        with pytest.raises(InputError, match="or by other settings"):
            prepare_scans("folder", folder / "scans", run / "prepared", preparation=preparation, **given)
    prepare_scans("folder", folder / "scans", run / "prepared", preparation=Preparation(BODY, SPACING_MM), **given)


def test_a_scan_of_other_voxels_is_refused(folder, run):
    path = folder / "scans" / "c.mhd"
    scan = prepare_scan(ScanFiles("c", path), preparation=Preparation(BODY, 1.0))
    with pytest.raises(InputError, match=r"c: was prepared with voxels of 1 mm, expected 2 mm, which this detector"):
        load_detector(run)(scan)


def test_without_a_word_lungs_are_searched_and_found_wanting(folder):
    with pytest.raises(InputError, match=r"no lungs found in this scan.*for lesions elsewhere set data\.region=body"):
        chosen.with_choice(config_of(folder), folder / "of lungs", lambda _: 0)


def test_region_and_window_follow_from_masking_unless_they_are_given(folder):
    def filled(**given):
        data = chosen._with_region(config_of(folder, **given)).data
        return data.region, tuple(data.window_hu)

    assert filled() == ("lungs", (-1200, 600))
    assert filled(data__mask_lungs=False) == ("body", (-160, 240))
    assert filled(data__mask_lungs=False, data__region="lungs") == ("lungs", (-1200, 600))
    assert filled(data__mask_lungs=False, data__window_hu=(-50, 150)) == ("body", (-50, 150))
    with pytest.raises(InputError, match=r"data\.mask_lungs is True, expected False where data\.region is body"):
        chosen.check_config(config_of(folder, data__region="body"))
    with pytest.raises(InputError, match=r"data\.window_hu is \(0, 1000\), expected a tuple of 2, each of them -1200"):
        chosen.check_config(config_of(folder, data__window_hu=(0, 1000)))
