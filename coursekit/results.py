"""Write the recorded runs of results/ and benchmarks/ into README.md and three pages of the book.

Run by `make generated`. No number in either table is typed: change a record, and the tables follow.
"""

from __future__ import annotations

import functools
import re
import statistics
import sys
from pathlib import Path

from cxrlib.files import read_json
from cxrlib.source_projects import LITERATURE, SOURCES, reported

from . import performance, scaling
from .course import ROOT
from .performance import table
from .reproduce import NOT_RUN, PLAN, command, why

MARKERS = {
    name: (f"<!-- {name}:begin (made by coursekit/results.py) -->", f"<!-- {name}:end -->")
    for name in ("results", "performance")
}

FOOTNOTE = (
    "\\* The number of epochs times the median epoch, validation included: of the CPU time over the number of "
    "threads where it was recorded, of the clock's time elsewhere."
)
SEVERAL = (
    "Several seeds: their mean; in round brackets from the lowest to the highest end of their 95 % intervals, "
    "in square brackets the lowest and the highest seed."
)

BOOK_PAGE = """\
# Recorded results

What the course's recipes scored on the real images: *Chest X-Ray Images (Pneumonia)* of Kermany et al. (2018), re-saved
at 224 by 224 pixels, official test split. A *recipe* is one fixed way to train; the number beside its name is the seed,
from which everything random in it is drawn. Weights and thresholds were chosen on validation patients, and each run was
scored once on the test split. The design of the recipes is not as innocent: that the test images are exposed
differently was known when exposure augmentation and the standardization of each image were put into them. In brackets:
95 % intervals, bootstrap over patients. This page is made from the records in `results/`.

{training}

{several} {footnote}

{anchors}

An interval says how uncertain a number is because only some patients *of this source* were seen. It says nothing about
another hospital, and nothing about another training run: where a recipe has one seed, another seed would give another
number. Validation and test images have different shares of the ill, so compare their recalls, not their accuracies.

## With the threshold from the validation images

The table above decides at a probability of 0.5. Here the threshold with the highest balanced accuracy on the validation
images was carried over to the test images.

{thresholds}

## Which machine

{machines}

{phantom}

{choices}

{sources}
"""

CHOICES_HEAD = """\
The recipe `best` with one change at a time: {size} px instead of its own size, {epochs} epochs, seed {seed},
{training_images:,} training images, and judged on {validation_images} validation images of other patients, as they are
and under a stress that no training image went through: shading and lost sharpness. The test images were not opened.
One seed a row, so only large differences mean something; the intervals are for other patients, not for other seeds."""

SOURCES_HEAD = """\
## The source projects, run again

Five student projects are this course's source. `cxr reproduce` runs their experiments again, each from a named recipe.
The tables put what was reported beside what was measured here. After a measured test value: in round brackets the 95 %
interval of one run, bootstrap over patients; several seeds are written as in the first table. F1 measured here is the
macro F1; which F1 a source reported is not known. Where a source's back-bone cannot be had without a download, another
row has EfficientNet-Lite0, or the same network from scratch, in its place. Training time as above. No source's own list
of images is known, so no row is an exact repetition."""


def load(folder: Path) -> list[dict]:
    """All records, in the order of their file names, each with its file's name as `file`."""
    return [_record(path) for path in sorted(folder.glob("*.json"))]


def _record(path: Path) -> dict:
    """One record, or a ValueError that names its file: every table is made of it once, to see that it is complete."""
    found = read_json(path)
    try:
        record = found | {"file": path.stem}
        text = "".join(
            make([record])
            for make in (training_table, threshold_table, phantom_text, choices_text, sources_text, readme_block)
        )
        text.encode()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no complete record ({type(error).__name__}: {str(error)[:100]}): run its command "
            "again, or remove the file"
        ) from error
    return record


def is_training(record: dict) -> bool:
    """A run of `cxr train`."""
    return "training" in record and "test" in record and not is_reproduction(record)


def is_reproduction(record: dict) -> bool:
    """A record of `cxr reproduce`, measured or not run."""
    return "reproduction" in record


def recipe_of(record: dict) -> str:
    """`cxr train` begins each record's file name with the recipe."""
    return record["file"].partition("-chest_xray")[0]


def by_recipe(records: list[dict]) -> list[list[dict]]:
    """The runs of `cxr train`, those of one recipe together, by seed."""
    groups: dict[str, list[dict]] = {}
    for record in filter(is_training, records):
        groups.setdefault(recipe_of(record), []).append(record)
    return [sorted(runs, key=lambda r: r["training"]["recipe"]["seed"]) for runs in groups.values()]


