"""The records of results/: which kind one is, which belong together, and how their numbers are written."""

from __future__ import annotations

import re
import statistics
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

from cxrlib.values import UNDEFINED
from cxrlib.values import text as shown

OLD = (
    "† Recorded when a split by patient still put patients with many images into validation too often, and an average "
    "of weights (`ema_decay`) began with the random first ones. The test images are the same."
)

# Published figures on the official test split of Kaggle pneumonia (normal against pneumonia): accuracy, AUC.
# Yang et al., MedMNIST v2, Scientific Data 2023: the same split at 28 px as PneumoniaMNIST.
LITERATURE = {
    "Rajaraman et al. (2018), cut to the lungs": (0.962, 0.993),
    "Kermany et al. (2018)": (0.928, 0.968),
    "Google AutoML Vision on PneumoniaMNIST, 28 px (Yang et al., 2023)": (0.946, 0.991),
}


def filled(name: str, record: dict | None = None, **values: object) -> str:
    """Fill pages/NAME.md, the prose of a page or of a part of one, with values, and else with the record's own."""
    prose = (Path(__file__).with_name("pages") / f"{name}.md").read_text(encoding="utf-8").removesuffix("\n")
    return prose.format(**(record or {}) | values)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Write a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def of_kind(records: list[dict], kind: str) -> dict | None:
    """Return the record of a kind, or None."""
    return next((r for r in records if r.get("kind") == kind), None)


def each(kind: str, part: Callable[[dict], str]) -> Callable[[list[dict]], str]:
    """Return what writes a part of the page for each record of a kind: nothing where there is none."""
    return lambda records: "\n\n".join(part(r) for r in records if r.get("kind") == kind)


def is_training(record: dict) -> bool:
    """Tell whether it is a run of `cxr train`."""
    return "training" in record and "test" in record and not is_reproduction(record)


def is_reproduction(record: dict) -> bool:
    """Tell whether it is a record of `cxr reproduce`, measured or not run."""
    return "reproduction" in record


def dagger(record: dict) -> str:
    """Return the mark of OLD, or nothing: such a record's recipe knows no crop."""
    return "" if "crop" in record["training"]["recipe"] or record["data"]["by"] == "image" else "†"


def recipe_of(record: dict) -> str:
    """Return the recipe, with which `cxr train` begins each record's file name."""
    return record["file"].partition("-chest_xray")[0]


def by_recipe(records: list[dict]) -> list[list[dict]]:
    """Return the runs of `cxr train`, those of one recipe together, by seed."""
    groups: dict[str, list[dict]] = {}
    for record in filter(is_training, records):
        groups.setdefault(recipe_of(record), []).append(record)
    return [sorted(runs, key=lambda r: r["training"]["recipe"]["seed"]) for runs in groups.values()]


def name_of(runs: list[dict]) -> str:
    """Return the recipe and the seeds of these runs."""
    seeds = [f"{r['training']['recipe']['seed']}{dagger(r)}" for r in runs]
    return f"{recipe_of(runs[0])}, {', '.join(seeds)}"


def training_minutes(record: dict) -> float:
    """Return the CPU time over the threads, where it was recorded; else the number of epochs times the median epoch.

    By the clock other jobs on the machine slow single epochs, and the sum would hold that.
    """
    training = record["training"]
    phases = [phase for phase in (training["epochs"], training.get("head")) if phase]
    if all("cpu_seconds" in epoch for phase in phases for epoch in phase) and training["hardware"]["device"] == "cpu":
        return sum(e["cpu_seconds"] for phase in phases for e in phase) / training["hardware"]["threads"] / 60
    return sum(len(phase) * statistics.median(e["seconds"] for e in phase) for phase in phases) / 60


def ranged(value: float | None, low: float | None, high: float | None, form: str = ".3f") -> str:
    """Write a value with its interval, ``0.912 (0.880–0.941)``; a difference as ``+0.012 (-0.004 to +0.030)``."""
    joint = " to " if form[0] == "+" else "–"
    ends = "" if low is None else f" ({low:{form}}{joint}{high:{form}})"
    return UNDEFINED if value is None else f"{value:{form}}{ends}"


def spanned(values: Iterable[float], form: str = ".3f") -> str:
    """Write from where to where values lie, or the one that all have."""
    values = list(values)
    low, high = f"{min(values):{form}}", f"{max(values):{form}}"
    return low if low == high else f"{low} to {high}"


def interval(report: dict, name: str) -> str:
    """Write a score with its interval."""
    return ranged(report["values"][name], *report["intervals"][name])


def paired(before: float, after: float, change: float, low: float, high: float) -> str:
    """Write a score without something and with it, and the difference with its interval."""
    return f"{before:.3f}, {after:.3f}; {ranged(change, low, high, '+.3f')}"


def counted(intervals: list[list[float]]) -> tuple[int, int, int]:
    """Count the intervals of differences that lie above 0, below it, and on both sides."""
    up, down = sum(low > 0 for low, _ in intervals), sum(high < 0 for _, high in intervals)
    return up, down, len(intervals) - up - down


def recalls(runs: list[dict], part: str) -> str:
    """Write the mean recall of each class; it is undefined where that of one run is."""
    each = [[r[part]["values"][f"recall[{c}]"] for r in runs] for c in runs[0][part]["classes"]]
    return " / ".join(shown(None if None in values else statistics.mean(values)) for values in each)


def over_seeds(values: list[float], between: str = "") -> str:
    """Write the mean, and the lowest and the highest of several seeds; of one seed its value."""
    span = f" [{min(values):.3f}–{max(values):.3f}]" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{between}{span}"


def scored(runs: list[dict], name: str, part: str = "test") -> str:
    """Return a value of one run with its interval, or of several seeds as the page says; a dash where it is undefined.

    ``runs`` are records of one recipe, one per seed; ``name`` is a score such as "accuracy", ``part`` "test", or
    "test_at_validation_threshold", which only runs with two classes have.
    """
    if any(part not in r or r[part]["values"][name] is None for r in runs):
        return UNDEFINED
    ends = [end for r in runs for end in r[part]["intervals"][name]]
    between = "" if None in ends else f" ({min(ends):.3f}–{max(ends):.3f})"
    return over_seeds([r[part]["values"][name] for r in runs], between)


def wrapped(page: str, width: int = 120) -> str:
    """Break a page's prose into lines, after values have filled it; tables, headings, pictures and code stay."""
    done, prose, code = [], [], False
    for line in [*page.split("\n"), ""]:
        fence = line.startswith("```")
        if line and not (code or fence or line.startswith(("#", "|", "<", ":", "!"))):
            prose.append(line)
            continue
        for item in re.split(r"\n(?=- )", "\n".join(prose)) if prose else ():
            inner = "  " if item.startswith("- ") else ""
            how = {"subsequent_indent": inner, "break_long_words": False, "break_on_hyphens": False}
            done.append(textwrap.fill(re.sub(r"\n *", " ", item), width, **how))
        done, prose, code = [*done, line], [], code ^ fence
    return "\n".join(done[:-1])


def unbroken(text: str) -> str:
    """Let no line end inside an interval, "(0.93–0.97)"."""
    spaced = r"[(\[][-+]?\d[^()\[\]|]{0,24}[)\]]"
    return re.sub(spaced, lambda m: m[0].replace(" ", "\u00a0").replace("–", "–\u2060"), text)
