"""Regions around the lungs, against phantoms whose heart is known; and where the energy of maps lies."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import cxrlib as cxr
from cxrlib.localization import map_energy, perfect_maps
from cxrlib.phantom import anatomy, make_phantoms

REGIONS = ["lungs", "outside", "above", "beside", "below", "between"]


def chest_of(seed, size=96):
    """A phantom's geometry, every second one a child."""
    rng = np.random.default_rng(seed)
    build = anatomy.sample_build(rng, "child" if seed % 2 else "adult")
    return anatomy.Chest(build, anatomy.sample_pose(rng, build), size)


def truth(chest):
    """What the phantom knows: bool (H, W) each."""
    in_cage = (chest.side < chest.wall) & (chest.t > 0)
    heart = in_cage & (chest.y < chest.dome) & ~chest.lungs
    return {"between": heart, "below": in_cage & (chest.y >= chest.dome), "above": chest.t <= 0}


def overlap(found, true):
    return (found & true).sum() / (found | true).sum()


CHESTS = [chest_of(seed) for seed in range(40)]
LUNGS = np.stack([chest.lungs for chest in CHESTS])
GRAY = np.full(LUNGS.shape, 128, np.uint8)
GRAY[:, 0, 0] = 0


def test_every_pixel_belongs_to_one_region():
    p = make_phantoms(12, 96, seed=1, progress=False)
    found = cxr.anatomy(p.images, p.lungs)
    assert list(found) == REGIONS and all(region.dtype == bool for region in found.values())
    assert (sum(region.astype(int) for region in found.values()) == 1).all()
    assert (found["lungs"] == p.lungs).all()
    black = np.asarray(p.images)[:, 0]
    assert black[found["outside"]].mean() < black[found["beside"]].mean()


def test_the_space_of_the_heart_is_where_the_phantom_has_heart_and_mediastinum():
    found = cxr.anatomy(GRAY, LUNGS)
    scores = pd.DataFrame([{k: overlap(found[k][n], t) for k, t in truth(c).items()} for n, c in enumerate(CHESTS)])
    assert scores["between"].mean() > 0.93 and scores["between"].min() > 0.85
    assert scores["above"].mean() > 0.90 and scores["below"].mean() > 0.78


def test_known_regions_of_two_rectangles():
    lungs = np.zeros((1, 20, 20), bool)
    lungs[0, 4:15, 4:8] = lungs[0, 4:15, 12:16] = True
    image = np.full((1, 20, 20), 200, np.uint8)
    image[0, :, 18:] = 0
    found = {name: region[0] for name, region in cxr.anatomy(image, lungs).items()}
    assert found["outside"][:, 18:].all() and not found["outside"][:, :18].any()
    assert found["above"][:4, :18].all() and found["beside"][4:15, :4].all() and found["beside"][4:15, 16:18].all()
    assert found["between"][4:14, 8:12].all()  # down to nine tenths of rows 4 to 14
    assert found["below"][15:, :18].all() and found["below"][14, 8:12].all()


def test_a_mirrored_image_has_mirrored_regions():
    one, other = cxr.anatomy(GRAY, LUNGS), cxr.anatomy(GRAY[:, :, ::-1], LUNGS[:, :, ::-1])
    for name in REGIONS:
        assert (one[name] != other[name][:, :, ::-1]).mean() < 0.005  # the middle column belongs to one side


def test_lungs_are_those_of_the_data_or_are_looked_for():
    data = cxr.load("phantom", 96, n=20, progress=False)
    assert (cxr.anatomy(data)["lungs"] == data.lungs).all()
    looked_for = cxr.anatomy(np.asarray(data.images))["lungs"]
    assert (looked_for != data.lungs).any() and overlap(looked_for, data.lungs) > 0.85


def test_images_without_two_lungs_are_counted_once_and_have_no_regions():
    lungs = LUNGS[:3].copy()
    lungs[0], lungs[1, :, 48:] = False, False  # none, and one
    with pytest.warns(UserWarning, match="2 of 3 images show no two lungs") as told:
        found = cxr.anatomy(GRAY[:3], lungs)
    assert len(told) == 1
    assert all(not region[:2].any() for region in found.values()) and found["between"][2].any()
    one_column = np.zeros((1, 96, 96), bool)
    one_column[0, 20:60, 30] = True
    with pytest.warns(UserWarning, match="1 of 1"):
        assert not cxr.anatomy(GRAY[:1], one_column)["above"].any()
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64), np.uint8)
    with pytest.warns(UserWarning, match="2 of 2"):
        cxr.anatomy(noise)
    assert all(region.shape == (0, 96, 96) for region in cxr.anatomy(GRAY[:0], LUNGS[:0]).values())


@pytest.mark.parametrize("lungs", [LUNGS[:2], LUNGS[:3, :50], LUNGS[:3].astype(float), "lungs", LUNGS[0]])
def test_lungs_that_do_not_fit_are_refused(lungs):
    with pytest.raises(ValueError, match="lungs: give true or false of the shape"):
        cxr.anatomy(GRAY[:3], lungs)


# ---- map_energy


