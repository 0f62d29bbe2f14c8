"""How well does `cxr lungs` do on real X-rays? Dice, IoU and Hausdorff distance against manual masks.

    python benchmarks/lungs.py --root PATH/montgomery --children PATH/chest_xray --keep runs/lungs

A network per seed is trained on phantoms alone (`cxr train-lungs --seed N`) and scored on the 138 images of the
Montgomery set (Jaeger et al. 2014). Every second image in the order of the names was looked at while the training was
designed (`choosing`); the others (`reporting`) were scored along the way, but nothing was chosen by them. On the
children's set, which has no masks, two networks of different seeds are compared with each other. A network whose file
lies in the folder of `--keep` is not trained again.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from contourpy import contour_generator
from scipy import ndimage

import cxrlib as cxr
from coursekit.lung_training import LungsRecipe, save_weights, train_lungs
from cxrlib._lungs import WEIGHTS, find_lungs
from cxrlib.bootstrap import mean_intervals
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.values import plain

SIDE = 256  # pixels at which the masks are compared


def dice(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Dice overlap of masks (N, H, W), (N,); 1 where both are empty."""
    both, total = (found & true).sum((1, 2)), found.sum((1, 2)) + true.sum((1, 2))
    return np.where(total, 2 * both / np.maximum(total, 1), 1.0)


def hausdorff95(found: np.ndarray, true: np.ndarray) -> float:
    """95th percentile of the distances from each mask's edge to the other's, the larger of both ways, in pixels."""
    if not found.any() or not true.any():
        return np.nan
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (found, true)]
    away = [ndimage.distance_transform_edt(~edge) for edge in edges]
    return max(np.percentile(away[1][edges[0]], 95), np.percentile(away[0][edges[1]], 95))


def outline(mask: np.ndarray) -> list[str]:
    """Polygons of a mask's edge, each as "x,y x,y ..." in thousandths of the image's side."""
    side = 64
    small = ndimage.zoom(mask.astype(float), side / len(mask), order=1)
    lines = contour_generator(z=np.pad(small, 1)).lines(0.5)
    points = [np.rint((line - 0.5) / side * 1000).astype(int) for line in lines if len(line) > 8]
    return [" ".join(f"{x},{y}" for x, y in polygon) for polygon in points]


def summary(scores: dict, rows: np.ndarray) -> dict:
    """Means over some images with 95 % bootstrap intervals, and the spread."""
    out = {"images": int(rows.sum()), "not_found": int((~scores["found"][rows]).sum())}
    for name in ("dice", "iou", "hausdorff95"):
        values = scores[name][rows]
        out[name] = {
            "mean": np.nanmean(values),
            "interval": list(mean_intervals(values)),
            "median": np.nanmedian(values),
        }
    worst = {"min": scores["dice"][rows].min(), "q05": np.quantile(scores["dice"][rows], 0.05)}
    return out | {"dice": out["dice"] | worst, "below_80": int((scores["dice"][rows] < 0.80).sum())}


def trained(seed: int, folder: Path) -> tuple[Path, dict]:
    """Train the network of one seed, or take the one in the folder: its file and the times."""
    path, note = folder / f"lungs-seed{seed}.npz", folder / f"lungs-seed{seed}.json"
    if not (path.exists() and note.exists()):
        clock, cpu = time.perf_counter(), time.process_time()
        network = train_lungs(LungsRecipe(seed=seed))
        save_weights(network, path)
        write_json(note, {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - cpu})
    return path, json.loads(note.read_text(encoding="utf-8"))


def score(real: cxr.CxrDataset, weights: Path) -> tuple[dict, np.ndarray]:
    """Scores of every image, each (N,), and the masks found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masks, reasons = find_lungs(real, weights=weights)
    d = dice(masks, real.lungs)
    distance = [hausdorff95(*pair) / SIDE for pair in zip(masks, real.lungs, strict=True)]
    return {"dice": d, "iou": d / (2 - d), "hausdorff95": np.array(distance), "found": np.array(reasons) == ""}, masks


def agreement(children: cxr.CxrDataset, pair: list[Path]) -> dict:
    """How alike two networks see the children: they have no masks, so this says nothing about right and wrong."""
    (one, why_one), (two, why_two) = (find_lungs(children, weights=path) for path in pair)
    both = np.array([not (a or b) for a, b in zip(why_one, why_two, strict=True)])
    values = dice(one[both], two[both])
    return {
        "images": len(children), "not_found": [sum(map(bool, why)) for why in (why_one, why_two)],
        "found_by_both": int(both.sum()), "dice": {"mean": values.mean(), "q05": np.quantile(values, 0.05)},
        "below_80": float((values < 0.80).mean()),
    }  # fmt: skip


def speed(side: int = 128, count: int = 512) -> dict:
    """Images a second, of a side in pixels: the best of five tries, since other work on the machine only slows it."""
    images = np.asarray(cxr.load("phantom", side, n=count, progress=False).images)
    seconds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(5):
            start = time.perf_counter()
            cxr.lungs(images)
            seconds.append(time.perf_counter() - start)
    return {"side": side, "images_per_second": count / min(seconds), "threads": torch.get_num_threads()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="the Montgomery set: images/ and masks/")
    parser.add_argument("--children", help="the set of Kermany et al.: train/ and test/")
    parser.add_argument("--keep", type=Path, default=Path("runs/lungs"), help="folder for the networks")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("results/lungs.json"))
    options = parser.parse_args()

    real = cxr.load(f"folder:{options.root}", SIDE)
    choosing = np.arange(len(real)) % 2 == 0
    halves = {"all": choosing | True, "choosing": choosing, "reporting": ~choosing}
    record = {
        "kind": "lungs", "images": len(real), "side": SIDE, "recipe": plain(vars(LungsRecipe())),
        "command": "python benchmarks/lungs.py --root montgomery --children chest_xray --keep runs/lungs",
        "machine": describe(), "versions": versions(), "runs": [],
    }  # fmt: skip
    files = []
    for seed in options.seeds:
        path, times = trained(seed, options.keep)
        files.append(path)
        scores, masks = score(real, path)
        run = {"seed": seed, "training": times} | {name: summary(scores, rows) for name, rows in halves.items()}
        if seed == options.seeds[0]:
            record["shipped"] = path.read_bytes() == WEIGHTS.read_bytes()
            worst = [k for k in np.argsort(scores["dice"]) if not choosing[k]][:6]
            record["worst"] = [
                {"dice": scores["dice"][k], "found": outline(masks[k]), "true": outline(real.lungs[k])} for k in worst
            ]
        record["runs"].append(run)
        print(seed, {name: round(run[name]["dice"]["mean"], 4) for name in halves}, times, flush=True)
    record["speed"] = speed()
    if options.children:
        record["children"] = agreement(cxr.load(f"folder:{options.children}", 224), files[:2])
    write_json(options.out, plain(record))
    print(f"wrote {options.out}: {record['speed']}, {record.get('children')}")


if __name__ == "__main__":
    main()
