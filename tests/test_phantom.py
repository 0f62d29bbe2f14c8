"""The phantom: determinism, truth, class patterns, and the misbehavior the audits must find."""

import subprocess
import sys

import numpy as np
import pytest

from cxrlib.phantom import Confounder, anatomy, counterfactual, make_phantoms
from cxrlib.phantom.cohort import apportion, make_cohort, split_sizes

FIVE = ("normal", "bacterial", "viral", "covid-19", "tuberculosis")
QUIET = {"progress": False, "workers": 1}


@pytest.fixture(scope="module")
def two():
    """About a hundred images of the default set at full size."""
    return make_phantoms(120, seed=3, **QUIET)


@pytest.fixture(scope="module")
def five():
    """All patterns, small."""
    return make_phantoms(220, size=80, classes=FIVE, seed=1, **QUIET)


def test_shapes_and_types(two):
    assert two.images.shape == (120, 1, 224, 224) and two.images.dtype == np.uint8
    assert two.masks.shape == two.lungs.shape == (120, 224, 224)
    assert two.masks.dtype == two.lungs.dtype == bool
    assert two.labels.shape == (120,) and two.labels.dtype == np.int64
    assert two.classes == ("normal", "pneumonia")
    assert len(two.table) == len(two) == 120
    assert list(two.table["class"]) == [two.classes[k] for k in two.labels]
    assert two.table["file"].is_unique


@pytest.mark.parametrize("size", [32, 65, 100])
def test_any_size(size):
    p = make_phantoms(3, size=size, **QUIET)
    assert p.images.shape == (3, 1, size, size)
    assert p.images.std() > 20


@pytest.mark.parametrize("n", [1, 2, 9, 40])
def test_any_number(n):
    p = make_phantoms(n, size=32, **QUIET)
    assert len(p.images) == len(p.labels) == len(p.table) == n