def name_of(runs: list[dict]) -> str:
    seeds = [str(r["training"]["recipe"]["seed"]) for r in runs]
    return f"{recipe_of(runs[0])}, {', '.join(seeds)}"


def training_minutes(record: dict) -> float:
    """Epochs times the median epoch: other jobs on the machine slow single epochs, and the sum would hold that.

    CPU time over threads, where it was recorded: other jobs disturb it less than the clock."""
    training = record["training"]
    phases = [phase for phase in (training["epochs"], training.get("head")) if phase]
    if all("cpu_seconds" in epoch for phase in phases for epoch in phase) and training["hardware"]["device"] == "cpu":
        seconds = [[e["cpu_seconds"] / training["hardware"]["threads"] for e in phase] for phase in phases]
    else:
        seconds = [[e["seconds"] for e in phase] for phase in phases]
    return sum(len(s) * statistics.median(s) for s in seconds) / 60


def interval(report: dict, name: str) -> str:
    low, high = report["intervals"][name]
    return f"{report['values'][name]:.3f} ({low:.3f}–{high:.3f})"


def training_table(records: list[dict]) -> str:
    rows = []
    for runs in by_recipe(records):
        recipe = runs[0]["training"]["recipe"]
        rows.append(
            [
                name_of(runs),
                recipe["model"],
                f"{recipe['size']} px, {len(runs[0]['training']['epochs'])} epochs",
                recalls(runs, "validation"),
                scored(runs, "accuracy"),
                scored(runs, "auc"),
                recalls(runs, "test"),
                f"{statistics.mean(map(training_minutes, runs)):.1f} min",
            ]
        )
    return table(
        [
            "recipe, seed",
            "model",
            "size, length",
            "validation recall, normal / pneumonia",
            "test accuracy",
            "test AUC",
            "test recall, normal / pneumonia",
            "training time*",
        ],
        rows,
    )


def threshold_table(records: list[dict]) -> str:
    rows = [
        [
            name_of([r]),
            f"{cut['threshold']:.3f}",
            interval(cut, "accuracy"),
            interval(cut, "macro_recall"),
            " / ".join(f"{cut['values'][f'recall[{c}]']:.3f}" for c in cut["classes"]),
        ]
        for runs in by_recipe(records)
        for r in runs
        if (cut := r.get("test_at_validation_threshold"))
    ]
    return table(["recipe, seed", "threshold", "accuracy", "balanced accuracy", "recall, normal / pneumonia"], rows)


def machine(record: dict) -> str:
    hardware, training = record["training"]["hardware"], record["training"]
    threads = "one thread" if hardware["threads"] == 1 else f"{hardware['threads']} threads"
    return (
        f"- {name_of([record])}: {hardware['device']}, {threads}, {hardware['cpu_capability']}, "
        f"{training['images_per_second']:.0f} training images a second; "
        f"torch {record['versions']['torch']}"
    )


def phantom_text(records: list[dict]) -> str:
    found = [r for r in records if r.get("kind") == "phantom transfer"]
    if not found:
        return ""
    lines = ["## Trained on phantoms alone", ""]
    for r in found:
        runs = r["runs"]
        scores = ", ".join("{:.3f} ({:.3f}–{:.3f})".format(run["auc"], *run["interval"]) for run in runs)
        lines.append(
            f"A {r['recipe']['model']} that was trained on {r['phantoms']:,} phantoms and never saw a real image "
            f"separates the {runs[0]['images']} real {r['split']} images, normal against the rest, with an AUC of "
            f"{scores} for the seed{'s' if len(runs) > 1 else ''} {', '.join(str(run['seed']) for run in runs)}. "
            "The phantom's gray levels were set from real images; what the AUC owes to the lesions, and what to "
            "brightness or position, was not measured. No threshold was tested."
        )
    return "\n".join(lines)


def choices_text(records: list[dict]) -> str:
    """One change of the recipe `best` at a time, on validation patients: benchmarks/choices.py."""
    parts = []
    for r in (r for r in records if r.get("kind") == "choices"):
        rows = [
            [
                row["change"],
                interval(row["validation"], "auc"),
                interval(row["stress"], "auc"),
                interval(row["stress"], "macro_recall"),
                f"{row['cpu_seconds'] / 60:.1f} min",
            ]
            for row in r["rows"]
        ]
        parts += [
            "## What the best recipe owes to its parts",
            CHOICES_HEAD.format(**r),
            table(["change", "AUC", "AUC under stress", "balanced accuracy under stress", "CPU time"], rows),
        ]
    return "\n\n".join(parts)


