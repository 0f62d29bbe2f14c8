"""The part of the results page about cutting images to the lungs: seed by seed, with and without."""

from __future__ import annotations

from .performance import table
from .records import template

PLACES = {"validation": "validation", "stress": "validation, under stress", "test": "test"}
SCORES = {
    "auc": "AUC",
    "accuracy": "accuracy at 0.5",
    "balanced_accuracy_at_own_threshold": "balanced accuracy at the validation threshold",
}

TEXT = template("crop")


def text(records: list[dict]) -> str:
    """Write the part, or nothing where there is no record."""
    return "\n\n".join(_part(r) for r in records if r.get("kind") == "crop")


def _part(r: dict) -> str:
    def cell(found: dict) -> str:
        low, high = found["interval"]
        return f"{found['whole']:.3f}, {found['cut']:.3f}; {found['difference']:+.3f} ({low:+.3f} to {high:+.3f})"

    rows = [
        [f"{row['seed']}", f"{words} ({row['images'].get(place, row['images']['validation'])})"]
        + [cell(row[place][name]) for name in SCORES]
        for row in r["rows"]
        for place, words in PLACES.items()
    ]
    missing = [f"{row['not_cut']['train']}, {row['not_cut']['val']} and {row['not_cut']['test']}" for row in r["rows"]]
    return TEXT.format(
        scores=table(["seed", "images", *SCORES.values()], rows),
        said=" ".join(_said(r["rows"], place, words) for place, words in PLACES.items()),
        missing="No lungs were found, and the whole image was taken, in so many training, validation and test images: "
        + "; ".join(f"seed {row['seed']}: {text}" for row, text in zip(r["rows"], missing, strict=True))
        + ".",
        command=r["command"],
    )


def _said(rows: list[dict], place: str, words: str) -> str:
    """Say in how many seeds the AUC rose and fell with an interval that leaves 0 out."""
    found = [row[place]["auc"] for row in rows]
    up, down = (sum(sign * f["interval"][k] > 0 for f in found) for sign, k in ((1, 0), (-1, 1)))
    counts = {"higher with the cut": up, "lower with the cut": down, "not told apart": len(found) - up - down}
    parts = [f"{how} in {n}" for how, n in counts.items() if n]
    return f"{words[0].upper()}{words[1:]}: the AUC is {', '.join(parts)} of {len(found)} seeds."
