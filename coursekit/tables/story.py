"""The results page as a story: what was asked and what came out first, everything else folded under its heading."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable

from .foreign import away, fallen
from .records import by_recipe, each, is_reproduction, is_training, name_of, recipe_of, scored, spanned, table, unbroken

#: runs as the records name them -> in words
NAMES = {
    "baseline": "five-layer CNN", "augmented": "ResNet-18", "whole": "EfficientNet",
    "best": "EfficientNet, cut to the lungs",
}  # fmt: skip


def scores(records: list[dict]) -> str:
    """Write the first table of the page: how each recipe scored on the test images."""
    rows = [[name_of(runs), scored(runs, "accuracy"), scored(runs, "auc")] for runs in by_recipe(records)]
    return _tidy(table(["recipe, seeds", "test accuracy at 0.5", "test AUC"], rows))


def _training(records: list[dict]) -> str:
    groups = {recipe_of(runs[0]): runs for runs in by_recipe(records)}

    def mean(name: str, score: str) -> float:
        return statistics.mean(r["test"]["values"][score] for r in groups[name])

    return (
        f"The five-layer network is right on {mean('baseline', 'accuracy'):.0%} of the test images (AUC "
        f"{mean('baseline', 'auc'):.3f}), EfficientNet on {mean('whole', 'accuracy'):.0%} (AUC "
        f"{mean('whole', 'auc'):.3f}), and with images cut to the lungs on {mean('best', 'accuracy'):.0%} (AUC "
        f"{mean('best', 'auc'):.3f}).\n\n{scores(records)}"
    )


def _thresholds(records: list[dict]) -> str:
    pairs = [(cut, r["test"]) for r in filter(is_training, records) if (cut := r.get("test_at_validation_threshold"))]
    higher = sum(cut["values"]["accuracy"] > half["values"]["accuracy"] for cut, half in pairs)
    return f"The test accuracy is higher than with 0.5 in {higher} of {len(pairs)} runs."


def _phantom(r: dict) -> str:
    runs = r["runs"]
    return f"An AUC of {spanned(run['auc'] for run in runs)} ({len(runs)} seeds)."


def _lungs(r: dict) -> str:
    runs = r["runs"]
    return f"A mean Dice of {spanned(run['all']['dice']['mean'] for run in runs)} on real X-rays ({len(runs)} seeds)."


def _maps(r: dict) -> str:
    parts = [
        f"{words(run['name'])} {row['energy']:.0%} (they cover {row['uniform']:.0%})"
        for run in r["runs"]
        for row in [run["maps"]["grad-cam, predicted"]["regions"]["lungs"]]
    ]
    return f"How much of the maps lies in the lungs: {'; '.join(parts)}."


def _choices(r: dict) -> str:
    first, *others = [(row["change"], f"{row['stress']['values']['macro_recall']:.3f}") for row in r["rows"]]
    return f"Balanced accuracy under stress: {first[1]} as it is; {'; '.join(map(' '.join, others))}."


def _crop(r: dict) -> str:
    rows = r["rows"]
    own, test = (" and ".join(f"{row[p]['auc']['difference']:+.3f}" for row in rows) for p in ("validation", "test"))
    return f"AUC on the validation images {own}, on the test images {test} ({len(rows)} seeds)."


def _controls(r: dict) -> str:
    versions = r["sets"]["children"]["parts"]["test"]["versions"]
    names = {"untouched": "whole images", "lungs black": "lungs black", "only border": "only the border"}
    return "Test AUC on children: " + ", ".join(f"{w} {versions[v]['auc']:.3f}" for v, w in names.items()) + "."


def _foreign(r: dict) -> str:
    return f"The AUC is clearly lower {fallen(away(r['trained']))}."


def _hospitals(r: dict) -> str:
    versions, adults = r["lung4"]["versions"], r["adults"]["merged"]["healthy_adults_called"]
    return (
        f"Four classes are told apart by facts of the files (AUC {versions['metadata only']['auc']:.3f}), and by the "
        f"border alone ({versions['only border']['auc']:.3f}); {1 - adults['normal'][0]:.0%} of healthy adults are "
        "called ill."
    )


def _attend(r: dict) -> str:
    rows = [r["test"] for r in r["rows"]]
    before, after = (statistics.mean(row["energy"][k][0] for row in rows) for k in ("without", "with"))
    auc = ", ".join(f"{row['auc']['difference']:+.3f}" for row in rows)
    return f"The maps move: {before:.0%} of them in the lungs before, {after:.0%} after. The test AUC changes by {auc}."


def _near(r: dict) -> str:
    found = [(row["all"]["fraction"], row["change"]) for row in r["halves"]["reporting"]["changes"] if row["wanted"]]
    low, change = min(found)
    return f"Of {len(found)} kinds of copies, at least {low:.0%} are found (fewest: {change})."


def _sources(records: list[dict]) -> str:
    found = {r["reproduction"]["row"]: r for r in records if is_reproduction(r) and "test" in r}
    pooled, official = ([r for name, r in found.items() if name[0] == "D" and name.endswith("-official") == yes
                         and "by-patient" not in name] for yes in (False, True))  # fmt: skip
    a, b = (spanned((r["test"]["values"]["accuracy"] for r in runs), ".2f") for runs in (pooled, official))
    return (
        f"The rows below put each figure beside its source's. One says more than all: source D's networks are right on "
        f"{a} of the images when all are pooled and split at random, and on {b} of the official test images."
    )


#: a part's heading on the page -> what was asked, and what came out
STORIES: dict[str, tuple[str, Callable[[list[dict]], str]]] = {
    "The recipes": ("How good are the course's recipes on children whom they have never seen?", _training),
    "With the threshold from the validation images": (
        "Does the threshold that is best on validation do better on the test than 0.5?",
        _thresholds,
    ),
    "Trained on phantoms alone": (
        "Can a network that has only seen phantoms read real X-rays?",
        each("phantom transfer", _phantom),
    ),
    "Where the lungs are": ("Can it find the lungs?", each("lungs", _lungs)),
    "Where the maps look": ("Do the maps lie in the lungs?", each("maps", _maps)),
    "What the recipe owes to its parts": ("Which part of the recipe matters?", each("choices", _choices)),
    "Cut to the lungs first": ("Is it better to cut the images to the lungs?", each("crop", _crop)),
    "With the lungs covered": ("What does a network know that sees no lung?", each("controls", _controls)),
    "Tested in another hospital": (
        "What is left of a network's scores in another hospital?",
        each("foreign", _foreign),
    ),
    "The disease or the hospital": (
        "Has a network of four classes learned the disease or the hospital?",
        each("hospitals", _hospitals),
    ),
    "Training that looks where it should": ("What if we train maps to lie in the lungs?", each("attend real", _attend)),
    "The same picture in other bytes": ("Does the course find copies in other bytes?", each("near-duplicates", _near)),
    "The source projects, run again": ("Do the source projects' figures hold?", _sources),
}


def words(name: str) -> str:
    """Say a run's name in words: ``baseline-seed0-epochs1`` is the five-layer CNN after 1 epoch."""
    return re.sub(_RUN, _in_words, name)


