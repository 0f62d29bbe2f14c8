"""Has a network of four classes learned the disease or the hospital? On real images, recorded.

    python benchmarks/hospitals.py --sets PATH --montgomery PATH

`PATH` holds the sets lung4 and pneumonia4. Four measurements with a small network: what tells the classes of lung4
apart when parts of the images are covered (on validation images); the same for healthy children and healthy adults;
what white boxes do to a network that tells tuberculosis from healthy adults, when they are painted over and painted
into others; and what a network of lung4, whose healthy images are all of children, calls healthy adults, before and
after healthy adults were added to its training. What the record holds already is not done again.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from foreign import SEEDS, SIZE, sets, trained
from scipy import ndimage

import cxrlib as cxr
from cxrlib._controls import RECIPE, controls, paint
from cxrlib.bootstrap import difference_intervals, mean_intervals
from cxrlib.data import CxrDataset
from cxrlib.data.measure import white_boxes
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import read_json, write_json
from cxrlib.metrics import Report
from cxrlib.run import Run
from cxrlib.values import plain

CLASSES = ("normal", "pneumonia", "covid-19", "tuberculosis")


def together(*parts: CxrDataset, classes: tuple) -> CxrDataset:
    """Join images of several sets, under these classes."""
    names = np.concatenate([np.array(part.classes)[part.labels] for part in parts])
    patients = [f"{k}-{name}" for k, part in enumerate(parts) for name in part.patients]
    table = pd.concat([part.table for part in parts], ignore_index=True)
    images = np.concatenate([part.images for part in parts])
    return CxrDataset(images, [classes.index(name) for name in names], classes, patients, table)


def renamed(data: CxrDataset, name: str) -> CxrDataset:
    """Give images of one class another class's name."""
    return CxrDataset(data.images, np.zeros(len(data), int), (name,), data.patients, data.table)


def changed(data: CxrDataset, images: np.ndarray) -> CxrDataset:
    """Give the same patients with other pixels."""
    return CxrDataset(images[:, None], data.labels, data.classes, data.patients)


def flips(runs: list[Run], before: CxrDataset, after: CxrDataset) -> dict:
    """Tell how many are called ill (class 1) before and after a change; means of the networks, over patients."""
    called = [np.mean([run.predict(part).argmax(1) == 1 for run in runs], axis=0) for part in (before, after)]
    flipped = np.mean([run.predict(before).argmax(1) != run.predict(after).argmax(1) for run in runs], axis=0)
    kinds = {"flips": flipped, "ill_before": called[0], "ill_after": called[1]}
    found = {name: (v.mean(), *mean_intervals(v, before.patients)) for name, v in kinds.items()}
    change = (called[1] - called[0]).mean(), *difference_intervals(called[1], called[0], before.patients)
    return {"images": len(before), **found, "change": change}


def boxes(part: tuple) -> dict:
    """Find, fill and paint white boxes: networks of tuberculosis against healthy adults."""
    runs, test = [trained(part, seed) for seed in SEEDS], part[2]
    found = white_boxes(test.images[:, 0])
    has = found.any((1, 2)) & (test.labels == 1)
    ill, well = test[has], test[(test.labels == 0) & ~found.any((1, 2))]
    masks = found[has][np.arange(len(well)) % has.sum()]
    wide = ndimage.binary_dilation(found[has], np.ones((1, 5, 5)))
    filled = np.array([paint(image, mask) for image, mask in zip(ill.images[:, 0], wide, strict=True)])
    white = np.where(masks, 255, well.images[:, 0]).astype(np.uint8)
    middle = np.median(well.images[:, 0], axis=(1, 2)).astype(np.uint8)[:, None, None]
    gray = np.where(masks, middle, well.images[:, 0]).astype(np.uint8)
    without = test[(test.labels == 1) & ~found.any((1, 2))]
    return {
        "test": {c: int((test.labels == k).sum()) for k, c in enumerate(test.classes)},
        "auc": np.mean([run.test["auc"] for run in runs]), "with_box": int(has.sum()), "without_box": len(without),
        "found_without_box": flips(runs, without, without)["ill_before"],
        "filled": flips(runs, ill, changed(ill, filled)), "painted": flips(runs, well, changed(well, white)),
        "gray": flips(runs, well, changed(well, gray)),
    }  # fmt: skip


