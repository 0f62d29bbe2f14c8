"""The page *What it took*: the rungs that led to the recipe `best`, what helped, what did not, what is unexplained."""

from __future__ import annotations

import statistics

from .records import LITERATURE, filled, interval, of_kind, over_seeds, ranged, table, unbroken

PICTURE = "_static/ladder.svg"
GOAL = {"accuracy": 0.955, "auc": 0.991}
RAJARAMAN = "Rajaraman et al. (2018), cut to the lungs"
#: rung -> in words; the order is that of the page
RUNGS = {
    "baseline": "five-layer CNN",
    "augmented": "ResNet-18, augmented",
    "whole": "EfficientNet-Lite0, pretrained",
    "best": "the same, cut to the lungs",
    "masked": "cut, and blank outside of the lungs",
    "three": "cut, three classes in training",
}
ALL = "three cut networks together"
#: what was tried before, one or two seeds each: change, validation AUC, test accuracy and AUC. No record was kept
TRIALS = [
    ["a larger network (EfficientNet-Lite1, five epochs)", "0.996", "0.827 / 0.954"],
    ["first two epochs on 10,042 X-rays of adults (six epochs after it)", "–", "0.904 / 0.972"],
    ["whole images, eight epochs (to compare with)", "0.997", "0.909 / 0.976, 0.921 / 0.971"],
    ["cut to the lungs, six epochs, an earlier lung network", "0.989", "0.925 / 0.986, 0.931 / 0.980"],
    ["the last two averaged", "–", "0.936 / 0.985"],
]
#: how the page's template names a comparison -> how the record does
PAIRS = {
    "cut": "the networks, and those on whole images",
    "three": "ensemble, and the networks on whole images",
    "mean": "ensemble, and its networks",
}
DECISIONS = {
    "at_half": "0.5",
    "at_validation_threshold": "the validation threshold",
    "label_shift": "0.5, after the correction for label shift*",
}


def page(records: list[dict]) -> str | None:
    """Write the page, or None where a record is missing."""
    rungs, joint = of_kind(records, "rungs"), of_kind(records, "ensemble")
    if rungs is None or joint is None or "whole" not in joint:
        return None
    groups = by_rung(rungs["rows"])
    cut, whole = joint["cut"]["networks"], joint["whole"]["networks"]
    changes = {
        f"{who}_{score}": _change(joint[pair]["at_half"][score]) for who, pair in PAIRS.items() for score in GOAL
    }
    thresholds = [
        [words, _mean(cut, name, "accuracy"), interval(joint["cut"]["ensemble"][name], "accuracy")]
        for name, words in DECISIONS.items()
    ]
    said = verdict(joint)
    return unbroken(filled(
        "took", rungs, goal=GOAL, came_out=came_out(joint), verdict=said[0].upper() + said[1:],
        alt=_alt(groups, joint), ladder=_ladder(groups, joint),
        kinds=", ".join(rungs["rows"][0]["stress"]), cut=_count(cut), whole=_count(whole), missing=missing(groups),
        **changes, trials=table(["change", "validation AUC", "test accuracy / AUC, seed by seed"], TRIALS),
        thresholds=table(["decided at", "alone", "together"], thresholds),
        unexplained=_unexplained(groups, joint), ten_times=_ten_times(groups, joint), ensemble=joint["command"],
    ))  # fmt: skip


def line(records: list[dict], page: str = "what_it_took.md") -> str:
    """Say it in short, with a link to the page, or nothing where there is no record."""
    if joint := of_kind(records, "ensemble"):
        return (
            f"{came_out(joint)} The goal was {GOAL['accuracy']} and {GOAL['auc']}: {verdict(joint)}. The cut to the "
            "lungs was chosen after trials that had scored these test images, so its figures are too good by an "
            f"unknown amount: [what it took]({page})."
        )
    return ""


def came_out(joint: dict) -> str:
    """Say what the networks reach, alone and together."""
    networks, three = joint["cut"]["networks"], joint["cut"]["ensemble"]["at_half"]
    alone = _alone(joint)
    return (
        f"{_count(networks).capitalize()} networks of the recipe `best` have a mean accuracy of {alone['accuracy']:.3f}"
        f" and a mean AUC of {alone['auc']:.3f}, and with their probabilities averaged "
        f"{interval(three, 'accuracy')} and {interval(three, 'auc')}."
    )


def _alone(joint: dict) -> dict[str, float]:
    """Return the mean scores of the networks, each by itself."""
    return {s: statistics.mean(n["at_half"]["values"][s] for n in joint["cut"]["networks"]) for s in GOAL}


