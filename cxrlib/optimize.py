"""What a step of training does to the weights: optimizer, schedule, moving average, class weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from .validate import number, whole

if TYPE_CHECKING:
    from .data import CxrDataset
    from .recipe import Recipe


def moving_average(model: nn.Module, decay: float) -> nn.Module | None:
    """Copy the model; the copy follows it as a moving average, batch-norm statistics included; None without decay.

    The decay starts low: at .995 from the first step on, 74 % of the average would still be the random first weights
    after 60 steps.
    """
    if not decay:
        return None
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    def average(mine: list, theirs: list, n: torch.Tensor) -> None:
        get_ema_multi_avg_fn(min(decay, (1 + int(n)) / (10 + int(n))))(mine, theirs, n)

    return AveragedModel(model, multi_avg_fn=average, use_buffers=True)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Make the optimizer of what is trainable."""
    params = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(params, recipe.lr, momentum=0.9, weight_decay=recipe.weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    fused = params[0].device.type in ("cpu", "cuda")  # one pass over all weights; not every torch has it elsewhere
    return kind(params, recipe.lr, weight_decay=recipe.weight_decay, fused=fused)


#: schedule -> its options and what they are where a recipe does not say
SCHEDULE_OPTIONS = {
    "constant": {},
    "plateau": {"factor": 0.1, "patience": 2, "min_lr": 0.0},
    "cyclic": {"base_lr": None, "step_epochs": 2},  # base_lr: a hundredth of lr
    "onecycle": {"pct_start": 0.3, "div_factor": 25.0},
    "cosine": {"min_lr": 0.0},
}


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Make the learning-rate schedule; ``steps`` is the number of steps in one epoch."""
    kind, lrs, known = recipe.schedule, torch.optim.lr_scheduler, SCHEDULE_OPTIONS[recipe.schedule]
    if unknown := sorted(set(recipe.schedule_options) - set(known)):
        raise ValueError(f"recipe: schedule {kind!r} does not know the option(s) {unknown}; it has {sorted(known)}")
    options = known | recipe.schedule_options
    if kind == "cyclic" and options["base_lr"] is None:
        options["base_lr"] = recipe.lr / 100
    most = {"base_lr": recipe.lr, "min_lr": recipe.lr, "pct_start": 1, "factor": 1}
    for name, value in options.items():
        ends = {"open_low": name not in ("base_lr", "min_lr", "patience"), "open_high": name == "factor"}
        number(f"recipe: schedule_options, {name} of {kind!r}", value, 0, most.get(name, 1e9), **ends)
    if kind == "plateau":
        whole("recipe: schedule_options, patience of 'plateau'", options["patience"])
        return lrs.ReduceLROnPlateau(optimizer, "min" if recipe.monitor == "val_loss" else "max", **options)
    if kind == "cyclic":
        low, up = options["base_lr"], max(1, round(options["step_epochs"] * steps))
        return lrs.CyclicLR(optimizer, low, recipe.lr, step_size_up=up, mode="triangular", cycle_momentum=False)
    if kind == "onecycle":
        total = max(recipe.epochs * steps, 2)
        return lrs.OneCycleLR(optimizer, recipe.lr, total_steps=total, cycle_momentum=False, **options)
    if kind == "cosine":
        return lrs.CosineAnnealingLR(optimizer, recipe.epochs * steps, eta_min=options["min_lr"])
    return lrs.ConstantLR(optimizer, factor=1.0)


def undefined(recipe: Recipe, val: CxrDataset | None, targets: np.ndarray) -> bool:
    """Tell whether the monitored value cannot be computed: the AUC of one class, the loss of images without weight.

    ``targets`` (classes, outputs) are those of ``multilabel.targets``.
    """
    if val is None or recipe.monitor == "val_accuracy":
        return False
    if recipe.monitor == "val_auc":
        return any(len(np.unique(of_output)) < 2 for of_output in targets[val.labels].T)
    weights = recipe.class_weights
    listed = isinstance(weights, tuple) and len(weights) == len(val.classes)
    return listed and not np.asarray(weights)[val.labels].any()


def class_weights(weights: str | tuple | None, train: CxrDataset) -> torch.Tensor | None:
    """Return weights (K,) with mean 1 over the training images, so that the loss keeps its scale."""
    if weights is None:
        return None
    counts = np.bincount(train.labels, minlength=len(train.classes))
    if isinstance(weights, str):
        if (counts == 0).any():
            missing = [c for c, n in zip(train.classes, counts, strict=True) if n == 0]
            raise ValueError(f'class_weights="balanced" needs images of every class; train has none of {missing}')
        weights = 1 / counts
    if len(weights) != len(counts):
        raise ValueError(f"class_weights has {len(weights)} numbers for {len(counts)} classes {list(train.classes)}")
    weights = np.asarray(weights, dtype=float)
    if (total := weights @ counts) == 0:
        problem = "are 0 for every class that train has images of: nothing would be learned"
        raise ValueError(f"class_weights {weights.tolist()} {problem}; give one of them more than 0")
    return torch.tensor(weights / (total / counts.sum()), dtype=torch.float32)
