"""The part of the results page about other hospitals: what is left of a score, and shifts of the classes."""

from __future__ import annotations

from .records import filled, ranged, table

SETS = {
    "children": "children, normal or pneumonia",
    "covid-19": "adults, normal or COVID-19",
    "tuberculosis": "adults, normal or tuberculosis",
    "montgomery": "Montgomery County: adults, normal or tuberculosis",
}
ANSWERS = {
    "at_half": "as it is, at 0.5",
    "at_validation_threshold": "at the threshold chosen on validation",
    "after_em": "corrected by EM",
    "after_bbse": "corrected by BBSE",
    "after_truth": "corrected by the true frequencies*",
    "at_best_threshold_here": "at the threshold that is best on these images*",
}


def away(trained: dict) -> list[dict]:
    """Return what networks gave in other collections than their own."""
    return [cell for name, found in trained.items() for other, cell in found["tests"].items() if other != name]


def part(r: dict) -> str:
    """Write the part."""
    trained, tests = r["trained"], []
    for name, found in trained.items():
        for other, cell in found["tests"].items():
            own = name == other
            tests.append([
                SETS[name], f"the same, {cell['images']:,} test images" if own else
                f"{SETS[other]} ({cell['images']:,})",
                _value(cell["auc"]), "" if own else _value(cell["change"], "+.3f"),
                f"{cell['ece']['value']:.2f}, {cell['ece_calibrated']['value']:.2f}",
                *(f"{cell[f'at_validation_threshold.{kind}']['value']:.0%}" for kind in ("sensitivity", "specificity")),
            ])  # fmt: skip
    head = ["trained on", "tested on", "AUC", "change", "ECE: as is, calibrated", "sensitivity", "specificity"]
    official, ill = trained["children"]["tests"]["children"], trained["tuberculosis"]["tests"]
    answers = [[words, *(_value(official[f"{name}.{kind}"]) for kind in ("accuracy", "sensitivity", "specificity"))]
               for name, words in ANSWERS.items()]  # fmt: skip
    simulated = [[f"{row['truth']:.1%}", f"{row['em']:.1%}", f"{row['bbse']:.1%}"]
                 + [f"{row[f'accuracy_{kind}']:.3f}" for kind in ("at_half", "after_em", "after_bbse")]
                 for row in trained["children"]["simulated"]]  # fmt: skip
    fractions = [name.partition(".")[2] for name in ill["montgomery"] if name.startswith("referred.")]
    places = {"tuberculosis": "found, other patients of the same collection", "montgomery": "found, Montgomery County"}
    triage = [[f"{float(f):.0%}", *(_value(ill[place][f"referred.{f}"], ".0%") for place in places)] for f in fractions]
    shown = ["ill, true", "by EM", "by BBSE", "accuracy at 0.5", "after EM", "after BBSE"]
    return filled(
        "foreign", r, seeds=len(r["seeds"]), tests=table(head, tests), said=_said(away(trained)), official=official,
        simulated=table(shown, simulated), shift=_shift(official), prevalence=100 * r["prevalence"],
        answers=table(["answers", "accuracy", "sensitivity", "specificity"], answers),
        triage=table(["referred", *places.values()], triage), triaged=_triaged(ill, fractions),
    )  # fmt: skip


def _value(cell: dict, form: str = ".3f") -> str:
    return ranged(cell["value"], cell["low"], cell["high"], form)


def fallen(others: list[dict]) -> str:
    """Say in how many of these cases the AUC is lower than at home, and by how much."""
    changes = [cell["change"]["value"] for cell in others]
    fell = sum(cell["change"]["high"] < 0 for cell in others)
    return f"in {fell} of {len(others)} cases, by {-max(changes):.2f} to {-min(changes):.2f}"


def _said(others: list[dict]) -> str:
    """Say what is left of the scores: in other collections, and with calibration and threshold of the own one."""
    guess = sum(cell["auc"]["low"] <= 0.5 for cell in others)
    worse = sum(cell["ece_calibrated"]["value"] > cell["ece"]["value"] for cell in others)
    lost = [cell["at_best_threshold_here.balanced_accuracy"]["value"]
            - cell["at_validation_threshold.balanced_accuracy"]["value"] for cell in others]  # fmt: skip
    return (
        f"The AUC is clearly lower elsewhere {fallen(others)}, and in {guess} of them not clearly better than "
        f"guessing. The temperature makes the probabilities elsewhere worse in {worse} of {len(others)}. The threshold "
        f"that was chosen at home costs {min(lost):.2f} to {max(lost):.2f} of the balanced accuracy that the best "
        "threshold for the other images would give, chosen with their labels."
    )


def _shift(official: dict) -> str:
    """Say what the corrections did to the official test images."""
    said, kinds = [], {"em": "EM", "bbse": "BBSE"}
    truth, before = official["said.truth"]["value"], official["at_half.accuracy"]["value"]
    for name, words in kinds.items():
        estimate, after = official[f"said.{name}"]["value"], official[f"after_{name}.accuracy"]["value"]
        side = "more" if estimate > official["said.training"]["value"] else "fewer"
        said.append(
            f"{words} says {estimate:.0%} ill, {side} than in training, where the truth is {truth:.0%}: the accuracy "
            f"goes from {before:.3f} to {after:.3f}."
        )
    best = official["at_best_threshold_here.accuracy"]["value"] - before
    right = official["after_truth.accuracy"]["value"] - before
    return (
        f"{' '.join(said)} Even the true frequencies change the accuracy by only {right:+.3f}, a better threshold by "
        f"{best:+.3f}: what shifts between the two splits is more than how frequent the classes are. The images differ."
    )


def _triaged(ill: dict, fractions: list[str]) -> str:
    home, away = (ill[place][f"referred.{fractions[0]}"]["value"] for place in ("tuberculosis", "montgomery"))
    return (
        f"With {float(fractions[0]):.0%} referred, {home:.0%} of those with tuberculosis are found at home and "
        f"{away:.0%} in Montgomery County; a lottery finds {float(fractions[0]):.0%}."
    )
