"""Covering parts of the images does what it says, and controls find what was planted."""

import json

import numpy as np
import pytest

from cxrlib import shortcut as lab
from cxrlib._controls import METADATA, VERSIONS, controls, cover, find_markers
from cxrlib.data import CxrDataset

QUICK = {"model": "PCPC", "model_options": {"filters": (8, 8)}, "epochs": 8, "lr": 1e-2, "batch_size": 16}


@pytest.fixture(scope="module")
def pairs():
    return lab.make_pairs(40, size=96, seed=11, workers=1)


def planted(n, where, seed=0, classes=("a", "b"), size=40):
    """Faint noise with two "lungs"; class 1 has a bright bar at ``where`` (y, x)."""
    rng = np.random.default_rng(seed)
    images = rng.normal(90, 2, (n, 1, size, size)).clip(0, 255).astype(np.uint8)
    labels = np.arange(n) % len(classes)
    y, x = where
    images[labels == 1, 0, y : y + 5, x : x + 2] = 250
    lungs = np.zeros((n, size, size), bool)
    lungs[:, 10:30, 8:17] = lungs[:, 10:30, 23:32] = True
    return CxrDataset(images, labels, classes, [f"p{i // 2}" for i in range(n)], lungs=lungs)


def found(where, seeds=(0,), **changes):
    recipe = lab.RECIPE.replace(**QUICK | changes)
    return controls(planted(64, where), planted(64, where, 1), recipe, seeds, progress=False)


def test_two_versions_together_are_the_image(pairs):
    data = pairs.marked
    parts = {version: cover(data, version) for version in VERSIONS}
    whole = data.images
    assert np.array_equal(parts["untouched"].images, whole)
    for one, other in (("lungs black", "only lungs"), ("border black", "only border")):
        a, b = parts[one].images, parts[other].images
        assert np.array_equal(a + b, whole) and not np.minimum(a, b).any()
    assert (parts["lungs black"].images[:, 0][data.lungs] == 0).all()
    assert (parts["only lungs"].images[:, 0][data.lungs] == data.images[:, 0][data.lungs]).all()
    alone = cover(pairs.plain, "box alone").images
    assert np.array_equal(parts["box alone"].images, alone) and set(np.unique(alone)) == {0, 255}
    for part in parts.values():
        assert part.images.dtype == np.uint8 and not np.shares_memory(part.images, whole)
        assert np.array_equal(part.labels, data.labels) and np.array_equal(part.patients, data.patients)
    assert len(cover(data[:0], "lungs black")) == 0


def test_markers_are_found_and_little_else(pairs):
    recall, wrong, before, after = [], [], [], []
    painted = cover(pairs.marked, "markers painted").images[:, 0]
    for k, (image, plain) in enumerate(zip(pairs.marked.images[:, 0], pairs.plain.images[:, 0], strict=True)):
        marker = image.astype(int) - plain > 20
        lung = pairs.marked.lungs[k]
        recall.append(find_markers(image, lung)[marker].mean())
        wrong.append(find_markers(plain, lung).mean())
        before.append(np.abs(image[marker].astype(int) - plain[marker]).mean())
        after.append(np.abs(painted[k][marker].astype(int) - plain[marker]).mean())
        assert np.array_equal(painted[k][lung], image[lung])
    assert np.mean(recall) > 0.9 and np.mean(wrong) < 0.002
    assert np.mean(after) < np.mean(before) / 4


def test_a_marker_outside_the_lungs_is_seen_without_lungs_and_not_when_it_is_painted():
    table = found((16, 35)).table
    assert table.loc[["untouched", "lungs black"], "auc"].min() > 0.95
    hidden = table.loc[["only lungs", "box alone", "markers painted"]]
    assert (hidden["auc_low"] <= 0.5).all() and (hidden["difference_high"] < 0).all()


def test_a_lesion_in_the_lungs_is_not_seen_without_them():
    result = found((18, 11), seeds=(0, 1))
    table = result.table
    assert table.loc[["untouched", "only lungs", "border black", "markers painted"], "auc"].min() > 0.95
    hidden = table.loc[["lungs black", "box alone", "only border"]]
    assert (hidden["auc_low"] <= 0.5).all() and hidden["auc_high"].max() < 0.9
    assert (table["auc_min"] <= table["auc"]).all() and (table["auc_max"] >= table["auc"]).all()
    assert table.loc["untouched", ["difference", "difference_low", "difference_high"]].eq(0).all()
    assert "lowest and highest seed" in str(result) and "lowest and highest seed" in result._repr_html_()
    value, low, high = result.beyond_box
    assert low <= value <= high and value == pytest.approx(table["auc"]["lungs black"] - table["auc"]["box alone"])


