"""How fast are phantoms made? 1,000 images of 224 pixels in a fresh process, its start and imports included.

python benchmarks/phantom.py             # writes benchmarks/phantom.json
"""

import subprocess
import sys
import time
from pathlib import Path

from cxrlib.device import describe
from cxrlib.files import write_json

N, SIZE, BAR = 1000, 224, 10
CODE = f"""
import hashlib
from cxrlib.phantom import make_phantoms
if __name__ == "__main__":
    print(hashlib.sha256(make_phantoms({N}, size={SIZE}, seed=0, progress=False).images).hexdigest())
"""


def main():
    seconds, hashes = [], set()
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - start)
        hashes.add(done.stdout.strip())
    best = sorted(seconds)[1]
    print(
        f"{N} phantoms of {SIZE} px: median of 3 runs {best:.1f} s (bar: under {BAR} s), "
        f"{'the same bytes each time' if len(hashes) == 1 else 'DIFFERENT bytes'}"
    )
    write_json(
        Path(__file__).with_suffix(".json"),
        {
            "images": N,
            "size": SIZE,
            "seconds": round(best, 2),
            "bar": BAR,
            "same_bytes": len(hashes) == 1,
            "machine": describe(),
        },
    )


if __name__ == "__main__":
    main()
