"""The part of the results page about the source projects, run again: reported beside measured."""

from __future__ import annotations

import functools
import re
import statistics

from cxrlib.source_projects import SOURCES, reported

from ..reproduce import NOT_RUN, PLAN, Row, command, why
from .records import OLD, dagger, filled, is_reproduction, over_seeds, scored, table, training_minutes

figures_of = functools.cache(reported)  # making the table takes longer than everything else here


def as_reported(source: str, experiment: str) -> str:
    """Return the figures that a source reported of an experiment, in words."""
    frame = figures_of(source)
    row = frame[frame["experiment"] == experiment].iloc[0]
    names = {"accuracy": "accuracy", "f1": "F1", "auc": "AUC", "loss": "loss"}
    found = [f"{name} {row[column]:g}" for column, name in names.items() if row[column] == row[column]]  # not NaN
    if row["minutes"] == row["minutes"]:
        found.append(f"{row['minutes']:g} min")
    return ", ".join(found) or "–"


def set_up(records: list[dict]) -> str:
    """Return model, size and length, data and split of the runs of one row."""
    first, recipe = records[0], records[0]["training"]["recipe"]
    lengths = sorted({len(r["training"]["epochs"]) for r in records})
    epochs = " to ".join(str(n) for n in dict.fromkeys((lengths[0], lengths[-1]))) + " epochs"
    epochs = "1 epoch" if lengths == [1] else epochs
    if head := len(first["training"].get("head", [])):
        epochs = f"{head} for the head, then {epochs}"
    split = first["data"]["protocol"] + (", by image" if first["data"]["by"] == "image" else "")
    seeds = f", {len(records)} seeds" if len(records) > 1 else ""
    return f"{recipe['model']}, {recipe['size']} px, {epochs}; {first['data']['source']}, {split}{seeds}"


def source_section(letter: str, records: list[dict]) -> str:
    """Write the part of one source: reported beside measured, why they differ, what did not run."""
    found = [r for r in records if is_reproduction(r)]
    rows, reasons, absent, never = [], [], {}, []
    for row in (row for row in PLAN if row.source == letter):
        mine = [r for r in found if r["reproduction"]["row"] == row.id]
        measured = sorted((r for r in mine if "test" in r), key=lambda r: r["training"]["recipe"]["seed"])
        if measured:
            validation = [r["validation"]["values"]["accuracy"] for r in measured]
            name = row.id + max(map(dagger, measured))
            rows.append([
                name, row.experiment, set_up(measured), as_reported(letter, row.experiment),
                over_seeds(validation), *(scored(measured, value) for value in ("accuracy", "macro_f1", "auc")),
                f"{statistics.mean(map(training_minutes, measured)):.1f} min",
            ])  # fmt: skip
            reasons.append(f"- {row.id}: {why(measured)}")
        elif missing := [r for r in mine if r.get("kind") == NOT_RUN]:
            absent.setdefault(missing[0]["reason"], []).append(row)
        else:
            never.append(row)
    parts = [f"### Source {letter}: {SOURCES[letter]}"]
    if rows:
        head = ["row", "experiment", "run here", "reported", "validation accuracy", "test accuracy", "test macro F1"]
        parts.append(table([*head, "test AUC", "training time"], rows))
        parts += [OLD] if any("†" in row[0] for row in rows) else []
        of_source = [r["data"] for r in found if r["reproduction"]["source"] == letter]
        parts += [
            f"The images are {text}." for text in dict.fromkeys(d["stand_in"] for d in of_source if "stand_in" in d)
        ]
        parts += ["Why reported and measured differ:", "\n".join(reasons)]
    for reason, which in absent.items():
        parts += [f"Not run: {reason}. The command that runs it where nothing is missing:", commands(which)]
    if never:
        parts += ["No record yet:", commands(never)]
    return "\n\n".join(parts)


def commands(rows: list[Row]) -> str:
    """List the command for each row, with what the source reported."""
    lines = []
    for row in rows:
        figures = as_reported(row.source, row.experiment)
        lines.append(f"- {row.experiment}{f' (reported: {figures})' if figures != '–' else ''}: `{command(row)}`")
    return "\n".join(lines)


def not_run(records: list[dict]) -> str:
    """Say in one line how many experiments did not run, and for want of what."""
    found = [r for r in records if is_reproduction(r)]
    measured = {r["reproduction"]["row"] for r in found if "test" in r}
    left = {r["reproduction"]["row"]: r["reason"] for r in found if r.get("kind") == NOT_RUN}
    reasons = [reason for row, reason in left.items() if row not in measured]
    if not reasons:
        return f"All {len(PLAN)} rows of the plan were run."
    named = [re.fullmatch(r"the ImageNet weights of (\w+) are not here.*", reason) for reason in reasons]
    models = ", ".join(dict.fromkeys(m[1] for m in named if m))
    others = f" {named.count(None)} for another reason" if None in named else ""
    weights = (
        f" {len(named) - named.count(None)} for want of the ImageNet weights of {models}, which cannot be had here"
    )
    told = " and".join(part for part in (others, weights if models else "") if part)
    return f"Of {len(PLAN)} rows of the plan, these were not run:{told}."


def text(records: list[dict]) -> str:
    """Write the part."""
    return "\n\n".join([filled("sources"), not_run(records), *(source_section(letter, records) for letter in SOURCES)])
