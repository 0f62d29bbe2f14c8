"""What still tells the classes of real sets apart when parts of the images are covered? `shortcut.controls`, recorded.

    python benchmarks/controls.py --root PATH/chest_xray --sources PATH/lung4

On the children's set of `--root` each version of the images gets three networks, scored on validation patients and, in
the same go, once on the official test split. Beside them a logistic regression that knows nothing but the corners of
the box around the lungs. `--sources` is a set in Kaggle's layout, put together from two sources: children's pneumonia
from one, of which every fourth image is taken, and COVID-19 from another; one network per version, scored on validation
patients. What the record holds already is not done again.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import cxrlib as cxr
from cxrlib._controls import RECIPE, Controls, controls, where_lungs
from cxrlib._prepare import lung_boxes
from cxrlib.data import CxrDataset
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import read_json, write_json
from cxrlib.metrics import Report
from cxrlib.values import plain

VAL, SIZE = 0.25, 128


def corners(training: CxrDataset, scored: CxrDataset) -> Report:
    """Score a logistic regression on the corners of the boxes, their squares and products."""
    seen = [lung_boxes(part.lungs, 0) / part.size for part in (training, scored)]
    model = make_pipeline(PolynomialFeatures(2), StandardScaler(), LogisticRegression(class_weight="balanced"))
    model.fit(seen[0], training.labels)
    return Report(scored.labels, model.predict_proba(seen[1]), scored.classes, scored.patients)


def part(found: Controls, box: Report, chosen: np.ndarray, left_out: int) -> dict:
    """Record the scores of some of the scored images, of the controls and of the corners of the box."""

    def of(report: Report) -> Report:
        return Report(report.labels[chosen], report.probs[chosen], report.classes, report.patients[chosen])

    reports = {version: list(map(of, scored)) for version, scored in found.reports.items()}
    record = dataclasses.replace(found, reports=reports, left_out=left_out).to_dict()
    return record | {"corners": plain(dict(zip(("auc", "auc_low", "auc_high"), of(box).interval("auc"), strict=True)))}


def examine(whole: CxrDataset, seeds: tuple, test: bool) -> dict:
    """Train and score on one set: on validation patients, and on its official test split."""
    start, cpu = time.perf_counter(), time.process_time()
    data = where_lungs(whole, progress=True)
    train, val, _ = cxr.split(data[data.splits != "test"], val=VAL, test=0.0, seed=0)
    scored = data[np.isin(data.rows, val.rows) | (test & (data.splits == "test"))]
    found, box = controls(train, scored, RECIPE, seeds), corners(train, scored)
    parts = {}
    for name in ("validation", "test")[: 1 + test]:
        chosen, here, kept = ((images.splits == "test") == (name == "test") for images in (scored, whole, data))
        parts[name] = part(found, box, chosen, int(here.sum() - kept.sum()))
    counts = {name: int((train.labels == k).sum()) for k, name in enumerate(train.classes)}
    spent = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    return {"classes": counts, "parts": parts, **plain(spent, 0)}


def main() -> None:
    """Examine the sets and write the record, anew after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="the children's set, as a folder")
    parser.add_argument("--sources", type=Path, help="the set of two sources, as a folder")
    parser.add_argument("--out", type=Path, default=Path("results/controls.json"))
    given = parser.parse_args()
    record = read_json(given.out) if given.out.exists() else {
        "kind": "controls", "size": SIZE, "recipe": RECIPE.to_dict(), "hardware": describe(), "versions": versions(),
        "command": "python benchmarks/controls.py --root PATH/chest_xray --sources PATH/lung4", "sets": {},
    }  # fmt: skip
    if given.root and "children" not in record["sets"]:
        record["sets"]["children"] = examine(cxr.load(f"folder:{given.root}", SIZE), (0, 1, 2), test=True)
        write_json(given.out, record)
    if given.sources and "sources" not in record["sets"]:
        mixed = cxr.load("lung4", SIZE, root=given.sources).where(**{"class": ["pneumonia", "covid-19"]})
        mixed = mixed.with_classes(("pneumonia", "covid-19"))
        mixed = mixed[(mixed.labels == 1) | (np.cumsum(mixed.labels == 0) % 4 == 0)]
        record["sets"]["sources"] = examine(mixed[mixed.splits != "test"], (0,), test=False)
        write_json(given.out, record)


if __name__ == "__main__":
    main()
