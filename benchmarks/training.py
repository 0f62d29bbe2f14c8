"""Images a second of a training step: `fit` against a plain float32 loop, and against fastai's vision_learner.

ResNet-18 at 128 px, batches of 32, Adam, no augmentation, no validation. The plain loop gets its images as ready
floats in memory and trains the same network; fastai reads 128 px PNG files with one worker a core and puts its own head
on torchvision's ResNet-18. Rounds alternate; a ratio is the median over rounds. fastai and what it brings go into
.bench, beside what is in .venv already.

    python benchmarks/training.py [--images N]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import cxrlib as cxr
from cxrlib.device import cores, describe
from cxrlib.files import write_json
from cxrlib.phantom import make_phantoms

ROOT = Path(__file__).resolve().parents[1]
SIZE, BATCH, ROUNDS = 128, 32, 3
BARS = {"plain": 1.8, "fastai": 1.0}
FASTAI = """
import sys, time, json, torch
import cxrlib  # so that a torchvision of another build can be imported
from fastai.vision.all import ImageDataLoaders, vision_learner, resnet18, accuracy
torch.set_num_threads(int(sys.argv[3]))
dls = ImageDataLoaders.from_folder(sys.argv[1], train=".", valid_pct=0.02, bs=int(sys.argv[2]),
                                   num_workers=int(sys.argv[3]), device="cpu")
learn = vision_learner(dls, resnet18, pretrained=False, n_out=2)
learn.unfreeze()
start = time.perf_counter()
with learn.no_bar(), learn.no_logging():
    learn.fit(1, 1e-3)
print(json.dumps(len(dls.train) * int(sys.argv[2]) / (time.perf_counter() - start)))
"""


def ours(data) -> float:
    recipe = cxr.Recipe(model="resnet18", size=SIZE, epochs=1, batch_size=BATCH, lr=1e-3)
    history = cxr.fit(cxr.build_model("resnet18", data.classes, size=SIZE, seed=0), data, recipe=recipe, progress=False)
    return history.images_per_second


def plain(data) -> float:
    """What a tutorial writes."""
    model = cxr.build_model("resnet18", data.classes, size=SIZE, seed=0).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    images, labels = torch.from_numpy(data.images.copy()).float().div(255), torch.from_numpy(data.labels.copy())
    loader = DataLoader(TensorDataset(images, labels), BATCH, shuffle=True, drop_last=True)
    seen, start = 0, time.perf_counter()
    for x, y in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        seen += len(x)
    return seen / (time.perf_counter() - start)


def fastai_python() -> Path:
    """An environment that sees this one's packages and adds fastai."""
    folder = ROOT / ".bench"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        here = next(Path(p) for p in sys.path if p.endswith("site-packages"))
        there = next((folder / "lib").glob("python*/site-packages"))
        (there / "_main.pth").write_text(f"import site; site.addsitedir({str(here)!r})\n")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "fastai"], check=True)
    return python


def fastai(python: Path, folder: Path, cores: int) -> float:
    done = subprocess.run([python, "-c", FASTAI, folder, str(BATCH), str(cores)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"fastai failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1280)
    count = parser.parse_args().images
    made = make_phantoms(count, size=SIZE, seed=0, progress=False)
    data = cxr.CxrDataset(made.images, made.labels, made.classes, made.patients)
    python, speeds = fastai_python(), {"cxrlib": [], "plain": [], "fastai": []}
    with tempfile.TemporaryDirectory() as name:
        for i, (image, label) in enumerate(zip(made.images[:, 0], made.labels, strict=True)):
            path = Path(name) / made.classes[label] / f"{i:05d}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(image).save(path)
        for _ in range(ROUNDS):
            speeds["cxrlib"].append(ours(data))
            speeds["plain"].append(plain(data))
            speeds["fastai"].append(fastai(python, Path(name), cores()))
            print(", ".join(f"{k} {v[-1]:.0f} images/s" for k, v in speeds.items()), flush=True)
    rows = [
        {
            "against": other,
            "images_per_second": median(speeds[other]),
            "bar": bar,
            "ratio": median(a / b for a, b in zip(speeds["cxrlib"], speeds[other], strict=True)),
        }
        for other, bar in BARS.items()
    ]
    for row in rows:
        print(f"against {row['against']}: {row['ratio']:.2f} times (bar: {row['bar']})")
    write_json(
        Path(__file__).with_suffix(".json"),
        {
            "benchmark": "training",
            "command": "python benchmarks/training.py",
            "model": "resnet18",
            "size": SIZE,
            "batch": BATCH,
            "images": count,
            "cxrlib_images_per_second": median(speeds["cxrlib"]),
            "rows": rows,
            "machine": describe(),
        },
    )


if __name__ == "__main__":
    main()
