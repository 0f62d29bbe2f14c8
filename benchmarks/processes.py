"""Training images a second in one process and in one a core, as torchrun starts them.

`cxr train`, one thread a process, the same batch of the recipe divided among them; a recipe with large gradients and
short steps, and one with small gradients. Runs alternate; the ratio is the median over rounds.

    python benchmarks/processes.py
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from cxrlib.device import cores, describe
from cxrlib.files import read_json, write_json

RECIPES = ("augmented", "whole")
ROUNDS, EPOCHS, IMAGES = 3, 2, 600
EFFICIENCY = 0.8  # of each process, beside others


def train(recipe: str, processes: int, folder: Path) -> dict:
    """The record that `cxr train` writes."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        str(processes),
        "-m",
        "cxrlib",
        "train",
        "--data",
        "phantom",
        "-o",
        f"n={IMAGES}",
        "--recipe",
        recipe,
        "--epochs",
        str(EPOCHS),
        "--out",
        folder,
        "--quiet",
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"the training failed: {done.stderr[-2000:]}")
    record = read_json(folder / "result.json")
    if record["training"]["hardware"]["processes"] != processes:
        raise RuntimeError(f"{record['training']['hardware']['processes']} processes trained instead of {processes}")
    return record


def compare(recipe: str, several: int, folder: Path) -> dict:
    speeds = {1: [], several: []}
    for turn in range(ROUNDS):
        for count, found in speeds.items():
            record = train(recipe, count, folder / f"{recipe}-{turn}-{count}")
            found.append(record["training"]["images_per_second"])
            print(f"{recipe}, {count} process{'es' if count > 1 else ''}: {found[-1]:.0f} images/s", flush=True)
    ratio = median(b / a for a, b in zip(*speeds.values(), strict=True))
    bar = EFFICIENCY * several
    print(f"{recipe}, {several} processes: {ratio:.2f} times one (bar: {bar:.1f})")
    used = record["training"]["recipe"]
    return {
        "recipe": recipe,
        "model": used["model"],
        "size": used["size"],
        "gradient_megabytes": record["trained_parameters"] * 4 / 1e6,
        "images_per_second": {str(count): median(found) for count, found in speeds.items()},
        "ratio": ratio,
        "bar": bar,
    }


def main() -> None:
    several = max((n for n in (2, 4, 8, 16, 32) if n <= cores()), default=1)  # what divides the recipes' batch
    if several == 1:
        print("one processor core: there is nothing to compare")
        return
    with tempfile.TemporaryDirectory() as name:
        rows = [compare(recipe, several, Path(name)) for recipe in RECIPES]
    write_json(
        Path(__file__).with_suffix(".json"),
        {
            "benchmark": "processes",
            "command": "python benchmarks/processes.py",
            "processes": several,
            "rows": rows,
            "machine": describe(),
        },
    )


if __name__ == "__main__":
    main()
