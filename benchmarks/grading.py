"""How many submissions a minute `cxr grade` judges, and what more jobs at a time bring.

A hundred submissions of the exercise on Grad-CAM, which imports torch: right, wrong and unfinished ones in turn. Each
number of jobs grades the same batch; the grades must be the same bytes. What a submission cannot do without, its own
sandbox with a Python that has imported torch, is timed alone.

    python benchmarks/grading.py [--submissions N]
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import tempfile
import time
from pathlib import Path
from statistics import median

from coursekit.grade import Limits, find_sandbox, grade_batch, load_exercise
from coursekit.grade.sandbox import Session
from cxrlib.device import cores as cores_here
from cxrlib.device import describe
from cxrlib.files import write_json

ROOT = Path(__file__).resolve().parents[1]
NAME, BAR = "07_grad_cam", 40


def hand_in(folder: Path, exercise, count: int) -> None:
    spec = importlib.util.spec_from_file_location(NAME, ROOT / "tests" / "answers" / f"{NAME}.py")
    material = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(material)
    right = dict(exercise.reference)
    answers = [right, {}, *({**right, wrong["task"]: wrong["code"]} for wrong in material.WRONG.values())]
    for i in range(count):
        (folder / f"student{i:04d}.ipynb").write_bytes(exercise.with_answers(answers[i % len(answers)]))


def starting(times: int = 7) -> float:
    """Seconds from nothing to a sandbox whose Python has imported torch."""

    def once() -> float:
        began = time.perf_counter()
        with Session(find_sandbox(), Limits()) as session:
            session.run("imports", "import numpy, torch")
        return time.perf_counter() - began

    once()  # files are in the system's cache
    return median(once() for _ in range(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--submissions", type=int, default=100)
    count = parser.parse_args().submissions
    exercise, cores = load_exercise(NAME, ROOT), cores_here()
    runs, grades = [], set()
    with tempfile.TemporaryDirectory() as folder:
        handed_in = Path(folder) / "handed in"
        handed_in.mkdir()
        hand_in(handed_in, exercise, count)
        for jobs in sorted({1, cores, 2 * cores}):
            started = time.perf_counter()
            out = Path(folder) / f"jobs{jobs}"
            batch = grade_batch(exercise, handed_in, out, jobs=jobs, seed=0)
            seconds = time.perf_counter() - started
            grades.add(hashlib.sha256((out / "grades.csv").read_bytes()).hexdigest())
            assert batch.counts() == {"graded": count}, batch.counts()
            runs.append({"jobs": jobs, "seconds": seconds, "per_minute": 60 * count / seconds})
            print(f"{jobs} at a time: {seconds:.1f} s, {60 * count / seconds:.0f} a minute")
    assert len(grades) == 1, "the grades depend on the number of jobs"
    start = starting()
    print(f"a sandbox with torch alone: {start:.2f} s of {runs[0]['seconds'] / count:.2f} s a submission")
    write_json(
        Path(__file__).with_suffix(".json"),
        {
            "benchmark": "grading",
            "command": "python benchmarks/grading.py",
            "exercise": NAME,
            "submissions": count,
            "cores": cores,
            "bar_per_minute": BAR,
            "runs": runs,
            "start_seconds": start,
            "machine": describe(),
        },
    )


if __name__ == "__main__":
    main()
