"""Training images a second in one process and in one a core, as torchrun starts them.

`cxr train` with the recipe `augmented`, one thread a process, the same batch of the recipe divided among them. Runs
alternate; the ratio is the median over rounds.

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

ROUNDS, EPOCHS, IMAGES = 3, 2, 1000
EFFICIENCY = 0.8  # of each process, beside others


def train(processes: int, folder: Path) -> float:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes),
               "-m", "cxrlib", "train", "--data", "phantom", "-o", f"n={IMAGES}", "--recipe", "augmented",
               "--epochs", str(EPOCHS), "--out", folder, "--quiet"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"the training failed: {done.stderr[-2000:]}")
    record = read_json(folder / "result.json")["training"]
    if record["hardware"]["processes"] != processes:
        raise RuntimeError(f"{record['hardware']['processes']} processes trained instead of {processes}")
    return record["images_per_second"]


def main() -> None:
    several = max((n for n in (2, 4, 8, 16, 32) if n <= cores()), default=1)  # what divides the recipe's batch
    if several == 1:
        print("one processor core: there is nothing to compare")
        return
    speeds = {1: [], several: []}
    with tempfile.TemporaryDirectory() as name:
        for turn in range(ROUNDS):
            for count, found in speeds.items():
                found.append(train(count, Path(name) / f"{turn}-{count}"))
                print(f"{count} process{'es' if count > 1 else ''}: {found[-1]:.0f} images/s", flush=True)
    ratio = median(b / a for a, b in zip(*speeds.values(), strict=True))
    bar = EFFICIENCY * several
    print(f"{several} processes: {ratio:.2f} times one (bar: {bar:.1f})")
    write_json(Path(__file__).with_suffix(".json"), {
        "benchmark": "processes", "command": "python benchmarks/processes.py", "processes": several,
        "images_per_second": {str(count): median(found) for count, found in speeds.items()}, "ratio": ratio, "bar": bar,
        "machine": describe()})


if __name__ == "__main__":
    main()