def anchors() -> str:
    """What others reported on the same test split."""
    best = reported("A").dropna(subset="accuracy").sort_values("accuracy").iloc[-1]
    others = [f"the best source project ({best['experiment']}) {best['accuracy']:.3f} and {best['auc']:.3f}"]
    others += [f"{name} {accuracy:.3f} and {auc:.3f}" for name, (accuracy, auc) in LITERATURE.items()]
    return (
        "Reported by others on the same test split, accuracy and AUC: " + "; ".join(others) + ". "
        "How the others chose their models is not known; none gave intervals."
    )


def mean_of(runs: list[dict], name: str, part: str = "test") -> float:
    return statistics.mean(r[part]["values"][name] for r in runs)


def recalls(runs: list[dict], part: str) -> str:
    return " / ".join(f"{mean_of(runs, f'recall[{c}]', part):.3f}" for c in runs[0][part]["classes"])


def over_seeds(values: list[float], between: str = "") -> str:
    """The mean, and the lowest and the highest of several seeds."""
    return f"{statistics.mean(values):.3f}{between} [{min(values):.3f}–{max(values):.3f}]"


def scored(runs: list[dict], name: str) -> str:
    """A test value of one run with its interval, or of several seeds: see SEVERAL."""
    if len(runs) == 1:
        return interval(runs[0]["test"], name)
    ends = [end for r in runs for end in r["test"]["intervals"][name]]
    return over_seeds([r["test"]["values"][name] for r in runs], f" ({min(ends):.3f}–{max(ends):.3f})")


figures_of = functools.cache(reported)  # making the table takes longer than everything else here


def as_reported(source: str, experiment: str) -> str:
    frame = figures_of(source)
    row = frame[frame["experiment"] == experiment].iloc[0]
    found = [
        f"{name} {row[column]:g}"
        for column, name in (("accuracy", "accuracy"), ("f1", "F1"), ("auc", "AUC"))
        if row[column] == row[column]
    ]  # NaN: not reported
    if row["minutes"] == row["minutes"]:
        found.append(f"{row['minutes']:g} min")
    return ", ".join(found) or "–"


def set_up(records: list[dict]) -> str:
    """Model, size and length, data and split of the runs of one row."""
    first, recipe = records[0], records[0]["training"]["recipe"]
    lengths = sorted({len(r["training"]["epochs"]) for r in records})
    epochs = (
        f"{lengths[0]} to {lengths[-1]} epochs"
        if len(lengths) > 1
        else f"{lengths[0]} epoch{'s' if lengths[0] > 1 else ''}"
    )
    if head := len(first["training"].get("head", [])):
        epochs = f"{head} for the head, then {epochs}"
    split = first["data"]["protocol"] + (", by image" if first["data"]["by"] == "image" else "")
    seeds = f", {len(records)} seeds" if len(records) > 1 else ""
    return f"{recipe['model']}, {recipe['size']} px, {epochs}; {first['data']['source']}, {split}{seeds}"


def source_section(letter: str, records: list[dict]) -> str:
    """One source: reported beside measured, why they differ, what did not run."""
    found = [r for r in records if is_reproduction(r)]
    rows, reasons, absent, never = [], [], {}, []
    for row in (row for row in PLAN if row.source == letter):
        mine = [r for r in found if r["reproduction"]["row"] == row.id]
        measured = sorted((r for r in mine if "test" in r), key=lambda r: r["training"]["recipe"]["seed"])
        if measured:
            validation = [r["validation"]["values"]["accuracy"] for r in measured]
            rows.append(
                [
                    row.id,
                    row.experiment,
                    set_up(measured),
                    as_reported(letter, row.experiment),
                    f"{validation[0]:.3f}" if len(validation) == 1 else over_seeds(validation),
                    scored(measured, "accuracy"),
                    scored(measured, "macro_f1"),
                    scored(measured, "auc"),
                    f"{statistics.mean(map(training_minutes, measured)):.1f} min",
                ]
            )
            reasons.append(f"- {row.id}: {why(measured)}")
        elif missing := [r for r in mine if r.get("kind") == NOT_RUN]:
            absent.setdefault(missing[0]["reason"], []).append(row)
        else:
            never.append(row)
    parts = [f"### Source {letter}: {SOURCES[letter]}"]
    if rows:
        parts.append(
            table(
                [
                    "row",
                    "experiment",
                    "run here",
                    "reported",
                    "validation accuracy",
                    "test accuracy",
                    "test macro F1",
                    "test AUC",
                    "training time",
                ],
                rows,
            )
        )
        parts += ["Why reported and measured differ:", "\n".join(reasons)]
    for reason, which in absent.items():
        parts.append(f"Not run: {reason}. The command that runs it where nothing is missing:")
        parts.append(commands(which))
    if never:
        parts.append("No record yet:")
        parts.append(commands(never))
    return "\n\n".join(parts)


