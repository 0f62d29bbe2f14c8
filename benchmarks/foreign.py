"""What is left of a score in another hospital, and can a shift of the classes be corrected without labels? Recorded.

    python benchmarks/foreign.py --sets PATH --montgomery PATH

`PATH` holds the sets lung4 and pneumonia4. A small network is trained on children (normal or pneumonia, official test
split), on adults (normal or COVID-19) and on adults (normal or tuberculosis), and each is tested on all of them and on
adults of Montgomery County; three seeds. Adults are split once, near-duplicates together, so that no normal image is in
the training of one and the test of another. Thresholds, temperatures and frequencies come from the validation images.
"""

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import cxrlib as cxr
from coursekit.label_shift import adjust, bbse, em
from cxrlib._controls import RECIPE
from cxrlib.bootstrap import ends
from cxrlib.data import CxrDataset
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.metrics import Report
from cxrlib.ranking import weighted_auc
from cxrlib.recipe import build
from cxrlib.run import Run, score
from cxrlib.train import fit
from cxrlib.values import plain

SIZE, SEEDS, RESAMPLES = 96, (0, 1, 2), 1000
FRACTIONS, PREVALENCE = (0.1, 0.2, 0.3, 0.5), 0.05  # who is referred; who of those that come has tuberculosis


def sets(root: Path, montgomery: Path) -> tuple[dict, dict]:
    """Give the parts (train, val, test) of each set that is trained on, and the images of each that is tested on."""
    four, lung4 = (cxr.load(name, SIZE, root=root / name) for name in ("pneumonia4", "lung4"))
    children = lung4.where(**{"class": ["normal", "pneumonia"]}).with_classes(("normal", "pneumonia"))
    own = children[children.splits == "test"]
    train, val, _ = cxr.split(children[children.splits != "test"], val=0.2, test=0.0, seed=0)
    parts, adults = {"children": (train, val, own)}, joined(four, lung4)
    thirds = cxr.split(adults, val=0.2, test=0.25, by="picture", seed=0)
    for ill in ("covid-19", "tuberculosis"):
        chosen = (part.where(**{"class": ["normal", ill]}) for part in thirds)
        parts[ill] = tuple(part.with_classes(("normal", ill)) for part in chosen)
    tested = {name: part[2] for name, part in parts.items()}
    return parts, tested | {"montgomery": cxr.load(f"folder:{montgomery}", SIZE)}


def joined(four: CxrDataset, lung4: CxrDataset) -> CxrDataset:
    """Put the adults of two sets together: those whose patients no file name tells."""
    adults = four.where(patient_known=False), lung4.where(**{"class": "tuberculosis"})
    names = np.concatenate([part.table["class"] for part in adults])
    table = pd.concat([part.table for part in adults], ignore_index=True).assign(split="all")
    classes = ("normal", "covid-19", "tuberculosis")
    patients = [f"{k}-{name}" for k, part in enumerate(adults) for name in part.patients]
    images = np.concatenate([part.images for part in adults])
    return CxrDataset(images, [classes.index(name) for name in names], classes, patients, table, name="adults")


def trained(parts: tuple, seed: int) -> Run:
    """Train one network; its own test images are scored as its run's."""
    recipe = RECIPE.replace(size=SIZE, seed=seed, class_weights=None)
    model = build(recipe, parts[0].classes)
    fit(model, *parts[:2], recipe, progress=False)
    return Run(model, recipe, {}, *(score(model, part, recipe, RESAMPLES) for part in parts[1:]))


