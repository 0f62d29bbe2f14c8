"""Recipes and networks: layers in letters, options of a training, and the numbers of a report."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from .checkpoints import toy
from .damage import NASTY, any_json

_SOME = st.sampled_from(NASTY)
LETTERS = (
    st.text("CPFD", max_size=12)
    | st.text("CPFDcpX 1é\0", max_size=8)
    | st.sampled_from(
        [
            "C" * 5000,
            "CP" * 40,
            "P" * 300,
            "CPF" + "D" * 3000,
            "x" * 10_000,
            "C" * 200,
            "cnn5",
            "resnet18",
            "efficientnet_b0",
            "Resnet18",
            "\ud800",
        ]
    )
)
_COUNT = st.sampled_from(
    [1, 2, 3, 8, 0, -1, 10**6, 10**9, 10**18, 2**63, 1.5, True, None, "3", [], math.nan]
) | st.integers(1, 40)


def _model_options() -> st.SearchStrategy:
    return st.fixed_dictionaries(
        {},
        optional={
            "filters": _COUNT | st.lists(_COUNT, max_size=4),
            "hidden": _COUNT,
            "dropout": _SOME | st.floats(),
            "kernel": _COUNT,
            "padding": st.sampled_from(["same", "valid", "full", None, 1]),
            "normalize": st.sampled_from(["fixed", "image", "x", 0, []]),
            "freeze": st.sampled_from(["all", 0, 1, 99, -1, True, "x", None, []]),
            "seed": _COUNT,
            "pretrained": _SOME,
            "head_dropout": _SOME,
            "head_hidden": _COUNT,
            "head_batchnorm": _SOME,
        },
    )


def layers() -> st.SearchStrategy:
    """Draw a layer string and its options."""
    right = {"name": "CPCPFD", "options": {}, "classes": ["normal", "pneumonia"], "size": 16}
    parts = {
        "name": LETTERS | _SOME,
        "options": _model_options(),
        "size": st.sampled_from([8, 16, 32, 64]) | _COUNT,
        "classes": st.lists(st.text(max_size=4), max_size=4) | any_json(),
    }
    good = {
        "name": st.text("CP", min_size=1, max_size=5) | st.sampled_from(["CPFD", "CFDD", "resnet18"]),
        "options": st.fixed_dictionaries({}, optional={"filters": st.integers(1, 9), "hidden": st.integers(1, 40)}),
    }
    return st.fixed_dictionaries({}, optional=good).flatmap(
        lambda base: st.fixed_dictionaries({}, optional=parts).map(lambda odd: right | base | odd)
    )


def run_layers(case: bytes, folder: Path) -> None:
    """Build the network and run it."""
    import torch

    from cxrlib import build_model

    plan = json.loads(case)
    net = build_model(plan["name"], plan["classes"], size=plan["size"], **plan["options"])
    side = max(net.smallest_size, 8) if net.fixed_size is None else net.fixed_size
    if side <= 64:
        assert net.eval()(torch.zeros(1, 1, side, side)).shape == (1, len(net.classes))


def recipes() -> st.SearchStrategy:
    """Draw the fields of a recipe."""
    value = _SOME | any_json()
    number = (
        st.sampled_from([0, 1, 0.1, 0.5, -1, 1e-9, 1e9, math.nan, math.inf, "1", None, True, [], 10**400]) | st.floats()
    )
    augment = st.dictionaries(
        st.sampled_from(
            [
                "flip",
                "rotate",
                "shift",
                "zoom",
                "crop",
                "brightness",
                "contrast",
                "gamma",
                "blur",
                "noise",
                "mixup",
                "x",
            ]
        ),
        number,
        max_size=4,
    )
    known = {
        "model": st.sampled_from(["CPF", "CPFD", "CP", "cnn5", "resnet", ""]) | value,
        "model_options": _model_options() | value,
        "trainable": st.sampled_from(["all", "head", 1, 2, 99, 0, -1, True, None, 1.5, []]),
        "freeze_norms": value,
        "head_epochs": _COUNT,
        "head_lr": number,
        "size": st.sampled_from([16, 16, 16, 8, 1, 0, -1, 10**9, 16.0, "16", True, None]),
        "batch_size": _COUNT,
        "optimizer": st.sampled_from(["adam", "adamw", "sgd", "x", None, [], {}]),
        "lr": number,
        "weight_decay": number,
        "schedule": st.sampled_from(["constant", "plateau", "cyclic", "onecycle", "cosine", "x", []]),
        "schedule_options": st.dictionaries(
            st.sampled_from(["factor", "patience", "min_lr", "base_lr", "step_epochs", "pct_start", "div_factor", "x"]),
            number,
            max_size=3,
        )
        | value,
        "early_stopping": _COUNT,
        "ema_decay": number,
        "monitor": st.sampled_from(["val_loss", "val_accuracy", "val_auc", "x", None]),
        "restore_best": value,
        "class_weights": st.sampled_from(
            ["balanced", "x", None, [1, 2], [1], [0, 0], [-1, 1], ["a", "b"], 3, {}, [math.nan, 1], [[1], [2]]]
        ),
        "attend": st.sampled_from(["lungs", "lesion", "heart", None, 1]),
        "attend_weight": number,
        "label_smoothing": number,
        "augment": augment | value,
        "tta": st.lists(st.sampled_from(["identity", "flip", "x", 1]), max_size=3) | value,
        "precision": st.sampled_from(["auto", "bf16", "fp16", "fp32", "x", None]),
        "seed": _COUNT,
        "about": value,
        "unknown": value,
    }
    return st.sets(st.sampled_from(sorted(known)), max_size=4).flatmap(
        lambda names: st.fixed_dictionaries({name: known[name] for name in sorted(names)})
    )


def run_recipe(case: bytes, folder: Path) -> None:
    """Return a recipe out of JSON, its network, and one step of training with it."""
    from cxrlib import CxrDataset, Recipe, build, fit, predict
    from cxrlib.augment import Augment

    fields = json.loads(case)
    if isinstance(fields.get("augment"), dict) and fields["augment"].keys() <= Augment.__dataclass_fields__.keys():
        fields["augment"] = Augment(**fields["augment"])
    recipe = Recipe(**{"model": "CPF", "model_options": {"filters": [2]}, "size": 16, "epochs": 1}).replace(**fields)
    json.dumps(recipe.to_dict())
    data, _ = toy()
    small = CxrDataset(data.images.repeat(2, 2).repeat(2, 3), data.labels, data.classes, data.patients)
    net = build(recipe, data.classes)
    if recipe.size != 16 and net.fixed_size:
        return
    fit(net, small, small, recipe.replace(head_epochs=min(recipe.head_epochs, 1)), progress=False)
    predict(net, small, tta=recipe.tta)


def reports() -> st.SearchStrategy:
    """Draw what a report is made of."""
    row = st.sampled_from(
        [
            [0.5, 0.5],
            [0.2, 0.8],
            [1, 0],
            [0, 1],
            [0.3, 0.3],
            [2, -1],
            [math.nan, 1],
            [1],
            "ab",
            None,
            [[1], [0]],
            ["0.5", "0.5"],
        ]
    )
    pair = st.tuples(st.sampled_from([0, 1]), st.sampled_from([[0.5, 0.5], [0.2, 0.8], [1, 0], [0.1, 0.9]]))
    right = st.lists(pair, min_size=1, max_size=8).map(
        lambda pairs: {
            "labels": [label for label, _ in pairs],
            "probs": [probs for _, probs in pairs],
            "classes": ["a", "b"],
        }
    )
    odd = st.fixed_dictionaries(
        {},
        optional={
            "labels": st.lists(st.sampled_from([0, 1]), max_size=6) | st.lists(_SOME, max_size=4) | any_json(),
            "probs": st.lists(row, max_size=6) | any_json(),
            "classes": st.just(["a", "a"]) | any_json(),
            "patients": st.lists(st.sampled_from(["p", "q", 1, None, []]), max_size=6) | any_json(),
            "threshold": st.floats() | _SOME,
            "bootstrap": st.sampled_from([0, 1, 20, -1, 10**12, 1.5, None, "5"]),
            "seed": st.sampled_from([0, -1, 10**30, None, "x"]),
        },
    )
    return st.tuples(right, odd).map(lambda parts: parts[0] | parts[1])


def run_report(case: bytes, folder: Path) -> None:
    """Make the report and show it."""
    from cxrlib import Report

    report = Report(**{"bootstrap": 20} | json.loads(case))
    assert str(report) and report.to_dict() and report._repr_html_()
    report.save(folder / "report.json")


def mappings() -> st.SearchStrategy:
    """Draw what the classes of other images count as."""
    name = st.sampled_from(["normal", "pneumonia", "flu", "", "x", 1, None])
    right = st.dictionaries(st.sampled_from(["normal", "flu", "covid"]), st.sampled_from(["normal", "pneumonia", None]))
    pairs = st.lists(st.tuples(name, name), max_size=4).map(lambda some: {str(a): b for a, b in some})
    classes = st.lists(st.sampled_from(["normal", "pneumonia", "flu", "covid", "a+b"]), min_size=1, unique=True)
    return st.fixed_dictionaries(
        {
            "mapping": right | pairs | name | any_json(),
            "theirs": st.just(["normal", "flu", "covid"]) | classes,
            "ours": st.just(["normal", "pneumonia"]) | classes.filter(lambda some: len(some) > 1),
            "multilabel": st.sampled_from([False, False, True]),
        }
    )


def run_mapping(case: bytes, folder: Path) -> None:
    """Score images under it; nothing may count as a class that nobody named."""
    from cxrlib import CxrDataset, Report
    from cxrlib._class_map import score_mapped

    plan = json.loads(case)
    theirs, ours = plan["theirs"], plan["ours"]
    labels = np.arange(6) % len(theirs)
    data = CxrDataset(np.zeros((6, 1, 8, 8), np.uint8), labels, theirs, [f"p{i}" for i in range(6)])

    def score(mapped: CxrDataset) -> CxrDataset | Report:
        if plan["multilabel"]:
            return mapped  # class names hold the findings: whoever scores splits them
        assert list(mapped.classes) == list(ours)
        probs = np.full((len(mapped), len(ours)), 1 / len(ours))
        return Report(mapped.labels, probs, ours, mapped.patients, bootstrap=0)

    score_mapped(data, ours, plan["mapping"], score, plan["multilabel"])
