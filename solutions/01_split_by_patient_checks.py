"""Checks of exercise 01: split by patient, leaks, copies and exposure."""

import numpy as np

from coursekit.grade.checks import array, check, close, describe, number


def pair(value, what):
    """The two entries of a returned tuple, list or array."""
    many = isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0)
    assert many and len(value) == 2, f"two values were asked for, {what}; got {describe(value)}"
    return value[0], value[1]


def rows(value, n, what):
    """Row numbers below n as an int array; each row once."""
    shape = value.shape if isinstance(value, np.ndarray) else ()
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], np.ndarray):
        shape = (1, *value[0].shape)
    assert len(shape) != 2 or 1 not in shape, (
        f"{what} is a tuple with an array in it: np.where(mask) gives that; take np.flatnonzero(mask)"
    )
    text = (
        isinstance(value, np.ndarray)
        and value.dtype.kind == "U"
        or isinstance(value, list)
        and any(isinstance(v, str) for v in value)
    )
    assert not text, f"{what} holds keys of patients; asked are row numbers, from 0 to N - 1"
    found = array(value, (None,), what)
    mask = value.dtype == bool if isinstance(value, np.ndarray) else any(isinstance(v, bool) for v in value)
    assert not mask, f"{what} is a mask of True and False; turn it into row numbers with np.flatnonzero"
    assert np.array_equal(found, np.round(found)), f"{what} should hold whole row numbers"
    assert ((found >= 0) & (found < n)).all(), f"{what} holds a row number that is not one of the {n} rows"
    found = found.astype(int)
    assert len(np.unique(found)) == len(found), f"{what} holds the same row more than once"
    return found


def parts(value, n):
    train, val = pair(value, "train and val")
    return rows(train, n, "the training part"), rows(val, n, "the validation part")


# Task 1


@check("lazy_accuracy", points=1)
def commonest_class_of_training(student, rng):
    """The answer comes from the training images, the accuracy from the test images."""
    common, other = rng.permutation(3)[:2]
    a, b, c = (int(rng.integers(*between)) for between in ((50, 70), (20, 35), (5, 15)))
    x, y, z = (int(rng.integers(*between)) for between in ((12, 28), (50, 90), (9, 11)))
    train = rng.permutation(np.repeat([common, other, 3], [a, b, c]))
    test = rng.permutation(np.repeat([common, other, 3], [x, y, z]))
    n = x + y + z
    close(
        student.lazy_accuracy(train, test),
        x / n,
        "the accuracy",
        {
            "it is that of the most common class of the test images; the model only knows the training images": y / n,
            "it was measured on the training images, not on the test images": a / (a + b + c),
            "it is the fraction of the mistakes (1 minus the accuracy)": 1 - x / n,
            "the images were counted; divide by the number of test images": x,
            "it is a percentage; give a fraction from 0 to 1": 100 * x / n,
            "it is the number of the class; asked is the accuracy": common,
        },
    )


@check("lazy_accuracy", points=1)
def class_missing_in_the_test(student, rng):
    """Also right if the test has no image of that class, and for equally common classes."""
    test = rng.integers(0, 2, 40)
    got = number(student.lazy_accuracy(rng.permutation(np.repeat([0, 1, 2], [5, 6, 20])), test), "the accuracy")
    assert got == 0, f"no test image has the most common training class, so the accuracy must be 0; got {got:.4g}"
    for _ in range(2):
        low, high = np.sort(rng.permutation(6)[:2])
        a, b = int(rng.integers(20, 60)), int(rng.integers(5, 19))
        close(
            student.lazy_accuracy(
                np.repeat([high, low, 7], [10, 10, 4]), rng.permutation(np.repeat([high, low], [b, a]))
            ),
            a / (a + b),
            "the accuracy",
            {"two classes are equally common in training: take the one with the lower number": b / (a + b)},
        )


# Task 2


