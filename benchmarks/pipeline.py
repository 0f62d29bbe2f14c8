"""Images a second that reach the training loop: cached and batched here, against torchvision's files and workers.

Both give batches of 32 augmented gray images of 128 px as floats: flip, rotation, shift, zoom, brightness, contrast.
Here files are decoded once, into a cache, and a batch is augmented as a whole. There (``ImageFolder``,
``transforms.v2``, ``DataLoader``) every epoch decodes every file, with 0 workers and with one a core; the faster one
counts. The files are JPEGs of the size that Kaggle's have, about 1,500 px, and of 224 px. Epochs alternate; each figure
is a median.

    python benchmarks/pipeline.py [--images N]
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

import cxrlib as cxr
from cxrlib.augment import Augment
from cxrlib.device import cores, describe
from cxrlib.files import write_json
from cxrlib.phantom import make_phantoms

SIZE, BATCH, EPOCHS = 128, 32, 3
BARS = {1500: 10, 224: 1}


def write_files(folder: Path, count: int, side: int) -> None:
    """JPEGs of phantoms, sorted by class, a little wider than high."""
    made = make_phantoms(count, size=224, seed=0, progress=False)
    rng = np.random.default_rng(0)
    for i, (image, label) in enumerate(zip(made.images[:, 0], made.labels, strict=True)):
        path = folder / "train" / made.classes[label] / f"{i:05d}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        large = Image.fromarray(image).resize((side, round(0.8 * side)), Image.Resampling.BICUBIC)
        grain = np.asarray(large, np.float32) + rng.normal(0, 3, (large.height, large.width))  # noise does not compress
        Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8)).save(path, quality=92)


def ours(folder: Path):
    """(seconds of the first look at the files, a function that runs one epoch)."""
    start = time.perf_counter()
    data = cxr.load(f"folder:{folder}", SIZE, progress=False)
    first = time.perf_counter() - start
    augment = Augment(flip=0.5, rotate=10, shift=0.05, zoom=0.1, brightness=0.2, contrast=0.2)
    loader = DataLoader(data, BATCH, shuffle=True, collate_fn=lambda batch: batch, drop_last=True)
    generator = torch.Generator().manual_seed(0)

    def epoch() -> int:
        seen = 0
        for images, labels in loader:
            x, _ = augment(images.float().div_(255), torch.nn.functional.one_hot(labels, 2).float(), generator)
            seen += len(x)
        return seen

    return first, epoch


def theirs(folder: Path, workers: int):
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.Grayscale(),
            v2.Resize((SIZE, SIZE)),
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(10, translate=(0.05, 0.05), scale=(0.9, 1.1)),
            v2.ColorJitter(brightness=0.2, contrast=0.2),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    loader = DataLoader(
        ImageFolder(folder / "train", transform),
        BATCH,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        persistent_workers=workers > 0,
    )

    def epoch() -> int:
        return sum(len(x) for x, _ in loader)

    return epoch


def speed(epoch) -> float:
    start = time.perf_counter()
    seen = epoch()
    return seen / (time.perf_counter() - start)


def measure(count: int, side: int, base: Path) -> dict:
    folder = base / str(side)
    write_files(folder, count, side)
    first, mine = ours(folder)
    others = {workers: theirs(folder, workers) for workers in (0, cores())}
    for epoch in (mine, *others.values()):
        epoch()  # workers are started, files are in the system's cache
    fast = {"cxrlib": [], **{workers: [] for workers in others}}
    for _ in range(EPOCHS):
        fast["cxrlib"].append(speed(mine))
        for workers, epoch in others.items():
            fast[workers].append(speed(epoch))
    best = max(others, key=lambda workers: median(fast[workers]))
    row = {
        "side": side,
        "images": count,
        "first_look_seconds": first,
        "cxrlib": median(fast["cxrlib"]),
        "torchvision": median(fast[best]),
        "torchvision_workers": best,
        "ratio": median(a / b for a, b in zip(fast["cxrlib"], fast[best], strict=True)),
        "bar": BARS[side],
    }
    print(
        f"files of {side} px: {row['cxrlib']:.0f} images/s against {row['torchvision']:.0f} with {best} workers: "
        f"{row['ratio']:.1f} times (bar: {row['bar']}); decoding all of them once took {first:.1f} s",
        flush=True,
    )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=640)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as base:
        os.environ["CXR_CACHE_DIR"] = str(Path(base) / "cache")
        rows = [measure(count, side, Path(base)) for side in BARS]
    write_json(
        Path(__file__).with_suffix(".json"),
        {
            "benchmark": "pipeline",
            "command": "python benchmarks/pipeline.py",
            "size": SIZE,
            "batch": BATCH,
            "cores": cores(),
            "rows": rows,
            "machine": describe(),
        },
    )


if __name__ == "__main__":
    main()