def test_same_seed_gives_same_bytes_whatever_the_workers():
    one = make_phantoms(70, size=64, seed=5, progress=False, workers=1)
    two = make_phantoms(70, size=64, seed=5, progress=False, workers=2)
    for name in ("images", "labels", "masks", "lungs"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name
    assert one.table.equals(two.table)


def test_same_bytes_in_another_interpreter():
    code = (
        "from cxrlib.phantom import make_phantoms as m; import hashlib;"
        "print(hashlib.sha256(m(3, size=64, seed=9, progress=False).images.tobytes()).hexdigest())"
    )
    import hashlib

    here = hashlib.sha256(make_phantoms(3, size=64, seed=9, **QUIET).images.tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert there == here


def test_the_phantom_starts_without_torch():
    """A worker that is spawned, as on a Mac, would pay for it each time."""
    code = "import sys, cxrlib.phantom; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_seeds_differ():
    a, b = (make_phantoms(4, size=64, seed=s, **QUIET).images for s in (0, 1))
    assert all((x != y).mean() > 0.5 for x, y in zip(a, b, strict=True))


def test_a_patient_looks_the_same_in_a_larger_set():
    small, large = (make_phantoms(n, size=48, classes=("normal",), **QUIET) for n in (12, 24))
    shared = set(small.table["file"]) & set(large.table["file"])
    assert shared
    for name in shared:
        a, b = (p.images[p.table.index[p.table["file"] == name][0]] for p in (small, large))
        assert (a == b).all()


def test_statistics_are_those_of_real_images(two):
    x = two.images[two.table["split"] == "train"].astype(np.float32)
    mean, sd = x.mean((1, 2, 3)), x.std((1, 2, 3))
    assert 110 <= mean.mean() <= 135
    assert 52 <= sd.mean() <= 66
    assert 2.0 <= 100 * (x < 10).mean() <= 10.0


def test_lungs_are_darker_than_the_mediastinum_and_disease_brightens_them():
    # The order of brightness that a radiologist expects, and the sign of the difference that a classifier
    # must learn.
    p = make_phantoms(60, size=112, seed=2, shift=0, **QUIET)
    x = p.images[:, 0].astype(np.float32)
    middle = x[:, 50:70, 50:62].mean((1, 2))
    lung = np.array([a[m].mean() for a, m in zip(x, p.lungs, strict=True)])
    assert (lung < middle).mean() > 0.95
    ratio = lung / middle
    assert ratio[p.labels == 1].mean() > ratio[p.labels == 0].mean() + 0.05


def test_masks_lie_inside_the_lungs_and_normals_have_none(two, five):
    for p in (two, five):
        assert not (p.masks & ~p.lungs).any()
        normal = (p.table["subtype"] == "normal").to_numpy()
        assert not p.masks[normal].any()
        assert p.masks[~normal].any((1, 2)).mean() > 0.98
        share = p.lungs.mean((1, 2))
        assert (share > 0.08).all() and (share < 0.6).all()


def _parts(p, kind):
    """Share of each lesion of a kind in the left half of the picture, and in the lower half of the lungs."""
    masks, lungs = p.masks[p.table["subtype"] == kind], p.lungs[p.table["subtype"] == kind]
    half = masks.shape[2] // 2
    left, low = [], []
    for m, lung in zip(masks, lungs, strict=True):
        if m.any():
            rows = np.flatnonzero(lung.any(1))
            middle = (rows[0] + rows[-1]) // 2
            left.append(m[:, :half].sum() / m.sum())
            low.append(m[middle:].sum() / m.sum())
    return np.array(left), np.array(low)


def test_each_class_has_its_pattern(five):
    left, _ = _parts(five, "bacterial")
    assert (np.maximum(left, 1 - left) > 0.95).mean() > 0.9, "bacterial pneumonia is one-sided"
    assert 0.2 < (left > 0.5).mean() < 0.9, "on either side"
    left, _ = _parts(five, "viral")
    assert ((left > 0.15) & (left < 0.85)).mean() > 0.9, "viral pneumonia is bilateral"
    left, low = _parts(five, "covid-19")
    assert ((left > 0.1) & (left < 0.9)).mean() > 0.8, "COVID-19 is bilateral"
    assert (low > 0.5).mean() > 0.7, "COVID-19 is mostly in the lower zones"
    _, low = _parts(five, "tuberculosis")
    assert (low < 0.5).mean() > 0.65, "tuberculosis is mostly in the upper zones"


def test_pneumonia_is_a_mixture_two_to_one():
    p = make_cohort(3000, ("normal", "pneumonia"), 0)
    train = [r.subtype for r in p if r.split == "train"]
    assert 1.6 < train.count("bacterial") / train.count("viral") < 2.2
    assert {r.label for r in p if r.subtype != "normal"} == {"pneumonia"}


def test_lesions_follow_the_contrast_dial():
    off, on, more = (
        make_phantoms(6, size=64, classes=("bacterial",), lesion_contrast=c, bedside=0, **QUIET) for c in (0, 1, 2)
    )
    assert (off.masks == on.masks).all() and off.masks.any()
    diff = on.images.astype(int) - off.images
    inside = diff[:, 0][on.masks].mean()
    assert inside > 5  # a consolidation is brighter than the lung it replaces
    assert abs(diff[:, 0][~on.masks].mean()) < inside
    assert (more.images != on.images).any()


def test_counterfactual_pairs_differ_only_in_the_marker_box():
    on, off = counterfactual(12, size=112, seed=4, **QUIET)
    assert on.table["marker"].all() and not off.table["marker"].any()
    assert (off.table[["marker_x0", "marker_y0", "marker_x1", "marker_y1"]] == -1).all(axis=None)
    for a, b, row in zip(on.images[:, 0], off.images[:, 0], on.table.itertuples(), strict=True):
        assert 0 <= row.marker_x0 < row.marker_x1 <= 112 and 0 <= row.marker_y0 < row.marker_y1 <= 112
        box = np.zeros(a.shape, bool)
        box[row.marker_y0 : row.marker_y1, row.marker_x0 : row.marker_x1] = True
        assert (a == b)[~box].all()
        assert (a != b)[box].mean() > 0.1
        assert a[box].max() > b[box].mean() + 20 or a[box].max() > 180
    assert (on.masks == off.masks).all() and (on.labels == off.labels).all()


def test_marker_side():
    on, _ = counterfactual(30, size=64, **QUIET)
    right = (on.table["marker_text"] == "R").to_numpy()
    assert (on.table["marker_x1"][right] < 32).all() and (on.table["marker_x0"][~right] > 32).all()


def test_confounder_marker_goes_with_the_class():
    p = make_phantoms(60, size=32, confounder={"marker": {"normal": 0.0, "pneumonia": 1.0}}, **QUIET)
    assert (p.table["marker"].to_numpy() == (p.labels == 1)).all()
    some = make_phantoms(100, size=32, confounder=Confounder(marker=0.5), **QUIET)
    assert 0.35 < some.table["marker"].mean() < 0.65


def test_confounder_gamma_and_blur_change_one_class_only():
    plain = make_phantoms(30, size=64, **QUIET)
    dark = make_phantoms(30, size=64, confounder={"gamma": {"pneumonia": 1.5}}, **QUIET)
    soft = make_phantoms(30, size=64, confounder=Confounder(blur={"pneumonia": 4.0}), **QUIET)
    sick = plain.labels == 1
    for p in (dark, soft):
        assert (p.images[~sick] == plain.images[~sick]).all()
    assert dark.images[sick].mean() < plain.images[sick].mean() - 3

    def edges(x):
        return np.abs(np.diff(x.astype(float), axis=-1)).mean()

    assert edges(soft.images[sick]) < 0.95 * edges(plain.images[sick])


def test_splits_and_imbalance_of_the_kaggle_set():
    assert split_sizes(5856) == (5216, 16, 624)
    p = make_cohort(5856, ("normal", "pneumonia"), 0)
    for split, normal, ill in (("train", 1341, 3875), ("test", 234, 390)):
        labels = [r.label for r in p if r.split == split]
        assert abs(labels.count("normal") - normal) <= 2 and abs(labels.count("pneumonia") - ill) <= 2
    assert [r.label for r in p if r.split == "val"].count("normal") == 8


def test_no_patient_crosses_a_split_but_bare_numbers_do():
    p = make_cohort(3000, ("normal", "pneumonia"), 0)
    where = {}
    for r in p:
        where.setdefault((r.subtype, r.number), set()).add(r.split)
    assert all(len(s) == 1 for s in where.values())
    bare = {}
    for r in p:
        bare.setdefault(r.number, set()).add(r.split)
    assert any({"train", "test"} <= s for s in bare.values())
    sizes = {}
    for r in p:
        sizes[(r.subtype, r.number)] = sizes.get((r.subtype, r.number), 0) + 1
    assert sum(v > 1 for v in sizes.values()) > 100  # a random cut of train leaks


def test_copies_lie_in_train_and_carry_one_label():
    p = make_phantoms(100, size=48, label_noise=0.3, **QUIET)
    t = p.table
    again = t[t["digest"].duplicated(keep=False)]
    assert len(again) >= 2
    assert set(again["split"]) == {"train"}
    for _, group in again.groupby("digest"):
        assert len(group) > 1 and group["class"].nunique() == 1 and group["file"].is_unique
        first, second = group.index[:2]
        assert (p.images[first] == p.images[second]).all()


def test_the_test_block_was_exposed_differently():
    options = {"size": 64, "classes": ("normal",), "seed": 8, **QUIET}
    p, even = make_phantoms(120, **options), make_phantoms(120, shift=0, **options)
    test = (p.table["split"] == "test").to_numpy()
    assert (p.images[~test] == even.images[~test]).all()
    assert p.images[test].mean() > even.images[test].mean() + 5
    assert (p.images[test] < 10).mean() < 0.6 * (p.images[~test] < 10).mean()


def test_label_noise():
    p = make_phantoms(150, size=32, label_noise=0.2, seed=1, **QUIET)
    assert 0.10 < p.table["label_wrong"].mean() < 0.30
    truth = (p.table["subtype"] != "normal").astype(int).to_numpy()
    assert ((p.labels != truth) == p.table["label_wrong"].to_numpy()).all()
    clean = make_phantoms(150, size=32, seed=1, **QUIET)
    assert (clean.images == p.images).all() and not clean.table["label_wrong"].any()


def test_adults_are_not_children():
    a, c = (make_phantoms(8, size=64, age=age, **QUIET) for age in ("adult", "child"))
    assert (a.images != c.images).any()
    assert set(a.table["age"]) == {"adult"}


def test_shares():
    assert apportion(10, [1, 1]) == [5, 5]
    assert apportion(3, [1000, 1, 1]) == [1, 1, 1]
    assert sum(apportion(7, [3, 2, 9])) == 7
    assert apportion(1, [1, 3]) == [0, 1]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("n", {"n": 0}),
        ("n", {"n": 2.5}),
        ("size", {"size": 16}),
        ("size", {"size": "224"}),
        ("seed", {"seed": -1}),
        ("classes", {"classes": ("normal", "flu")}),
        ("classes", {"classes": ()}),
        ("classes", {"classes": "normal"}),
        ("classes", {"classes": ("normal", "normal")}),
        ("classes: give a sequence.*got 7", {"classes": 7}),  # as in make_phantoms(2400, 96, 7): the seed is the fourth
        ("classes", {"classes": {"normal", "pneumonia"}}),
        ("classes", {"classes": ("normal", 1)}),
        ("classes", {"classes": None}),
        ("n: give a whole number", {"n": True}),
        ("n", {"n": "2"}),
        ("seed", {"seed": 1.5}),
        ("seed", {"seed": None}),
        ("label_noise", {"label_noise": None}),
        ("label_noise.*second class", {"label_noise": 0.1, "classes": ("normal",)}),
        ("workers", {"workers": 1.5}),
        ("classes: .*leave out it or bacterial", {"classes": ("normal", "pneumonia", "bacterial")}),
        ("confounder", {"confounder": 7}),
        ("confounder marker", {"confounder": {"marker": "often"}}),
        ("confounder blur", {"confounder": Confounder(blur={"normal": float("nan")})}),
        ("label_noise", {"label_noise": 1.2}),
        ("lesion_contrast", {"lesion_contrast": -1}),
        ("lesion_contrast", {"lesion_contrast": float("nan")}),
        ("age", {"age": "dog"}),
        ("shift", {"shift": "much"}),
        ("bedside", {"bedside": -0.1}),
        ("workers", {"workers": 0}),
        ("confounder marker", {"confounder": {"marker": {"normal": 1.5}}}),
        ("confounder marker", {"confounder": {"marker": {"flu": 0.5}}}),
        ("confounder", {"confounder": {"color": {"normal": 0.5}}}),
        ("confounder gamma", {"confounder": {"gamma": {"normal": -1}}}),
        ("confounder", {"confounder": "marker"}),
    ],
)
def test_bad_input_names_the_argument(name, options):
    for made in (make_phantoms, counterfactual):
        with pytest.raises(ValueError, match=name):
            made(**({"n": 2, "size": 32, **QUIET} | options))


