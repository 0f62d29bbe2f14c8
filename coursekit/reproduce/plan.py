"""The plan: every run, and which experiment of a source it repeats."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cxrlib.recipe import recipes as course_recipes
from cxrlib.source_projects import SOURCES, reported

from .sources import recipes as source_recipes

recipes = course_recipes | source_recipes


@dataclass(frozen=True)
class Row:
    """One line of the plan: an experiment of a source, and the run that repeats it.

    ``id`` is its name and that of its records; source and experiment are those of ``cxrlib.reported()``, ``recipe`` is
    a name in ``recipes``, ``data`` one for ``cxrlib.load``; protocol and by are those of ``cxrlib.split``, and each of
    the ``seeds`` is a run.
    """

    id: str
    source: str
    experiment: str
    recipe: str
    data: str
    protocol: str
    by: str = "patient"
    seeds: tuple[int, ...] = (0,)


def _plan() -> Iterator[Row]:
    few = (0, 1, 2)  # where a run is cheap, or where the table needs to show what a seed alone changes
    names = reported().groupby("source", sort=False)["experiment"].apply(list)

    yield Row("A-baseline", "A", names["A"][0], "A-baseline", "pneumonia", "val10", seeds=few)
    for experiment, step in zip(names["A"][1:], ("frozen", "v1", "v2", "v3", "v4", "v5", "v6"), strict=True):
        for suffix in ("", "-lite0"):
            yield Row(f"A-{step}{suffix}", "A", experiment, f"A-{step}{suffix}", "pneumonia", "val10")

    bases = ("resnet50", "inception_resnet_v2", "efficientnet_b7", "efficientnet_b7-tuned")
    for experiment, base in zip(names["B"], bases, strict=True):
        yield Row(f"B-{base}", "B", experiment, f"B-{base}", "pneumonia4", "pooled")
    for head in ("", "-simple-head", "-complex-head"):  # source B expected a more complex head to help
        yield Row(f"B-lite0{head}", "B", names["B"][2], f"B-lite0{head}", "pneumonia4", "pooled", seeds=few)
    for base in ("lite1", "lite2"):  # larger bases whose weights a package carries
        yield Row(f"B-{base}", "B", names["B"][2], f"B-{base}", "pneumonia4", "pooled")
    yield Row("B-lite0-tuned", "B", names["B"][3], "B-lite0-tuned", "pneumonia4", "pooled")
    for experiment, base in zip(names["B"][2:], ("lite0", "lite0-tuned"), strict=True):  # the children alone
        yield Row(f"B-{base}-pneumonia3", "B", experiment, f"B-{base}", "pneumonia3", "val10")

    variants = (
        ("resnet18", "resnet18-scratch"),
        ("resnet34", "resnet34-scratch"),
        ("efficientnet_b0", "efficientnet_b0-scratch", "lite0"),
        ("cyclic", "cyclic-scratch", "cyclic-lite0"),
    )
    for experiment, ids in zip(names["C"], variants, strict=True):
        for name in ids:
            yield Row(f"C-{name}", "C", experiment, f"C-{name}", "pneumonia", "train82")

    for experiment in names["D"]:
        layers, _, lr = experiment.partition(", lr ")
        recipe = f"lr-{lr}" if lr else f"layers-{layers}"
        seeds = few if experiment == "CPCFDD" else (0,)  # one layout shows what a seed alone changes
        name = f"D-{layers}" + (f"-lr-{lr}" if lr else "")
        # Image by image, as pooled images are split by whoever does not ask for patients; then without that leak.
        yield Row(name, "D", experiment, recipe, "pneumonia", "pooled", by="image", seeds=seeds)
        if experiment == "CPCFDD":
            yield Row(f"{name}-by-patient", "D", experiment, recipe, "pneumonia", "pooled", seeds=seeds)
        yield Row(f"{name}-official", "D", experiment, recipe, "pneumonia", "val10", seeds=seeds)

    for experiment, name in zip(names["E"], ("cnn5", "resnet18", "resnet18-augmented"), strict=True):
        yield Row(f"E-{name}", "E", experiment, f"E-{name}", "lung4", "merged82", seeds=few)
        yield Row(f"E-{name}-pneumonia3", "E", experiment, f"E-{name}", "pneumonia3", "train82")  # the children alone


#: Every run, in the order of the sources.
PLAN: tuple[Row, ...] = tuple(_plan())


def select(sources: Iterable[str] = (), ids: Iterable[str] = ()) -> list[Row]:
    """Return the rows of some sources ("A" to "E", or "all") and the rows with these ids, in the order of the plan."""
    letters, ids = {s.upper() for s in sources}, set(ids)
    if unknown := letters - {*SOURCES, "ALL"}:
        raise ValueError(f"there is no source {', '.join(sorted(unknown))}; sources are {', '.join(SOURCES)}, or all")
    if unknown := ids - {row.id for row in PLAN}:
        close = difflib.get_close_matches(min(unknown), [row.id for row in PLAN], n=1)
        meant = f"; did you mean {close[0]}?" if close else "."
        raise ValueError(f"the plan has no row {', '.join(sorted(unknown))}{meant} `cxr reproduce --list` shows all")
    return [row for row in PLAN if row.source in letters or "ALL" in letters or row.id in ids]
