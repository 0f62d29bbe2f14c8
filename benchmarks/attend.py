"""What attention is worth: networks trained with and without `attend`, on phantoms with a shortcut and on real X-rays.

    python benchmarks/attend.py phantoms
    python benchmarks/attend.py real --root PATH/chest_xray

On phantoms (`attend="lesion"`) a marker goes with the disease in the training images, as in the shortcut laboratory; it
can be taken away or moved to the healthy, so that one sees whether the network uses it. On real X-rays
(`attend="lungs"`) one sees where the maps lie, and what it costs. The weight of the penalty is chosen beforehand, by
training with another seed: the highest of the worst AUC on validation phantoms as trained, without markers, and with
markers on the healthy; on real X-rays the largest weight with which the validation AUC is at most TOLERATED below that
without. A network whose row is in the file is not trained again.
"""

import argparse
import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from crop import compare

import cxrlib as cxr
from cxrlib import shortcut as lab
from cxrlib.bootstrap import mean_intervals
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.localization import map_energy
from cxrlib.metrics import best_threshold
from cxrlib.models import CxrNet
from cxrlib.values import plain

WEIGHTS = (0.0, 0.1, 0.3, 1.0)
CHOOSING = 100  # the seed with which the weight is chosen
FRACTIONS = (0.5, 0.9, 1.0)
TOLERATED = 0.005
NETWORK = {
    "model": "CPCPCPC",
    "model_options": {"filters": (16, 32, 64, 64), "normalize": "image"},
    "precision": "fp32",
}
PHANTOMS = lab.RECIPE.replace(**NETWORK, epochs=20, attend="lesion", attend_weight=0.0)
REAL = cxr.recipes["augmented"].replace(**NETWORK, size=96, epochs=5, attend="lungs", attend_weight=0.0)


def phantom_rows(train: lab.Pairs, test: lab.Pairs, weight: float, fractions: tuple, seed: int) -> list[dict]:
    """Train at each fraction of markers: accuracy and AUC on three tests, flips, and where the maps lie."""
    recipe = PHANTOMS.replace(seed=seed, attend_weight=weight)
    frame, models = lab.dose_response(train, test, fractions, recipe, None, seed)
    rows = []
    for p, model in models.items():
        auc = lab.accuracies(model, lab.three_tests(test, p, seed))[["auc", "auc_low", "auc_high"]]
        found = {f"auc_{name}": list(values) for name, *values in auc.itertuples()}
        for name in ("same", "removed", "swapped", "flips", "energy_marker", "energy_lesion"):
            found[name] = [frame.loc[p, name + end] for end in ("", "_low", "_high")]
        rows.append(plain({"seed": seed, "p": p, "weight": weight} | found))
        print({k: v if np.isscalar(v) else round(v[0], 3) for k, v in rows[-1].items()}, flush=True)
    return rows


def phantoms(record: dict, save: object, seeds: list[int]) -> None:
    """Choose the weight, then train with and without it."""
    record |= {"recipe": PHANTOMS.to_dict(), "pairs": {"train": 800, "choosing": 200, "test": 300}}
    made = cache(lambda n, seed: lab.make_pairs(n, PHANTOMS.size, seed))
    for weight in WEIGHTS:
        for p in FRACTIONS[1:]:
            if not _has(record["choosing"], weight=weight, p=p):
                pairs = made(800, CHOOSING), made(200, CHOOSING + 1)
                record["choosing"] += phantom_rows(*pairs, weight, (p,), CHOOSING)
                save()
    worst = {w: [_worst(row) for row in record["choosing"] if row["weight"] == w] for w in WEIGHTS[1:]}
    record["weight"] = max(worst, key=lambda w: np.mean(worst[w]))
    for seed in seeds:
        for p in FRACTIONS:
            for weight in (0.0, record["weight"]):
                if not _has(record["rows"], seed=seed, weight=weight, p=p):
                    pairs = made(800, 10 + seed), made(300, 20 + seed)
                    record["rows"] += phantom_rows(*pairs, weight, (p,), seed)
                    save()


def _worst(row: dict) -> float:
    return min(row[f"auc_{name}"][0] for name in ("same", "removed", "swapped"))


def _has(rows: list[dict], **wanted: float) -> bool:
    return any(all(row[name] == value for name, value in wanted.items()) for row in rows)