def at(labels: np.ndarray, probs: np.ndarray, cut: float, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Give accuracy, sensitivity and specificity where class 1 is called from ``cut`` on, for each row of weights."""
    right = (probs[:, 1] >= cut) == (labels == 1)
    chosen = {"accuracy": np.ones(len(labels)), "sensitivity": labels == 1.0, "specificity": labels == 0.0}
    with np.errstate(invalid="ignore"):
        found = {name: (weights @ (right * of)) / (weights @ of) for name, of in chosen.items()}
    return found | {"balanced_accuracy": (found["sensitivity"] + found["specificity"]) / 2}


def ece(labels: np.ndarray, probs: np.ndarray) -> float:
    """Give the expected calibration error."""
    return Report(labels, probs, ("a", "b"), bootstrap=0)["ece"]


def referred(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Give the sensitivity when a fraction of those who come, of whom 5 in 100 are ill, is referred: the highest."""
    order, found = np.argsort(-scores, kind="stable"), {}
    ill = weights[:, order] * (labels[order] == 1)
    well = weights[:, order] * (labels[order] == 0)
    ill, well = (np.cumsum(x, 1) / x.sum(1, keepdims=True) for x in (ill, well))
    called = PREVALENCE * ill + (1 - PREVALENCE) * well
    for fraction in FRACTIONS:
        found[f"{fraction:g}"] = np.array([np.interp(fraction, c, i) for c, i in zip(called, ill, strict=True)])
    return found


def cell(runs: list[Run], images: CxrDataset) -> tuple[dict, np.ndarray]:
    """Measure the networks of one set on the images of one set; and the AUC in each resample, mean of the seeds."""
    reports = []
    for run in runs:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* count as ")  # what counts as what is the plan of the table
            reports.append(run.evaluate(images, threshold=0.5))
    labels, patients = reports[0].labels, reports[0].patients
    group = np.unique(patients, return_inverse=True)[1]
    rng = np.random.default_rng(len(labels))
    drawn = rng.multinomial(group.max() + 1, np.full(group.max() + 1, 1 / (group.max() + 1)), RESAMPLES)[:, group]
    weights = np.concatenate([np.ones((1, len(labels))), drawn])
    kinds: dict[str, list] = {}

    def add(name: str, values: np.ndarray | float) -> None:
        kinds.setdefault(name, []).append(values)

    for run, report in zip(runs, reports, strict=True):
        validation, probs = run.validation, report.probs
        calibrated, prior = run.calibrate(probs), run.calibrate(validation.probs).mean(0)
        add("auc", weighted_auc(labels == 1, probs[:, 1], weights))
        add("ece", ece(labels, probs))
        add("ece_calibrated", ece(labels, calibrated))
        add("temperature", run.temperature)
        estimates = {"em": em(calibrated, prior), "bbse": bbse(validation.labels, validation.probs, probs)}
        truth = np.bincount(labels, minlength=2) / len(labels)
        for name, fixed, cut in (
            ("at_half", probs, 0.5), ("at_validation_threshold", probs, run.threshold),
            *((f"after_{k}", adjust(calibrated, prior, new), 0.5) for k, new in estimates.items()),
            ("after_truth", adjust(calibrated, prior, truth), 0.5),
            ("at_best_threshold_here", probs, cxr.best_threshold(labels, probs[:, 1])),
        ):  # fmt: skip
            for value, values in at(labels, fixed, cut, weights).items():
                add(f"{name}.{value}", values)
        add("said.training", run.validation.labels.mean())
        add("said.truth", truth[1])
        for name, new in estimates.items():
            add(f"said.{name}", new[1])
        if images.classes[-1] == "tuberculosis":
            for name, values in referred(labels, probs[:, 1], weights).items():
                add(f"referred.{name}", values)
    found: dict = {"images": len(labels), "patients": len(np.unique(patients)), "ill": int(labels.sum())}
    for name, values in kinds.items():
        mean = np.atleast_1d(np.mean(values, axis=0))
        low, high = ends(mean[1:]) if len(mean) > 1 else (np.nan, np.nan)
        first = [float(np.atleast_1d(v)[0]) for v in values]
        found[name] = {"value": mean[0], "low": low, "high": high, "seeds": first}
    return found, np.mean(kinds["auc"], axis=0)


def simulated(runs: list[Run], seed: int = 0) -> list[dict]:
    """Leave out ill patients of half of the validation images, and ill ones of the other: are frequencies recovered?"""
    rng, rows = np.random.default_rng(seed), []
    for target in (0.1, 0.3, 0.5, 0.625, 0.9):
        said = {"em": [], "bbse": []}
        gained = {"at_half": [], "after_em": [], "after_bbse": []}
        for run in runs:
            v = run.validation
            here = np.isin(v.patients, rng.permutation(np.unique(v.patients))[::2])
            ill, well = (rng.permutation(np.flatnonzero(~here & (v.labels == k))) for k in (1, 0))
            n = int(min(len(ill) / target, len(well) / (1 - target)))
            kept = np.r_[ill[: round(n * target)], well[: n - round(n * target)]]
            half = replace(v, labels=v.labels[here], probs=v.probs[here], patients=v.patients[here])
            chosen = Run(run.model, run.recipe, {}, half, half)
            calibrated, prior = chosen.calibrate(v.probs[kept]), chosen.calibrate(half.probs).mean(0)
            new = {"em": em(calibrated, prior), "bbse": bbse(half.labels, half.probs, v.probs[kept])}
            gained["at_half"].append((v.probs[kept].argmax(1) == v.labels[kept]).mean())
            for name, estimate in new.items():
                said[name].append(estimate[1])
                right = adjust(calibrated, prior, estimate).argmax(1) == v.labels[kept]
                gained[f"after_{name}"].append(right.mean())
        rows.append({"truth": target, **{k: np.mean(v) for k, v in said.items()}, "images": n}
                    | {f"accuracy_{k}": np.mean(v) for k, v in gained.items()})  # fmt: skip
    return rows


def main() -> None:
    """Train, test and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, required=True, help="folder with lung4 and pneumonia4")
    parser.add_argument("--montgomery", type=Path, required=True, help="the set of Montgomery County")
    parser.add_argument("--out", type=Path, default=Path("results/foreign.json"))
    given = parser.parse_args()
    start, cpu = time.perf_counter(), time.process_time()
    parts, tested = sets(given.sets, given.montgomery)
    record = {
        "kind": "foreign", "size": SIZE, "seeds": SEEDS, "recipe": RECIPE.replace(class_weights=None).to_dict(),
        "prevalence": PREVALENCE, "hardware": describe(), "versions": versions(),
        "command": "python benchmarks/foreign.py --sets PATH --montgomery PATH", "trained": {},
    }  # fmt: skip
    for name, part in parts.items():
        runs = [trained(part, seed) for seed in SEEDS]
        found = {other: cell(runs, images) for other, images in tested.items()}
        for measured, drawn in found.values():
            change = drawn - found[name][1]
            low, high = ends(change[1:])
            measured["change"] = {"value": change[0], "low": low, "high": high}
        counts = {k: {c: int((p.labels == i).sum()) for i, c in enumerate(p.classes)}
                  for k, p in zip(("train", "val", "test"), part, strict=True)}  # fmt: skip
        tests = {k: v[0] for k, v in found.items()}
        record["trained"][name] = {"counts": counts, "simulated": simulated(runs), "tests": tests}
        print(name, {k: (v[0]["auc"]["value"], v[0]["change"]["value"]) for k, v in found.items()}, flush=True)
        spent = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
        write_json(given.out, plain(record | plain(spent, 0)))


if __name__ == "__main__":
    main()
