"""Kill what works, at random moments, and start it again: `make faults`.

Each target is a command with a result. First the command runs once undisturbed, which gives the result it must have
and how long it takes. Then, again and again: a fresh folder, the command, SIGKILL for it and all its children at a
random moment, the same command again. It must succeed and give the same result. Other trials change the surroundings:
a full disk, a home that cannot be written, none at all, two processes at once, odd names, a clock that is ahead. There
the command must work, or say in one sentence what is wrong. And the app is told to end, in four ways. No process may
live on after its command.

    python -m tools.faults                          56 kills and every trial; prints a table
    python -m tools.faults --only train --kills 3   a part

The exit status is 1 when something was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from tqdm import tqdm

from cxrlib.files import write_json

ROOT = Path(__file__).resolve().parent.parent
CXR = [sys.executable, "-m", "cxrlib"]
PHANTOM = ["--data", "phantom", "-o", "n=60", "--size", "32", "--quiet"]
LIMIT = 900  # seconds per command


@dataclass(frozen=True)
class Target:
    """A command and its result. prepare(folder) -> the command; result(folder) -> bytes that must not depend on kills.

    The command runs in ``folder``, with a cache of its own there.
    """

    name: str
    kills: int
    prepare: Callable[[Path], list]
    result: Callable[[Path], bytes]


def images(folder: Path, count: int = 24) -> Path:
    """Return a small data set of picture files, sorted by class."""
    rng = np.random.default_rng(0)
    for i in range(count):
        path = folder / ("train" if i % 4 else "test") / ("NORMAL", "PNEUMONIA")[i % 2] / f"p{i // 2}_{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (400, 500), np.uint8)).save(path)
    return folder


def cache(folder: Path) -> list:
    """Return the command that reads pictures into the cache."""
    return [*CXR, "data", f"folder:{images(folder / 'pictures')}", "--size", "64", "--json"]


def cached(folder: Path) -> bytes:
    """Read what is in the cache now."""
    # read it again: what is in the cache now, and what was said about it
    again = subprocess.run(cache(folder), cwd=folder, env=surroundings(folder), capture_output=True, check=True)
    pixels = sorted((folder / "cache" / "entries").rglob("*.npy"))
    return again.stdout + b"".join(hashlib.sha256(path.read_bytes()).digest() for path in pixels)


def train(folder: Path) -> list:
    """Return the command that trains."""
    return [*CXR, "train", *PHANTOM, "--epochs", "4", "--out", folder / "run"]


def trained(folder: Path) -> bytes:
    """Read the weights, the predictions and the scores of the run."""
    import torch

    state = torch.load(folder / "run" / "model.pt", weights_only=True)["state"]
    weights = hashlib.sha256(b"".join(state[name].numpy().tobytes() for name in sorted(state))).digest()
    record = json.loads((folder / "run" / "result.json").read_text())
    return weights + (folder / "run" / "predictions.json").read_bytes() + scores(record)


def scores(record: dict) -> bytes:
    """Return what a record says, without the times."""
    curves = [
        {k: v for k, v in epoch.items() if "seconds" not in k and k != "images_per_second"}
        for epoch in record["training"]["epochs"]
    ]
    return json.dumps([record["validation"], record["test"], curves], sort_keys=True).encode()


def reproduce(folder: Path) -> list:
    """Return the command that repeats two of the source projects' runs."""
    return [
        *CXR,
        "reproduce",
        "--row",
        "D-CPCFDD",
        "--row",
        "E-cnn5",
        "--data",
        "phantom",
        "-o",
        "n=60",
        "--size",
        "32",
        "--epochs",
        "2",
        "--seed",
        "0",
        "--out",
        folder / "records",
        "--work",
        folder / "work",
        "--quiet",
    ]


def reproduced(folder: Path) -> bytes:
    """Read their records."""
    found = sorted((folder / "records").glob("*.json"))
    return b"".join(path.name.encode() + scores(json.loads(path.read_text())) for path in found)


