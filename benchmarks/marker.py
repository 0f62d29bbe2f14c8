"""A letter planted in real X-rays, and what filling it in again repairs.

    python benchmarks/marker.py PATH

In the training images every ill child gets a letter R in an upper corner and no healthy child does; in the test it is
the other way round. Networks learn from the images as they are, with letters, with every letter's place filled in all
images, and with only the letters filled. All are scored once on the official test split. Intervals by a bootstrap over
patients, of the mean over the seeds.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import cxrlib as cxr
from cxrlib._controls import RECIPE, paint
from cxrlib.bootstrap import draws, ends, groups
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.ranking import weighted_auc
from cxrlib.recipe import build
from cxrlib.train import fit
from cxrlib.values import plain

SIZE, SEEDS = 128, (0, 1, 2)
R = np.array([[int(c) for c in row] for row in ("11110", "10001", "10001", "11110", "10100", "10010", "10001")], bool)
LETTER = np.kron(R, np.ones((2, 2), bool))  # 14 by 10 pixels


def changed(data: cxr.CxrDataset, lettered: np.ndarray, filled: np.ndarray) -> cxr.CxrDataset:
    """Draw the letter where ``lettered`` (N,), then fill its place where ``filled`` (N,)."""
    images, rng = np.array(data.images), np.random.default_rng(0)
    for image, letter, fill in zip(images[:, 0], lettered, filled, strict=True):
        high, wide = LETTER.shape
        top, side = rng.integers(4, 15, 2)
        left = side if rng.random() < 0.5 else SIZE - wide - side
        place = image[top : top + high, left : left + wide]
        if letter:
            place[LETTER] = 250
        if fill:
            box = np.zeros(image.shape, bool)
            box[top - 1 : top + high + 1, left - 1 : left + wide + 1] = True
            image[:] = paint(image, box)
    return cxr.CxrDataset(images, data.labels, data.classes, data.patients, name=data.name)


def scores(labels: np.ndarray, probs: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Balanced accuracy at .5 and AUC, the mean over the networks, each (B,): probs (S, N), weights (B, N)."""
    right, ill = (probs >= 0.5) == (labels == 1), labels == 1
    recall = [np.mean([weights[:, part] @ r[part] for r in right], 0) / weights[:, part].sum(1) for part in (ill, ~ill)]
    return {"balanced_accuracy": sum(recall) / 2, "auc": np.mean([weighted_auc(ill, p, weights) for p in probs], 0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the children's set, as a folder")
    parser.add_argument("--out", type=Path, default=Path("results/marker.json"))
    options = parser.parse_args()
    start = time.process_time()
    train, _, test = cxr.split(cxr.load(f"folder:{options.data}", SIZE), val=0.2, seed=0)
    none, every = (lambda d: np.zeros(len(d), bool)), (lambda d: np.ones(len(d), bool))
    ill, healthy = (lambda d: d.labels == 1), (lambda d: d.labels == 0)
    learned = {  # which images get a letter, and which are filled
        "no letters": changed(train, none(train), none(train)),
        "letters": changed(train, ill(train), none(train)),
        "filled everywhere": changed(train, ill(train), every(train)),
        "only letters filled": changed(train, ill(train), ill(train)),
    }
    asked = {
        "no letters": ("no letters", changed(test, none(test), none(test))),
        "letters": ("letters", changed(test, healthy(test), none(test))),
        "letters, filled in the test": ("letters", changed(test, healthy(test), every(test))),
        "filled everywhere": ("filled everywhere", changed(test, healthy(test), every(test))),
        "only letters filled": ("only letters filled", changed(test, healthy(test), healthy(test))),
    }
    probs: dict[str, list] = {name: [] for name in asked}
    for seed in SEEDS:
        recipe = RECIPE.replace(size=SIZE, seed=seed)
        for name, images in learned.items():
            fit(model := build(recipe, train.classes), images, None, recipe, progress=False)
            for row, (network, part) in asked.items():
                if network == name:
                    probs[row].append(cxr.predict(model, part)[:, 1])
            print(f"seed {seed}, {name}", flush=True)
    one, rows = np.ones((1, len(test))), {}
    weights = list(draws(groups(test.patients, len(test)), 1000))
    for name, found in probs.items():
        found = np.array(found)
        drawn = [scores(test.labels, found, w) for w in weights]
        each = [scores(test.labels, p[None], one) for p in found]
        rows[name] = {
            score: {
                "value": float(value[0]),
                "interval": ends(np.concatenate([d[score] for d in drawn])),
                "seeds": [float(e[score][0]) for e in each],
            }
            for score, value in scores(test.labels, found, one).items()
        }
    record = {
        "kind": "marker", "command": "python benchmarks/marker.py PATH", "size": SIZE, "recipe": RECIPE.to_dict(),
        "seeds": SEEDS, "letter": LETTER.shape, "training_images": len(train), "images": len(test),
        "patients": len(np.unique(test.patients)), "classes": test.classes, "rows": rows, "machine": describe(),
        "versions": versions(), "cpu_seconds": time.process_time() - start,
    }  # fmt: skip
    write_json(options.out, plain(record))


if __name__ == "__main__":
    main()
