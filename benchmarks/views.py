"""What several views of an image are worth, and what they do to the threshold, on real X-rays.

    cxr train --data folder:PATH --recipe baseline --seed 0 --out runs/baseline-seed0
    ... the same for augmented and for best with --crop lungs, then
    python benchmarks/views.py PATH RUN ...

Each run's validation and test images are scored with one view and with six. A threshold is the largest at which 95 % of
the ill validation images are found; that of one view is used with both, and each its own. Intervals by a bootstrap over
patients.
"""

import argparse
from pathlib import Path

import numpy as np

import cxrlib as cxr
from cxrlib.bootstrap import draws, ends, groups, mean_intervals
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.ranking import weighted_auc
from cxrlib.values import plain

SIX = ("identity", "flip", "shift-left", "shift-right", "shift-up", "shift-down")
FOUND = 0.95


def threshold_of(labels: np.ndarray, probs: np.ndarray) -> float:
    """The largest threshold at which 95 % of the ill are found."""
    return float(np.sort(probs[labels == 1])[int((1 - FOUND) * (labels == 1).sum())])


def called(report: tuple, probs: np.ndarray, threshold: float) -> dict:
    """Fractions of the healthy and of the ill that are called ill, with intervals."""
    labels, patients = report
    found = {"threshold": threshold}
    for name, k in (("healthy_called_ill", 0), ("ill_found", 1)):
        part = labels == k
        hits = (probs[part] >= threshold).astype(float)
        found[name] = [hits.mean(), *mean_intervals(hits, patients[part])]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the folder of images that the runs were trained on")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, default=Path("results/views.json"))
    options = parser.parse_args()
    record = {
        "kind": "views", "command": "python benchmarks/views.py PATH RUN ...", "views": SIX, "found": FOUND,
        "machine": describe(), "versions": versions(), "rows": [],
    }  # fmt: skip
    for folder in options.runs:
        run = cxr.Run.open(folder)
        parts = [run.prepare(part) for part in run.split(cxr.load(f"folder:{options.data}", run.recipe.read_size))[1:]]
        views = {"one": (), "six": SIX}
        val, test = ({name: cxr.predict(run.model, part, tta=v)[:, 1] for name, v in views.items()} for part in parts)
        (known, _), (labels, patients) = ((part.labels, part.patients) for part in parts)
        at = {name: threshold_of(known, probs) for name, probs in val.items()}
        drawn = [
            weighted_auc(labels == 1, test["six"], w) - weighted_auc(labels == 1, test["one"], w)
            for w in draws(groups(patients, len(labels)), 1000)
        ]
        auc = {
            name: cxr.Report(labels, np.c_[1 - p, p], run.classes, patients).interval("auc") for name, p in test.items()
        }
        one = (labels, patients)
        record["rows"].append({
            "name": folder.name, "recipe": run.recipe.to_dict(), "fingerprint": run.record["data"]["fingerprint"],
            "images": {"validation": len(known), "test": len(labels)},
            "patients": {"validation": len(np.unique(parts[0].patients)), "test": len(np.unique(patients))},
            "auc": auc, "auc_gain": [auc["six"][0] - auc["one"][0], *ends(np.concatenate(drawn))],
            "one view": called(one, test["one"], at["one"]),
            "six views, threshold of one": called(one, test["six"], at["one"]),
            "six views, their own": called(one, test["six"], at["six"]),
        })  # fmt: skip
        write_json(options.out, plain(record))
        print(folder.name, auc, flush=True)


if __name__ == "__main__":
    main()
