"""What it took to come to the recipe `best`: every network that was kept, rung by rung.

    python benchmarks/ladder.py rungs PATH RUN ...
    python benchmarks/ladder.py ensemble RUN RUN RUN --whole RUN RUN RUN

THE PLAN, committed before anything below was computed:

1. The ensemble is the mean of the probabilities of `best` on images cut to the lungs, seeds 0, 1 and 2; no other
   combination is tried. It is scored once, from the predictions that the three runs recorded, and decided (a) at 0.5;
   (b) at the threshold with the highest balanced accuracy on the three networks' validation predictions laid together,
   each of an image that its network had not seen; (c), a row of its own because it looks at the test images without
   their labels, at 0.5 after the correction for label shift: temperature on the same validation predictions, EM. The
   same three decisions for each of the three networks alone.
2. It is compared, with the same resamples of patients, with the recipe on whole images, seeds 0, 1 and 2: with the mean
   of the three networks' scores, and with their ensemble, which tells what the average gives without the cut.
3. The rungs are the five-layer CNN and ResNet-18, seed 0; the recipe on whole images and on cut images, seeds 0, 1, 2;
   and two new trainings on cut images with seed 0: with all outside of the lungs blank, and with bacterial, viral and
   normal as three classes, whose first two are added up. Of the three classes the network takes equal frequencies for
   granted, the others of two; its probabilities are corrected from thirds to 1/2 normal, 1/4 and 1/4.
4. Rungs are judged on their validation patients, and on the same images under five kinds of stress, each alone, in the
   original image, before the lungs are looked for: shading, blur, gamma, another framing, and one tone curve that gives
   all of them together the histogram of the test images (these without labels). The test figure stands beside it, of
   the predictions that each run recorded at its end: nothing is chosen by it.
5. The new `best` is the cut, whatever comes out. That it helps on the test images was seen in trials that had scored
   them, so it is not an innocent choice, and its test figure is too good by an unknown amount.
"""

import argparse
from pathlib import Path

import numpy as np

import cxrlib as cxr
from cxrlib import calibration, label_shift
from cxrlib.bootstrap import draws, ends, groups
from cxrlib.device import describe
from cxrlib.ensemble import average
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.metrics import Report, best_threshold
from cxrlib.ranking import weighted_auc
from cxrlib.values import plain

DECISIONS = ("at_half", "at_validation_threshold", "label_shift")


def decided(validation: list[Report], probs: np.ndarray) -> dict[str, tuple[np.ndarray, float]]:
    """Give probabilities (N, 2) of test images, and the threshold, for each of the three decisions of the plan."""
    labels, seen = (np.concatenate([getattr(r, name) for r in validation]) for name in ("labels", "probs"))
    logits = calibration.logits_of(seen)
    temperature = calibration.temperature(logits, labels)
    own, others = (calibration.apply(calibration.logits_of(p), temperature) for p in (seen, probs))
    prior = own.mean(0)
    shifted = label_shift.adjust(others, prior, label_shift.em(others, prior))
    return dict(
        zip(DECISIONS, ((probs, 0.5), (probs, best_threshold(labels, seen[:, 1])), (shifted, 0.5)), strict=True)
    )


def scored(runs: list[cxr.Run]) -> dict:
    """Score the mean of the runs' recorded test predictions: each decision with intervals over patients."""
    tests = [run.test for run in runs]
    if any(
        not np.array_equal(getattr(t, name), getattr(tests[0], name)) for t in tests for name in ("labels", "patients")
    ):
        raise SystemExit("give runs that were tested on the same images")
    row = {"seeds": [run.recipe.seed for run in runs], "cpu_seconds": sum(map(cpu_seconds, runs))}
    for name, (probs, at) in decided([r.validation for r in runs], average([t.probs for t in tests])).items():
        report = Report(tests[0].labels, probs, runs[0].classes, tests[0].patients, bootstrap=1000, seed=0).at(at)
        row[name] = {"threshold": at, "values": report.values, "intervals": report.intervals}
    return row


def cpu_seconds(run: cxr.Run) -> float:
    """Add up the CPU time of all epochs."""
    return sum(e["cpu_seconds"] for e in run.record["training"]["epochs"])


def scores(labels: np.ndarray, probs: np.ndarray, at: float, weights: np.ndarray) -> np.ndarray:
    """Accuracy and AUC for weights (B, N): (2, B)."""
    right = (probs[:, 1] >= at) == (labels == 1)
    return np.stack([weights @ right / weights.sum(1), weighted_auc(labels == 1, probs[:, 1], weights)])


def differences(one: list[list[cxr.Run]], other: list[list[cxr.Run]]) -> dict:
    """Compare the mean score of some ensembles with that of others, on the same resamples of the test patients."""
    test = one[0][0].test
    found = {}
    for name in DECISIONS:
        chosen = [
            [decided([r.validation for r in runs], average([r.test.probs for r in runs]))[name] for runs in side]
            for side in (other, one)
        ]

        def change(weights: np.ndarray, chosen: list = chosen) -> np.ndarray:
            before, after = (np.mean([scores(test.labels, *c, weights) for c in side], 0) for side in chosen)
            return (after - before).T

        exact = change(np.ones((1, len(test.labels))))[0]
        resampled = draws(groups(test.patients, len(test.labels)), 1000)
        low, high = ends(np.concatenate([change(weights) for weights in resampled]))
        found[name] = {
            score: {"difference": exact[k], "interval": [low[k], high[k]]}
            for k, score in enumerate(("accuracy", "auc"))
        }
    return found


def ensemble(cut: list[cxr.Run], whole: list[cxr.Run]) -> dict:
    """Score three networks together and alone, and compare them with those of whole images: steps 1 and 2."""
    alone, others = [[run] for run in cut], [[run] for run in whole]
    rows = {"networks": [scored(runs) for runs in alone], "ensemble": scored(cut)}
    if not whole:
        return {"cut": rows}
    return {
        "cut": rows,
        "whole": {"networks": [scored(runs) for runs in others], "ensemble": scored(whole)},
        "ensemble, and the networks on whole images": differences([cut], others),
        "the networks, and those on whole images": differences(alone, others),
        "ensemble, and that on whole images": differences([cut], [whole]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("ensemble",))
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--whole", nargs="*", type=Path, default=[], metavar="RUN")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    runs, whole = ([cxr.Run.open(folder) for folder in folders] for folders in (options.runs, options.whole))
    record = {"kind": options.part, "machine": describe(), "versions": versions()}
    record["command"] = "python benchmarks/ladder.py ensemble RUN RUN RUN --whole RUN RUN RUN"
    record["images"], record["patients"] = len(runs[0].test.labels), len(np.unique(runs[0].test.patients))
    write_json(options.out or Path(f"results/{options.part}.json"), plain(record | ensemble(runs, whole)))


if __name__ == "__main__":
    main()
