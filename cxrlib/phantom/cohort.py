"""Who is in the set: patients, blocks of ids, splits, imbalance, and the things that went wrong.

The proportions are those of the Kermany set as Kaggle serves it: 1,341 / 3,875 images for training, 16 for
validation, 234 / 390 for the test; the test split is a block of patient ids taken with another exposure; bare
patient numbers repeat between classes; a few files are byte-identical within a label.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

# kind of image -> patients of the test split, of the validation split, and the chance of another image of a patient
_KINDS = {
    "normal": (range(1, 112), range(1427, 1447), 0.12),
    "bacterial": (range(78, 176), range(1946, 1961), 0.42),
    "viral": (range(20, 80), range(1946, 1961), 0.28),
    "covid-19": (range(200, 261), range(1, 16), 0.30),
    "tuberculosis": (range(40, 100), range(1, 16), 0.10),
    "consolidation": (range(60, 120), range(1, 16), 0.20),
    "effusion": (range(60, 120), range(1, 16), 0.20),
    "consolidation+effusion": (range(60, 120), range(1, 16), 0.20),
}
CODE = {name: k for k, name in enumerate(_KINDS)}
CLASSES = ("normal", "pneumonia", *list(_KINDS)[1:])
_WEIGHTS = {  # images, in the order of CLASSES
    "train": (1341, 3875, 2530, 1345, 460, 650, 700, 450, 500),
    "val": (1,) * 9,
    "test": (234, 390, 242, 148, 106, 41, 120, 80, 90),
}
_TEST_FRACTION = 624 / 5856
_VAL = 16
_BACTERIAL_FRACTION = 2530 / 3875
_DUPLICATES = 0.006
_MORE = {"test": 5001, "val": 9001}  # a large set runs out of its patients and continues here


@dataclass(frozen=True)
class Row:
    """One image to draw: everything but the options it depends on."""

    split: str
    label: str
    subtype: str
    number: int
    image: int
    copy: bool = False  # of the row before, byte by byte


def apportion(n: int, weights: Sequence[float]) -> list[int]:
    """Split n into whole parts in proportion to weights, at least one each when n allows."""
    w = np.asarray(weights, float)
    exact = n * w / w.sum()
    parts = np.floor(exact).astype(int)
    for k in np.argsort(parts - exact, kind="stable")[: n - parts.sum()]:
        parts[k] += 1
    if n >= len(w):
        while (parts == 0).any():
            parts[int(np.argmax(parts))] -= 1
            parts[int(np.argmin(parts))] += 1
    return parts.tolist()


def split_sizes(n: int) -> tuple[int, int, int]:
    """Return the images in train, val and test for a set of n: Kaggle's proportions, with 16 for validation."""
    test = round(n * _TEST_FRACTION) if n >= 10 else 0
    val = min(_VAL, n // 20)
    return n - test - val, val, test


def _numbers(subtype: str, split: str) -> Iterator[int]:
    """Endless patient numbers of a class in one split."""
    test, val, _ = _KINDS[subtype]
    if split == "train":
        held_out = (test, val, range(5001, 12001))
        return (k for k in itertools.count(1) if not any(k in block for block in held_out))
    return itertools.chain(test if split == "test" else val, itertools.count(_MORE[split]))


def make_cohort(n: int, classes: tuple[str, ...], seed: int) -> list[Row]:
    """List n rows, in the order train, val, test and class by class."""
    rows = []
    for split, total in zip(_WEIGHTS, split_sizes(n), strict=True):
        parts = apportion(total, [_WEIGHTS[split][CLASSES.index(name)] for name in classes])
        for label, part in zip(classes, parts, strict=True):
            viral = round(part * (1 - _BACTERIAL_FRACTION))
            kinds = {"bacterial": part - viral, "viral": viral} if label == "pneumonia" else {label: part}
            for subtype, count in kinds.items():
                rows += itertools.islice(_rows(split, label, subtype, seed), count)
    return _with_copies(rows, seed)


def _rows(split: str, label: str, subtype: str, seed: int) -> Iterator[Row]:
    """Endless images of a class in one split, 1 to 12 of each patient."""
    for number in _numbers(subtype, split):
        rng = np.random.default_rng([seed, 11, CODE[subtype], number])
        for image in range(1, 13):
            yield Row(split, label, subtype, number, image)
            if rng.random() >= _KINDS[subtype][2]:
                break


def _with_copies(rows: list[Row], seed: int) -> list[Row]:
    """Replace a few training images by byte-identical copies of the one before, which has the same label."""
    train = [k for k, row in enumerate(rows) if row.split == "train"]
    want = max(1, round(_DUPLICATES * len(train))) if len(train) >= 30 else 0
    used = set()
    for k in np.random.default_rng([seed, 13]).permutation(train).tolist():
        row, before = rows[k], rows[k - 1]
        alike = k > 0 and (before.label, before.subtype) == (row.label, row.subtype)
        if alike and len(used) < 2 * want and not {k, k - 1} & used:
            # The copy is filed as one more image of the patient before it.
            of_patient = [q.image for q in rows if (q.subtype, q.number) == (before.subtype, before.number)]
            rows[k] = replace(row, number=before.number, image=1 + max(of_patient), copy=True)
            used |= {k, k - 1}
    return rows