def test_the_result_shows_itself():
    result = controls(
        planted(60, (2, 2), classes=("a", "<b>", "c")), planted(60, (2, 2), 1, ("a", "<b>", "c")),
        lab.RECIPE.replace(**QUICK | {"epochs": 1}), progress=False,
    )  # fmt: skip
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert set(record["versions"]) == {*VERSIONS, METADATA} and record["images"] == 60 and record["patients"] == 30
    text, page = str(result), result._repr_html_()
    assert all(version in text and version in page for version in VERSIONS)
    assert record["per_class"]["box alone"]["c"][0] == pytest.approx(0.5, abs=0.2) and "AUC of c" in text
    assert result.per_class.loc["untouched", ("a", "auc")] >= result.per_class.loc["untouched", ("a", "low")]
    assert "balanced accuracy of 0.33" in text and "<b>" not in page and page.count("<img") == 2
    assert "lungs black: " in result.plot().alt and "only border" in result.pictures().alt


def test_a_file_type_that_tells_the_class_is_told_without_a_picture():
    parts = [planted(64, (2, 2), seed, classes=("a", "b")) for seed in (0, 1)]
    for part in parts:
        part._images[:] = 90
        part._table["extension"] = np.where(part.labels, ".png", ".jpg")
    result = controls(*parts, lab.RECIPE.replace(**QUICK | {"epochs": 1}), progress=False)
    assert result.table["auc"]["metadata only"] == 1 and "without any picture, gives an AUC of 1.000" in str(result)


def test_images_without_lungs_are_left_out_of_all_versions_and_counted():
    train, test = planted(64, (2, 2)), planted(64, (2, 2), 1)
    train._lungs[:3], test._lungs[5] = False, False
    result = controls(train, test, lab.RECIPE.replace(**QUICK | {"epochs": 1}), progress=False)
    assert (result.left_out, result.training) == (4, 61)
    assert {len(report.labels) for reports in result.reports.values() for report in reports} == {63}
    assert "4 images without lungs" in str(result)


def test_bad_input_names_the_remedy():
    data = planted(64, (2, 2))
    empty = planted(64, (2, 2))
    empty._lungs[20:] = False
    bare = CxrDataset(data.images, data.labels, data.classes, data.patients)
    large = planted(64, (2, 2), size=48)
    for call, message in (
        (lambda: controls(data, data[data.labels == 0]), "10 images with lungs of each to score, got 32 a, 0 b"),
        (lambda: controls(data[:12], data), "of each to train on, got 6 a, 6 b"),
        (lambda: controls(data, large), "same classes and size"),
        (lambda: controls(empty, empty), "no lungs were found in 88 of 128"),
        (lambda: controls(bare, bare, progress=False), "no lungs were found in 128 of 128 images: give frontal"),
        (lambda: controls(data, data, seeds=()), "seeds: give at least 1"),
        (lambda: cover(bare, "lungs black"), r"with_lungs\(\) finds them"),
        (lambda: cover(empty, "lungs black"), "44 images have an empty lung mask"),
        (lambda: cover(data, "lungs blak"), "Did you mean 'lungs black'?"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.slow
def test_a_planted_marker_of_phantoms_is_seen_with_the_lungs_covered():
    train, test = (lab.make_pairs(n, size=96, seed=seed, workers=2) for n, seed in ((400, 0), (200, 2)))
    fair, planted = (
        lab.controls(lab.confounded(train, p), lab.confounded(test, p, 1), progress=False).table for p in (0.5, 1)
    )
    assert fair.loc["lungs black", "auc_low"] < 0.5 < planted.loc["lungs black", "auc_low"]
    assert planted.loc["only border", "auc_low"] > 0.6
    assert planted.loc["markers painted", "difference_high"] < 0
    assert fair.loc["markers painted", "difference_low"] > -0.1