def real_run(parts: tuple, weight: float, seed: int) -> dict:
    """Train on real X-rays; what the network says of the validation images, and where its maps lie."""
    recipe = REAL.replace(seed=seed, attend_weight=weight)
    model = cxr.build(recipe, parts[0].classes)
    history = cxr.fit(model, parts[0], parts[1], recipe, progress=False)
    row = {"seed": seed, "weight": weight, "outside": [e["outside"] for e in history.epochs]}
    row["cpu_seconds"] = sum(e["cpu_seconds"] for e in history.epochs)
    row["validation"] = max(e["val_auc"] for e in history.epochs)
    print(row, flush=True)
    return row | {"model": model}


def energies(model: CxrNet, data: cxr.CxrDataset) -> np.ndarray:
    """Measure the energy inside the lungs of the map of each image's true class, (N,); NaN without lungs or energy."""
    maps = cxr.explain(model, data, target=data.labels, relu=False)
    return map_energy(maps, {"lungs": data.lungs}, bootstrap=0).per_image["lungs"].to_numpy()


def real_row(data: cxr.CxrDataset, weight: float, seed: int) -> dict:
    """Train without and with the penalty, and compare the two on validation and, once, on test images."""
    parts = cxr.split(data, val=0.1, by="patient", seed=seed)
    runs = [real_run(parts, w, seed) for w in (0.0, weight)]
    models = [run.pop("model") for run in runs]
    probs = [[cxr.predict(model, part) for part in parts[1:]] for model in models]
    cuts = [best_threshold(parts[1].labels, found[0][:, 1]) for found in probs]
    row = {"seed": seed, "runs": runs}
    for k, (name, part) in enumerate(zip(("validation", "test"), parts[1:], strict=True)):
        scores = compare(part.labels, part.patients, *((found[k], cut) for found, cut in zip(probs, cuts, strict=True)))
        inside = [energies(model, part) for model in models]
        change = inside[1] - inside[0]
        for name_of, values in (("without", inside[0]), ("with", inside[1]), ("difference", change)):
            scores.setdefault("energy", {})[name_of] = [np.nanmean(values), *mean_intervals(values, part.patients)]
        scores["energy"] |= {"images": int(np.isfinite(change).sum()), "uniform": float(part.lungs.mean())}
        row[name] = scores | {"images": len(part), "patients": len(np.unique(part.patients))}
        print(seed, name, scores["auc"], scores["energy"], flush=True)
    return row


def real(record: dict, save: object, seeds: list[int], root: str) -> None:
    """Choose the weight on validation images, then train with and without it."""
    data = cxr.load("pneumonia", REAL.size, root=root, progress=False).with_lungs(progress=False)
    record |= {"recipe": REAL.to_dict(), "fingerprint": data.fingerprint, "tolerated": TOLERATED}
    record["without_lungs"] = int((~data.lungs.any((1, 2))).sum())
    for weight in WEIGHTS:
        if not _has(record["choosing"], weight=weight):
            run = real_run(cxr.split(data, val=0.1, by="patient", seed=CHOOSING), weight, CHOOSING)
            record["choosing"].append({k: v for k, v in run.items() if k != "model"})
            save()
    auc = {row["weight"]: row["validation"] for row in record["choosing"]}
    record["weight"] = max([w for w in WEIGHTS[1:] if auc[w] >= auc[0.0] - TOLERATED] or [WEIGHTS[1]])
    for seed in seeds:
        if not _has(record["rows"], seed=seed):
            record["rows"].append(real_row(data, record["weight"], seed))
            save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("phantoms", "real"))
    parser.add_argument("--root", help="the set of Kermany et al.: train/ and test/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, help="default: results/attend-PART.json")
    options = parser.parse_args()
    out = options.out or Path(f"results/attend-{options.part}.json")
    command = f"python benchmarks/attend.py {options.part}" + " --root chest_xray" * (options.part == "real")
    record = {"kind": f"attend {options.part}", "command": command, "machine": describe(), "versions": versions()}
    record |= {"choosing": [], "rows": []}
    if out.exists():
        record |= json.loads(out.read_text(encoding="utf-8"))
    warnings.filterwarnings("ignore", message="recipe: attend")

    def save() -> None:
        write_json(out, plain(record))

    if options.part == "real":
        real(record, save, options.seeds, options.root)
    else:
        phantoms(record, save, options.seeds)
    save()


if __name__ == "__main__":
    main()