def verdict(joint: dict) -> str:
    """Say whether the goal is reached, by the networks alone or together, and by how much it is missed."""
    alone, three = _alone(joint), joint["cut"]["ensemble"]["at_half"]["values"]
    best = {s: max(alone[s], three[s]) for s in GOAL}
    if any(all(values[s] >= GOAL[s] for s in GOAL) for values in (alone, three)):
        return "it is reached"
    missed = [f"the {_upper(s)} is missed by {GOAL[s] - best[s]:.3f}" for s in GOAL if best[s] < GOAL[s]]
    met = [f"the {_upper(s)} is reached" for s in GOAL if best[s] >= GOAL[s]]
    return " and ".join(met + missed)


def by_rung(rows: list[dict]) -> dict[str, list[dict]]:
    """Group the networks by rung, in the order of the page."""
    return {name: found for name in RUNGS if (found := [row for row in rows if row["name"] == name])}


def stress_means(rows: list[dict]) -> dict[str, float]:
    """Return the mean AUC of the seeds for each kind of stress."""
    return {kind: statistics.mean(r["stress"][kind]["values"]["auc"] for r in rows) for kind in rows[0]["stress"]}


def missing(groups: dict[str, list[dict]]) -> str:
    """Say which networks of the plan were not trained: whole rungs, and seeds of those that have three."""
    rungs = [f"*{words}*" for name, words in RUNGS.items() if name not in groups]
    for name in ("whole", "best"):
        seeds = sorted({0, 1, 2} - {row["seed"] for row in groups.get(name, [])})
        rungs += [f"*{RUNGS[name]}*, seed {seed}" for seed in seeds if name in groups]
    return f"Planned, and not among these rungs so far: {'; '.join(rungs)}." if rungs else ""


def agreement(groups: dict[str, list[dict]], stressed: bool) -> tuple[int, int]:
    """Count the pairs of rungs whose validation AUC, under stress or not, is in the order of the test; and all."""
    means = []
    for rows in groups.values():
        own, test = (statistics.mean(r[part]["values"]["auc"] for r in rows) for part in ("validation", "test"))
        means.append((statistics.mean(stress_means(rows).values()) if stressed else own, test))
    pairs = [(a, b) for k, a in enumerate(means) for b in means[:k]]
    return sum((a[0] - b[0]) * (a[1] - b[1]) > 0 for a, b in pairs), len(pairs)


def _ladder(groups: dict[str, list[dict]], joint: dict) -> str:
    rows = []
    for name, of in groups.items():
        stress = stress_means(of)
        worst = min(stress, key=stress.get)
        rows.append([
            RUNGS[name], ", ".join(map(str, sorted(r["seed"] for r in of))), _mean(of, "validation", "auc"),
            f"{statistics.mean(stress.values()):.3f}; {stress[worst]:.3f} ({worst})",
            _mean(of, "test", "accuracy"), _mean(of, "test", "auc"), f"{_minutes(of):.0f}",
        ])  # fmt: skip
    three = joint["cut"]["ensemble"]
    seeds, cost = ", ".join(map(str, three["seeds"])), f"3 × {three['cpu_seconds'] / 180:.0f}"
    rows.append([ALL, seeds, "–", "–", *(interval(three["at_half"], score) for score in GOAL), cost])
    head = ["rung", "seeds", "validation", "under stress: mean; lowest", "test accuracy", "test AUC", "CPU min"]
    return table(head, rows)


def _unexplained(groups: dict[str, list[dict]], joint: dict) -> str:
    before, after = (stress_means(groups[name]) for name in ("whole", "best"))
    first = {name: rows for name, rows in groups.items() if name in ("baseline", "augmented", "whole")}
    count = "{} of {}".format
    three = joint["cut"]["ensemble"]
    seeds = [n["at_half"]["values"]["accuracy"] for n in joint["cut"]["networks"]]
    low, high = three["at_half"]["intervals"]["accuracy"]
    recalls = {
        f"{who}_{when}": f"{three[decision]['values'][f'recall[{of}]']:.1%}"
        for who, of in (("healthy", "normal"), ("ill", "pneumonia"))
        for when, decision in (("plain", "at_half"), ("shifted", "label_shift"))
    }
    return filled(
        "took-unexplained", joint, lower=count(sum(after[kind] < before[kind] for kind in before), len(before)),
        stress_first=count(*agreement(first, True)), own_first=count(*agreement(first, False)),
        stress_all=count(*agreement(groups, True)), own_all=count(*agreement(groups, False)),
        seeds=max(seeds) - min(seeds), low=low, high=high,
        inside="lies inside" if low <= GOAL["accuracy"] <= high else "lies outside", **recalls,
    )  # fmt: skip


def _ten_times(groups: dict[str, list[dict]], joint: dict) -> str:
    own = statistics.mean(r["validation"]["values"]["auc"] for r in groups["best"])
    stress, whole = stress_means(groups["best"]), stress_means(groups["whole"])
    worst = min(stress, key=stress.get)
    accuracy, auc = LITERATURE[RAJARAMAN]
    return filled(
        "took-ten-times", worst=worst, own=own, stressed=stress[worst], whole=whole[worst], accuracy=accuracy, auc=auc,
        average=_change(joint["ensemble, and its networks"]["at_half"]["accuracy"]), blur=abs(own - stress["blur"]),
    )  # fmt: skip


