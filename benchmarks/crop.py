"""What cutting images to the lungs is worth: one recipe with and without it, seed by seed.

    cxr train --data folder:PATH --recipe whole --seed 0 --out runs/whole-seed0
    cxr train --data folder:PATH --recipe best --seed 0 --out runs/best-seed0
    ... other seeds, then
    python benchmarks/crop.py PATH runs/whole-seed* runs/best-seed*

Three comparisons of each pair of runs: on the validation patients, on the same images through the stress of
choices.py (before the lungs are looked for), and on the test images, whose predictions the runs have recorded: no test
image is scored again. The difference of a pair has an interval by a bootstrap over patients, the same for both.
"""

import argparse
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from choices import stress

import cxrlib as cxr
from cxrlib.bootstrap import draws, ends, groups
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.ranking import weighted_auc
from cxrlib.values import plain

COMMAND = "python benchmarks/crop.py PATH RUN ..."


def scores(probs: np.ndarray, labels: np.ndarray, threshold: float, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy at .5, balanced accuracy at the run's own threshold, AUC: each (B,) for weights (B, N)."""
    ill = labels == 1
    called = probs[:, 1] >= threshold
    recall = [
        (weights[:, part] @ hit[part]) / weights[:, part].sum(1) for part, hit in ((ill, called), (~ill, ~called))
    ]
    return {
        "accuracy": weights @ (probs.argmax(1) == labels) / weights.sum(1),
        "balanced_accuracy_at_own_threshold": sum(recall) / 2,
        "auc": weighted_auc(ill, probs[:, 1], weights),
    }


def compare(labels: np.ndarray, patients: np.ndarray, plain_run: tuple, cut_run: tuple) -> dict:
    """Compare two runs on the same images: each is (probabilities, threshold)."""
    one = np.ones((1, len(labels)))
    resampled = [
        [scores(p, labels, t, w) for p, t in (plain_run, cut_run)] for w in draws(groups(patients, len(labels)), 1000)
    ]
    found = {}
    for name in scores(plain_run[0], labels, plain_run[1], one):
        whole, cut = (float(scores(p, labels, t, one)[name][0]) for p, t in (plain_run, cut_run))
        low, high = ends(np.concatenate([b[name] - a[name] for a, b in resampled]))
        found[name] = {"whole": whole, "cut": cut, "difference": cut - whole, "interval": [low, high]}
    return found


def pairs(folders: list[Path]) -> list[tuple[cxr.Run, cxr.Run]]:
    """Sort runs into pairs (without, with): one recipe and seed, and nothing else between them."""
    runs = [cxr.Run.open(folder) for folder in folders]
    key = lambda run: str(run.recipe.replace(crop=None, about="").to_dict())  # noqa: E731
    counted = Counter(map(key, runs))
    if any(n != 2 for n in counted.values()):
        raise SystemExit("give runs in pairs: the same recipe and seed, with and without the cut")
    ordered = sorted(runs, key=lambda run: (run.recipe.seed, run.recipe.crop is not None))
    return list(zip(ordered[::2], ordered[1::2], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the folder of images that the runs were trained on")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--out", type=Path, default=Path("results/crop.json"))
    options = parser.parse_args()
    record = {"kind": "crop", "command": COMMAND, "machine": describe(), "versions": versions(), "rows": []}
    loaded: dict[int, cxr.CxrDataset] = {}
    for whole, cut in pairs(options.runs):
        row = {"seed": whole.recipe.seed, "recipe": cut.recipe.to_dict()}
        row["cpu_seconds"] = [sum(e["cpu_seconds"] for e in run.record["training"]["epochs"]) for run in (whole, cut)]
        parts = []
        for run in (whole, cut):
            size = run.recipe.read_size
            data = loaded.setdefault(size, cxr.load(f"folder:{options.data}", size))
            parts.append(run.split(data)[1])
        labels, patients = parts[0].labels, parts[0].patients
        row["images"], row["patients"] = {"validation": len(labels)}, {"validation": len(np.unique(patients))}
        row["validation"] = compare(labels, patients, *((r.validation.probs, r.threshold) for r in (whole, cut)))
        row["not_cut"] = {part: sizes["not_cut"] for part, sizes in cut.record["data"]["splits"].items()}
        stressed = []
        for run, part in zip((whole, cut), parts, strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of images without lungs, which the record counts
                hard = run.prepare(cxr.CxrDataset(stress(part.images), part.labels, part.classes, part.patients))
            stressed.append((run.predict(hard), run.threshold))
        row["not_cut"]["stress"] = int((~hard.lungs.any((1, 2))).sum())
        row["stress"] = compare(labels, patients, *stressed)
        test = whole.test
        row["images"]["test"], row["patients"]["test"] = len(test.labels), len(np.unique(test.patients))
        row["test"] = compare(test.labels, test.patients, *((r.test.probs, r.threshold) for r in (whole, cut)))
        record["rows"].append(row)
        record["fingerprint"] = whole.record["data"]["fingerprint"]
        write_json(options.out, plain(record))
        for part in ("validation", "stress", "test"):
            auc = row[part]["auc"]
            print(f"seed {row['seed']}, {part}: AUC {auc['whole']:.4f} whole, {auc['cut']:.4f} cut", flush=True)


if __name__ == "__main__":
    main()
