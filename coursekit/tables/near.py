"""The part of the results page about near-duplicates: which copies are found, and which others are taken for one."""

from __future__ import annotations

from .records import filled, table

PAIRS = ("same pixels", "same patient", "different patients", "patients not known")


def part(r: dict) -> str:
    """Write the part."""
    half, chosen = r["halves"]["reporting"], r["halves"]["choosing"]

    def found(of: dict, interval: bool = False) -> str:
        short = f"{of['fraction']:.1%} of {of['of']:,}" if of["of"] else "–"
        return short + (" ({:.1%}–{:.1%})".format(*of["interval"]) if interval and of["of"] else "")

    names = list(half["sources"])
    rows = [[row["change"], found(row["all"], True), *(found(row[n]) for n in names)] for row in half["changes"]]
    both = [[name, *_pairs(chosen["pairs"][name]), *_pairs(half["pairs"][name])] for name in PAIRS]
    wrong, made = half["other_patients_called_the_same"], sum(row["all"]["of"] for row in half["changes"])
    strangers = sum(h["pairs"]["different patients"]["pairs"] for h in r["halves"].values())
    threads = r["machine"]["threads"]
    return filled(
        "near-duplicates", r, images=half["images"], recall=table(["what was done to the copy", "all", *names], rows),
        wrong=f"Of {made:,} copies, {wrong or 'none'} {'was' if wrong == 1 else 'were'} taken for another patient's.",
        pairs=table(["pairs", "choosing half", "most alike", "this half", "most alike"], both),
        said=f"{strangers or 'No'} pair{'' if strangers == 1 else 's'} of two different patients by their names "
        f"{'was' if strangers == 1 else 'were'} called the same, in both halves together.",
        threads=f"{threads} thread{'s' if threads > 1 else ''}",
    )  # fmt: skip


def _pairs(pairs: dict) -> list[str]:
    return [f"{pairs['pairs']}", f"{pairs['highest'][0]:.3f}" if pairs["highest"] else "–"]