def halves(n=3, side=16):
    """Left and right half of an image as regions."""
    left = np.zeros((n, side, side), bool)
    left[:, :, : side // 2] = True
    return {"left": left, "right": ~left}


def test_a_map_in_the_left_lung_has_all_its_energy_in_the_lungs():
    left = LUNGS & (np.arange(96) < 48)
    energy = map_energy(left.astype(float), cxr.anatomy(GRAY, LUNGS))
    assert energy.table.loc["lungs", "energy"] == 1 and (energy.table["energy"].drop("lungs") == 0).all()
    assert (energy.table["images"] == 40).all()


def test_energies_of_a_partition_add_up_and_a_uniform_map_gets_the_area():
    regions = cxr.anatomy(GRAY, LUNGS)
    rng = np.random.default_rng(0)
    for maps in (np.ones((40, 6, 6)), rng.normal(size=(40, 6, 6))):
        energy = map_energy(maps, regions, bootstrap=50)
        assert np.allclose(energy.per_image.sum(axis="columns"), 1)
        for name in ("uniform", "mean_map"):
            assert np.allclose(getattr(energy, name).sum(axis="columns"), 1)
    uniform = map_energy(np.ones((40, 6, 6)), regions, bootstrap=0)
    areas = pd.DataFrame({name: region.mean((1, 2)) for name, region in regions.items()})
    pd.testing.assert_frame_equal(uniform.per_image, areas, atol=1e-6)
    assert np.allclose(uniform.table[["gain", "own"]], 0, atol=1e-6)


def test_a_perfect_map_reaches_the_ceiling_and_knows_more_than_its_mean():
    regions = cxr.anatomy(GRAY, LUNGS)
    energy = map_energy(perfect_maps(LUNGS, (6, 6)), regions, bootstrap=200)
    row = energy.table.loc["lungs"]
    assert row["energy"] == pytest.approx(row["ceiling"]) and row["own_low"] > 0 and row["gain_low"] > row["own_low"]


def test_known_answers_by_hand():
    maps = np.zeros((3, 16, 16))
    maps[0, 0, 0], maps[0, 0, 15] = 3, 1  # three of four units on the left
    maps[1, 5, 5], maps[1, 5, 12] = 1, -9  # negative values do not count
    maps[2, 0, 15] = 2
    energy = map_energy(maps, halves())
    assert energy.per_image["left"].tolist() == [0.75, 1, 0]
    assert np.allclose(energy.mean_map["left"], (0.75 + 1 + 0) / 3)  # maps count alike, however strong
    change = energy.difference(np.array([True, True, False]), np.array([False, False, True]))
    assert change.loc["left", ["one", "two", "difference", "images_one", "images_two"]].tolist() == [
        0.875,
        0,
        0.875,
        2,
        1,
    ]
    assert energy.where(np.array([False, True, True])).table.loc["left", "energy"] == 0.5


def test_blank_maps_and_images_without_regions_are_undefined_and_counted():
    regions = halves()
    for region in regions.values():
        region[2] = False
    maps = np.ones((3, 4, 4))
    maps[1] = -1
    energy = map_energy(maps, regions)
    assert energy.per_image.notna().all(axis="columns").tolist() == [True, False, False]
    assert energy.table.loc["left", ["energy", "images"]].tolist() == [0.5, 1]
    told = energy.to_dict()
    assert (told["blank"], told["nowhere"], told["images"]) == (1, 1, 3)
    assert "1 blank maps, 1 images without regions" in repr(energy) and "1 blank maps" in energy._repr_html_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nothing = map_energy(-maps * 0, regions).to_dict()
    assert nothing["regions"]["left"]["energy"] is None and json.dumps(nothing)


def test_the_difference_has_an_interval_over_patients():
    rng = np.random.default_rng(1)
    n = 60
    maps = rng.random((n, 4, 4)) * 0.2
    maps[:30, :, :2] += 1
    patients = np.repeat(np.arange(20), 3)
    energy = map_energy(maps, halves(n), patients)
    first = np.arange(n) < 30
    row = energy.difference(first, ~first).loc["left"]
    assert 0 < row["low"] < row["difference"] < row["high"]
    nobody = energy.difference(first, first & ~first).loc["left"]
    assert np.isnan(nobody[["two", "difference", "low", "high"]]).all() and nobody["images_two"] == 0


@pytest.mark.parametrize(
    ("maps", "regions", "message"),
    [
        (np.ones((3, 2, 4, 4)), halves(), "choose one class"),
        (np.ones((2, 4, 4)), halves(), "regions"),
        (np.full((3, 4, 4), np.nan), halves(), "maps"),
        (np.ones((3, 32, 32)), halves(), "at the size of the images"),
        (np.ones((3, 4, 4)), {}, "regions: give a mapping"),
        (np.ones((3, 4, 4)), halves()["left"], "regions: give a mapping"),
        (np.ones((3, 4, 4)), halves() | {"odd": np.ones((3, 8, 8), bool)}, "odd"),
        (np.ones((3, 4, 4)), {"left": 1}, "regions"),
    ],
)
def test_what_does_not_fit_is_refused(maps, regions, message):
    with pytest.raises(ValueError, match=message):
        map_energy(maps, regions)


def test_maps_of_a_run_that_cuts_belong_to_the_cut_images(tmp_path):
    data = cxr.load("phantom", 64, n=24, progress=False)
    cut = cxr.crop_to_lungs(data, 48)
    regions = cxr.anatomy(cut)
    assert regions["lungs"].shape == (24, 48, 48) and regions["lungs"].mean() > data.lungs.mean()
