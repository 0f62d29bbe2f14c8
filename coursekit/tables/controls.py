"""The part of the results page about controls: what networks tell when parts of the images are covered."""

from __future__ import annotations

from .records import filled, ranged, table

SETS = {
    "children": "Children, normal or pneumonia (Kermany et al. 2018)",
    "sources": "Pneumonia of children or COVID-19 of adults, each from a source of its own",
}


def part(r: dict) -> str:
    """Write the part."""
    sets = [_set(title, r["sets"][name]) for name, title in SETS.items() if name in r["sets"]]
    return filled("controls", r, sets="\n\n".join(sets))


def _set(title: str, found: dict) -> str:
    parts, seeds = found["parts"], len(found["parts"]["validation"]["seeds"])
    images = ", ".join(f"{n:,} {name}" for name, n in found["classes"].items())
    counts = f"Trained on {images}"
    for name, half in parts.items():
        without = f"{half['left_out']} without lungs that could be found are left out"
        where = "in training and validation" if name == "validation" else "there"
        counts += f"; scored on {half['images']:,} {name} images of {half['patients']:,} patients ({without} {where})"
    rows = [
        [version, *(cell for half in parts.values() for cell in _cells(half["versions"][version], seeds))]
        for version in parts["validation"]["versions"]
    ]
    corners = [cell for half in parts.values() for cell in (_value(half["corners"], "auc"), "")]
    rows.append(["corners of the box*", *corners])
    head = ["version", *(title for name in parts for title in (f"{name} AUC", "difference"))]
    said = ["\\* A logistic regression that knows the corners of the box, and no picture."]
    said += [_said(name, half) for name, half in parts.items()]
    several = ", mean of the seeds; in square brackets the lowest and the highest seed" if seeds > 1 else ""
    text = {"title": title, "counts": counts, "seeds": several, "said": "\n\n".join(said)}
    return filled("controls-set", table=table(head, rows), **text)


def _cells(row: dict, seeds: int) -> list[str]:
    each = f" [{row['auc_min']:.3f}–{row['auc_max']:.3f}]" if seeds > 1 else ""
    same = row["difference"] == row["difference_low"] == row["difference_high"] == 0
    return [_value(row, "auc") + each, "" if same else _value(row, "difference", "+.3f")]


def _value(row: dict, name: str, form: str = ".3f") -> str:
    return ranged(*(round(row[name + end], 3) + 0.0 for end in ("", "_low", "_high")), form)  # + 0.0: never -0.000


def _said(name: str, half: dict) -> str:
    """Say what the numbers of one part are: without lungs, beyond the box, without markers."""
    rows = half["versions"]
    guessed = {v: _than(rows[v]["auc_low"] - 0.5, rows[v]["auc_high"] - 0.5) for v in ("box alone", "only border")}
    kept = (rows["lungs black"]["auc"] - 0.5) / (rows["untouched"]["auc"] - 0.5)
    painted, (value, low, high) = rows["markers painted"], half["beyond_box"]
    return (
        f"{name[0].upper()}{name[1:]}: without a lung in sight, {kept:.0%} of what the AUC has above guessing is still "
        f"there. The box alone gives {guessed['box alone']} than guessing; what lies around it changes its AUC by "
        f"{value:+.3f} ({low:+.3f} to {high:+.3f}), {_than(low, high)}. The border alone gives "
        f"{guessed['only border']} than guessing. Without what looks like markers the AUC is "
        f"{_than(painted['difference_low'], painted['difference_high'])}."
    )


def _than(low: float, high: float) -> str:
    low, high = round(low, 3), round(high, 3)  # as they are shown
    return "clearly more" if low > 0 else "clearly less" if high < 0 else "not clearly more or less"
