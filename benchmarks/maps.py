"""Where do the maps of real networks lie? Energy per region of the anatomy, by class, for right and for wrong answers.

    python benchmarks/maps.py RUN... --root PATH/chest_xray

RUN is a folder that `cxr train` wrote. The official test images are prepared as it took them, lungs are found, and the
regions of `cxr.anatomy` drawn around them. Answers are those at a probability of 0.5, as recorded. Maps choose nothing
here, and no network was chosen by its maps. A run that is recorded already is replaced, the others stay. Runs of one
model, size and crop, and `--stages` of them, are also compared map by map: another seed, another number of epochs.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.stats import rankdata

import cxrlib as cxr
from cxrlib._controls import find_markers
from cxrlib.bootstrap import mean_intervals
from cxrlib.cam import map_sizes
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.values import plain

FINE = 8  # cells to a side of the finer maps, at least
BAND, EDGE = 0.04, 0.10  # widths, in sides of the image: of the band along the ribs, and of the strip on the right


def regions_of(data: cxr.CxrDataset) -> dict[str, np.ndarray]:
    """The anatomy, and two places that people spoke of: the outer edge of the ribs, and the right edge."""
    regions = cxr.anatomy(data)
    around = {"axes": (1, 2), "iterations": round(BAND * data.size)}
    lungs, wall = (ndimage.binary_dilation(regions[name], **around) for name in ("lungs", "beside"))
    strip = np.zeros_like(lungs)
    strip[lungs.any((1, 2)), :, round((1 - EDGE) * data.size) :] = True
    return regions | {"rib edge": lungs & wall, "right edge": strip}


def described(energy: cxr.MapEnergy, labels: np.ndarray, right: np.ndarray, classes: tuple) -> dict:
    """Energies of all maps, per true class, and right against wrong answers, as plain values."""
    groups = {"all": np.full(len(labels), True)} | {name: labels == k for k, name in enumerate(classes)}
    keep = ["energy", "energy_low", "energy_high", "uniform", "gain_low", "gain_high", "images"]
    by_class = {name: energy.where(rows).table[keep].to_dict("index") for name, rows in groups.items() if name != "all"}
    compared = {name: energy.difference(rows & right, rows & ~right).to_dict("index") for name, rows in groups.items()}
    return energy.to_dict() | {"by_class": by_class, "right_minus_wrong": compared}


def markers_of(data: cxr.CxrDataset, grid: tuple[int, int]) -> dict[str, np.ndarray]:
    """What looks like a marker, and one cell of a map around it; and the same place mirrored, where none is.

    An image without a marker has empty regions.
    """
    cell = [-(-data.size // side) for side in grid]
    images = zip(np.asarray(data.images)[:, 0], data.lungs, strict=True)
    found = [find_markers(image, lungs) & lungs.any() for image, lungs in images]
    marker = ndimage.maximum_filter(np.stack(found), (1, *(2 * side + 1 for side in cell)))
    return {"marker": marker, "mirrored marker": marker[:, :, ::-1] & ~marker}


def finer(model: cxr.models.CxrNet) -> str:
    """The last large part of a network whose maps have FINE cells to a side or more."""
    sizes = {name: size for name, size in map_sizes(model).items() if min(size) >= FINE}
    names = [name for name, size in sizes.items() if size == min(sizes.values())]
    return [name for name in names if name.count(".") == min(other.count(".") for other in names)][-1]


def one_run(folder: Path, root: str) -> tuple[dict, np.ndarray, np.ndarray]:
    """The record of one run, its maps of the second class (N, h, w), and the patients (N,)."""
    run = cxr.Run.open(folder)
    data = run.load_data(f"folder:{root}", progress=False)
    test = data[np.flatnonzero(data.splits == "test")]  # whatever patients the run was validated on
    if not np.array_equal(test.labels, run.test.labels):
        raise SystemExit(f"{folder}: the run was not tested on the official test images of {root}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # images without lungs are counted in the record
        test = run.prepare(test).with_lungs(progress=False)
        regions = regions_of(test)
    answers = run.test.probs.argmax(1)
    right, second = answers == test.labels, run.classes[1]
    maps, found = {}, {}
    for name, target, options in (
        ("grad-cam, predicted", answers, {}),
        (f"grad-cam, {second}", second, {}),
        ("layer-cam, predicted", answers, {"method": "layer-cam", "layer": finer(run.model)}),
    ):
        maps[name] = cxr.explain(run.model, test, target=target, relu=False, **options)
        marked = cxr.map_energy(maps[name], markers_of(test, maps[name].shape[1:]), test.patients)
        energy = cxr.map_energy(maps[name], regions, test.patients)
        found[name] = described(energy, test.labels, right, run.classes)
        found[name]["regions"] |= marked.to_dict()["regions"]
    del found["layer-cam, predicted"]["by_class"], found["layer-cam, predicted"]["right_minus_wrong"]
    found["layer-cam, predicted"]["layer"] = finer(run.model)
    scores = {name: run.record["test"]["values"][name] for name in ("accuracy", "auc")}
    counts = {name: [int(right[test.labels == k].sum()), int((test.labels == k).sum())]
              for k, name in enumerate(run.classes)}  # fmt: skip
    record = {
        "name": folder.name, "trained": run.record["command"], "recipe": run.recipe.to_dict(),
        "epochs": len(run.record["training"]["epochs"]), "classes": list(run.classes), "images": len(test),
        "patients": len(np.unique(test.patients)), "right": counts, "test": scores, "maps": found,
    }  # fmt: skip
    return record, maps[f"grad-cam, {second}"], test.patients


def alike(one: np.ndarray, two: np.ndarray, patients: np.ndarray) -> dict:
    """Rank correlation of two networks' maps (N, h, w) of the same images; and of maps of different images of one."""

    def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = (rankdata(m.reshape(len(m), -1), axis=1) for m in (a, b))
        a, b = (m - m.mean(1, keepdims=True) for m in (a, b))
        with np.errstate(invalid="ignore"):
            return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))

    values = correlation(one, two)
    others = [np.nanmean(correlation(maps, np.roll(maps, len(maps) // 2, 0))) for maps in (one, two)]
    return {"mean": np.nanmean(values), "interval": list(mean_intervals(values, patients)), "other_images": others}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of `cxr train`")
    parser.add_argument("--stages", nargs="*", type=Path, default=[], help="other epochs or seeds of the same recipes")
    parser.add_argument("--root", required=True, help="the set of Kermany et al.: train/ and test/")
    parser.add_argument("--out", type=Path, default=Path("results/maps.json"))
    options = parser.parse_args()

    old = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    runs, stages = ({run["name"]: run for run in old.get(part, [])} for part in ("runs", "stages"))
    pairs = {(pair["one"], pair["two"]): pair for pair in old.get("alike", [])}
    known = {}
    for folder in [*options.runs, *options.stages]:
        record, maps, patients = one_run(folder, options.root)
        own = record["maps"]["grad-cam, predicted"]["regions"]
        if folder in options.runs:
            runs[folder.name] = record
        else:
            stages[folder.name] = {name: record[name] for name in ("name", "trained", "epochs", "test")}
            stages[folder.name]["lungs"] = own["lungs"]
        known[folder.name] = [record["recipe"][name] for name in ("model", "size", "crop")], maps
        for one, (like, others) in known.items():
            if one != folder.name and like == known[folder.name][0]:
                pairs[one, folder.name] = {"one": one, "two": folder.name} | alike(others, maps, patients)
        names = " ".join(runs) + (f" --stages {' '.join(stages)}" if stages else "")
        record = {
            "kind": "maps", "band": BAND, "edge": EDGE, "fine": FINE, "runs": list(runs.values()),
            "stages": list(stages.values()),
            "alike": list(pairs.values()), "command": f"python benchmarks/maps.py {names} --root chest_xray",
            "machine": describe(), "versions": versions(),
        }  # fmt: skip
        write_json(options.out, plain(record))
        print(f"{folder.name}\n{pd.DataFrame(own).T[['energy', 'gain_low', 'gain_high', 'uniform']]}", flush=True)


if __name__ == "__main__":
    main()