def grade(folder: Path) -> list:
    """Return the command that grades four submissions."""
    from coursekit.grade import list_exercises, load_exercise

    exercise = load_exercise(list_exercises(ROOT)[0], ROOT)
    handed_in = folder / "handed in"
    if not handed_in.exists():
        handed_in.mkdir()
        for i in range(4):  # the first i tasks are answered
            (handed_in / f"student{i}.ipynb").write_bytes(exercise.with_answers(dict(exercise.reference[:i])))
    # a seed of its own would be drawn again where the kill came before it was written down
    return [
        *CXR,
        "grade",
        exercise.name,
        handed_in,
        "--out",
        folder / "graded",
        "--course",
        ROOT,
        "--seed",
        "1",
        "--resume",
        "--jobs",
        "2",
        "--quiet",
    ]


def graded(folder: Path) -> bytes:
    """Read the grades."""
    return (folder / "graded" / "grades.csv").read_bytes()


def book(folder: Path) -> list:
    """Return the first chapter and the way to it, with the real configuration and build script."""
    copy = folder / "book copy"
    if not copy.exists():
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file() and name.split("/")[0] in (
                "book",
                "coursekit",
                "cxrlib",
                "_config.yml",
                "constraints.txt",
                "pyproject.toml",
            ):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy / name)
        (copy / "chapters").mkdir()
        (copy / "chapters" / "01_small.md").write_text(_CHAPTER)
        (copy / "book" / "_toc.yml").write_text(
            "format: jb-book\nroot: book/index\nparts:\n- caption: Chapters\n  chapters:\n  - file: chapters/01_small\n"
        )
        for page in (copy / "book").glob("*.md"):
            page.unlink()
        (copy / "book" / "index.md").write_text("# Small\n\nSee [the chapter](../chapters/01_small.md).\n")
    return ["env", "--chdir", copy, sys.executable, "-m", "coursekit.build_book"]


_CHAPTER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# One chapter

```{code-cell} ipython3
print(sum(range(1000)))
```
"""


def built(folder: Path) -> bytes:
    """Read the page that was built."""
    page = (folder / "book copy" / "_build" / "html" / "chapters" / "01_small.html").read_text()
    assert "499500" in page, "the cell's output is missing"
    return page.encode()


TARGETS = [
    Target("cache", 12, cache, cached),
    Target("train", 16, train, trained),
    Target("reproduce", 10, reproduce, reproduced),
    Target("grade", 12, grade, graded),
    Target("book", 6, book, built),
]


def surroundings(folder: Path, **changes) -> dict[str, str]:
    """Return the environment of a command: cache and home in the folder."""
    env = {
        **os.environ,
        "CXR_CACHE_DIR": str(folder / "cache"),
        "HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",
        "PYTHONPATH": str(ROOT),
        **changes,
    }
    return {key: value for key, value in env.items() if value is not None}


def start(command: list, folder: Path, env: dict | None = None) -> subprocess.Popen:
    """Start a command in the folder."""
    (folder / "home").mkdir(exist_ok=True)
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=folder,
        env=env or surroundings(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell starts what is to run in the background deaf to Ctrl-C, and its children inherit that.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Wait for a process; return its exit status and what it printed."""
    try:
        output, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        kill(process)
        return 124, f"it did not end within {LIMIT} s"
    return process.returncode, output


