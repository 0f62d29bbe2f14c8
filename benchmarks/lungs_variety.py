"""What is the variety worth? The network of `cxr lungs`, trained with it and without, on real X-rays.

    python benchmarks/lungs_variety.py --root PATH/montgomery

Two networks learn from the same phantoms with the same seed, for a third of the usual steps; one of them sees the
phantoms as they are. Scored with every pixel above 0.5, before a pair of lungs is looked for. Chapter 11 quotes it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from lungs import dice

import cxrlib as cxr
from coursekit.lung_training import LungsRecipe, train_lungs
from cxrlib.bootstrap import mean_intervals
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.values import plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="the Montgomery set: images/ and masks/")
    parser.add_argument("--variety", nargs="+", default=["without", "with"], choices=["without", "with"])
    parser.add_argument("--out", type=Path, default=Path("results/lungs-variety.json"))
    options = parser.parse_args()

    real = cxr.load(f"folder:{options.root}", 128)
    images = torch.from_numpy(np.asarray(real.images)).float() / 255
    runs = json.loads(options.out.read_text(encoding="utf-8"))["runs"] if options.out.exists() else {}
    for name in options.variety:
        recipe = LungsRecipe(phantoms=800, steps=500, variety=name == "with")
        network = train_lungs(recipe)
        with torch.inference_mode():
            found = (network(images) > 0)[:, 0].numpy()
        values = dice(found, real.lungs)
        interval = list(mean_intervals(values))
        runs[name] = {"mean": values.mean(), "interval": interval, "min": values.min(), "recipe": plain(vars(recipe))}
        print(name, runs[name], flush=True)
    record = {
        "kind": "lungs variety", "images": len(real), "side": 128, "runs": runs,
        "command": "python benchmarks/lungs_variety.py --root montgomery",
        "machine": describe(), "versions": versions(),
    }  # fmt: skip
    write_json(options.out, plain(record))


if __name__ == "__main__":
    main()
