"""What the recipe `whole` owes to each of its parts: one change at a time, judged on validation patients.

    python benchmarks/choices.py --root PATH/chest_xray --out results/choices.json

The test images are never opened. Smaller images and fewer epochs than the recipe's own keep a run short. Validation
patients come from the same hospital and the same years as the training patients; nearly every network does well on
them. So each network is also shown the same images through a stress that no training image went through: shading, as
of a tilted tube or an uneven grid, and a loss of sharpness. A run whose row is recorded is not repeated.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import cxrlib as cxr
from cxrlib.device import describe
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.metrics import Report
from cxrlib.values import plain

WHOLE = cxr.recipes["whole"]
AUGMENT = WHOLE.augment
LITE0 = WHOLE.model_options
#: change -> the recipe's fields that it replaces
CHANGES = {
    "as it is": {},
    "no augmentation": {"augment": None},
    "weaker augmentation": {"augment": cxr.recipes["augmented"].augment},
    "no mixup": {"augment": replace(AUGMENT, mixup=0.0)},
    "exposure not augmented": {"augment": replace(AUGMENT, brightness=0.0, contrast=0.0, gamma=0.0)},
    "last weights, not averaged": {"ema_decay": 0.0},
    "one view, not six": {"tta": ()},
    "no class weights": {"class_weights": None},
    "one normalization for all images": {"model_options": {**LITE0, "normalize": "fixed"}},
    "no ImageNet weights": {"model_options": {**LITE0, "pretrained": False}},
    "half the learning rate": {"lr": WHOLE.lr / 2},
    "twice the learning rate": {"lr": WHOLE.lr * 2},
    "batch norms held": {"freeze_norms": True},
    "ResNet-18 from scratch": {
        "model": "resnet18",
        "precision": "auto",
        "lr": 2e-3,
        "model_options": {"normalize": "image"},
    },
}


def shaded(images: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Multiply images (N, 1, H, W) by a smooth field each, as of a tilted tube or an uneven grid."""
    generator = torch.Generator().manual_seed(seed)
    field = torch.exp(0.35 * torch.randn(len(images), 1, 3, 3, generator=generator))
    field = F.interpolate(field, images.shape[2:], mode="bicubic", align_corners=True).clamp(0.3, 3)
    return (images * field).clamp(0, 255)


def blunted(images: torch.Tensor) -> torch.Tensor:
    """Take images (N, 1, H, W) to half the resolution, and back to their size."""
    return F.interpolate(F.interpolate(images, scale_factor=0.5, mode="area"), images.shape[2:], mode="bilinear")


def stress(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Shaded and blunted copies of uint8 images (N, 1, H, W)."""
    return blunted(shaded(torch.from_numpy(np.ascontiguousarray(images)).float(), seed)).round().byte().numpy()


def measure(change: str, recipe: cxr.Recipe, train, val, trained: dict) -> dict:
    """One row: what a network of this recipe scores on validation images, as they are and under stress."""
    key = json.dumps(replace(recipe, tta=(), about="").to_dict(), sort_keys=True)
    if key not in trained:
        model = cxr.build(recipe, train.classes)
        trained[key] = model, cxr.fit(model, train, val, recipe)
    model, history = trained[key]
    hard = cxr.CxrDataset(stress(val.images), val.labels, val.classes, val.patients)
    row = {"change": change, "recipe": recipe.to_dict(), "cpu_seconds": sum(e["cpu_seconds"] for e in history.epochs)}
    for name, data in (("validation", val), ("stress", hard)):
        probs = cxr.predict(model, data, tta=recipe.tta, precision=recipe.precision)
        report = Report(data.labels, probs, data.classes, data.patients, bootstrap=1000, seed=0)
        row[name] = plain({"values": report.values, "intervals": report.intervals})
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="local copy of the data set (else CXR_DATA_DIR, else a download)")
    parser.add_argument("--out", type=Path, default=Path("results/choices.json"))
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="CHANGE")
    options = parser.parse_args()

    data = cxr.load("pneumonia", options.size, root=options.root)
    train, val, _ = cxr.split(data, by="patient", seed=options.seed)
    settings = {"size": options.size, "epochs": options.epochs, "seed": options.seed, "fingerprint": data.fingerprint}
    record = {
        "kind": "choices",
        **settings,
        "training_images": len(train),
        "validation_images": len(val),
        "machine": describe(),
        "versions": versions(),
        "rows": [],
    }
    if options.out.exists():
        before = json.loads(options.out.read_text(encoding="utf-8"))
        if any(before.get(name) != value for name, value in settings.items()):
            parser.error(f"{options.out} was made with other settings; name another file with --out")
        record["rows"] = before["rows"]
    known = {row["change"] for row in record["rows"]}
    trained: dict = {}
    for change in (c for c in CHANGES if c in options.only and c not in known):
        recipe = WHOLE.replace(size=options.size, epochs=options.epochs, seed=options.seed, **CHANGES[change])
        row = measure(change, recipe, train, val, trained)
        record["rows"].append(row)
        write_json(options.out, record)
        figures = ", ".join(f"{part} AUC {row[part]['values']['auc']:.4f}" for part in ("validation", "stress"))
        print(f"{change}: {figures}, {row['cpu_seconds'] / 60:.1f} CPU min", flush=True)


if __name__ == "__main__":
    main()