@check("leaked_patients", points=2)
def counts_patients_and_test_images(student, rng):
    """The number of leaked patients and their fraction of the test images."""
    names = np.array([f"person{i}" for i in rng.permutation(500)])
    leaked, in_train, in_test = (int(rng.integers(*between)) for between in ((6, 14), (17, 30), (8, 15)))
    both, others = names[:leaked], names[leaked : leaked + in_train]
    new = names[leaked + in_train : leaked + in_train + in_test]
    train = rng.permutation(np.concatenate([np.repeat(both, 3), np.repeat(others, 2)]))
    test = rng.permutation(np.concatenate([np.repeat(both, 5), np.repeat(new, 2)]))
    everybody, n = leaked + in_train + in_test, len(test)
    count, fraction = pair(student.leaked_patients(train, test), "a number of patients and a fraction")
    close(
        count,
        leaked,
        "the number of leaked patients",
        {
            "it counts test images; one patient has several": 5 * leaked,
            "it counts training images; one patient has several": 3 * leaked,
            "it counts images of both parts; one patient has several": 8 * leaked,
            "it counts pairs of images; count each patient once": 15 * leaked,
            "it is the fraction; the number of patients comes first, then the fraction": 5 * leaked / n,
            "it counts all patients, also those who are in one part only": everybody,
        },
    )
    close(
        fraction,
        5 * leaked / n,
        "the fraction of the test images",
        {
            "it is the fraction of the training images": 3 * leaked / len(train),
            "it is the fraction of the test's patients, not of its images": leaked / (leaked + in_test),
            "it is the fraction of all patients": leaked / everybody,
            "it is the fraction of all images": 8 * leaked / (n + len(train)),
            "the number of leaked patients was divided by the number of test images; count images, not patients": leaked
            / n,
            "it is the fraction of the images that are not leaked": 1 - 5 * leaked / n,
            "it is a percentage; give a fraction from 0 to 1": 500 * leaked / n,
        },
    )


@check("leaked_patients", points=1)
def no_leak_and_all_leaked(student, rng):
    """Parts without a common patient give 0 and 0; number keys work, too."""
    for case in rng.permutation(4):
        keys, n = rng.permutation(1000), int(rng.integers(50, 300))
        if case == 0:
            count, fraction = pair(
                student.leaked_patients(keys[:n].repeat(2), keys[n : n + 70]), "a number and a fraction"
            )
            assert number(count) == 0, (
                f"the two parts have no patient in common; got {number(count):.4g} leaked patients"
            )
            assert number(fraction) == 0, (
                f"the two parts have no patient in common; got the fraction {number(fraction):.4g}"
            )
        else:
            most = int(rng.integers(10, n))
            count, fraction = pair(student.leaked_patients(keys[:n], keys[:most].repeat(2)), "a number and a fraction")
            assert number(count) == most, "every test patient is also in training, but not every one was counted once"
            assert number(fraction) == 1, (
                f"every test image belongs to a leaked patient; got the fraction {number(fraction):.4g}"
            )


# Task 3


def many_patients(rng, n=40):
    """n patients with 1 to 9 images each, in a mixed order."""
    names = np.array([f"p{i}" for i in rng.permutation(900)[:n]])
    return rng.permutation(names.repeat(rng.integers(1, 10, n)))


@check("split_by_patient", points=2)
def patients_stay_whole(student, rng):
    """No patient is in two parts, and each image is in one."""
    patients = many_patients(rng)
    train, val = parts(student.split_by_patient(patients, 0.3, int(rng.integers(1000))), len(patients))
    shared = set(patients[train]) & set(patients[val])
    assert not shared, (
        f"{len(shared)} patients are in both parts: the split was made by image, not by patient"
        if not set(train) & set(val)
        else "some images are in both parts"
    )
    assert len(train) + len(val) == len(patients), (
        f"each image must be in one part; got {len(train)} + {len(val)} of {len(patients)}"
    )
    assert len(val), "the validation part is empty: it gets its share of the patients"
    assert len(train), "the training part is empty: it gets the patients that are not in the validation part"


@check("split_by_patient", points=2)
def fraction_of_the_patients(student, rng):
    """The validation part gets its fraction of the patients, drawn at random."""
    for fraction, want in ((0.19, 8), (0.31, 12)):  # of 40 patients 7.6 and 12.4
        patients = many_patients(rng)
        train, val = parts(student.split_by_patient(patients, fraction, int(rng.integers(1000))), len(patients))
        got = len(np.unique(patients[val]))
        assert got != 40 - want, "the two parts are swapped: the first must be the training part"
        assert abs(got - want) != 1 or set(patients[train]) & set(patients[val]), (
            f"{fraction} of 40 patients are {40 * fraction:.1f}, rounded to a whole number {want}; got {got} patients. "
            "int() only cuts off the decimals, and who draws with replacement draws a patient twice"
        )
        assert got == want, f"{fraction} of 40 patients, rounded, are {want} in the validation part; got {got}"
    found = []
    for _ in range(4):  # the same 40 patients, in an order that a split without a shuffle would keep
        patients = np.arange(40).repeat(3)
        _, val = parts(student.split_by_patient(patients, 0.5, int(rng.integers(10**6))), len(patients))
        found.append(np.unique(patients[val]))
    assert any(np.ptp(names) + 1 > len(names) for names in found), (
        "the validation part is always a block of neighboring patients: the patients were not shuffled"
    )


