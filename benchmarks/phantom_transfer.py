"""How much of the real world is in the phantom? Train on phantoms alone, score on real X-rays.

    python benchmarks/phantom_transfer.py --root ../shared/data/chest_xray --split train --seeds 0 1 2

A ResNet-18 learns normal against pneumonia from phantoms only; it never sees a real image. The printed number
is the area under the ROC curve on the real images of one split (normal against the rest), with a 95 %
interval by bootstrap over patients. Choose and tune on `--split train`; score `--split test` once.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import cxrlib as cxr
from cxrlib.experiment import versions
from cxrlib.files import write_json
from cxrlib.phantom import make_phantoms

RECIPE = cxr.Recipe(
    model="resnet18",
    model_options={"normalize": "image"},
    size=64,
    epochs=2,
    batch_size=32,
    optimizer="adamw",
    lr=2e-3,
    weight_decay=0.05,
    schedule="onecycle",
    class_weights="balanced",
    label_smoothing=0.1,
    augment=cxr.Augment(
        flip=0.5, rotate=15, shift=0.10, zoom=0.25, brightness=0.25, contrast=0.5, gamma=1.0, noise=0.06, blur=1.5
    ),
    about="Phantoms to real X-rays: small images and strong augmentation.",
)


def shrink(images, size):
    """uint8 (N, 1, H, W) to uint8 (N, 1, size, size) by averaging areas, for phantoms and real images alike."""
    out = np.empty((len(images), 1, size, size), np.uint8)
    for k in range(0, len(images), 256):
        x = torch.from_numpy(np.ascontiguousarray(images[k : k + 256])).float()
        out[k : k + 256] = F.interpolate(x, size=(size, size), mode="area").round().byte().numpy()
    return out


def real_images(root, split, size, limit, seed):
    """Real images of one split, normal and pneumonia; `limit` draws a balanced sample."""
    data = cxr.load(f"folder:{root}", size=224)
    data = data.where(split=split)
    normal = [k for k, name in enumerate(data.classes) if name.lower() == "normal"]
    if not len(data) or not normal:
        raise SystemExit(f"{root} has no split {split!r} with a class folder named normal.")
    labels = (~np.isin(data.labels, normal)).astype(np.int64)
    rows = np.arange(len(data))
    if limit:
        rng = np.random.default_rng(seed)
        rows = np.sort(np.concatenate([rng.permutation(np.flatnonzero(labels == k))[: limit // 2] for k in (0, 1)]))
    images = shrink(data[rows].images, size)
    return cxr.CxrDataset(images, labels[rows], ("normal", "pneumonia"), data.patients[rows], name=f"real {split}")


def phantom_images(n, size, seed):
    """Phantoms drawn at 224 pixels and shrunk; the val and test blocks are used, too."""
    p = make_phantoms(n, seed=seed, classes=("normal", "pneumonia"))
    return cxr.CxrDataset(shrink(p.images, size), p.labels, p.classes, p.patients, name="phantom")


def run(args, seed):
    """Train on phantoms drawn with one seed, score the real images: one row of the record."""
    start = time.perf_counter()
    recipe = RECIPE.replace(size=args.size, epochs=args.epochs, seed=seed)
    train = phantom_images(args.n, args.size, seed)
    model = cxr.build_model(recipe.model, train.classes, size=args.size, seed=seed, **recipe.model_options)
    cxr.fit(model, train, None, recipe)
    real = real_images(args.root, args.split, args.size, args.limit, seed)
    report = cxr.evaluate(model, real)
    auc, low, high = report.interval("auc")
    seconds = time.perf_counter() - start
    print(
        f"seed {seed}: AUC {auc:.3f} ({low:.3f} to {high:.3f}); {len(real)} real {args.split} images, {seconds:.0f} s"
    )
    return {
        "seed": seed,
        "auc": auc,
        "interval": [low, high],
        "images": len(real),
        "patients": len(set(real.patients.tolist())),
        "seconds": round(seconds, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder with train/ and test/")
    parser.add_argument("--split", default="train", choices=["train", "test"], help="real split to score")
    parser.add_argument("--limit", type=int, default=0, help="score a balanced sample of so many images (0: all)")
    parser.add_argument("--n", type=int, default=4000, help="number of phantoms")
    parser.add_argument("--size", type=int, default=RECIPE.size, help="image size in pixels")
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--json", help="write the record to this file, e.g. results/phantom-transfer.json")
    args = parser.parse_args()
    if not (Path(args.root) / args.split).is_dir():
        print(f"not run: no real images in {args.root}; give --root FOLDER with train/ and test/ in it")
        return
    runs = [run(args, seed) for seed in args.seeds]
    if args.json:
        recipe = RECIPE.replace(size=args.size, epochs=args.epochs).to_dict()
        write_json(
            args.json,
            {
                "kind": "phantom transfer",
                "recipe": recipe,
                "phantoms": args.n,
                "split": args.split,
                "runs": runs,
                "versions": versions(),
            },
        )


if __name__ == "__main__":
    main()
