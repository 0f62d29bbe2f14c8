"""How well does `near_duplicates` find the same picture, and does it call different patients the same?

    python benchmarks/near_duplicates.py --data PATH

PATH holds `chest_xray` (Kermany et al. 2018), `extra` (COVID-19 and TB Radiography Databases) and `montgomery`. Copies
of their images, and of phantoms, are made in several ways and sought among all. The patients are dealt into two halves:
the threshold `SAME` was chosen on one (`choosing`) and is judged on the other (`reporting`), to which the official test
images of the children's set belong. It lies halfway between the most alike pair of different patients and the first
percentile of the copies' likeness, rounded to hundredths.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import binomtest

import cxrlib as cxr
from cxrlib.data._near import SAME, near_duplicates
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.values import plain

SIZE = 224
SOURCES = {"children": "chest_xray", "adults": "extra", "adults with masks": "montgomery", "phantoms": "phantom"}
LEAST = 0.80  # likeness from which pairs are looked at here


def saved(picture: np.ndarray, quality: int) -> np.ndarray:
    """Save a picture (H, W) as JPEG, and read it again."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """Make a picture smaller, and as large as it was again."""
    small = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
    return np.array(small.resize(picture.shape[::-1], Image.Resampling.BILINEAR))


def cropped(picture: np.ndarray, percent: float, rng: np.random.Generator) -> np.ndarray:
    """Cut up to some percent of the side from each edge, and from one edge all of that."""
    most = round(percent / 100 * len(picture))
    left, top, right, bottom = np.where(np.arange(4) == rng.integers(4), most, rng.integers(0, most + 1, 4))
    part = picture[top : len(picture) - bottom, left : len(picture) - right]
    return np.array(Image.fromarray(part).resize(picture.shape[::-1], Image.Resampling.BICUBIC))


def lit(picture: np.ndarray, contrast: float, brightness: float, gamma: float = 1.0) -> np.ndarray:
    """Change contrast, brightness and gamma."""
    return np.clip((((picture / 255) ** gamma - 0.5) * contrast + 0.5 + brightness) * 255, 0, 255).astype(np.uint8)


def mixed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Crop, mirror, save again and light otherwise."""
    return lit(saved(cropped(picture, 3, rng)[:, ::-1], 60), 1.2, 0.05, rng.choice([0.7, 1.4]))


def turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    """Turn a picture around its middle."""
    return np.array(Image.fromarray(picture).rotate(degrees, Image.Resampling.BICUBIC))


#: what is done to the copy -> (the function, is it among what should be found?)
CHANGES: dict[str, tuple[Callable, bool]] = {
    "JPEG, quality 75": (lambda a, rng: saved(a, 75), True),
    "JPEG, quality 20": (lambda a, rng: saved(a, 20), True),
    "resized to 112 px": (lambda a, rng: resized(a, 112), True),
    "resized to 64 px": (lambda a, rng: resized(a, 64), True),
    "cropped, up to 2 % per edge": (lambda a, rng: cropped(a, 2, rng), True),
    "cropped, up to 4 % per edge": (lambda a, rng: cropped(a, 4, rng), True),
    "cropped, up to 6 % per edge": (lambda a, rng: cropped(a, 6, rng), False),
    "mirrored": (lambda a, rng: a[:, ::-1], True),
    "contrast ± 30 %, brightness ± 15 %": (
        lambda a, rng: lit(a, rng.uniform(0.7, 1.3), rng.uniform(-0.15, 0.15)),
        True,
    ),
    "gamma 0.6 or 1.6": (lambda a, rng: lit(a, 1, 0, rng.choice([0.6, 1.6])), True),
    "cropped 3 %, mirrored, JPEG 60, gamma, contrast": (mixed, True),
    "turned by 1 degree": (lambda a, rng: turned(a, 1), False),
    "turned by 3 degrees": (lambda a, rng: turned(a, 3), False),
}


