"""The part of the results page about training with attention: a shortcut on phantoms, and real X-rays."""

from __future__ import annotations

from statistics import mean

from .crop import cells
from .records import counted, filled, of_kind, over_seeds, paired, table

TESTS = {"same": "as trained", "removed": "markers removed", "swapped": "markers on the healthy"}


def text(records: list[dict]) -> str:
    """Write the part, or nothing where there is no record."""
    kinds = {"attend phantoms": _phantoms, "attend real": _real}
    parts = [part(r) for kind, part in kinds.items() if (r := of_kind(records, kind)) and r["rows"]]
    return "\n\n".join([filled("attend"), *parts]) if parts else ""


def _phantoms(r: dict) -> str:
    def found(name: str, p: float, weight: float) -> tuple:
        return tuple(zip(*(row[name] for row in r["rows"] if (row["p"], row["weight"]) == (p, weight)), strict=True))

    def cell(name: str, p: float, weight: float) -> str:
        values, lows, highs = found(name, p, weight)
        return over_seeds(values, f" ({min(lows):.3f}–{max(highs):.3f})")

    def worst(weight: float) -> float:
        rows = [row for row in r["choosing"] if row["weight"] == weight]
        return mean(min(row[f"auc_{name}"][0] for name in TESTS) for row in rows)

    chosen = r["weight"]
    fractions = sorted({row["p"] for row in r["rows"]})
    names = [f"auc_{name}" for name in TESTS] + ["removed", "flips", "energy_lesion", "energy_marker"]
    head = ["p", "penalty", *(f"AUC, {words}" for words in TESTS.values()), "balanced accuracy, markers removed"]
    head += ["answers that the marker flips", "energy in the lesion", "energy around the marker"]
    rows = [
        [f"{p:g}", "yes" if w else "no", *(cell(name, p, w) for name in names)]
        for p in fractions
        for w in (0.0, chosen)
    ]
    said = []
    for p in fractions:
        before, after = ({n: mean(found(n, p, w)[0]) for n in names} for w in (0.0, chosen))
        spans = [max(values) - min(values) for values in (found("auc_removed", p, w)[0] for w in (chosen, 0.0))]
        said.append(
            f"At p = {p:g} the marker flips {after['flips']:.0%} of the answers with the penalty and "
            f"{before['flips']:.0%} without. With markers on the healthy the AUC is {after['auc_swapped']:.3f} against "
            f"{before['auc_swapped']:.3f}; without markers it is {after['auc_removed']:.3f} against "
            f"{before['auc_removed']:.3f}, and the seeds span {spans[0]:.3f} against {spans[1]:.3f}."
        )
    seeds, weights = ({row[key] for row in r[part]} for key, part in (("seed", "rows"), ("weight", "choosing")))
    return filled(
        "attend-phantoms", r, seeds=len(seeds), said=" ".join(said), scores=table(head, rows),
        worst=", ".join(f"{worst(w):.3f} for {w:g}" for w in sorted(weights)),
    )  # fmt: skip


def _real(r: dict) -> str:
    def energy(found: dict) -> str:
        return paired(found["without"][0], found["with"][0], *found["difference"])

    rows, said = [], []
    for place in ("validation", "test"):
        found = [row[place] for row in r["rows"]]
        rows += [
            [
                f"{row['seed']}", f"{place} ({f['images']})", energy(f["energy"]), cells(f["auc"]),
                cells(f["balanced_accuracy_at_own_threshold"]),
            ]
            for row, f in zip(r["rows"], found, strict=True)
        ]  # fmt: skip
        more = sum(f["energy"]["difference"][1] > 0 for f in found)
        up, down, unclear = counted([f["auc"]["interval"] for f in found])
        said.append(
            f"{place.capitalize()}: the maps lie more in the lungs in {more} of {len(found)} seeds; the AUC is higher "
            f"in {up}, lower in {down}, and not told apart in {unclear} (the interval has 0 in it); the "
            f"mean difference is {mean(f['auc']['difference'] for f in found):+.3f}."
        )
    auc = [f"{row['weight']:g}: {row['validation']:.3f}" for row in r["choosing"]]
    weights = sorted({row["weight"] for row in r["choosing"]} - {0.0})
    head = ["seed", "images", "energy in the lungs", "AUC", "balanced accuracy at the validation threshold"]
    low = sum(row["test"]["energy"]["without"][0] < row["test"]["energy"]["uniform"] for row in r["rows"])
    said.append(
        f"Without the penalty the test maps have less in the lungs than a uniform map in {low} of {len(r['rows'])}."
    )
    return filled(
        "attend-real", r, weights=", ".join(f"{w:g}" for w in weights), chosen=", ".join(auc), first=r["rows"][0],
        scores=table(head, rows), said=" ".join(said),
    )  # fmt: skip