_RUN = re.compile(r"\b(baseline|augmented|whole|best)-seed(\d+)(?:-epochs(\d+))?")


def _in_words(match: re.Match) -> str:
    name, seed, epochs = match.groups()
    length = f", {epochs} epoch{'s' if epochs != '1' else ''}" if epochs else ""
    return NAMES[name] + (f", seed {seed}" if seed != "0" else "") + length


def told(page: str, records: list[dict]) -> str:
    """Return the page with its story first: an overview, then each part's answer with the rest folded below it."""
    lead, *sections = re.split(r"^(?=#{2,3} )", page, flags=re.M)
    answers = _answers(records)
    rows = [[f"[{q}](#{_slug(h)})", a.partition("\n\n")[0]] for h, (q, a) in answers.items() if f"\n## {h}\n" in page]
    parts = [lead.rstrip(), table(["what was asked", "what came out"], rows)] if rows else [lead.rstrip()]
    for section in sections:
        heading, _, body = section.partition("\n")
        question, answer = answers.get(heading.lstrip("# "), ("", ""))
        parts.append(heading)
        if answer:
            parts.append(f"*{question}* {answer}")
        if body.strip():
            parts.append(f"::::{{dropdown}} The details\n{_tidy(body.strip())}\n::::")
    return "\n\n".join(parts) + "\n"


def _answers(records: list[dict]) -> dict[str, tuple[str, str]]:
    """Make the answers that the records allow: a fork may hold only some of them."""
    found = {}
    for heading, (question, answer) in STORIES.items():
        try:
            found[heading] = question, answer(records)
        except (KeyError, ValueError):
            continue
    return found


def _slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _tidy(text: str) -> str:
    """Put words in place of runs' names, and keep an interval on one line; code stays as it is."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [unbroken(words(p)) for p in parts[::2]]
    return "".join(parts)
