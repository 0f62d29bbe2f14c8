"""cxr.lungs: known answers on phantoms, empty masks and a count where there are no lungs, the command, the training."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageDraw

import cxrlib as cxr
from coursekit.lung_folder import write_lungs
from cxrlib._lungs import WEIGHTS
from cxrlib.cli import main
from cxrlib.phantom import make_phantoms

KINDS = ("normal", "bacterial", "viral", "covid-19", "tuberculosis")
ROOT = Path(__file__).resolve().parents[1]


def dice(a, b):
    return 2 * (a & b).sum((1, 2)) / (a.sum((1, 2)) + b.sum((1, 2)))


@pytest.fixture(scope="module", params=["child", "adult"])
def phantoms(request):
    return make_phantoms(30, 160, KINDS, seed=4711, age=request.param, progress=False)


@pytest.fixture(scope="module")
def adults():
    return make_phantoms(8, 128, seed=5, age="adult", progress=False).images


def quiet(images, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cxr.lungs(images, **options)


def nothing(side=128):
    """Pictures without lungs, by name."""
    rng = np.random.default_rng(0)
    ramp = np.tile(np.linspace(0, 255, side), (side, 1))
    page = Image.new("L", (side, side), 255)
    for y in range(4, side, 10):
        ImageDraw.Draw(page).text((4, y), "The patient was seen on Monday and", fill=0)
    rings = 127 + 120 * np.sin(np.hypot(*np.mgrid[-side:side:2, -side:side:2]) / 6)
    pictures = {
        "noise": rng.integers(0, 256, (side, side)), "black": ramp * 0, "white": ramp * 0 + 255, "ramp": ramp,
        "ramp down": ramp.T, "page": np.asarray(page), "rings": rings,
        "board": 255 * ((np.indices((side, side)) // 16).sum(0) % 2),
        "soft noise": np.kron(rng.integers(0, 256, (8, 8)), np.ones((side // 8, side // 8))),
    }  # fmt: skip
    return {name: picture.astype(np.uint8) for name, picture in pictures.items()}


def test_new_phantoms_of_both_ages_are_segmented(phantoms):
    overlap = dice(quiet(phantoms.images), phantoms.lungs)
    assert overlap.mean() >= 0.95
    assert np.quantile(overlap, 0.1) >= 0.90


def test_masks_have_the_images_own_size_and_do_not_depend_on_the_form_of_the_images(adults):
    wide = np.asarray(torch.nn.functional.interpolate(torch.from_numpy(adults).float(), (200, 170)).round().byte())
    masks = cxr.lungs(wide)
    assert masks.shape == (8, 200, 170) and masks.dtype == bool and masks.any((1, 2)).all()
    for other in (
        wide[:, 0],
        torch.from_numpy(wide),
        wide / 255,
        (wide / 255).astype(np.float32),
        wide.astype(">f4") / 255,
    ):
        assert (cxr.lungs(other) == masks).mean() > 0.9999
    assert (cxr.lungs(wide[3:4])[0] == masks[3]).all()
    assert (cxr.lungs(wide[:, :, ::-1][:, :, ::-1]) == masks).all()  # a view with negative strides
    assert cxr.lungs(wide[:0]).shape == (0, 200, 170)


def test_a_mirrored_image_has_the_mirrored_mask(adults):
    assert (cxr.lungs(adults[..., ::-1].copy()) == cxr.lungs(adults)[..., ::-1]).mean() > 0.999


@pytest.mark.parametrize("name", nothing())
def test_where_there_are_no_lungs_the_mask_is_empty_and_it_is_said(name):
    with pytest.warns(UserWarning, match="No lungs were found in 1 of 1 images"):
        assert not cxr.lungs(nothing()[name][None]).any()


def test_the_warning_is_english_in_every_language():
    said = (
        "import warnings, numpy, cxrlib; warnings.simplefilter('error'); cxrlib.lungs(numpy.zeros((1, 64, 64), 'u1'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", said], env=os.environ | {"CXR_LANG": "ko"}, capture_output=True, text=True
    )
    assert "(no lungs seen: 1)" in done.stderr


def test_one_warning_counts_the_images_and_the_others_are_not_touched(adults):
    mixed = adults.copy()
    mixed[1], mixed[4] = 255, np.random.default_rng(1).integers(0, 256, mixed[4].shape)
    with pytest.warns(UserWarning, match="2 of 8 images") as told:
        masks = cxr.lungs(mixed)
    assert len(told) == 1
    assert np.flatnonzero(~masks.any((1, 2))).tolist() == [1, 4]
    assert (masks[[0, 2, 3]] == cxr.lungs(adults)[[0, 2, 3]]).all()


def test_a_single_lung_is_no_pair():
    drawn = make_phantoms(8, 128, seed=5, age="adult", progress=False)
    half = drawn.images.copy()
    half[..., 64:] = 200  # white-out of one side
    with pytest.warns(UserWarning, match="8 of 8 images"):
        assert not cxr.lungs(half).any()


def test_tiny_images_are_not_guessed_at_and_huge_ones_fit(adults):
    with pytest.warns(UserWarning, match="smaller than 32 px: 8"):
        assert not cxr.lungs(adults[..., ::5, ::5]).any()
    huge = adults[:2].repeat(20, 2).repeat(20, 3)
    small = cxr.lungs(adults[:2])
    assert dice(cxr.lungs(huge)[:, 10::20, 10::20], small).min() > 0.98


@pytest.mark.parametrize(
    "images, said",
    [
        (np.zeros((2, 64, 64), np.int32) + 1000, "uint8"),
        (np.full((2, 64, 64), np.nan), "NaN"),
        (np.zeros((2, 3, 64, 64), np.uint8), "shape"),
        (np.zeros((2, 64, 64), complex), "complex"),
        ([["a"]], "images"),
    ],
)
def test_other_kinds_of_arrays_are_refused(images, said):
    with pytest.raises(ValueError, match=said):
        cxr.lungs(images)


def test_a_mask_stays_out_of_black_borders(adults):
    framed = np.pad(adults, ((0, 0), (0, 0), (20, 40), (30, 30)))
    masks = cxr.lungs(framed)
    outside = np.pad(np.zeros(adults.shape[2:], bool), ((20, 40), (30, 30)), constant_values=True)
    assert masks.any((1, 2)).all()
    assert (masks & outside).sum() < 0.005 * masks.sum()


def test_a_data_set_keeps_its_own_masks_and_gets_those_it_lacks():
    data = cxr.load("phantom", 64, n=24, seed=3, progress=False)
    assert (data.with_lungs().lungs == data.lungs).all()
    bare = cxr.CxrDataset(data.images, data.labels, data.classes, data.patients)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = bare[5:17].with_lungs(progress=False)
    assert bare.lungs is None and len(found) == 12
    assert (found.lungs == quiet(bare[5:17])).all()
    assert dice(found.lungs, data[5:17].lungs).mean() > 0.9


@pytest.fixture
def folder(tmp_path, adults):
    here = tmp_path / "in"
    (here / "ward").mkdir(parents=True)
    Image.fromarray(adults[0, 0]).resize((300, 200)).save(here / "a.png")
    Image.fromarray(adults[1, 0]).save(here / "ward" / "b.jpeg", quality=95)
    Image.fromarray(nothing()["noise"]).save(here / "ward" / "c.png")
    Image.fromarray(adults[2, 0]).resize((20, 40)).save(here / "ward" / "thumbnail.png")
    (here / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    return here


def test_the_command_writes_masks_a_sheet_and_a_table(folder, tmp_path):
    done = CliRunner().invoke(main, ["lungs", str(folder), "--out", str(tmp_path / "out"), "--quiet"])
    assert done.exit_code == 0, done.output
    assert "lungs found in 2 of 5 files" in done.output
    for name in ("ward/c.png", "broken.png", "ward/thumbnail.png: smaller than 32 px"):
        assert name in done.output
    mask = np.asarray(Image.open(tmp_path / "out" / "masks" / "a.png"))
    assert mask.shape == (200, 300) and set(np.unique(mask)) == {0, 255}
    assert not np.asarray(Image.open(tmp_path / "out" / "masks" / "ward" / "c.png")).any()
    assert Image.open(tmp_path / "out" / "sheet-001.png").width > 500
    assert (tmp_path / "out" / "lungs.csv").read_text().count("\n") == 6


def test_the_masks_of_the_command_are_read_as_lungs_of_a_data_set(folder, tmp_path):
    for name in ("broken.png", "ward/c.png", "ward/thumbnail.png"):
        (folder / name).unlink()
    table = write_lungs(folder, tmp_path / "out", progress=False)
    assert table["file"].tolist() == ["a.png", "ward/b.jpeg"] and table["area"].between(0.1, 0.6).all()
    for kind, source in (("images", folder), ("masks", tmp_path / "out" / "masks")):
        for file in (p for p in source.rglob("*") if p.is_file()):
            target = tmp_path / "set" / kind / "normal" / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = cxr.load(f"folder:{tmp_path / 'set'}", 128, progress=False)
    assert data.lungs.any((1, 2)).all()


def test_folders_that_cannot_be_right_are_refused(folder, tmp_path):
    def said(*args):
        done = CliRunner().invoke(main, ["lungs", *map(str, args), "--quiet"])
        assert done.exit_code == 1, done.output
        return done.output

    assert "outside of" in said(folder, "--out", folder / "out")
    assert "not a folder" in said(tmp_path / "nowhere", "--out", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "holds no images" in said(tmp_path / "empty", "--out", tmp_path / "out")
    Image.open(folder / "a.png").save(folder / "a.jpeg")
    assert "share the mask a.png" in said(folder, "--out", tmp_path / "out")
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"PK\x03\x04 no weights")
    (folder / "a.jpeg").unlink()
    assert "no weights of `cxr train-lungs`" in said(folder, "--out", tmp_path / "out", "--weights", bad)


def test_only_zeros_and_ones_of_an_object_array_are_no_weights(tmp_path, adults):
    np.savez(tmp_path / "p.npz", a=np.array([{}], dtype=object))  # a pickle inside
    with pytest.raises(ValueError, match=r"p\.npz holds no weights"):
        cxr.lungs(adults, weights=tmp_path / "p.npz")


@pytest.mark.slow
def test_the_recorded_overlap_on_real_masks_is_reached(real_root):
    place, record = real_root.parent / "montgomery", ROOT / "results" / "lungs.json"
    if not place.is_dir() or not record.exists():
        pytest.skip("the Montgomery images, or the record, are not here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        real = cxr.load(f"folder:{place}", 256, progress=False)
    overlap = dice(quiet(real), real.lungs).mean()
    assert overlap == pytest.approx(json.loads(record.read_text())["runs"][0]["all"]["dice"]["mean"], abs=0.005)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1j, "a"])
def test_weights_that_are_no_finite_numbers_are_refused(tmp_path, adults, value):
    arrays = dict(np.load(WEIGHTS))
    name = next(iter(arrays))
    kind = np.asarray(value).dtype if isinstance(value, complex | str) else arrays[name].dtype
    np.savez(tmp_path / "w.npz", **arrays | {name: np.full(arrays[name].shape, value, kind)})
    with pytest.raises(ValueError, match=r"w\.npz holds no weights"):
        cxr.lungs(adults, weights=tmp_path / "w.npz")
