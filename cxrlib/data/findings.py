"""The findings of `audit` in sentences, each a reason to be careful, with the numbers in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

#: Differences of exposure are reported from this effect size on (difference / SD between images).
_EFFECT = 0.5
_FEWEST = 10
#: Frequencies of a class in two splits, and of white boxes in two classes, are reported from these differences on.
_PREVALENCE, _BOXES = 0.1, 0.05


def _n(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def about_counts(counts: pd.DataFrame, classes: tuple[str, ...]) -> Iterator[str]:
    """Say which classes are empty or rare, and which splits are small."""
    each = counts.groupby("class")["images"].sum().reindex(list(classes))
    yield from (f"Class {label} has no image." for label in each.index[each == 0])
    filled = each[each > 0]
    if len(filled) > 1 and filled.max() >= 1.5 * filled.min():
        most, ratio = filled.idxmax(), filled.max() / filled.min()
        yield (
            f"The classes are unequal: {most} has {ratio:.1f} times as many images as {filled.idxmin()}. Always "
            f"answering {most} is right for {filled.max() / filled.sum():.1%} of the images."
        )
    for split, total in counts.groupby("split", sort=False)["images"].sum().items():
        if 0 < total < 100 and split != "all":
            change = f"one image more or less changes its accuracy by {1 / total:.1%}"
            yield f"The {split} split has only {_n(int(total), 'image')}: {change}."


def about_prevalence(counts: pd.DataFrame) -> Iterator[str]:
    """Say which class is more frequent in one split than in another."""
    images = counts[counts["split"] != "all"].pivot_table("images", "class", "split", "sum", sort=False)
    fraction = images / images.sum()
    apart = fraction.max(axis=1) - fraction.min(axis=1)
    if len(apart) and apart.max() >= _PREVALENCE:
        label = apart.idxmax()
        where = ", ".join(f"{x:.0%} of {split}" for split, x in fraction.loc[label].items())
        yield (
            f"The classes are not equally frequent in all splits: {label} is {where}. Accuracy, precision and a "
            "threshold depend on that."
        )


def about_files(sizes: pd.DataFrame) -> Iterator[str]:
    """Say which classes have file types of their own."""
    if "extensions" in sizes and sizes["extensions"].nunique() > 1:
        kinds = sizes.groupby("extensions", sort=False)["class"].agg(", ".join)
        yield f"File types differ between the classes: {'; '.join(f'{kind} {who}' for kind, who in kinds.items())}."


def about_boxes(table: pd.DataFrame, white: np.ndarray) -> Iterator[str]:
    """Say in which class white boxes or borders are more frequent than in another."""
    with_box = pd.Series(white > 0).groupby(table["class"].to_numpy()).agg(["sum", "mean"])
    if len(with_box) > 1 and with_box["sum"].max() >= _FEWEST and np.ptp(with_box["mean"]) >= _BOXES:
        told = ", ".join(f"{row['mean']:.1%} of {name}" for name, row in with_box.iterrows())
        yield (
            f"White boxes or borders, as they cover names, are in {told}. A network may look for them: see what it "
            "says when they are painted over, or painted into other images."
        )


def about_patients(unknown: int, images: int, patients: pd.DataFrame, crossings: pd.DataFrame) -> Iterator[str]:
    """Say whose images cross splits, and how many patients are not known."""
    if unknown:
        yield (
            f"For {_n(unknown, 'image')} of {images:,} the patient is not known; each counts as a patient of its own. "
            "A patient on both sides of a split would go unnoticed there."
        )
    several = patients[patients["with_several"] > 0]
    if len(several):
        where = []
        for split, part in several.groupby("split", sort=False):
            per_class = ", ".join(f"{c} {n:,}" for c, n in zip(part["class"], part["with_several"], strict=True))
            where.append(f"{part['with_several'].sum():,} in {split} ({per_class}; the most is {part['most'].max()})")
        both = "A split by image can put the same patient on both sides"
        yield f"Some patients have more than one image: {', '.join(where)}. {both}."
    places = crossings.columns[4:]
    true = {r["splits"]: r["values"] for _, r in crossings.iterrows() if r["key"] == "patient"}
    for _, row in crossings[crossings["values"] > 0].iterrows():
        where, values = row["splits"], int(row["values"])
        if row["key"] == "patient":
            are, images = "is" if values == 1 else "are", _n(int(row["images"]), "image")
            helps = "what is learned about the patient helps in the test"
            yield f"{_n(values, 'patient')} {are} in {where}, with {images}: {helps}."
            continue
        detail = ", ".join(f"{place} {row[place]:,}" for place in places if row[place])
        yield (
            f"With {row['key']} as the patient key, {_n(values, 'key')} ({detail}) would be in {where}; with the full "
            f"patient key it is {true[where]:,}. Know what a key means before you speak of a leak."
        )


def about_duplicates(duplicates: pd.DataFrame, split_names: list[str], classes: tuple[str, ...]) -> Iterator[str]:
    """Say how many files are identical, across splits and classes."""
    if len(duplicates):
        leaks, wrong = (~duplicates["splits"].isin(split_names)).sum(), (~duplicates["classes"].isin(classes)).sum()
        what = f"{_n(len(duplicates), 'group')} of byte-identical files ({int(duplicates['files'].sum()):,} files)"
        found = f"{what}: {leaks or 'none'} across splits, {wrong or 'none'} across classes."
        found += " Identical files in two splits are a leak." if leaks else ""
        yield found + (" Identical files with two labels: at least one label is wrong." if wrong else "")


def about_near(near: pd.DataFrame, split_names: list[str], classes: tuple[str, ...]) -> Iterator[str]:
    """Say how many images are the same picture in other bytes, with an example, and what to do."""
    if len(near):
        leaks, wrong = (~near["splits"].isin(split_names)).sum(), (~near["classes"].isin(classes)).sum()
        strangers = (near["patients"] > 1).sum()
        yield (
            f"{_n(len(near), 'group')} of near-duplicates ({int(near['files'].sum()):,} files): the same picture saved "
            f"again, resized, cropped or mirrored, or taken twice without a movement. {strangers or 'None'} under two "
            f"patients' names, {leaks or 'none'} across splits, {wrong or 'none'} across classes. For example "
            f'{near["names"].iloc[0][:120]}. split(by="picture") keeps them on one side.'
        )


def about_shared(shared: pd.DataFrame, counts: pd.DataFrame, name: str) -> Iterator[str]:
    """Say how many images, of which class, are pictures of another data set."""
    each = counts.groupby("class", sort=False)["images"].sum()
    if not len(shared):
        yield f"No image was found in {name}."
        return
    told = []
    for label, part in shared.groupby("class"):
        there = ", ".join(f"{n:,} {c}" for c, n in part["class_there"].value_counts().items())
        told.append(f"{label} {len(part):,} of {each[label]:,} ({there} there)")
    yield (
        f"{_n(len(shared), 'image')} of {each.sum():,} {'is' if len(shared) == 1 else 'are'} also in {name}: "
        f"{'; '.join(told)}. Training on one and testing on the other would test on what was learned."
    )


def about_exposure(
    table: pd.DataFrame, pixels: dict[str, np.ndarray], exposure: pd.DataFrame, split_names: list[str]
) -> Iterator[str]:
    """Say the strongest difference between splits, for each pair of splits."""
    split = table["split"].to_numpy()
    words = {
        "near_black": "near-black pixels make up {:.1%} in {} and {:.1%} in {}",
        "mean": "the mean gray level is {:.0f} in {} and {:.0f} in {}",
        "sd": "the contrast (SD of the pixels) is {:.0f} in {} and {:.0f} in {}",
    }
    for first, second in itertools.combinations(split_names, 2):
        effects = []
        for column, group in exposure[["by", "group"]].drop_duplicates().itertuples(index=False):
            members = table[column].astype(str).to_numpy() == group
            a, b = members & (split == first), members & (split == second)
            if min(a.sum(), b.sum()) < _FEWEST:
                continue
            for what in words:
                x, y = pixels[what][a], pixels[what][b]
                spread = np.sqrt((x.var() + y.var()) / 2)
                effect = abs(x.mean() - y.mean()) / spread if spread > 0 else 0.0
                effects.append((effect, group, words[what].format(x.mean(), first, y.mean(), second)))
        effect, group, values = max(effects, key=lambda found: found[0], default=(0, "", ""))
        if effect >= _EFFECT:
            yield (
                f"The images of {first} and {second} are exposed differently. Largest difference, {group} images: "
                f"{values} ({effect:.1f} standard deviations between images). A score on {second} also measures this."
            )


def about_metadata(metadata: pd.DataFrame) -> Iterator[str]:
    """Say when metadata alone tells the class."""
    if not len(metadata):
        return
    best = metadata.loc[metadata["balanced_accuracy"].idxmax()]
    alone = metadata[metadata["metadata"] != "all of it"]
    strongest = alone.loc[alone["balanced_accuracy"].idxmax()]
    more, reached = f", from {strongest['metadata']}", strongest["balanced_accuracy"]
    told = alone[alone["balanced_accuracy"] >= alone["chance"] + 0.1].sort_values("balanced_accuracy", ascending=False)
    if best["metadata"] == "all of it":
        each = ", ".join(f"{row['metadata']} {row['balanced_accuracy']:.2f}" for _, row in told.iterrows())
        more = f"; each of these does, too: {each}" if each else f"; {strongest['metadata']} reaches {reached:.2f}"
    if best["balanced_accuracy"] >= best["chance"] + 0.1:
        yield (
            "Metadata tells the class: without looking at the lungs a classifier reaches a balanced accuracy of "
            f"{best['balanced_accuracy']:.2f} (AUC {best['auc']:.2f}), where chance is {best['chance']:.2f} (AUC 0.50)"
            f"{more}. A network may learn this instead of the disease."
        )


def about_skipped(skipped: pd.DataFrame) -> Iterator[str]:
    """Say how many files were not read."""
    if many := len(skipped):
        yield f"{_n(many, 'file')} {'was' if many == 1 else 'were'} not read."
