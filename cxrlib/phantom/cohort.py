"""Who is in the set: patients, blocks of ids, splits, imbalance, and the things that went wrong.

The proportions are those of the Kermany set as Kaggle serves it: 1,341 / 3,875 images for training, 16 for
validation, 234 / 390 for the test; the test split is a block of patient ids taken with another exposure; bare
patient numbers repeat between classes; a few files are byte-identical within a label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

CLASSES = ("normal", "pneumonia", "bacterial", "viral", "covid-19", "tuberculosis")
SUBTYPES = ("normal", "bacterial", "viral", "covid-19", "tuberculosis")
CODE = {name: k for k, name in enumerate(SUBTYPES)}
SPLITS = ("train", "val", "test")

_TRAIN = {"normal": 1341, "pneumonia": 3875, "bacterial": 2530, "viral": 1345, "covid-19": 460, "tuberculosis": 650}
_TEST = {"normal": 234, "pneumonia": 390, "bacterial": 242, "viral": 148, "covid-19": 106, "tuberculosis": 41}
_TEST_FRACTION = 624 / 5856
_VAL = 16
_BACTERIAL_FRACTION = 2530 / 3875
_DUPLICATES = 0.006
# Blocks of patient numbers that belong to the test and validation splits; the rest are training patients.
_TEST_BLOCK = {
    "normal": (1, 111),
    "bacterial": (78, 175),
    "viral": (20, 79),
    "covid-19": (200, 260),
    "tuberculosis": (40, 99),
}
_VAL_BLOCK = {
    "normal": (1427, 1446),
    "bacterial": (1946, 1960),
    "viral": (1946, 1960),
    "covid-19": (1, 15),
    "tuberculosis": (1, 15),
}
_MORE = {"test": 5001, "val": 9001}  # a large set runs out of its block and continues here
_EXTRA = {"normal": 0.12, "bacterial": 0.42, "viral": 0.28, "covid-19": 0.30, "tuberculosis": 0.10}


@dataclass(frozen=True)
class Row:
    """One image to draw: everything but the options it depends on."""

    split: str
    label: str
    subtype: str
    number: int
    image: int
    copy_of: int = -1  # row whose bytes this row repeats


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
    first, last = _TEST_BLOCK[subtype]
    vfirst, vlast = _VAL_BLOCK[subtype]
    if split == "train":
        number = 0
        while True:
            number += 1
            if not (first <= number <= last or vfirst <= number <= vlast or 5001 <= number <= 12000):
                yield number
    low, high = (first, last) if split == "test" else (vfirst, vlast)
    yield from range(low, high + 1)
    number = _MORE[split]
    while True:
        yield number
        number += 1


def images_of(seed: int, subtype: str, number: int) -> int:
    """Draw how many images a patient has, 1 to 12."""
    rng = np.random.default_rng([seed, 11, CODE[subtype], number])
    count = 1
    while count < 12 and rng.random() < _EXTRA[subtype]:
        count += 1
    return count


def make_cohort(n: int, classes: tuple[str, ...], seed: int) -> list[Row]:
    """List n rows, in the order train, val, test and class by class."""
    rows = []
    for split, total in zip(SPLITS, split_sizes(n), strict=True):
        if split == "val":
            parts = apportion(total, [1] * len(classes)) if total else [0] * len(classes)
        else:
            table = _TRAIN if split == "train" else _TEST
            parts = apportion(total, [table[c] for c in classes])
        for label, part in zip(classes, parts, strict=True):
            if label == "pneumonia":
                viral = round(part * (1 - _BACTERIAL_FRACTION))
                kinds = [("bacterial", part - viral), ("viral", viral)]
            else:
                kinds = [(label, part)]
            for subtype, count in kinds:
                rows += _rows(split, label, subtype, count, seed)
    return _with_copies(rows, seed)


def _rows(split: str, label: str, subtype: str, count: int, seed: int) -> list[Row]:
    rows = []
    numbers = _numbers(subtype, split)
    while len(rows) < count:
        number = next(numbers)
        for image in range(min(images_of(seed, subtype, number), count - len(rows))):
            rows.append(Row(split, label, subtype, number, image + 1))
    return rows


def _with_copies(rows: list[Row], seed: int) -> list[Row]:
    """Replace a few training images by byte-identical copies of another training image of the same label."""
    train = [k for k, r in enumerate(rows) if r.split == "train"]
    want = max(1, round(_DUPLICATES * len(train))) if len(train) >= 30 else 0
    rng = np.random.default_rng([seed, 13])
    order = rng.permutation(train).tolist()
    rows = list(rows)
    used = set()
    for k in order:
        if want == 0:
            break
        r = rows[k]
        original = k - 1
        before = rows[original] if original >= 0 else None
        if (
            before is None
            or {k, original} & used
            or (before.split, before.subtype, before.label) != (r.split, r.subtype, r.label)
        ):
            continue
        # The copy is filed as one more image of the patient before it.
        image = 1 + max(q.image for q in rows if (q.subtype, q.number) == (before.subtype, before.number))
        rows[k] = Row(r.split, r.label, r.subtype, before.number, image, copy_of=original)
        used |= {k, original}
        want -= 1
    return rows
