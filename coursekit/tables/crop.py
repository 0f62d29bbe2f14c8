"""The part of the results page about cutting images to the lungs: seed by seed, with and without."""

from __future__ import annotations

from .records import counted, filled, paired, table

PLACES = {"validation": "validation", "stress": "validation, under stress", "test": "test"}
SCORES = {
    "auc": "AUC",
    "accuracy": "accuracy at 0.5",
    "balanced_accuracy_at_own_threshold": "balanced accuracy at the validation threshold",
}


def cells(found: dict) -> str:
    """Write a score of whole images and of cut ones, and the difference."""
    return paired(found["whole"], found["cut"], found["difference"], *found["interval"])


def part(r: dict) -> str:
    """Write the part."""
    rows = [
        [f"{row['seed']}", f"{words} ({row['images'].get(place, row['images']['validation'])})"]
        + [cells(row[place][name]) for name in SCORES]
        for row in r["rows"]
        for place, words in PLACES.items()
    ]
    missing = ["seed {seed}: {not_cut[train]}, {not_cut[val]} and {not_cut[test]}".format(**row) for row in r["rows"]]
    said = " ".join(_said(r["rows"], place, words) for place, words in PLACES.items())
    scores = table(["seed", "images", *SCORES.values()], rows)
    return filled("crop", r, scores=scores, said=said, missing="; ".join(missing))


def _said(rows: list[dict], place: str, words: str) -> str:
    """Say in how many seeds the AUC rose and fell with an interval that leaves 0 out."""
    counts = counted([row[place]["auc"]["interval"] for row in rows])
    how = ("higher with the cut", "lower with the cut", "not told apart")
    parts = [f"{what} in {n}" for what, n in zip(how, counts, strict=True) if n]
    return f"{words[0].upper()}{words[1:]}: the AUC is {', '.join(parts)} of {len(rows)} seeds."