def adults_asked(own: tuple, healthy: tuple) -> dict:
    """Ask networks of lung4 what healthy adults have, before and after healthy adults were in the training."""
    found = {}
    for kind in ("merged", "healthy adults added"):
        train, val, test = own
        if kind != "merged":
            train = together(train, renamed(healthy[0], "normal"), classes=CLASSES)
            val = together(val, renamed(healthy[1], "normal"), classes=CLASSES)
        runs = [trained((train, val, test), seed) for seed in SEEDS]
        asked = healthy[2]
        said = np.mean([np.eye(4)[run.predict(asked).argmax(1)] for run in runs], axis=0)
        low, high = mean_intervals(said, asked.patients)
        reports = [run.test for run in runs]
        recalls = {c: three(reports, f"recall[{c}]") for c in CLASSES}
        found[kind] = {
            "training": {c: int((train.labels == k).sum()) for k, c in enumerate(CLASSES)},
            "confusion": sum(r.confusion for r in reports) / len(reports), "asked": len(asked),
            "healthy_adults_called": {c: (said[:, k].mean(), low[k], high[k]) for k, c in enumerate(CLASSES)},
            **{name: three(reports, name) for name in ("accuracy", "macro_f1", "auc")}, "recall": recalls,
        }  # fmt: skip
    return found


def three(reports: list[Report], name: str) -> list[float]:
    """Give a value with its interval, mean over the networks."""
    drawn = np.mean([r.resamples[name] for r in reports], axis=0)
    return [np.mean([r[name] for r in reports]), *np.percentile(drawn, [2.5, 97.5])]


def main() -> None:
    """Measure and write the record, anew after each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, required=True, help="folder with lung4 and pneumonia4")
    parser.add_argument("--montgomery", type=Path, required=True, help="the set of Montgomery County")
    parser.add_argument("--out", type=Path, default=Path("results/hospitals.json"))
    given = parser.parse_args()
    record = read_json(given.out) if given.out.exists() else {
        "kind": "hospitals", "size": SIZE, "seeds": SEEDS, "recipe": RECIPE.replace(class_weights=None).to_dict(),
        "hardware": describe(), "versions": versions(),
        "command": "python benchmarks/hospitals.py --sets PATH --montgomery PATH",
    }  # fmt: skip
    parts, _ = sets(given.sets, given.montgomery)
    lung4 = cxr.load("lung4", SIZE, root=given.sets / "lung4")
    ours = lung4[lung4.splits != "test"]
    train, val, _ = cxr.split(ours, val=0.2, test=0.0, by="picture", seed=0)
    own = train, val, lung4[lung4.splits == "test"]
    adults = tuple(part[part.labels == 0] for part in parts["covid-19"])  # healthy: train, val, test
    children = tuple(part[part.labels == 0] for part in parts["children"])
    ages = [together(renamed(c, "children"), renamed(a, "adults"), classes=("children", "adults"))
            for c, a in zip(children[:2], adults[:2], strict=True)]  # fmt: skip
    found = white_boxes(lung4.images[:, 0]).any((1, 2))
    steps = {
        "white": lambda: {c: [int(found[lung4.labels == k].sum()), int((lung4.labels == k).sum())]
                          for k, c in enumerate(lung4.classes)},
        "boxes": lambda: boxes(parts["tuberculosis"]),
        "adults": lambda: adults_asked(own, adults),
        "ages": lambda: controls(*ages, RECIPE).to_dict(),
        "lung4": lambda: controls(*own[:2], RECIPE).to_dict(),
    }  # fmt: skip
    for name, step in steps.items():
        if name not in record:
            record[name] = plain(step())
            write_json(given.out, record)
            print(name, str(record[name])[:1500], flush=True)


if __name__ == "__main__":
    main()
