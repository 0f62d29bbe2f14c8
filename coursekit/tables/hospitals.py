"""The part of the results page about sources: what networks of four classes learned, disease or hospital."""

from __future__ import annotations

from .records import filled, ranged, table

KINDS = {"merged": "lung4 as it is", "healthy adults added": "with healthy adults in training"}


def part(r: dict) -> str:
    """Write the part."""
    lung4, ages, adults, boxes = (r[name] for name in ("lung4", "ages", "adults", "boxes"))
    names = list(lung4["per_class"]["untouched"])
    rows = [[version, *(ranged(*each[name]) for name in names)] for version, each in lung4["per_class"].items()]
    asked = [[words, *(ranged(*adults[kind]["healthy_adults_called"][name], ".0%") for name in names),
              ranged(*adults[kind]["recall"]["covid-19"], ".0%"), ranged(*adults[kind]["accuracy"]),
              ranged(*adults[kind]["macro_f1"])] for kind, words in KINDS.items()]  # fmt: skip
    by_age = [[v, ranged(*(row[f"auc{end}"] for end in ("", "_low", "_high")))] for v, row in ages["versions"].items()]
    before, after = adults.values()
    return filled(
        "hospitals", r, seeds=len(r["seeds"]), lung4=table(["version", *names], rows), lung4_said=_told(lung4),
        asked=before["asked"], added=f"{after['training']['normal'] - before['training']['normal']:,}",
        adults=table(["trained on", *(f"called {name}" for name in names), "recall of COVID-19, test images",
                      "accuracy, test images", "macro F1, test images"], asked),
        adults_said=_asked(before, after), ages=table(["version", "AUC"], by_age),
        white="White boxes or borders are in " + ", ".join(
            f"{found:,} of {of:,} images of {name}" for name, (found, of) in r["white"].items()),
        auc=boxes["auc"], boxes=table(["images", "number", "called tuberculosis", "after", "change", "flips"], [
            [words, f"{b['images']}", *(ranged(*b[k], ".0%") for k in ("ill_before", "ill_after")),
             ranged(*b["change"], "+.1%"), ranged(*b["flips"], ".1%")]
            for words, b in (("tuberculosis with a box, painted over", boxes["filled"]),
                             ("healthy, a white box painted in", boxes["painted"]),
                             ("healthy, a gray box painted in", boxes["gray"]))
        ]), boxes_said=_boxes(boxes),
    )  # fmt: skip


def _told(lung4: dict) -> str:
    """Say what is told without lungs, and without a picture."""
    versions = lung4["versions"]
    alone, border, black = (versions[v]["auc"] for v in ("metadata only", "only border", "lungs black"))
    return (
        f"Mean of the four: {alone:.3f} from file type, file size, borders and white boxes, without any picture; "
        f"{border:.3f} from the border alone, {black:.3f} with the lungs black, {versions['untouched']['auc']:.3f} "
        "from the whole image. What can be told without lungs is not read off the lungs."
    )


def _asked(before: dict, after: dict) -> str:
    """Say what healthy adults were called, before and after."""
    ill = [1 - found["healthy_adults_called"]["normal"][0] for found in (before, after)]
    recalls = [found["recall"]["covid-19"][0] for found in (before, after)]
    return (
        f"{ill[0]:.0%} of the healthy adults are called ill by networks that saw healthy children only, {ill[1]:.0%} "
        f"by those that saw healthy adults, too. The recall of COVID-19 on the set's own test images goes from "
        f"{recalls[0]:.0%} to {recalls[1]:.0%}: the set's own test cannot see the fault, and pays for its repair."
    )


def _boxes(boxes: dict) -> str:
    """Say what the boxes do."""
    filled, painted, gray = (boxes[k]["change"] for k in ("filled", "painted", "gray"))
    lost = "fewer" if filled[2] < 0 else "more" if filled[1] > 0 else "not clearly more or fewer"
    more = "more" if painted[1] > 0 else "not clearly more"
    share = ranged(*boxes["found_without_box"], ".0%")
    return (
        f"With the boxes painted over, {lost} of their images are called tuberculosis; of the {boxes['without_box']} "
        f"images without a box {share} are found. With a white box {more} of the healthy are called ill "
        f"({painted[0]:+.1%}), with a gray one {gray[0]:+.1%}."
    )