def together(sets: list[cxr.CxrDataset]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give pixels, patients, the number of the source, whose patient is known, and the half of all images."""
    images = np.concatenate([data.images for data in sets])
    source = np.repeat(np.arange(len(sets)), [len(data) for data in sets])
    patients = np.concatenate([data.patients for data in sets])
    patients = np.array([f"{s}:{patient}" for s, patient in zip(source, patients, strict=True)])
    known = np.concatenate([data.table.get("patient_known", pd.Series(True, data.table.index)) for data in sets])
    reporting = np.array([crc32(patient.encode()) % 2 == 1 for patient in patients])
    official = np.concatenate([data.splits for data in sets])
    return images, patients, source, known.astype(bool), reporting | ((source == 0) & (official == "test"))


def as_data(images: np.ndarray) -> cxr.CxrDataset:
    """Make a data set of pixels alone."""
    return cxr.CxrDataset(images, np.zeros(len(images), int), ["any"], [str(k) for k in range(len(images))])


def proportion(hits: np.ndarray) -> dict:
    """Give a fraction with its exact 95 % interval (Clopper and Pearson 1934)."""
    if not len(hits):
        return {"of": 0, "fraction": np.nan, "interval": [np.nan, np.nan]}
    low, high = binomtest(int(hits.sum()), len(hits)).proportion_ci()
    return {"of": len(hits), "fraction": hits.mean(), "interval": [low, high]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with chest_xray, extra and montgomery")
    parser.add_argument("--copies", type=int, default=100, help="copies of each source and kind, per half")
    parser.add_argument("--out", type=Path, default=Path("results/near-duplicates.json"))
    options = parser.parse_args()

    sets = [cxr.load(f"folder:{options.data / name}", SIZE) for name in list(SOURCES.values())[:3]]
    images, patients, source, known, reporting = together([*sets, cxr.load("phantom", SIZE, n=1000)])
    rng, record = np.random.default_rng(0), {"kind": "near-duplicates", "size": SIZE, "same": SAME, "halves": {}}
    for half, members in (("choosing", ~reporting), ("reporting", reporting)):
        rows = np.flatnonzero(members)
        pool = as_data(images[rows])
        pairs = near_duplicates(pool, least=LEAST)
        first, second = rows[pairs["first"]], rows[pairs["second"]]
        even = (images[first] == images[second]).all((1, 2, 3))
        both, one = known[first] & known[second], patients[first] == patients[second]
        alike = {}  # what the pairs are -> the likeness of each
        for name, which in (
            ("same pixels", even), ("same patient", both & one & ~even), ("different patients", both & ~one & ~even),
            ("patients not known", ~both & ~even),
        ):  # fmt: skip
            values = np.sort(pairs["likeness"].to_numpy()[which])[::-1]
            alike[name] = {"pairs": int((values >= SAME).sum()), "highest": list(values[:40])}

        originals = []  # of each source, one image per patient
        for k in range(len(SOURCES)):
            mine = rows[source[rows] == k]
            mine = mine[np.unique(patients[mine], return_index=True)[1]]
            originals.append(rng.choice(mine, min(options.copies, len(mine)), replace=False))
        originals = np.concatenate(originals)
        changes, likeness, wrong = [], [], 0
        for name, (change, wanted) in CHANGES.items():
            copies = np.stack([change(images[k, 0], rng) for k in originals])[:, None]
            found = near_duplicates(as_data(np.ascontiguousarray(copies)), pool, least=LEAST, progress=False)
            target, got = originals[found["first"]], rows[found["second"]]
            right = target == got
            best = np.zeros(len(originals))
            np.maximum.at(best, found["first"].to_numpy()[right], found["likeness"].to_numpy()[right])
            other = ~right & (found["likeness"] >= SAME) & (patients[target] != patients[got])
            wrong += int((other & known[target] & known[got]).sum())
            likeness += list(best) if wanted else []
            by = {name: proportion(best[source[originals] == k] >= SAME) for k, name in enumerate(SOURCES)}
            changes.append({"change": name, "wanted": wanted, "all": proportion(best >= SAME)} | by)
            print(half, name, f"{(best >= SAME).mean():.3f}", by, flush=True)
        found = sum(row["all"]["of"] * row["all"]["fraction"] for row in changes)
        record["halves"][half] = {
            "images": len(rows), "patients": len(np.unique(patients[rows])), "changes": changes, "pairs": alike,
            "sources": {name: int((source[rows] == k).sum()) for k, name in enumerate(SOURCES)},
            "copies_found": round(found), "other_patients_called_the_same": wrong,
            "copies_first_percentile": float(np.quantile(likeness, 0.01)),
        }  # fmt: skip
        highest = (alike["different patients"]["highest"] or [np.nan])[0]
        print(half, "highest of different patients", highest, "copies", np.quantile(likeness, [0, 0.01, 0.05]), wrong)
    many = as_data(np.concatenate([images, np.roll(images, 40, axis=3)])[:15_000])
    clock, cpu = time.perf_counter(), time.process_time()
    near_duplicates(many, progress=False)
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    record |= {
        "speed": {"images": len(many), "seconds": clock, "cpu_seconds": cpu}, "versions": versions(),
        "machine": describe(), "command": "python benchmarks/near_duplicates.py --data PATH",
    }  # fmt: skip
    write_json(options.out, plain(record))
    print(f"wrote {options.out}: {record['speed']}")


if __name__ == "__main__":
    main()
