"""The part of the results page about near-duplicates: which copies are found, and which others are taken for one."""

from __future__ import annotations

from .performance import table
from .records import template

PAIRS = ("same pixels", "same patient", "different patients", "patients not known")

TEXT = template("near-duplicates")


def text(records: list[dict]) -> str:
    """Write the part, or nothing where there is no record."""
    return "\n\n".join(_part(r) for r in records if r.get("kind") == "near-duplicates")


def _part(r: dict) -> str:
    half, chosen = r["halves"]["reporting"], r["halves"]["choosing"]

    def found(of: dict, interval: bool = False) -> str:
        short = f"{of['fraction']:.1%} of {of['of']:,}" if of["of"] else "–"
        return short + (" ({:.1%}–{:.1%})".format(*of["interval"]) if interval and of["of"] else "")

    names = list(half["sources"])
    rows = [[row["change"], found(row["all"], True), *(found(row[n]) for n in names)] for row in half["changes"]]
    both = [[name, *_pairs(chosen["pairs"][name]), *_pairs(half["pairs"][name])] for name in PAIRS]
    wrong, made = half["other_patients_called_the_same"], sum(row["all"]["of"] for row in half["changes"])
    strangers = sum(h["pairs"]["different patients"]["pairs"] for h in r["halves"].values())
    speed = r["speed"]
    return TEXT.format(
        images=half["images"], same=r["same"], command=r["command"],
        recall=table(["what was done to the copy", "all", *names], rows),
        wrong=f"Of {made:,} copies, {wrong or 'none'} {'was' if wrong == 1 else 'were'} taken for another patient's.",
        pairs=table(["pairs", "choosing half", "most alike", "this half", "most alike"], both),
        said=f"{strangers or 'No'} pair{'' if strangers == 1 else 's'} of two different patients by their names "
        f"{'was' if strangers == 1 else 'were'} called the same, in both halves together.",
        speed=f"Comparing {speed['images']:,} images of {r['size']} pixels took {speed['cpu_seconds']:.0f} seconds of "
        f"processor time on {r['machine']['threads']} thread{'s' if r['machine']['threads'] > 1 else ''}.",
    )  # fmt: skip


def _pairs(pairs: dict) -> list[str]:
    return [f"{pairs['pairs']}", f"{pairs['highest'][0]:.3f}" if pairs["highest"] else "–"]
