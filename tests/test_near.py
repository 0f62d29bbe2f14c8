"""near_duplicates: the same picture is found, others are not; audit and split make use of it."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrlib.data import CxrDataset, audit, load, near_duplicates, split

SIZE = 96


def saved(a):
    file = io.BytesIO()
    Image.fromarray(a).save(file, "JPEG", quality=30)
    return np.array(Image.open(file))


def resized(a, side):
    return np.array(Image.fromarray(a).resize((side, side)).resize(a.shape))


CHANGES = {
    "saved again": saved,
    "made smaller": lambda a: resized(a, 40),
    "cropped": lambda a: np.array(Image.fromarray(a[3:, : SIZE - 2]).resize((SIZE, SIZE))),
    "mirrored": lambda a: np.ascontiguousarray(a[:, ::-1]),
    "darker, less contrast": lambda a: (a * 0.6 + 10).astype(np.uint8),
    "all of it": lambda a: saved(
        (np.array(Image.fromarray(a[2:, 3:]).resize(a.shape))[:, ::-1] * 0.7).astype(np.uint8)
    ),
}


@pytest.fixture(scope="module")
def pictures():
    """One phantom per patient: (N, 96, 96)."""
    data = load("phantom", SIZE, n=90, progress=False)
    return data.images[np.unique(data.patients, return_index=True)[1]][:40, 0]


def dataset(images, patients=None, labels=None, **columns):
    images = np.asarray(images, dtype=np.uint8)[:, None]
    n = len(images)
    patients = [f"p{i}" for i in range(n)] if patients is None else patients
    labels = np.arange(n) % 2 if labels is None else labels
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(n)], **columns})
    return CxrDataset(images, labels, ("normal", "pneumonia"), patients, table, name="made")


def pairs(data, *other):
    found = near_duplicates(data, *other, progress=False)
    return set(zip(found["first"], found["second"], strict=True))


def test_different_patients_are_not_the_same(pictures):
    assert len(near_duplicates(dataset(pictures), progress=False)) == 0


@pytest.mark.parametrize("change", CHANGES)
def test_each_kind_of_copy_is_found_and_nothing_else(pictures, change):
    n = len(pictures)
    data = dataset([*pictures, *(CHANGES[change](a) for a in pictures)])
    assert pairs(data) == {(i, i + n) for i in range(n)}
    found = near_duplicates(data)
    assert (
        found["mirrored"].eq(change in ("mirrored", "all of it")).all() and found["likeness"].between(0.9, 1.001).all()
    )


@pytest.mark.parametrize("size", [16, 33, 300])
def test_images_of_any_size_are_compared(pictures, size):
    data = dataset(
        [*(np.array(Image.fromarray(a).resize((size, size))) for a in (*pictures[:9], pictures[3][:, ::-1]))]
    )
    assert pairs(data) == {(3, 9)}


def test_the_order_and_the_direction_do_not_matter(pictures):
    copies = [CHANGES[name](a) for name, a in zip(CHANGES, pictures[::5], strict=False)]
    images = np.array([*pictures, *copies])
    order = np.random.default_rng(0).permutation(len(images))
    plain, mixed = pairs(dataset(images)), pairs(dataset(images[order]))
    assert {tuple(sorted((order[a], order[b]))) for a, b in mixed} == plain and len(plain) == len(copies)
    one, two = dataset(pictures), dataset(copies)
    assert {(b, a) for a, b in pairs(two, one)} == pairs(one, two) == {(5 * k, k) for k in range(len(copies))}


@pytest.mark.parametrize("count", [1, 2, 3, 12, 13, 40])
def test_many_copies_of_one_image_make_one_group_and_few_pairs(pictures, count):
    rng = np.random.default_rng(0)
    noisy = [np.clip(pictures[0] + rng.normal(0, 2, (SIZE, SIZE)), 0, 255) for _ in range(count)]
    for images in (noisy, [pictures[0]] * count):
        found = near_duplicates(dataset(images), progress=False)
        assert len(found) <= 12 * count and (found["first"] < found["second"]).all()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parts = split(dataset([*images, *pictures[1:]], labels=[0] * (count + 39)), 0.3, 0.3, by="picture")
        assert sum((part.table["file"].isin([f"{i}.png" for i in range(count)])).any() for part in parts) == 1


def test_images_without_a_picture_are_like_nothing(pictures):
    even = [np.full((SIZE, SIZE), level) for level in (0, 0, 90, 255)]
    assert pairs(dataset([*even, *pictures[:3]])) == set()
    none, one = dataset(pictures[:0]), dataset(pictures[:1])
    assert pairs(none) == pairs(one) == pairs(none, none) == pairs(none, one) == pairs(one, none) == set()
    tiny = dataset(np.random.default_rng(0).integers(0, 255, (5, 1, 1)))
    assert pairs(tiny) == set()


def test_noise_is_not_the_same_picture():
    assert pairs(dataset(np.random.default_rng(0).integers(0, 256, (60, 32, 32)))) == set()


def test_what_is_no_data_set_is_refused(pictures):
    for arguments in ((pictures,), (dataset(pictures[:2]), "phantom")):
        with pytest.raises(ValueError, match="give a CxrDataset, as load makes it, got (ndarray|str)"):
            near_duplicates(*arguments)


@pytest.mark.parametrize("least", [-1, 2, "high", float("nan")])
def test_a_wrong_likeness_is_refused(pictures, least):
    with pytest.raises(ValueError, match="least: give a number from 0 to 1"):
        near_duplicates(dataset(pictures[:2]), least=least)


def test_audit_names_near_duplicates_once(pictures):
    images = [*pictures, saved(pictures[0]), pictures[1], pictures[2][:, ::-1]]
    n = len(images)
    digests = [f"d{i}" for i in range(n)]
    digests[41] = digests[1]  # the same bytes: told elsewhere
    where = ["train"] * 40 + ["test"] * 3
    found = audit(dataset(images, digest=digests, split=where, labels=[0] * 42 + [1]), progress=False)
    assert found.near_duplicates["names"].tolist() == ["2.png, 42.png", "0.png, 40.png"]
    assert found.duplicates["names"].tolist() == ["1.png, 41.png"]
    told = [text for text in found.findings if "near-duplicates" in text]
    assert len(told) == 1 and "2 groups of near-duplicates (4 files)" in told[0] and '(by="picture")' in told[0]
    assert "2 under two patients' names, 2 across splits, 1 across classes" in told[0] and "2.png, 42.png" in told[0]
    assert "Near-duplicates" in str(found) and len(found.to_dict()["near_duplicates"]) == 2
    assert not [text for text in audit(dataset(pictures)).findings if "near-dup" in text]


def test_audit_against_another_data_set(pictures):
    own = dataset(pictures[:20])
    other = dataset([*(saved(a) for a in pictures[10:20]), *pictures[30:]], labels=[1] * 20)
    found = audit(own, against=other, progress=False)
    assert found.shared["file"].tolist() == [f"{i}.png" for i in range(10, 20)]
    assert found.shared["file_there"].tolist() == [f"{i}.png" for i in range(10)]
    text = " ".join(found.findings)
    assert "10 images of 20 are also in made: normal 5 of 10 (5 pneumonia there); pneumonia 5 of 10" in text
    assert "No image was found in made." in audit(own, dataset(pictures[30:])).findings
    assert len(audit(own).shared) == 0
    with pytest.raises(ValueError, match="against: give a CxrDataset"):
        audit(own, against="phantom")


def test_split_by_picture_joins_patients_and_says_so(pictures):
    images = [*pictures, *(saved(a) for a in pictures[:12])]
    data = dataset(images, labels=[*np.arange(40) % 2, *np.arange(12) % 2])
    with pytest.warns(UserWarning, match="12 patients stand for 24 who share a picture"):
        parts = split(data, 0.25, 0.25, by="picture")
    place = {name: k for k, part in enumerate(parts) for name in part.table["file"]}
    assert all(place[f"{i}.png"] == place[f"{i + 40}.png"] for i in range(12)) and len(place) == 52
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apart = split(data, 0.25, 0.25)
        clean = split(dataset(pictures), 0.25, 0.25, by="picture")
    place = {name: k for k, part in enumerate(apart) for name in part.table["file"]}
    assert any(place[f"{i}.png"] != place[f"{i + 40}.png"] for i in range(12))
    assert [part.rows.tolist() for part in clean] == [
        part.rows.tolist() for part in split(dataset(pictures), 0.25, 0.25)
    ]


def test_near_duplicates_of_the_official_test_images_are_left_out(pictures):
    data = dataset([*pictures, saved(pictures[0])], split=["test"] * 10 + ["train"] * 31)
    with pytest.warns(UserWarning, match="stands for 2"), pytest.warns(UserWarning, match="images outside it"):
        train, val, test = split(data, 0.2, by="picture")
    assert len(test) == 10 and "40.png" not in {*train.table["file"], *val.table["file"]}
