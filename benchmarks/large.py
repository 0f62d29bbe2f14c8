"""A data set larger than memory: 100,000 images, read and trained on under a limit of 1 GB.

The files are made here: JPEGs of 224 px, phantoms that are shifted and exposed a little differently each time. Loaded
at 160 px they are 2.6 GB of pixels. A control group of Linux sets the limit, for the process and for the pages of files
that the system keeps for it, without swap; a process that cannot stay below is killed. The same is done without a
limit, for the ratio. Needs Linux, the right to make a control group (root), 4 GB of disk, and a quarter of an hour.

    python benchmarks/large.py [--images N --limit MB]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader

import cxrlib as cxr
from cxrlib.device import cores, describe
from cxrlib.files import write_json
from cxrlib.phantom import make_phantoms

SIZE, SIDE, PAIRS = 160, 224, 500
IMAGES, LIMIT = 100_000, 1000


def write_versions(folder: Path, versions: int, number: int) -> None:
    """Two phantoms, one of each class, in so many versions: moved by up to 8 pixels, and more or less exposed."""
    made = make_phantoms(2, size=SIDE, seed=number, progress=False)
    rng = np.random.default_rng(number)
    for version in range(versions):
        which = version % 2
        moved = np.roll(made.images[which, 0], rng.integers(-8, 9, 2), (0, 1)) * rng.uniform(0.8, 1.1)
        path = folder / made.classes[made.labels[which]] / f"p{number:05d}_{version:04d}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(moved, 0, 255).astype(np.uint8)).save(path, quality=90)


def write_files(folder: Path, count: int) -> None:
    with ProcessPoolExecutor(cores()) as pool:
        list(pool.map(partial(write_versions, folder, -(-count // PAIRS)), range(PAIRS), chunksize=10))


def own_memory() -> int:
    """Bytes that this process holds beside pages of files."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))) * 1024


def look(folder: Path) -> dict:
    """Load, read all images in random order, and train one epoch: what the process under the limit does."""
    highest, finished = [own_memory()], threading.Event()

    def watch() -> None:
        while not finished.wait(0.2):
            highest.append(own_memory())

    threading.Thread(target=watch, daemon=True).start()
    start = time.perf_counter()
    data = cxr.load(f"folder:{folder}", SIZE, progress=False)
    loaded = time.perf_counter() - start
    loader = DataLoader(data, 64, shuffle=True, collate_fn=lambda batch: batch)
    start = time.perf_counter()
    read = sum(len(labels) for _, labels in loader)
    feed = read / (time.perf_counter() - start)
    recipe = cxr.Recipe(model="CPFD", model_options={"filters": (4,), "hidden": 8}, size=SIZE, epochs=1, batch_size=64)
    model = cxr.build_model(recipe.model, data.classes, size=SIZE, seed=0, **recipe.model_options)
    history = cxr.fit(model, data, recipe=recipe, progress=False)
    finished.set()
    return {
        "images": len(data),
        "load_seconds": loaded,
        "feed_images_per_second": feed,
        "images_per_second": history.images_per_second,
        "own_megabytes": max(highest) / 1e6,
    }


@contextmanager
def limited(megabytes: int):
    """A control group with this limit; gives the file into which a process writes its number to join."""
    base = Path("/sys/fs/cgroup")
    first = (base / "memory").is_dir()  # version 1 of control groups
    group = base / ("memory" if first else "") / f"cxrlib-{os.getpid()}"
    limit = str(megabytes * 1_000_000)
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(limit)
        swap = group / ("memory.memsw.limit_in_bytes" if first else "memory.swap.max")
        if swap.is_file():  # not every kernel counts it
            swap.write_text(limit if first else "0")
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def run(folder: Path, cache: Path, group: Path | None) -> dict:
    join = (lambda: group.write_text(str(os.getpid()))) if group else None
    done = subprocess.run(
        [sys.executable, __file__, "--look", str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "CXR_CACHE_DIR": str(cache)},
        preexec_fn=join,
    )
    if done.returncode:
        raise RuntimeError(f"it ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(images: int, limit: int) -> None:
    with limited(limit) as group, tempfile.TemporaryDirectory() as name:
        files = Path(name) / "files"
        write_files(files, images)
        print("the files are written", flush=True)
        under = run(files, Path(name) / "cache", group)
        print(f"under {limit} MB: {under}", flush=True)
        free = run(files, Path(name) / "cache", None)  # the images are decoded already
        print(f"without a limit: {free}", flush=True)
    gigabytes = under["images"] * SIZE * SIZE / 1e9
    ratio = under["images_per_second"] / free["images_per_second"]
    print(
        f"{under['images']:,} images ({gigabytes:.1f} GB) under {limit / 1000:g} GB: "
        f"{under['images_per_second']:.0f} images/s, {ratio:.2f} of the speed without a limit"
    )
    if (images, limit) != (IMAGES, LIMIT):
        return  # a try, not the benchmark
    write_json(
        Path(__file__).with_suffix(".json"),
        {
            "benchmark": "large",
            "command": "python benchmarks/large.py",
            "images": under["images"],
            "size": SIZE,
            "gigabytes": gigabytes,
            "limit_megabytes": limit,
            "under_limit": under,
            "without_limit": free,
            "ratio": ratio,
            "machine": describe(),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--limit", type=int, default=LIMIT, help="megabytes")
    parser.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.look:
        print(json.dumps(look(options.look)))
        return
    try:
        compare(options.images, options.limit)
    except (FileNotFoundError, PermissionError) as error:
        print(f"no control group can be made here ({error}): this needs Linux, root, and the memory controller")


if __name__ == "__main__":
    main()
