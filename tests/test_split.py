"""split: disjoint, stratified, deterministic."""

import warnings

import numpy as np
import pandas as pd
import pytest

from cxrlib.data import CxrDataset, load, split


def make(patients=200, shares=(0.3, 0.7), official=None, seed=0, most=4):
    """A data set of patients with 1 to `most` images, one class a patient."""
    rng = np.random.default_rng(seed)
    images = rng.integers(1, most + 1, patients)
    label = rng.choice(len(shares), patients, p=shares)
    label[: len(shares)] = range(len(shares))
    who = np.repeat(np.arange(patients), images)
    n = len(who)
    table = None
    if official is not None:
        per_patient = np.array(official, dtype=object)[rng.integers(0, len(official), patients)]
        table = pd.DataFrame({"split": per_patient[who]})
    return CxrDataset(
        np.zeros((n, 1, 8, 8), np.uint8), label[who], tuple("abcdef"[: len(shares)]), [f"p{w}" for w in who], table
    )


def rows(parts):
    return [set(p.rows.tolist()) for p in parts]


def patients(parts):
    return [set(p.patients.tolist()) for p in parts]


def disjoint(sets):
    return sum(map(len, sets)) == len(set().union(*sets))


@pytest.mark.parametrize("val, test", [(0.1, None), (0.2, 0.2), (0.15, 0.35), (0.02, 0.05), (0.5, 0.25), (1 / 3, 0)])
@pytest.mark.parametrize("by", ["patient", "image"])
def test_parts_are_disjoint_complete_and_stratified(val, test, by):
    d = make(600)
    parts = split(d, val, test, by=by)
    assert disjoint(rows(parts)) and sum(map(len, parts)) == len(d)
    expected = [1 - val - (0.2 if test is None else test), val, 0.2 if test is None else test]
    for part, share in zip(parts, expected, strict=True):
        assert len(part) / len(d) == pytest.approx(share, abs=0.02)
        if share:
            assert part.labels.mean() == pytest.approx(d.labels.mean(), abs=0.05)
    assert disjoint(patients(parts)) == (by == "patient" or False)


def test_seed():
    d = make()
    a, b, c = (split(d, 0.2, 0.2, seed=s) for s in (0, 0, 1))
    assert rows(a) == rows(b) != rows(c)


def test_the_same_cut_with_every_version_of_the_libraries():
    _, val, test = split(make(30), 0.2, 0.2, seed=5)
    assert val.rows[:8].tolist() == [25, 26, 27, 28, 35, 36, 37, 38]
    assert test.rows[:8].tolist() == [10, 11, 39, 40, 41, 55, 56, 57]


def test_every_patient_has_the_same_chance_whatever_its_number_of_images():
    """Patients of 30, 20, 15, 12 and 10 images among 100 small ones: each in validation about one time in ten."""
    sizes = np.array([30, 20, 15, 12, 10, *np.random.default_rng(3).integers(1, 4, 100)])
    who, n = np.repeat(np.arange(len(sizes)), sizes), sizes.sum()
    d = CxrDataset(np.zeros((n, 1, 8, 8), np.uint8), who % 2, ("a", "b"), [f"p{w}" for w in who])
    times, images, positive = np.zeros(len(sizes)), [], []
    for seed in range(200):
        _, val, _ = split(d, 0.1, 0, seed=seed)
        times += np.isin(np.arange(len(sizes)), [int(p[1:]) for p in val.patients])
        images.append(len(val))
        positive.append(val.labels.mean())
    assert (times[:5] >= 8).all() and (times[:5] <= 34).all(), times[:5]  # 20 expected, SD 4.2
    assert times.mean() == pytest.approx(20, abs=3) and (times > 3).all()
    assert np.mean(images) == pytest.approx(n / 10, rel=0.1) and np.mean(positive) == pytest.approx(
        d.labels.mean(), abs=0.05
    )
    both = sum({"p0", "p2"} <= set(split(d, 0.4, 0, seed=s)[1].patients) for s in range(100))
    assert both > 0, "the two largest patients of a class are never together"


def test_unknown_patients_are_told():
    d = make(40)
    d = CxrDataset(d.images, d.labels, d.classes, d.patients, pd.DataFrame({"patient_known": d.labels == 1}))
    with pytest.warns(UserWarning, match=f"patient of {(d.labels == 0).sum()} of {len(d)} images is not known"):
        split(d)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split(d, by="image")


def test_a_class_inside_patients_of_another_is_on_both_sides():
    """Each patient has two images of class a and one of class b."""
    d = CxrDataset(np.zeros((30, 1, 8, 8), np.uint8), [0, 0, 1] * 10, ("a", "b"), np.repeat(range(10), 3))
    for part in split(d, 0.2, 0.2):
        assert set(part.labels) == {0, 1} and len(part) % 3 == 0


@pytest.mark.parametrize("by", ["patient", "image"])
def test_without_stratification(by):
    d = make()
    parts = split(d, 0.2, 0.2, by=by, stratify=False)
    assert disjoint(rows(parts)) and sum(map(len, parts)) == len(d)
    assert disjoint(patients(parts)) == (by == "patient")
    assert rows(parts) == rows(split(d, 0.2, 0.2, by=by, stratify=False))


