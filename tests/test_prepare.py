"""What a recipe does to images before its network sees them: cut to the lungs, scaled."""

import numpy as np
import pytest
from click.testing import CliRunner

import cxrlib as cxr
from cxrlib._prepare import lung_boxes
from cxrlib.cli import main
from cxrlib.data import CxrDataset
from cxrlib.experiment import run
from cxrlib.localization.maps import marker_boxes
from cxrlib.phantom import make_phantoms

TINY = cxr.Recipe(model="CP", model_options={"filters": 4}, size=40, epochs=1, crop="lungs")


@pytest.fixture(scope="module")
def data():
    return cxr.load("phantom", TINY.read_size, n=60, progress=False)


def without_lungs(data, images=None):
    images = data.images if images is None else images
    return CxrDataset(images, data.labels, data.classes, data.patients)


def test_a_box_is_the_lungs_and_a_margin_up_to_the_edge():
    lungs = np.zeros((3, 20, 40), bool)
    lungs[0, 5:15, 10:30] = True
    lungs[1, 0:10, 20:40] = True
    assert lung_boxes(lungs, 0.1).tolist() == [[8, 4, 32, 16], [18, 0, 40, 11], [0, 0, 40, 20]]
    assert lung_boxes(lungs, 0)[0].tolist() == [10, 5, 30, 15]


def test_the_cut_image_shows_the_box(data):
    cut = cxr.crop_to_lungs(data, margin=0)
    assert cut.size == data.size and len(cut) == len(data)
    for found, at in ((cut.lungs, 1), (cut.lungs, 2)):  # the lungs reach all four sides
        lines = found.any(at)
        assert lines[:, 1].mean() > 0.9 and lines[:, -2].mean() > 0.9
    x0, y0, x1, y1 = cut.table.loc[7, ["crop_x0", "crop_y0", "crop_x1", "crop_y1"]].astype(int)
    inside = data.images[7, 0, y0:y1, x0:x1]
    assert abs(inside.mean() - cut.images[7, 0].mean()) < 2
    assert abs(data.masks[7, y0:y1, x0:x1].mean() - cut.masks[7].mean()) < 0.02


def test_a_whole_picture_is_scaled_as_pillow_scales_it(data):
    boxed = np.zeros((1, 1, 64, 64), np.uint8)
    boxed[..., ::2] = 200
    one = CxrDataset(boxed, [0], ("a",), ["p"], lungs=np.ones((1, 64, 64), bool))
    assert abs(cxr.crop_to_lungs(one, 16).images.astype(int) - 100).max() <= 60


def test_lungs_are_found_where_they_are_not_known_and_images_without_are_counted(data):
    known = cxr.crop_to_lungs(data)
    found = cxr.crop_to_lungs(without_lungs(data))
    apart = np.abs(known.table["crop_x0"] - found.table["crop_x0"]).median()
    assert apart < 3
    noise = np.random.default_rng(0).integers(0, 256, data.images[:5].shape, dtype=np.uint8)
    with pytest.warns(UserWarning, match="no lungs were found in 5 of 5 images: these are taken whole"):
        whole = cxr.crop_to_lungs(without_lungs(data[:5], noise))
    np.testing.assert_array_equal(whole.images, noise)
    assert not whole.lungs.any()


def test_a_marker_moves_with_the_image():
    made = make_phantoms(40, 96, seed=1, confounder={"marker": 1.0}, progress=False)
    data = CxrDataset(made.images, made.labels, made.classes, made.patients, made.table, made.masks, made.lungs)
    cut = cxr.crop_to_lungs(data, margin=0.6)
    before, after = marker_boxes(data.table), marker_boxes(cut.table)
    kept = (before[:, 0] >= 0) & (after[:, 0] >= 0)
    assert kept.sum() > 10
    for i in np.flatnonzero(kept)[:10]:
        x0, y0, x1, y1 = after[i].astype(int)
        a0, b0, a1, b1 = before[i].astype(int)
        assert abs(cut.images[i, 0, y0:y1, x0:x1].mean() - data.images[i, 0, b0:b1, a0:a1].mean()) < 25
    closer = cxr.crop_to_lungs(data, margin=0)
    assert (marker_boxes(closer.table)[:, 0] == -1).any(), "a marker that is cut away has no box"


def test_prepare_does_what_the_recipe_says_and_only_once(data):
    ready = cxr.prepare(data, TINY)
    assert ready.size == TINY.size and "crop_x0" in ready.table
    assert cxr.prepare(ready, TINY) is ready
    plain = TINY.replace(crop=None)
    with pytest.warns(UserWarning, match=f"images of {data.size} px were scaled to the recipe's 40 px"):
        scaled = cxr.prepare(data, plain)
    assert scaled.size == 40 and "crop_x0" not in scaled.table
    assert cxr.prepare(scaled, plain) is scaled
    assert scaled.fingerprint != ready.fingerprint != data.fingerprint


@pytest.mark.parametrize(
    ("change", "word"), [({"crop": "heart"}, "lungs"), ({"crop_margin": -1}, "crop_margin"), ({"crop": 1}, "lungs")]
)
def test_a_recipe_refuses_another_crop(change, word):
    with pytest.raises(ValueError, match=word):
        TINY.replace(**change)


def test_a_run_cuts_what_it_scores_and_explains(tmp_path, data):
    done = run("phantom", TINY, options={"n": 60}, folder=tmp_path / "run", bootstrap=0, progress=False)
    assert done.record["data"]["splits"]["test"]["not_cut"] == 0
    again = cxr.Run.open(tmp_path / "run")
    images = again.load_data(progress=False)
    assert images.size == TINY.read_size and again.trained_on(images)
    test = again.split(images)[2]
    np.testing.assert_allclose(again.predict(test), again.test.probs, atol=1e-7)
    np.testing.assert_array_equal(again.explain(test), cxr.explain(again.model, again.prepare(test)))


def test_the_command_records_the_crop(tmp_path):
    how = ["--recipe", "baseline", "--size", "32", "--epochs", "1", "--crop", "lungs", "-o", "n=60", "--quiet"]
    result = CliRunner().invoke(main, ["train", *how, "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    opened = cxr.Run.open(tmp_path / "run")
    assert opened.recipe.crop == "lungs" and "--crop lungs" in opened.record["command"]
    scored = CliRunner().invoke(main, ["evaluate", str(tmp_path / "run"), "--quiet"])
    assert scored.exit_code == 0 and f"{opened.test['accuracy']:.3f}" in scored.output
