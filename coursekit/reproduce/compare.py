"""Why a record and its source differ: one sentence for each row of the results page."""

from __future__ import annotations

from cxrlib.models import BACKBONES
from cxrlib.source_projects import reported

from .sources import settings

WORDS = {
    "data": "data", "protocol": "split", "model": "model", "trainable": "layers that learn", "size": "image size",
    "epochs": "epochs", "epochs_run": "epochs until it stopped", "batch_size": "batch", "optimizer": "optimizer",
    "lr": "learning rate", "early_stopping": "early stopping", "label_smoothing": "label smoothing",
    "augment": "augmentation", "schedule": "schedule", "schedule_options.base_lr": "lowest learning rate",
    "schedule_options.step_epochs": "epochs of half a cycle", "model_options.head_dropout": "dropout",
    "model_options.head_batchnorm": "batch norm in the head", "model_options.dropout": "dropout",
    "model_options.pretrained": "ImageNet weights", "model_options.filters": "filters",
    "model_options.hidden": "dense units",
}  # fmt: skip
SPLIT_WORDS = {
    "val10": "a tenth of train for validation, official test images",
    "train82": "train split 8:2, official test images",
    "merged82": "train and val merged and split 8:2, official test images",
    "pooled": "all images pooled and split again",
}
# What a reader wants to know even where the source does not tell.
ASKED = ("model_options.pretrained", "size", "epochs", "batch_size", "lr")


def used(record: dict) -> dict:
    """Return the settings of a record by the names of ``settings``: data, protocol, and the fields of its recipe."""
    recipe = record.get("recipe") or record["training"]["recipe"]
    flat = {"model_options.pretrained": False} if recipe["model"] in BACKBONES else {}
    flat |= {"data": record["data"]["source"], "protocol": record["data"]["protocol"]}
    for name, value in recipe.items():
        flat |= {f"{name}.{k}": v for k, v in value.items()} if name.endswith("_options") else {name: value}
    flat["augment"] = sorted(name for name, strength in (flat["augment"] or {}).items() if strength)
    if "epochs" in record.get("training", ()):
        flat["epochs_run"] = len(record["training"]["epochs"])
    return flat


def differing(record: dict) -> list[tuple[str, object, object]]:
    """Return the settings known of the source that a record does not share: (setting, the source's, the record's)."""
    what, ours = record["reproduction"], used(record)
    known = settings(what["source"], what["experiment"])
    if "epochs_run" not in ours:
        known.pop("epochs_run", None)
    both = [(name, theirs, ours.get(name)) for name, theirs in known.items()]
    return [(name, theirs, here) for name, theirs, here in both if _plain(theirs) != _plain(here)]


def why(records: list[dict]) -> str:
    """Say in one sentence where the reported figure lies against the runs of one row (its seeds), and what differed."""
    what, ours = records[0]["reproduction"], used(records[0])
    known = settings(what["source"], what["experiment"])
    lengths = sorted({len(r["training"].get("epochs", ())) for r in records})
    parts = [_against(records)]
    changed = [
        f"{WORDS[name]} {_say(name, lengths if name == 'epochs_run' else here)} instead of {_say(name, theirs)}"
        for name, theirs, here in differing(records[0])
    ]
    unlike = f"unlike the source: {'; '.join(changed)}"
    parts.append(unlike if changed else "nothing that is known of the source's setting differs")
    asked = [name for name in ASKED if name in ours and name not in known]
    words = WORDS | {"epochs": "epochs planned"} if "epochs_run" in known else WORDS
    if unknown := [f"{words[name]} (here {_say(name, ours[name])})" for name in asked]:
        parts.append("not known of the source: " + ", ".join(unknown))
    if records[0]["data"]["by"] == "image":
        parts.append("split image by image, so that a patient can be on both sides")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def _against(records: list[dict]) -> str:
    what = records[0]["reproduction"]
    frame = reported(what["source"])
    figures = frame[frame["experiment"] == what["experiment"]].iloc[0]
    for column, metric, name in (("accuracy", "accuracy", "accuracy"), ("auc", "auc", "AUC"), ("f1", "macro_f1", "F1")):
        value = figures[column]
        if value != value:  # NaN: not reported
            continue
        intervals = [r["test"]["intervals"].get(metric) or (None, None) for r in records]
        if any(None in pair for pair in intervals):  # undefined, or made without a bootstrap
            continue
        inside = sum(low <= value <= high for low, high in intervals)
        where = "interval" if len(records) == 1 else f"intervals of all {len(records)} seeds"
        if all(value > high for _, high in intervals):
            return f"the reported {name} is above the measured {where}"
        if all(value < low for low, _ in intervals):
            return f"the reported {name} is below the measured {where}"
        if len(records) == 1 or inside == len(records):
            return f"the reported {name} is inside the measured {where}"
        return f"the reported {name} is inside the intervals of {inside} of {len(records)} seeds"
    return "the source reported no figure that could be compared"


def _plain(value: object) -> object:
    """Return a tuple as the list that it is in a record."""
    return list(value) if isinstance(value, tuple) else value


def _say(name: str, value: object) -> str:
    if name == "protocol":
        return SPLIT_WORDS.get(value, "the course's own")
    if name == "size":
        return f"{value} px"
    if name == "trainable" and isinstance(value, int):
        return f"the top {value}"
    if name == "epochs_run" and isinstance(value, list):
        return " to ".join(dict.fromkeys(map(str, (value[0], value[-1]))))
    if isinstance(value, bool) or value is None:
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, list | tuple):
        return ("/" if name.startswith("model") else ", ").join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
