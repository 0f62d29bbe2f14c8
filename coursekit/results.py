"""Write the recorded runs of results/ and benchmarks/ into three pages of the book, and the first lines into README.md.

Run by `make generated`. No number in either table is typed: change a record, and the tables follow.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from cxrlib.files import read_json
from cxrlib.source_projects import reported
from cxrlib.values import text as shown

from .course import ROOT
from .tables import attend, controls, crop, foreign, hospitals, lungs, maps, near, scaling, sources, speed, story, took
from .tables.records import (
    LITERATURE,
    OLD,
    by_recipe,
    dagger,
    each,
    filled,
    interval,
    is_training,
    name_of,
    ranged,
    recalls,
    recipe_of,
    scored,
    table,
    training_minutes,
    wrapped,
)

BEGIN, END = "<!-- results:begin (made by coursekit/results.py) -->", "<!-- results:end -->"

KAGGLE = 5856  # images of the set
ACCURACIES = ("test accuracy at 0.5", "test accuracy at the validation threshold")


def load(folder: Path) -> list[dict]:
    """Read all records, in the order of their file names, each with its file's name as `file`."""
    return [_record(path) for path in sorted(folder.glob("*.json"))]


def _record(path: Path) -> dict:
    """Read one record, or raise a ValueError with its file: every table is made of it once, to see what it lacks."""
    found = read_json(path)
    try:
        record = found | {"file": path.stem}
        for make in (*PARTS.values(), readme_block):
            make([record]).encode()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {str(error)[:100]}"
        raise ValueError(
            f"{path} is not a complete record ({reason}): run its command again, or remove the file"
        ) from error
    return record


def training_table(records: list[dict]) -> str:
    """Write one line per recipe: what it is, and how it scored."""
    rows = []
    for runs in by_recipe(records):
        recipe = runs[0]["training"]["recipe"]
        length = f"{len(runs[0]['training']['epochs'])} epochs, {statistics.mean(map(training_minutes, runs)):.1f} min"
        recalled = f"{recalls(runs, 'validation')}; {recalls(runs, 'test')}"
        rows.append([name_of(runs), f"{recipe['model']}, {recipe['size']} px, {length}", recalled, *_scores(runs)])
    recall = "recall at 0.5, normal / pneumonia: validation; test"
    return table(["recipe, seed", "model, length, training time*", recall, *ACCURACIES, "test AUC"], rows)


def _scores(runs: list[dict]) -> list[str]:
    """Test accuracy at both thresholds, and AUC."""
    at_validation = scored(runs, "accuracy", "test_at_validation_threshold")
    return [scored(runs, "accuracy"), at_validation, scored(runs, "auc")]


def threshold_table(records: list[dict]) -> str:
    """Write one line per run: the threshold of its validation images, and what it gives on the test images."""
    rows = []
    for r in (r for runs in by_recipe(records) for r in runs if r.get("test_at_validation_threshold")):
        cut = r["test_at_validation_threshold"]
        both = [interval(cut, name) for name in ("accuracy", "macro_recall")]
        recall = " / ".join(shown(cut["values"][f"recall[{c}]"]) for c in cut["classes"])
        rows.append([name_of([r]), f"{cut['threshold']:.3f}", *both, recall])
    return table(["recipe, seed", "threshold", "accuracy", "balanced accuracy", "recall, normal / pneumonia"], rows)


def machines(records: list[dict]) -> str:
    """Write one line per run: where it was made."""
    lines = []
    for record in filter(is_training, records):
        training, torch = record["training"], record["versions"]["torch"]
        hardware = training["hardware"]
        threads = "one thread" if hardware["threads"] == 1 else f"{hardware['threads']} threads"
        where = f"{hardware['device']}, {threads}, {hardware['cpu_capability']}"
        speed = f"{training['images_per_second']:.0f} training images a second"
        lines.append(f"- {name_of([record])}: {where}, {speed}; torch {torch}")
    return "\n".join(lines)


def phantom_part(r: dict) -> str:
    """Write the part about networks that were trained on phantoms alone."""
    runs = r["runs"]
    scores = ", ".join(ranged(run["auc"], *run["interval"]) for run in runs)
    seeds, s = ", ".join(str(run["seed"]) for run in runs), "s" if len(runs) > 1 else ""
    return filled("phantom", r, first=runs[0], scores=scores, seeds=seeds, s=s)


def choices_part(r: dict) -> str:
    """Write the part about one change of the recipe `whole` at a time: benchmarks/choices.py."""
    rows = []
    for row in r["rows"]:
        stressed = [interval(row["stress"], name) for name in ("auc", "macro_recall")]
        minutes = f"{row['cpu_seconds'] / 60:.1f} min"
        rows.append([row["change"], interval(row["validation"], "auc"), *stressed, minutes])
    head = ["change", "AUC", "AUC under stress", "balanced accuracy under stress", "CPU time"]
    return filled("choices", r, table=table(head, rows))


def best_source() -> dict:
    """Return what was reported of the source project with the highest accuracy on the same test images."""
    return reported("A").dropna(subset="accuracy").sort_values("accuracy").iloc[-1].to_dict()