def kill(process: subprocess.Popen) -> None:
    """SIGKILL for the process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.communicate()


def left_over(folder: Path) -> str:
    """Nothing, or which processes that were started for this folder still run after some seconds."""
    for _ in range(50):
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and str(folder) in process.environ().get("HOME", ""):
                    found.append(" ".join(process.cmdline())[:80])
        if not found:
            return ""
        time.sleep(0.2)
    return f"{len(found)} processes live on: {'; '.join(found)}"


def first_difference(wanted: bytes, found: bytes) -> str:
    """Say where two results begin to differ."""
    at = next((i for i, (a, b) in enumerate(zip(wanted, found, strict=False)) if a != b), min(len(wanted), len(found)))
    before, after = (text[max(0, at - 40) : at + 40].decode(errors="replace") for text in (wanted, found))
    return f"{before!r} became {after!r}"


@dataclass
class Tally:
    """What became of a target or of a trial."""

    name: str
    done: int = 0
    too_late: int = 0  # it had ended before the kill came
    lost: list[str] = field(default_factory=list)


def last_line(output: str) -> str:
    """Return the last line that is not empty."""
    return next((line for line in reversed(output.splitlines()) if line.strip()), "no output")


def kill_again_and_again(target: Target, kills: int, rng: random.Random, base: Path, bar: tqdm) -> Tally:
    """Kill a command at random moments and start it again; count the results that are lost or differ."""
    tally = Tally(target.name)
    with tempfile.TemporaryDirectory(dir=base) as name:
        folder = Path(name)
        started = time.monotonic()
        status, output = finish(start(target.prepare(folder), folder))
        seconds = time.monotonic() - started
        if status:
            tally.lost.append(f"undisturbed, it failed: {last_line(output)}")
            return tally
        wanted = target.result(folder)
    while tally.done < kills:
        with tempfile.TemporaryDirectory(dir=base) as name:
            folder = Path(name)
            command = target.prepare(folder)
            # sometimes the second start is killed, too
            moments = [rng.uniform(0, seconds) for _ in range(rng.choice((1, 1, 2)))]
            for moment in moments:
                process = start(command, folder)
                try:
                    process.wait(moment)
                    tally.too_late += 1
                    process.communicate()
                except subprocess.TimeoutExpired:
                    kill(process)
                    tally.done += 1
                    bar.update()
            behind = left_over(folder)
            status, output = finish(start(command, folder))
            what = f"killed after {' and '.join(f'{m:.1f}' for m in moments)} of {seconds:.1f} s"
            if behind := behind or left_over(folder):
                tally.lost.append(f"{what}, {behind}")
            if status:
                tally.lost.append(f"{what}, the next start failed: {last_line(output)}")
                continue
            try:
                found = target.result(folder)
            except Exception as error:  # whatever it is: the result cannot be read
                tally.lost.append(f"{what}, the result cannot be read: {error!r}")
                continue
            if found != wanted:
                tally.lost.append(f"{what}, the result differs: {first_difference(wanted, found)}")
    return tally


# --- other surroundings

TRIALS: dict[str, Callable[[Path], str]] = {}


def trial(function: Callable[[Path], str]) -> Callable[[Path], str]:
    """Enter a function into TRIALS."""
    TRIALS[function.__name__.replace("_", " ")] = function
    return function


def clear(status: int, output: str, *words: str) -> str:
    """Nothing when the command worked, or failed in one sentence that says one of these words."""
    if status == 0:
        return ""
    if "Traceback" in output:
        return f"a traceback: {last_line(output)}"
    message = last_line(output)
    return "" if any(word in message for word in words) else f"unclear: {message}"


def inside(folder: Path, *mounts: str) -> list[str]:
    """Return bubblewrap with these mounts over everything that is here."""
    program = shutil.which("bwrap")
    if program is None:
        raise RuntimeError("bubblewrap is needed (Debian, Ubuntu: apt install bubblewrap)")
    return [program, "--dev-bind", "/", "/", *mounts, "--chdir", str(folder)]


@trial
def disk_full_while_caching(folder: Path) -> str:
    """Fill the disk of the cache."""
    command = cache(folder)
    (folder / "cache").mkdir()
    small = inside(folder, "--size", "60000", "--tmpfs", str(folder / "cache"))
    return clear(*finish(start([*small, *command], folder)), "No space", "disk is full", "full")


@trial
def disk_full_while_training(folder: Path) -> str:
    """Fill the disk of the run."""
    (folder / "run").mkdir()
    small = inside(folder, "--size", "60000", "--tmpfs", str(folder / "run"))
    return clear(*finish(start([*small, *train(folder)], folder)), "No space", "disk is full", "full")


@trial
def cache_that_cannot_be_written(folder: Path) -> str:
    """Make the cache read-only."""
    command = cache(folder)
    (folder / "cache").mkdir()
    return clear(
        *finish(start([*inside(folder, "--ro-bind", str(folder / "cache"), str(folder / "cache")), *command], folder)),
        "CXR_CACHE_DIR",
    )


@trial
def home_that_cannot_be_written(folder: Path) -> str:
    """Make the home read-only, and name no cache."""
    command, home = cache(folder), folder / "home"
    home.mkdir()
    env = surroundings(folder, CXR_CACHE_DIR=None, XDG_CACHE_HOME=None)
    status, output = finish(start([*inside(folder, "--ro-bind", str(home), str(home)), *command], folder, env))
    return clear(status, output, "CXR_CACHE_DIR")


@trial
def no_home_at_all(folder: Path) -> str:
    """Name neither a home nor a cache."""
    env = surroundings(folder, CXR_CACHE_DIR=None, XDG_CACHE_HOME=None, HOME=None)
    status, output = finish(start([*CXR, "data", f"folder:{images(folder / 'pictures')}", "--size", "32"], folder, env))
    return clear(status, output, "CXR_CACHE_DIR")


@trial
def two_processes_at_once(folder: Path) -> str:
    """Let three processes fill the same cache."""
    command = cache(folder)
    outputs = [finish(p) for p in [start(command, folder) for _ in range(3)]]
    if any(status for status, _ in outputs):
        return f"one failed: {last_line(next(text for status, text in outputs if status))}"
    return "" if len({text for _, text in outputs}) == 1 else "they say different things"


@trial
def two_trainings_into_one_folder(folder: Path) -> str:
    """Let two processes train into one folder."""
    both = [finish(p) for p in [start(train(folder), folder) for _ in range(2)]]
    for status, output in both:
        if wrong := clear(status, output, "another", "at the same time", "in use"):
            return wrong
    trained(folder)
    return "" if any(status == 0 for status, _ in both) else "neither finished"


@trial
def spaces_and_unicode_in_paths(folder: Path) -> str:
    """Work in a folder with an odd name."""
    odd = folder / "Röntgen bilder – 胸部 'x' $HOME"
    odd.mkdir()
    status, output = finish(start(cache(odd), odd))
    if status:
        return last_line(output)
    status, output = finish(start([*CXR, "train", *PHANTOM, "--epochs", "1", "--out", odd / "mein lauf"], odd))
    return last_line(output) if status else ""


@trial
def app_that_is_told_to_end(folder: Path) -> str:
    """End the app by four signals while a page has a kernel: nothing may live on."""
    status, output = finish(start([*train(folder)], folder))
    if status:
        return last_line(output)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for end in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL):
        process = start([*CXR, "app", folder / "run", "--port", port, "--no-browser"], folder)
        for _ in range(LIMIT):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=LIMIT).read()  # its kernel runs now
                break
            time.sleep(1)
        process.send_signal(end)
        finish(process)
        if wrong := left_over(folder):
            return f"after {end.name}, {wrong}"
    return ""


@trial
def clock_that_was_ahead(folder: Path) -> str:
    """Date all files ten years ahead."""
    command = cache(folder)
    status, before = finish(start(command, folder))
    future = time.time() + 10 * 365 * 86400
    for path in [*folder.rglob("*")]:
        os.utime(path, (future, future))
    again, after = finish(start(command, folder))
    return "" if (status, again) == (0, 0) and before == after else last_line(after)


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [target.name for target in TARGETS]
    parser.add_argument("--only", nargs="+", choices=[*names, "trials"], default=[*names, "trials"])
    parser.add_argument("--kills", type=int, help="for each target, instead of its own number")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--record", type=Path, help="write the counts to this JSON file")
    options = parser.parse_args(arguments)
    chosen = [target for target in TARGETS if target.name in options.only]
    tallies = []
    with tempfile.TemporaryDirectory(prefix="faults-") as base:
        total = sum(options.kills or target.kills for target in chosen)
        with tqdm(total=total, desc="kills", unit="kill", disable=None) as bar:
            for target in chosen:
                rng = random.Random(f"{options.seed} {target.name}")
                tallies.append(kill_again_and_again(target, options.kills or target.kills, rng, Path(base), bar))
        for name, function in TRIALS.items() if "trials" in options.only else ():
            with tempfile.TemporaryDirectory(dir=base) as folder:
                wrong = function(Path(folder))
                tallies.append(Tally(name, 1, lost=[wrong] * bool(wrong)))
    for tally in tallies:
        late = f", {tally.too_late} came too late" if tally.too_late else ""
        what = f"{tally.done} kills{late}" if tally.name in names else ""
        print(f"{'LOST' if tally.lost else 'ok':6}{tally.name:34}{what}")
        for text in tally.lost:
            print(f"{'':8}{text}")
    kills = sum(tally.done for tally in tallies if tally.name in names)
    lost = sum(len(tally.lost) for tally in tallies)
    print(f"{kills} kills and {len(tallies) - len(chosen)} other faults: {lost} lost something.")
    if options.record:
        from cxrlib.device import describe

        write_json(
            options.record,
            {
                "benchmark": "faults",
                "command": "make faults",
                "seed": options.seed,
                "kills": {t.name: t.done for t in tallies if t.name in names},
                "other": [t.name for t in tallies if t.name not in names],
                "lost": lost,
                "machine": describe(),
            },
        )
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
