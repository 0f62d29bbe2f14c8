"""How long the book takes to build: cold, unchanged, after an edit of prose, after an edit of the library.

In a copy of what git knows, with this environment, on the phantom. Takes twice as long as `make book` and a little.

    python benchmarks/book.py                # CXR_FAST=1: the chapters in their quick form, to try it
    python benchmarks/book.py --real PATH    # only: cold, on the real X-rays of this folder; keeps the other rows
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cxrlib.device import describe
from cxrlib.files import read_json, write_json

ROOT = Path(__file__).resolve().parents[1]
BARS = {"cold": 600}
RECORD = Path(__file__).with_suffix(".json")
REAL = "cold, on the real X-rays"


def copy(folder: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def build(folder: Path, **settings: str) -> float:
    env = {**os.environ, "PYTHONPATH": str(folder), **settings}  # the copy's library, not the one that is installed
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "coursekit.build_book"], cwd=folder, env=env, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"the book was not built:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return time.perf_counter() - start


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, metavar="PATH", help="folder of the Kaggle set, with train and test in it")
    real = parser.parse_args().real
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "copy"
        copy(folder)
        if real:
            seconds = {REAL: build(folder, CXR_DATA="pneumonia", CXR_DATA_DIR=str(real.resolve()))}
        else:
            seconds = {"cold": build(folder), "no change": build(folder)}
            append(folder / "chapters" / "03_metrics.md", "\nOne more sentence.\n")
            seconds["prose edit"] = build(folder)
            append(folder / "cxrlib" / "metrics.py", "\n# one more comment\n")
            seconds["library edit"] = build(folder)
    rows = [{"what": what, "seconds": taken, "bar": BARS.get(what)} for what, taken in seconds.items()]
    for row in rows:
        print(f"{row['what']}: {row['seconds']:.0f} s")
    if os.environ.get("CXR_FAST") != "1":
        before = read_json(RECORD)["rows"] if RECORD.is_file() else []
        kept = [row for row in before if (row["what"] == REAL) != bool(real)]
        write_json(
            RECORD,
            {
                "benchmark": "book",
                "command": "python benchmarks/book.py",
                "rows": [*kept, *rows] if real else [*rows, *kept],
                "machine": describe(),
            },
        )


if __name__ == "__main__":
    main()