def commands(rows) -> str:
    """The command for each row, with what the source reported."""
    lines = []
    for row in rows:
        figures = as_reported(row.source, row.experiment)
        lines.append(f"- {row.experiment}{f' (reported: {figures})' if figures != '–' else ''}: `{command(row)}`")
    return "\n".join(lines)


def sources_text(records: list[dict]) -> str:
    return "\n\n".join([SOURCES_HEAD, *(source_section(letter, records) for letter in SOURCES)])


def readme_block(records: list[dict]) -> str:
    training = [r for r in records if is_training(r)]
    parts = [training_table(training)]
    if text := phantom_text(records).partition("\n\n")[2]:
        parts.append(text)
    if training:
        kinds = dict.fromkeys(machine(r).partition(": ")[2].rpartition(",")[0] for r in training)
        parts.append(f"Machine: {'; '.join(kinds)}. Intervals: 95 %, bootstrap over patients. {SEVERAL} {FOOTNOTE}")
    return "\n\n".join([*parts, anchors()])


def time_to_accuracy(records: list[dict]) -> dict | None:
    """How long the best recipe trains, beside the source project with the highest accuracy on the same test images."""
    best = figures_of("A").dropna(subset="accuracy").sort_values("accuracy").iloc[-1]
    runs = [r for r in records if is_training(r) and recipe_of(r) == "best"]
    if not runs:
        return None
    return {
        "recipe": "best",
        "goal": float(best["accuracy"]),
        "reported_minutes": float(best["minutes"]),
        "runs": [
            {
                "accuracy": r["test"]["values"]["accuracy"],
                "minutes": training_minutes(r),
                "clock_minutes": r["training"]["seconds"] / 60,
                "machine": r["training"]["hardware"],
            }
            for r in runs
        ],
        "command": "cxr train --data folder:chest_xray --recipe best --seed 0",
    }


def fill(text: str, name: str, block: str) -> str:
    """``text`` with ``block`` between the two markers of that name."""
    begin, end = MARKERS[name]
    if begin not in text or end not in text:
        raise ValueError(f"README.md lacks the lines {begin!r} and {end!r}")
    pattern = re.escape(begin) + r".*?" + re.escape(end)
    return re.sub(pattern, lambda _: f"{begin}\n{block}\n{end}", text, flags=re.S)


def outputs(root: Path = ROOT) -> dict[Path, str]:
    """What README.md and the generated pages of the book should hold."""
    records = load(root / "results")
    readme = root / "README.md"
    page = BOOK_PAGE.format(
        footnote=FOOTNOTE,
        several=SEVERAL,
        anchors=anchors(),
        training=training_table(records),
        thresholds=threshold_table(records),
        machines="\n".join(machine(r) for r in records if is_training(r)),
        phantom=phantom_text(records),
        choices=choices_text(records),
        sources=sources_text(records),
    )
    page = re.sub(r"\n{3,}", "\n\n", page)  # a part without records is empty
    text = fill(readme.read_text(encoding="utf-8"), "results", readme_block(records))
    measured = performance.read(root / "benchmarks")
    if accuracy := time_to_accuracy(records):
        measured["accuracy"] = accuracy
    text = fill(text, "performance", performance.block(measured))
    made = {
        readme: text,
        root / "book" / "results.md": page.rstrip() + "\n",
        root / "book" / "performance.md": performance.page(measured),
    }
    resnet = next((r for r in records if is_training(r) and r["training"]["recipe"]["model"] == "resnet18"), None)
    if resnet and set(scaling.NEEDED) <= set(measured) and measured["grading"]["cores"] > 1:
        made[root / "book" / "scaling.md"] = scaling.page(measured, resnet)
    return made


def main() -> int:
    for path, text in outputs().items():
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