def test_an_unknown_option_is_named():
    for option in ({"contrast": 1}, {"force_marker": True}):
        with pytest.raises(TypeError, match=next(iter(option))):
            counterfactual(2, 32, **option)


@pytest.mark.parametrize(("age", "ratio", "spread"), [("adult", 0.39, 0.04), ("child", 0.48, 0.05)])
def test_heart_and_domes_have_the_proportions_of_people(age, ratio, spread):
    upright = anatomy.Pose(0, 0, 1, 0, 0, 0, 1, "up", 0)
    ratios, right_higher = [], []
    for seed in range(100):
        build = anatomy.sample_build(np.random.default_rng(seed), age)
        chest = anatomy.Chest(build, upright, 64)
        rows = (chest.t[:, 0] > 0.5) & (chest.t[:, 0] < 0.98)
        border = (chest.side - chest.medial)[rows]  # distance of the heart's border from the midline
        chest_width = 2 * chest.wall[chest.y[:, 0] < 0.55].max()
        ratios.append((border[:, :32].max() + border[:, 32:].max()) / chest_width)
        right_higher.append(build.dome_left > 0)
    assert abs(np.mean(ratios) - ratio) < 0.02
    assert abs(np.std(ratios) - spread) < 0.02
    assert np.mean(right_higher) > 0.9


def test_more_images_than_any_machine_holds_are_refused():
    with pytest.raises(ValueError, match="n: 1000000000 images of 224 x 224 pixels are too many"):
        make_phantoms(10**9, **QUIET)