def _upper(score: str) -> str:
    return "AUC" if score == "auc" else score


def _count(runs: list) -> str:
    return {1: "one", 2: "two", 3: "three"}.get(len(runs), str(len(runs)))


def _minutes(rows: list[dict]) -> float:
    return statistics.mean(r["cpu_seconds"] for r in rows) / 60


def _mean(rows: list[dict], part: str, score: str) -> str:
    return over_seeds([r[part]["values"][score] for r in rows])


def _change(found: dict) -> str:
    return ranged(found["difference"], *found["interval"], "+.3f")


def _points(groups: dict[str, list[dict]], joint: dict) -> list[tuple[str, float, dict[str, list[float]]]]:
    """Return label, minutes, and the AUCs of each mark, for each row of the picture."""
    rows = []
    for name, of in groups.items():
        marks = {part: [r[part]["values"]["auc"] for r in of] for part in ("validation", "test")}
        rows.append((RUNGS[name], f"{_minutes(of):.0f} min", marks | {"stress": list(stress_means(of).values())}))
    three = joint["cut"]["ensemble"]
    cost = f"3 × {three['cpu_seconds'] / 180:.0f} min"
    return [*rows, (ALL, cost, {"test": [three["at_half"]["values"]["auc"]]})]


def _alt(groups: dict[str, list[dict]], joint: dict) -> str:
    parts = [f"{label}: {', '.join(f'{v:.3f}' for v in marks['test'])}" for label, _, marks in _points(groups, joint)]
    return (
        f"The ladder: for each rung its AUC on validation images, under five kinds of stress and on the test images, "
        f"and its minutes of training. On the test images: {'; '.join(parts)}."
    )


def picture(records: list[dict]) -> str | None:
    """Draw the ladder as SVG, narrow enough for a phone; None where a record is missing."""
    rungs, joint = of_kind(records, "rungs"), of_kind(records, "ensemble")
    if rungs is None or joint is None:
        return None
    rows = _points(by_rung(rungs["rows"]), joint)
    low = min(0.05 * int(20 * v) for *_, marks in rows for values in marks.values() for v in values)
    left, right, top, step = 16, 404, 64, 46

    def x(auc: float) -> float:
        return left + (right - left) * (auc - low) / (1 - low)

    def mark(kind: str, auc: float, y: float) -> str:
        at = f"{x(auc):.1f}"
        if kind == "stress":
            return f'<path class="stress" d="M{at},{y - 6}v12"/>'
        if kind == "validation":
            return f'<circle class="validation" cx="{at}" cy="{y}" r="4.5"/>'
        return f'<path class="test" d="M{at},{y - 6}l6,6l-6,6l-6,-6z"/>'

    bottom = top + step * len(rows)
    parts = []
    for k in range(round((1 - low) / 0.05) + 1):
        at = f"{x(low + 0.05 * k):.1f}"
        parts.append(f'<path class="grid" d="M{at},{top - 8}V{bottom}"/>')
        parts.append(f'<text x="{at}" y="{bottom + 16}" text-anchor="middle">{low + 0.05 * k:.2f}</text>')
    for k, (label, cost, marks) in enumerate(rows):
        y = top + step * k
        parts.append(f'<text class="rung" x="{left}" y="{y + 6}">{label}</text>')
        parts.append(f'<text x="{right}" y="{y + 6}" text-anchor="end">{cost}</text>')
        parts.append(f'<path class="line" d="M{left},{y + 22}H{right}"/>')
        parts += [mark(kind, v, y + 22) for kind in ("stress", "validation", "test") for v in marks.get(kind, [])]
    for kind, words, at in (("validation", "validation", 22), ("stress", "under stress", 122), ("test", "test", 232)):
        parts.append(mark(kind, low + (1 - low) * (at - left) / (right - left), 26))
        parts.append(f'<text x="{at + 11}" y="30">{words}</text>')
    parts.append(f'<text x="{right}" y="30" text-anchor="end">CPU time</text>')
    parts.append(f'<text x="{(left + right) / 2}" y="{bottom + 34}" text-anchor="middle">AUC</text>')
    style = (
        "text{fill:#374151;font:13px sans-serif}.rung{font-weight:600}path,circle{fill:none;stroke-width:2}"
        ".grid{stroke:#e5e7eb;stroke-width:1}.line{stroke:#d1d5db;stroke-width:1}.stress{stroke:#6b7280}"
        ".validation{stroke:#0072B2;fill:#fff}.test{fill:#D55E00;stroke:#fff;stroke-width:1}"
    )
    ground = f'<rect width="420" height="{bottom + 44}" rx="6" fill="#fff"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 420 {bottom + 44}">'
    return "\n".join([head, f"<style>{style}</style>", ground, *parts, "</svg>"]) + "\n"
