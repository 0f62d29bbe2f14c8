"""The page on speed: what benchmarks/ measured, and whether it meets its bar."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path

from cxrlib.files import read_json

from .records import filled, table


def _line(what: str, measured: str, bar: str = "", met: bool | None = None) -> list[str]:
    """Return a line of the tables; ``bar`` is a text or empty, ``met`` None where there is no bar."""
    return [what, measured, bar, {True: "yes", False: "no", None: ""}[met]]


def _ratio(what: str, row: dict, no_less: str = "") -> list[str]:
    """How much quicker than the others; ``no_less`` are the words for a bar of 1."""
    bar = row["bar"]
    held = (f"at least {bar}×" if bar > 1 or not no_less else no_less, row["ratio"] >= bar) if bar else ()
    return _line(what, f"{row['ratio']:.1f}×", *held)


def _pipeline(found: dict) -> Iterator[list[str]]:
    for row in found["rows"]:
        what = f"augmented images a second from JPEGs of {row['side']:,} px"
        what += f", against torchvision with {row['torchvision_workers']} workers"
        yield _ratio(what, row, "never slower")


def _training(found: dict) -> Iterator[list[str]]:
    names = {"plain": "a plain float32 loop", "fastai": "fastai's `vision_learner`"}
    for row in found["rows"]:
        what = f"training step, {found['model']} at {found['size']} px, against {names[row['against']]}"
        yield _ratio(what, row, "no slower")


def _cam(found: dict) -> Iterator[list[str]]:
    for row in found["speed"]:
        yield _ratio(f"Grad-CAM against pytorch-grad-cam, {row['case']}, {row['cxrlib_runs_in']}", row)
    few, many = found["peak_memory_mib"]["100"], found["peak_memory_mib"]["1000"]
    yield _line("peak memory of 1,000 maps against 100", f"{many / few:.2f}×", "under 1.1×", many < 1.1 * few)


def _inspector(found: dict) -> Iterator[list[str]]:
    what = f"inspector page, {found['images']} images × {found['classes']} classes × {found['layers']} layers"
    size = found["page_megabytes"]
    yield _line(what, f"{size:.2f} MB", "under 1.5 MB", size < 1.5)
    for row in found["redraws"]:
        time = row["median_ms"]
        yield _line(f"inspector redraw, {row['what']}", f"{time:.0f} ms", "under 50 ms", time < 50)


def _live(found: dict) -> Iterator[list[str]]:
    size, bits = found["runtime_megabytes"], {8: ", weights of 8 bits", 16: ""}
    yield _line(
        "TensorFlow.js in a page, once, when its first network is seen", f"{size:.2f} MB", "under 2 MB", size < 2
    )
    for row in found["rows"]:
        what = f"one answer with the maps of all classes, `{row['model']}` at {row['size']} px{bits[row['bits']]}"
        time, bar = row["median_ms"], row["bar_ms"]
        yield _line(f"{what} ({row['megabytes']:.1f} MB)", f"{time:.0f} ms", f"at most {bar} ms", time <= bar)


def _phantom(found: dict) -> Iterator[list[str]]:
    what, seconds = f"{found['images']:,} phantoms of {found['size']} px, new process", found["seconds"]
    yield _line(what, f"{seconds:.1f} s", f"under {found['bar']} s", seconds < found["bar"])


def _starting(found: dict) -> Iterator[list[str]]:
    for row in found["rows"]:
        name = f"`{row['what']}`" if row["what"].startswith("cxr") else row["what"]
        seconds = max(0.0, row["seconds"])  # noise can make a difference of two times negative
        time = f"{seconds:.2f} s" if seconds >= 0.01 else f"{1000 * seconds:.0f} ms"
        yield _line(name, time, f"under {row['bar']:g} s", seconds < row["bar"])


def _book(found: dict) -> Iterator[list[str]]:
    for row in found["rows"]:
        bar, seconds = row["bar"], row["seconds"]
        held = (f"under {bar} s", seconds < bar) if bar else ()
        yield _line(f"book build, {row['what']}", f"{seconds:.0f} s", *held)


def _grading(found: dict) -> Iterator[list[str]]:
    for row in found["runs"]:
        what = f"submissions graded a minute, {row['jobs']} at a time on {found['cores']} cores"
        bar, rate = found["bar_per_minute"], row["per_minute"]
        # the bar is for as many at a time as there are cores, or more
        held = (f"at least {bar}", rate >= bar) if row["jobs"] >= found["cores"] else ()
        yield _line(what, f"{rate:.0f}", *held)
    fraction = found["start_seconds"] * found["runs"][0]["per_minute"] / 60
    yield _line("of a submission's time: a new sandbox whose Python imports torch", f"{fraction:.0%}")


def _fuzz(found: dict) -> Iterator[list[str]]:
    what = f"bad inputs that were accepted or refused with a sentence, of {found['inputs']:,}"
    yield _line(what, f"{found['survived']:,}", "all", found["survived"] == found["inputs"])


def _faults(found: dict) -> Iterator[list[str]]:
    what = f"results lost by {sum(found['kills'].values())} kills and {len(found['other'])} other faults"
    yield _line(what, str(found["lost"]), "none", found["lost"] == 0)


def _processes(found: dict) -> Iterator[list[str]]:
    for row in found["rows"]:
        network = f"{row['model']} at {row['size']} px ({row['gradient_megabytes']:.0f} MB of gradients)"
        what = f"training images a second in {found['processes']} processes, against one, {network}"
        yield _line(what, f"{row['ratio']:.2f}×", f"at least {row['bar']:g}×", row["ratio"] >= row["bar"])


def _large(found: dict) -> Iterator[list[str]]:
    memory = f"{found['limit_megabytes'] / 1000:g} GB of memory"
    what = f"{found['images']:,} images ({found['gigabytes']:.1f} GB of pixels) with {memory}"
    yield _line(f"training on {what}, against no limit", f"{found['ratio']:.2f}×")
    own, limit = found["under_limit"]["own_megabytes"], found["limit_megabytes"]
    yield _line(f"memory of its own for {what}", f"{own:.0f} MB", f"under {limit:,} MB", own < limit)


def _accuracy(found: dict) -> Iterator[list[str]]:
    runs = found["runs"]
    reached = [run for run in runs if run["accuracy"] >= found["goal"]]
    at_threshold = [run for run in runs if run["accuracy_at_validation_threshold"] >= found["goal"]]
    minutes, bar = statistics.mean(run["minutes"] for run in runs), found["reported_minutes"]
    clock = [run["clock_minutes"] for run in runs]
    what = (
        f"training of `{found['recipe']}`; {len(reached)} of {len(runs)} seeds reach the best source project's test "
        f"accuracy of {found['goal']:.3f} at a threshold of 0.5 ({len(at_threshold)} at the validation threshold)"
    )
    by_clock = f"by the clock, beside other jobs, {min(clock):.0f} to {max(clock):.0f} min"
    met = minutes < bar and len(reached) == len(runs)
    yield _line(
        what, f"{minutes:.0f} min of CPU time a thread ({by_clock})", f"under the {bar:g} min that it reported", met
    )


#: NAME of a record -> the title of its part, and its lines
BENCHMARKS = {
    "starting": ("Starting", _starting), "pipeline": ("From files to batches", _pipeline),
    "training": ("Training", _training), "accuracy": ("Time to the source project's accuracy", _accuracy),
    "processes": ("Several processes", _processes), "large": ("A data set larger than memory", _large),
    "cam": ("Class activation maps", _cam), "inspector": ("The inspector", _inspector),
    "live": ("Networks in a page", _live),
    "phantom": ("Phantoms", _phantom), "grading": ("Grading", _grading), "book": ("The book", _book),
    "fuzz": ("Bad input", _fuzz), "faults": ("Faults", _faults),
}  # fmt: skip
#: those of which a table alone does not tell enough: pages/performance-NAME.md stands under it
EXPLAINED = ("processes", "cam", "book")
HEAD = ["what", "measured", "bar", "met"]


def read(folder: Path) -> dict[str, dict]:
    """Read what was measured last: NAME -> record, from benchmarks/*.json."""
    return {name: read_json(folder / f"{name}.json") for name in BENCHMARKS if (folder / f"{name}.json").is_file()}


def machines(records: Iterable[dict]) -> str:
    """Say on which machines these records were made."""
    each = [run for record in records for run in (record, *record.get("runs", ()))]
    kinds = {(m["device"], m["threads"], m["cpu_capability"]) for r in each if (m := r.get("machine"))}
    return "; ".join(
        f"{device}, {threads} thread{'s' if threads > 1 else ''}, {capability}"
        for device, threads, capability in sorted(kinds)
    )


def page(records: dict[str, dict]) -> str:
    """Write the page of the book: a part for each benchmark."""
    parts = []
    for name, (title, lines) in BENCHMARKS.items():
        if record := records.get(name):
            command = record.get("command", f"python benchmarks/{name}.py")
            made = f"`{command}`; {machines([record]) or 'machine not recorded'}."
            note = [filled(f"performance-{name}")] if name in EXPLAINED else []
            parts += [f"## {title}", table(HEAD, list(lines(record))), *note, made]
    return filled("performance", parts="\n\n".join(parts)) + "\n"