def test_official_test_split_stays():
    d = make(official=("train", "train", "val", "test"))
    train, val, test = split(d, 0.2)
    official = d.table["split"].to_numpy()
    assert rows([test]) == [set(np.flatnonzero(official == "test"))]
    assert rows([train])[0] | rows([val])[0] == set(np.flatnonzero(official != "test"))  # the val folder joins
    assert len(val) / (len(train) + len(val)) == pytest.approx(0.2, abs=0.02)
    pooled = split(d, 0.1, test=0.2)
    assert set(pooled[0].table["split"]) == {"train", "val", "test"}


def test_patients_of_the_official_test_split_leave_the_training_images():
    d = make(official=("train", "test"))
    table = d.table.copy()
    who = d.patients[table["split"] == "test"][0]
    extra = np.flatnonzero(table["split"] == "train")[:3]
    mixed = d.patients.copy()
    mixed[extra] = who
    d = CxrDataset(d.images, d.labels, d.classes, mixed, table)
    with pytest.warns(UserWarning, match="1 patients.*3 images"):
        parts = split(d)
    assert disjoint(patients(parts)) and not rows(parts)[0] & set(extra.tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum(map(len, split(d, by="image"))) == len(d)


def test_protocols():
    d = make(400, official=("train", "train", "train", "val", "test"))
    official = d.table["split"].to_numpy()
    sizes = {name: (official == name).sum() for name in ("train", "val", "test")}
    for name, pool, val in (
        ("val10", ["train"], 0.1),
        ("train82", ["train"], 0.2),
        ("merged82", ["train", "val"], 0.2),
    ):
        parts = split(d, protocol=name)
        assert set(parts[2].table["split"]) == {"test"} and len(parts[2]) == sizes["test"]
        assert set(parts[0].table["split"]) | set(parts[1].table["split"]) == set(pool)
        total = sum(sizes[p] for p in pool)
        assert len(parts[0]) + len(parts[1]) == total and len(parts[1]) / total == pytest.approx(val, abs=0.02)
        assert disjoint(patients(parts))
    parts = split(d, protocol="pooled")
    assert [len(p) / len(d) for p in parts] == pytest.approx([0.7, 0.1, 0.2], abs=0.02)


def test_protocol_without_official_splits():
    with pytest.raises(ValueError, match="train82.*lacks test, train.*or the protocol 'pooled'"):
        split(make(), protocol="train82")
    with pytest.raises(ValueError, match="it lacks val"):
        split(make(official=("train", "test")), protocol="merged82")


@pytest.mark.parametrize(
    "options, words",
    [
        ({"val": 1.0}, "val, a fraction: give a number"),
        ({"val": -0.1}, "val, a fraction: give a number"),
        ({"val": 10}, "val, a fraction: give a number"),
        ({"val": "0.1"}, "val, a fraction: give a number"),
        ({"val": float("nan")}, "val, a fraction: give a number"),
        ({"test": 1.5}, "test, a fraction: give a number"),
        ({"val": 0.6, "test": 0.4}, "less than 1"),
        ({"by": "images"}, "by: give one of patient, image, picture, got 'images'"),
        ({"protocol": "80:20"}, "val10, train82, merged82, pooled"),
    ],
)
def test_wrong_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        split(make(), **options)


def test_few_patients():
    small = make(12, (0.5, 0.5), most=1)
    for seed in range(5):
        for part in split(small, 0.2, 0.2, seed=seed):
            assert set(part.labels) == {0, 1}
    rare = make(100, (0.0, 1.0))  # one patient of class a
    with pytest.raises(ValueError, match="Class 'a' has 1 patient, too few"):
        split(rare)
    assert sum(map(len, split(rare, stratify=False))) == len(rare)
    one = make(2, (0.5, 0.5))
    with pytest.raises(ValueError, match="too few"):
        split(one)
    with pytest.raises(ValueError, match="at least 2 patients are needed"):
        split(one[one.labels == 0], stratify=False)


def test_a_rare_class_is_in_every_part():
    rng = np.random.default_rng(0)
    labels = np.zeros(300, int)
    labels[rng.choice(300, 5, replace=False)] = 1
    d = CxrDataset(np.zeros((300, 1, 8, 8), np.uint8), labels, ("common", "rare"), [str(i) for i in range(300)])
    for by in ("patient", "image"):
        for seed in range(8):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                parts = split(d, 0.1, 0.1, by=by, seed=seed)
            assert all(1 in p.labels for p in parts)
            assert [len(p) for p in parts] == pytest.approx([240, 30, 30], abs=4)


def test_only_a_test_split():
    with pytest.raises(ValueError, match="only a test split"):
        split(make(official=("test",)))


def test_real_images(real_root):
    d = load(f"folder:{real_root}", 64, progress=False)
    train, val, test = split(d, 0.1)
    assert len(test) == 624 and len(train) + len(val) == 5216 and disjoint(patients([train, val, test]))
    assert val.labels.mean() == pytest.approx(train.labels.mean(), abs=0.005)
    leak = split(d, 0.1, by="image")
    assert len(set(leak[0].patients) & set(leak[1].patients)) > 100