@check("split_by_patient", points=1)
def seed_decides(student, rng):
    """The same seed gives the same split; another seed gives another one."""
    patients, others = many_patients(rng), many_patients(rng, 30)
    seeds = [int(s) for s in rng.permutation(10_000)[:3]]

    def validation(keys, seed):
        train, val = parts(student.split_by_patient(keys, 0.5, seed), len(keys))
        assert not set(keys[train]) & set(keys[val]), "a patient is in both parts"
        assert len(train) + len(val) == len(keys), "an image is in no part"
        return set(val.tolist())

    first = {seed: validation(patients, seed) for seed in seeds}
    validation(others, seeds[int(rng.integers(3))])
    student.restart()  # a seed that is only remembered is forgotten now
    for seed in rng.permutation(seeds).tolist():
        same = validation(patients, seed) == first[seed]
        assert same, "the same seed gave two different splits: make the random generator from `seed`"
    assert len({frozenset(val) for val in first.values()}) > 1, "three seeds gave the same split: `seed` has no effect"


@check("split_by_patient", points=2)
def one_image_each_and_a_giant(student, rng):
    """Works for one image per patient, for one patient with most of the images, and for two patients."""
    single = rng.permutation(3000)[:50]
    train, val = parts(student.split_by_patient(single, 0.2, int(rng.integers(1000))), 50)
    assert len(val) == 10 and len(train) == 40, (
        f"50 patients with one image each, fraction 0.2: the validation part should have 10 images; got {len(val)}"
    )
    giant = rng.permutation(np.concatenate([np.repeat("giant", 160), [f"p{i}" for i in range(19)]]))
    for seed in rng.integers(0, 10_000, 4):
        train, val = parts(student.split_by_patient(giant, 0.25, int(seed)), len(giant))
        assert not set(giant[train]) & set(giant[val]), "a patient with most of the images is in both parts"
        assert len(np.unique(giant[val])) == 5, (
            "with one patient who has most of the images, the fraction of the patients is wrong: count patients, "
            "not images"
        )
    two = np.array(["a", "a", "b"])
    for fraction in (0.01, 0.99):
        train, val = parts(student.split_by_patient(two, fraction, int(rng.integers(1000))), 3)
        assert len(train) and len(val), f"a part is empty for fraction={fraction}: each part needs at least one patient"
        assert not set(two[train]) & set(two[val]), "of two patients, one is in both parts"


# Task 4


@check("find_copies", points=2)
def finds_every_copy(student, rng):
    """Every exact copy is found, in rising order, also if there are two of one image."""
    train = rng.integers(0, 256, (30, 24, 24), dtype=np.uint8)
    test = rng.integers(0, 256, (25, 24, 24), dtype=np.uint8)
    where = np.sort(rng.permutation(25)[:5])
    original = rng.permutation(30)[:4]
    test[where] = train[original[[0, 1, 2, 3, 0]]]
    got = rows(student.find_copies(train, test), 30, "the result")
    if set(got) != set(where):
        assert set(got) != set(original), "these are row numbers of the training images; give those of the test images"
        assert len(set(where) - set(got)) != 1, "one image stands twice among the test images; both are copies"
    assert set(where) <= set(got), f"{len(set(where) - set(got))} of the exact copies were not found"
    assert set(got) <= set(where), f"the result names images that are no copies ({len(set(got) - set(where))} of 25)"
    assert np.array_equal(got, where), "the right rows, but not in rising order"


@check("find_copies", points=2)
def only_exact_copies(student, rng):
    """Almost a copy is not a copy: one pixel changed, mirrored, pixels in another order."""
    n = 20
    train = rng.integers(0, 250, (n, 48, 48), dtype=np.uint8)
    test = train.copy()
    kind = np.concatenate([np.arange(5), rng.integers(0, 6, n - 6), [5]])[rng.permutation(n)]
    for image, k in zip(test, kind, strict=True):
        row, column = rng.integers(12, 36, 2)
        if k == 0:
            image[row, column] += 1
        elif k == 1:
            image[:] = image[:, ::-1].copy()
        elif k == 2:
            image[:] = rng.permutation(image.ravel()).reshape(48, 48)
        elif k == 3:
            image[20, 20], image[21, 21] = image[20, 20] ^ 1, image[21, 21] ^ 1
        elif k == 4:
            image[:] = image.T.copy()
    got = rows(student.find_copies(train, test), n, "the result")
    found = set(kind[got].tolist())
    assert not {0, 1, 2, 3, 4} <= found, (
        "every image counts as a copy: compare whole images, not single pixels (np.isin and `in` look at single pixels)"
    )
    assert not found & {1, 2, 4}, (
        "an image with the same pixels in another order counts as a copy: a mean, a sum or a "
        "histogram does not see the order; compare the images pixel by pixel"
    )
    assert not found & {0, 3}, (
        "an image that differs in one or two pixels near the middle counts as a copy: every pixel must be compared, "
        "and exactly (str() of a large array leaves out its middle)"
    )
    assert got.tolist() == np.flatnonzero(kind == 5).tolist(), "an exact copy was not found, or they are not in order"


