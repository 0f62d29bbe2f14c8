"""How much of the real world is in the phantom? Train on phantoms alone, score on real X-rays.

    python benchmarks/phantom_transfer.py --root ../shared/data/chest_xray --split train

A ResNet-18 learns normal against pneumonia from phantoms only; it never sees a real image. The printed number
is the area under the ROC curve on the real images of one split (normal against the rest), with a 95 %
interval by bootstrap over patients. Choose and tune on `--split train`; score `--split test` once.
"""

import argparse
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

import cxrlib as cxr
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
        flip=0.5,
        rotate=15,
        shift=0.10,
        zoom=0.25,
        brightness=0.25,
        contrast=0.5,
        gamma=1.0,
        noise=0.06,
        blur=1.5,
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
        rows = np.sort(
            np.concatenate([rng.permutation(np.flatnonzero(labels == k))[: limit // 2] for k in (0, 1)])
        )
    images = shrink(data[rows].images, size)
    return cxr.CxrDataset(
        images, labels[rows], ("normal", "pneumonia"), data.patients[rows], name=f"real {split}"
    )


def phantom_images(n, size, seed):
    """Phantoms drawn at 224 pixels and shrunk; the val and test blocks are used, too."""
    p = make_phantoms(n, seed=seed, classes=("normal", "pneumonia"))
    return cxr.CxrDataset(shrink(p.images, size), p.labels, p.classes, p.patients, name="phantom")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="../shared/data/chest_xray", help="folder with train/ and test/")
    parser.add_argument("--split", default="train", choices=["train", "test"], help="real split to score")
    parser.add_argument(
        "--limit", type=int, default=0, help="score a balanced sample of so many real images (0: all)"
    )
    parser.add_argument("--n", type=int, default=3000, help="number of phantoms")
    parser.add_argument("--size", type=int, default=RECIPE.size, help="image size in pixels")
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads for training (0: torch decides)")
    parser.add_argument("--json", help="write the result to this file")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)

    start = time.perf_counter()
    recipe = RECIPE.but(size=args.size, epochs=args.epochs, seed=args.seed)
    train = phantom_images(args.n, args.size, args.seed)
    model = cxr.build_model(
        recipe.model, train.classes, size=args.size, seed=args.seed, **recipe.model_options
    )
    cxr.fit(model, train, None, recipe)
    real = real_images(args.root, args.split, args.size, args.limit, args.seed)
    report = cxr.evaluate(model, real, bootstrap=1000)
    auc, low, high = report.interval("auc")
    result = {
        "trained_on": f"{args.n} phantoms",
        "scored_on": f"real {args.split}, {len(real)} images, {len(set(real.patients.tolist()))} patients",
        "auc": auc,
        "auc_95": [low, high],
        "size": args.size,
        "epochs": args.epochs,
        "seed": args.seed,
        "seconds": round(time.perf_counter() - start, 1),
        "torch": torch.__version__,
    }
    print(
        f"AUC on {result['scored_on']}: {auc:.3f} "
        f"(95 % interval {low:.3f} to {high:.3f}), {result['seconds']:.0f} s"
    )
    if args.json:
        temporary = args.json + ".part"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
        os.replace(temporary, args.json)


if __name__ == "__main__":
    main()
