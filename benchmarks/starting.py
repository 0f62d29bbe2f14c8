"""How long it takes to start: `import cxrlib` beside `import torch`, and `cxr --help`. New processes, in turn.

python benchmarks/starting.py
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from cxrlib.device import describe
from cxrlib.files import write_json

ROUNDS = 7
COMMANDS = {
    "import torch": [sys.executable, "-c", "import torch"],
    "import cxrlib": [sys.executable, "-c", "import torch, cxrlib"],
    "cxr --help": [sys.executable, "-m", "cxrlib", "--help"],
    "python": [sys.executable, "-c", "pass"],
}
BARS = {"import cxrlib": 1.0, "cxr --help": 0.5}


def main() -> None:
    seconds = {name: [] for name in COMMANDS}
    for turn in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if turn:  # the first turn reads the files from the disk
                seconds[name].append(time.perf_counter() - start)
    beyond = median(a - b for a, b in zip(seconds["import cxrlib"], seconds["import torch"], strict=True))
    rows = [
        {"what": "import cxrlib, beyond torch", "seconds": beyond, "bar": BARS["import cxrlib"]},
        {"what": "cxr --help", "seconds": median(seconds["cxr --help"]), "bar": BARS["cxr --help"]},
    ]
    for row in rows:
        print(f"{row['what']}: {row['seconds']:.2f} s (bar: under {row['bar']} s)")
    write_json(
        Path(__file__).with_suffix(".json"),
        {
            "benchmark": "starting",
            "command": "python benchmarks/starting.py",
            "medians": {name: median(values) for name, values in seconds.items()},
            "rows": rows,
            "machine": describe(),
        },
    )


if __name__ == "__main__":
    main()