@check("find_copies", points=1)
def nothing_to_find(student, rng):
    """Without copies the result is empty; a copy inside one part does not count."""
    for copies in rng.permutation([0, 2, 3]):
        images = rng.integers(0, 256, (36, 16, 16), dtype=np.uint8)
        train, test = images[:6], images[6:].copy()
        test[1::4] = test[0::4][: len(test[1::4])]  # copies of each other
        where = np.sort(rng.permutation(30)[:copies])
        test[where] = train[rng.integers(6)]
        got = rows(student.find_copies(train, test), 30, "the result")
        extra = set(got.tolist()) - set(where.tolist())
        assert not extra, (
            "test images that are copies of each other, but not of a training image, do not count"
            if extra <= {row for row in range(30) if row % 4 < 2}
            else f"the result names images that are no copies ({len(extra)} of 30)"
        )
        assert got.tolist() == where.tolist(), "a copy of a training image was not found, or the rows are not in order"


# Task 5


def shares_with(images, labels, classes, rule):
    return [rule(images[labels == k]).mean() for k in range(classes)]


@check("near_black_share", points=2)
def pixels_below_five(student, rng):
    """The fraction of pixels below 5, class by class."""
    labels = rng.permutation(np.repeat([0, 1, 2], [5, 9, 14]))
    images = rng.integers(0, 120, (28, 11, 13), dtype=np.uint8)
    images[rng.random(images.shape) < 0.1 + 0.1 * labels[:, None, None]] = 0
    images[rng.random(images.shape) < 0.1] = 5
    want = shares_with(images, labels, 3, lambda x: x < 5)
    black = (images < 5).sum((1, 2))
    close(
        student.near_black_share(images, labels, 3),
        want,
        "the fraction",
        {
            "a pixel with the value 5 was counted; near-black means below 5": shares_with(
                images, labels, 3, lambda x: x <= 5
            ),
            "only pixels with the value 0 were counted": shares_with(images, labels, 3, lambda x: x == 0),
            "the bright pixels were counted, not the near-black ones": [1 - w for w in want],
            "it is a number of pixels; divide by all pixels of the class": np.bincount(labels, black),
            "it is a number of pixels for each image; divide by the pixels of an image, too": np.bincount(labels, black)
            / np.bincount(labels),
            "the pixels of a class were divided by the pixels of all classes": np.bincount(labels, black) / images.size,
            "it says which fraction of the near-black pixels each class has; divide by the pixels of that class": np.bincount(
                labels, black
            )
            / black.sum(),
            "it is a percentage; give a fraction from 0 to 1": [100 * w for w in want],
            "the mean image of a class was compared with 5; count the pixels of every image": [
                (images[labels == k].mean(0) < 5).mean() for k in range(3)
            ],
            "the mean of each image was compared with 5; count its pixels": [
                (images[labels == k].mean((1, 2)) < 5).mean() for k in range(3)
            ],
        },
        rtol=2e-3,
    )


@check("near_black_share", points=1)
def class_without_images(student, rng):
    """A class without images gets nan, and the others their own value."""
    labels = rng.permutation(np.repeat([0, 3], [4, 6]))
    images = rng.integers(0, 20, (10, 9, 9), dtype=np.uint8)
    first, last = (images[labels == k] for k in (0, 3))
    first, last = (first < 5).mean(), (last < 5).mean()
    got = student.near_black_share(images, labels, 5)
    assert not (isinstance(got, list) and None in got), "a class without images has the value None; give np.nan"
    assert np.shape(got) != (2,), (
        "only the classes that occur have a value; give one for each class, nan where none does"
    )
    close(
        got,
        [first, np.nan, np.nan, last, np.nan],
        "the fraction",
        {
            "a class without images has the value 0; 0 would mean that its images are bright. Give nan": [
                first,
                0,
                0,
                last,
                0,
            ]
        },
        rtol=2e-3,
    )