def anchors() -> str:
    """Say what others reported on the same test split."""
    best = best_source()
    others = [f"the best source project ({best['experiment']}) {best['accuracy']:.3f} and {best['auc']:.3f}"]
    others += [f"{name} {accuracy:.3f} and {auc:.3f}" for name, (accuracy, auc) in LITERATURE.items()]
    return (
        "Reported by others on the same test split, accuracy and AUC: " + "; ".join(others) + ". "
        "How they chose models and thresholds is not known; none gave intervals."
    )


def copy_of(records: list[dict]) -> str:
    """Say how many images the copy of the data set has, from the first run of `cxr train`."""
    for record in filter(is_training, records):
        parts = [part["images"] for part in record["data"]["splits"].values()]
        listed = " + ".join(f"{images:,}" for images in parts)
        return (
            f"The copy used here has {sum(parts):,} of Kaggle's {KAGGLE:,} images ({listed}: training, validation, "
            "test); the official 16 validation images are missing in it."
        )
    return ""


def on_what(records: list[dict]) -> str:
    """Say on how many threads the runs of `cxr train` were made."""
    threads = sorted({r["training"]["hardware"]["threads"] for r in records if is_training(r)})
    return f"{' or '.join(map(str, threads))} thread{'s' if threads != [1] else ''}"


def readme_block(records: list[dict]) -> str:
    """Write what the README quotes: the scores of each recipe, at both thresholds, and how to read them."""
    rows = []
    for runs in by_recipe(records):
        minutes = f"{statistics.mean(map(training_minutes, runs)):.0f} min"
        rows.append([name_of(runs), runs[0]["training"]["recipe"]["model"], *_scores(runs), minutes])
    scores = table(["recipe, seeds", "model", *ACCURACIES, "test AUC", "time*"], rows)
    old = OLD if any(map(dagger, filter(is_training, records))) else ""
    lines = [took.line(records, "book/what_it_took.md"), each("lungs", lungs.line)(records)]
    return wrapped("\n\n".join(filter(None, [scores, filled("readme", threads=on_what(records)), old, *lines])))


def time_to_accuracy(records: list[dict]) -> dict | None:
    """Say how long `best` trains, beside the source project with the highest accuracy on the same test images."""
    best, runs = best_source(), [r for r in records if is_training(r) and recipe_of(r) == "best"]
    if not runs:
        return None
    found = [
        {
            "accuracy": r["test"]["values"]["accuracy"],
            "accuracy_at_validation_threshold": r["test_at_validation_threshold"]["values"]["accuracy"],
            "minutes": training_minutes(r), "clock_minutes": r["training"]["seconds"] / 60,
            "machine": r["training"]["hardware"],
        }
        for r in runs
    ]  # fmt: skip
    goal = {"goal": float(best["accuracy"]), "reported_minutes": float(best["minutes"])}
    command = "cxr train --data folder:chest_xray --recipe best --seed 0"
    return {"recipe": "best", **goal, "runs": found, "command": command}


def fill(text: str, block: str) -> str:
    """Put ``block`` between the two markers of a text."""
    if BEGIN not in text or END not in text:
        raise ValueError(f"README.md lacks the lines {BEGIN!r} and {END!r}")
    return f"{text.partition(BEGIN)[0]}{BEGIN}\n{block}\n{END}{text.partition(END)[2]}"


#: the page's parts -> what makes each from the records
PARTS = {
    "training": training_table,
    "took": took.line,
    "thresholds": threshold_table,
    "machines": machines,
    "phantom": each("phantom transfer", phantom_part),
    "lungs": each("lungs", lungs.part),
    "maps": each("maps", maps.part),
    "choices": each("choices", choices_part),
    "crop": each("crop", crop.part),
    "controls": each("controls", controls.part),
    "foreign": each("foreign", foreign.part),
    "hospitals": each("hospitals", hospitals.part),
    "attend": attend.text,
    "near": each("near-duplicates", near.part),
    "sources": sources.text,
}


def outputs() -> dict[Path, str]:
    """Return what README.md and the generated pages of the book should hold."""
    records = load(ROOT / "results")
    readme, book = ROOT / "README.md", ROOT / "book"
    parts = {name: make(records) for name, make in PARTS.items()}
    old = f" {OLD}" if any(map(dagger, filter(is_training, records))) else ""
    page = filled("results", parts, old=old, anchors=anchors(), copy=copy_of(records))
    measured = speed.read(ROOT / "benchmarks")
    if accuracy := time_to_accuracy(records):
        measured["accuracy"] = accuracy
    made = {
        readme: fill(readme.read_text(encoding="utf-8"), readme_block(records)),
        book / "results.md": wrapped(story.told(page, records)),
        book / "performance.md": speed.page(measured),
    }
    extra = {lungs.PICTURE: lungs.picture, took.PICTURE: took.picture, "what_it_took.md": took.page}
    for name, make in extra.items():
        if written := make(records):
            made[book / name] = wrapped(written) if name.endswith(".md") else written
    resnet = next((r for r in records if is_training(r) and r["training"]["recipe"]["model"] == "resnet18"), None)
    if resnet and set(scaling.NEEDED) <= set(measured) and measured["grading"]["cores"] > 1:
        made[book / "scaling.md"] = scaling.page(measured, resnet)
    return made


def main() -> int:
    """Write the pages."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for path, text in outputs().items():
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
