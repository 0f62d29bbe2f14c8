"""fit: a plain PyTorch training loop, on Hugging Face Accelerate so that it also runs on several devices.

One epoch is a pure function of the state at its start, the seed and its number: the order of the images, their
augmentation and the dropout are all drawn from (seed, epoch). That is why a run that was killed and resumed ends
with the same weights as one that was not.
"""

from __future__ import annotations

import copy
import json
import os
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler

from . import plot
from .device import autocast_dtype, describe, memory_layout, processes_started
from .files import has_shape, write_torch
from .models.checkpoint import is_dense
from .models.freeze import freeze
from .progress import bar as progress_bar
from .ranking import auc_of
from .recipe import Recipe, short

CHECKPOINT_FORMAT = 1


@dataclass
class History:
    """What happened in each epoch of a training run; shows itself as curves."""

    recipe: Recipe
    epochs: list[dict] = field(default_factory=list)
    stopped: str = ""  # why it ended: "finished", "early", "interrupted" or "diverged"
    best_epoch: int | None = None
    hardware: dict = field(default_factory=dict)
    resumed_at: int | None = None
    head: list[dict] = field(default_factory=list)  # the epochs before, in which only the head learned

    @property
    def frame(self) -> pd.DataFrame:
        """One row an epoch: epoch, lr, loss, accuracy, val_loss, val_accuracy, val_auc, seconds,
        cpu_seconds (of this process, over all its threads), images_per_second."""
        return pd.DataFrame(self.epochs)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all epochs, those of the head and validation included."""
        return float(sum(e["seconds"] for e in (*self.head, *self.epochs)))

    @property
    def images_per_second(self) -> float:
        """Median training speed over the epochs (images a second, validation not counted)."""
        return float(np.median([e["images_per_second"] for e in self.epochs])) if self.epochs else float("nan")

    def plot(self, metrics=("loss", "accuracy")) -> plot.Figure:
        """Learning curves."""
        return plot.curves({self.recipe.model: self}, metrics)

    def to_dict(self) -> dict:
        """Plain values, for JSON."""
        return {
            "recipe": self.recipe.to_dict(),
            "epochs": self.epochs,
            "head": self.head,
            "stopped": self.stopped,
            "best_epoch": self.best_epoch,
            "hardware": self.hardware,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
        }

    def __str__(self) -> str:
        if not self.epochs:
            return f"{self.recipe.model}: no finished epoch ({self.stopped or 'not started'})"
        last = self.epochs[-1]
        values = ", ".join(
            f"{k} {last[k]:.3f}" for k in ("loss", "accuracy", "val_loss", "val_accuracy", "val_auc") if k in last
        )
        kept = self.best_epoch if self.recipe.restore_best else None
        best = f"; weights of epoch {kept} kept" if kept else ""
        return (
            f"{self.recipe.model}: {len(self.epochs)} epochs in {self.seconds:.0f} s "
            f"({self.images_per_second:.0f} images/s), {self.stopped}{best}. Last epoch: {values}."
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = f"<p>{self}</p>"
        return (self.plot().to_html() if self.epochs else "") + text


class _Shuffle(Sampler):
    """A random order of n images that depends on the seed and the epoch alone."""

    def __init__(self, n: int, seed: int):
        self.n, self.seed, self.epoch = n, seed, 0

    def __len__(self) -> int:
        return self.n

    def __iter__(self):
        generator = torch.Generator().manual_seed(_epoch_seed(self.seed, self.epoch))
        return iter(torch.randperm(self.n, generator=generator).tolist())


def _epoch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _as_is(batch):
    return batch  # CxrDataset.__getitems__ has already made tensors of the whole batch


def fit(
    model: nn.Module,
    train,
    val=None,
    recipe: Recipe | None = None,
    *,
    checkpoint=None,
    progress: bool = True,
    **changes,
) -> History:
    """Train ``model`` in place and return its :class:`History`.

    Parameters
    ----------
    model : a network from ``build_model``: images (B, 1, H, W) in [0, 1] -> logits (B, K).
    train, val : CxrDatasets. Without ``val`` nothing is monitored and the last weights are kept.
    recipe : a Recipe; ``changes`` override its fields: ``fit(model, train, val, epochs=3, lr=1e-4)``.
        A recipe's ``model``, ``model_options``, ``trainable`` and ``size`` describe how ``model`` and the data were
        made; ``experiment.build(recipe, classes)`` makes the model.
    checkpoint : a file. It is written after every epoch (atomically); when it exists the run continues from it. The
        head's own epochs (``recipe.head_epochs``) have another one beside it.
    progress : show a progress bar and, in a notebook, a live curve.

    Processes that ``torchrun`` or ``accelerate launch`` has started divide each batch: same steps, learning rates and
    images in a step. Batch norm, dropout and augmentation see the share of their process, so the numbers differ a
    little.

    Returns
    -------
    History. Ctrl-C (or the notebook's stop button) ends the training early and returns what there is.

    Raises
    ------
    ValueError : empty data, a model that knows other classes than the data, class weights of the wrong length, a
        checkpoint of another recipe or another data set, a batch that the processes cannot divide.
    """
    from accelerate import Accelerator, DataLoaderConfiguration  # takes half a second to import
    from accelerate.utils import broadcast

    recipe = (recipe or Recipe()).replace(**changes)
    _check(model, train, val, recipe)
    head = _train_head(model, train, val, recipe, checkpoint, progress) if recipe.head_epochs else None
    # the recipe's batch is divided among the processes, and the recipe alone says in which numbers to compute
    accelerator = Accelerator(
        mixed_precision="no",
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        cpu=processes_started() > 1 and not torch.cuda.is_available(),
    )
    device, processes = accelerator.device, accelerator.num_processes
    if processes != processes_started():
        raise ValueError(
            f"WORLD_SIZE says that {processes_started()} processes train together, but only {processes} "
            "can find each other: start them with torchrun or accelerate launch"
        )
    dtype = autocast_dtype(recipe.precision, device)
    torch.manual_seed(recipe.seed)

    layout = memory_layout(device)
    model.to(device=device, memory_format=layout)
    order = _Shuffle(len(train), recipe.seed)
    batch_size = _batch_size(recipe, len(train), processes)
    loader = accelerator.prepare(DataLoader(train, batch_size, sampler=order, collate_fn=_as_is, drop_last=True))
    optimizer = _optimizer(model, recipe)
    schedule = _schedule(optimizer, recipe, len(loader))
    scaler = torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
    weights = _class_weights(recipe.class_weights, train)
    weights = None if weights is None else weights.to(device)
    history = History(recipe, hardware=describe(device) | {"processes": processes}, head=head.epochs if head else [])
    if head and head.stopped in ("interrupted", "diverged"):
        history.stopped = head.stopped
        return history
    averaged = _averaged(model, recipe.ema_decay)
    state = _State(model, averaged, optimizer, schedule, scaler, history)
    if checkpoint is not None:
        checkpoint = Path(checkpoint)
        if checkpoint.exists():
            state.load(checkpoint, train.fingerprint)
    first = _same_everywhere(accelerator, len(history.epochs))
    net = accelerator.prepare(model)

    bar = progress_bar(
        total=recipe.epochs * len(loader),
        initial=first * len(loader),
        desc=recipe.model,
        unit="step",
        show=progress and accelerator.is_main_process,
    )
    live = _LiveCurve(enabled=progress and accelerator.is_main_process)
    if state.finished:
        first = recipe.epochs
    try:
        for epoch in range(first + 1, recipe.epochs + 1):
            order.epoch = epoch
            seed = _epoch_seed(recipe.seed, epoch) + accelerator.process_index
            torch.manual_seed(seed)  # dropout
            generator = torch.Generator().manual_seed(seed)  # augmentation
            start, cpu_start = time.perf_counter(), time.process_time()
            model.train()
            # filled in place: small tensors kept from every step would lie between large ones, and memory would grow
            losses, hits, seen, steps = torch.empty(len(loader), device=device), 0.0, 0, 0
            for images, labels in loader:
                x = images.to(dtype=torch.float32).div_(255)
                y = nn.functional.one_hot(labels, len(train.classes)).to(x.dtype)
                if recipe.augment is not None:
                    x, y = recipe.augment(x, y, generator)
                with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
                    logits = net(x.contiguous(memory_format=layout))
                loss = nn.functional.cross_entropy(
                    logits.float(), y, weight=weights, label_smoothing=recipe.label_smoothing
                )
                optimizer.zero_grad(set_to_none=True)
                accelerator.backward(scaler.scale(loss))
                scaler.step(optimizer)
                scaler.update()
                if averaged is not None:
                    averaged.update_parameters(model)
                if recipe.schedule in ("cyclic", "onecycle", "cosine"):
                    schedule.step()
                losses[steps] = loss.detach()
                steps += 1
                hits += (logits.argmax(1) == y.argmax(1)).sum()
                seen += len(y)
                bar.update()
                if steps % 10 == 0:
                    bar.set_postfix(epoch=epoch, loss=f"{loss.item():.3f}", refresh=False)
            trained = time.perf_counter() - start
            totals = torch.tensor([float(losses[:steps].sum()), float(hits), seen, steps], device=device)
            loss_sum, hits, seen, steps = accelerator.reduce(totals, "sum").tolist()
            row = {
                "epoch": epoch,
                "lr": float(optimizer.param_groups[0]["lr"]),
                "loss": loss_sum / steps,
                "accuracy": hits / seen,
            }
            if val is not None:
                judged = net if averaged is None else averaged
                if averaged is not None and processes > 1:  # each has seen its own images' batch statistics
                    broadcast([*averaged.module.buffers()])
                row |= _validate(accelerator, judged, val, recipe, dtype, weights, layout)
            row |= {
                "seconds": time.perf_counter() - start,
                "cpu_seconds": time.process_time() - cpu_start,
                "images_per_second": seen / trained,
            }
            history.epochs.append(row)
            if recipe.schedule == "plateau":
                schedule.step(row[recipe.monitor] if val is not None else row["loss"])
            state.update(row, val is not None)
            if checkpoint is not None and accelerator.is_main_process:
                state.save(checkpoint, train.fingerprint)
            bar.set_postfix({k: f"{row[k]:.3f}" for k in ("loss", "val_loss", "val_accuracy") if k in row}, epoch=epoch)
            live.update(history)
            if state.finished:
                break
        history.stopped = history.stopped or "finished"
    except KeyboardInterrupt:
        history.stopped = "interrupted"
        warnings.warn(
            f"training was interrupted in epoch {len(history.epochs) + 1}; returning what there is", stacklevel=2
        )
    finally:
        bar.close()
        live.clear()
        state.keep_final()
        model.eval()
        if device.type != "cpu" or processes > 1:  # it collects garbage, which can take longer than a short run
            accelerator.free_memory()
    return history


def _batch_size(recipe: Recipe, images: int, processes: int) -> int:
    """Images in a step, over all processes together."""
    if recipe.batch_size % processes:
        raise ValueError(
            f"recipe: a batch of {recipe.batch_size} images cannot be shared by {processes} processes; "
            f"take a batch_size that {processes} divides (--batch-size of `cxr train`)"
        )
    if images < processes:
        raise ValueError(f"there are only {images} images to train on, fewer than the {processes} processes")
    return min(recipe.batch_size, images - images % processes)


def _same_everywhere(accelerator, epochs: int) -> int:
    """The number of finished epochs. Processes that see different checkpoints would wait for each other forever."""
    if accelerator.num_processes == 1:
        return epochs
    from accelerate.utils import gather_object

    found = gather_object([epochs])
    if len(set(found)) > 1:
        raise ValueError(
            f"the processes continue after different epochs ({short(found)}): the checkpoint must lie in "
            "a folder that all of them share"
        )
    return epochs


def _train_head(model, train, val, recipe: Recipe, checkpoint, progress: bool) -> History:
    """The epochs in which only the head learns; afterwards the same layers are trainable as before."""
    flags = [(p, p.requires_grad) for p in model.parameters()]
    frozen = model.config["freeze"]
    freeze(model, "all")
    first = recipe.replace(
        head_epochs=0,
        trainable="head",
        epochs=recipe.head_epochs,
        lr=recipe.head_lr,
        schedule="constant",
        schedule_options={},
        early_stopping=None,
    )
    if checkpoint is not None:
        checkpoint = Path(checkpoint)
        checkpoint = checkpoint.with_name(f"{checkpoint.stem}-head{checkpoint.suffix}")
    try:
        return fit(model, train, val, first, checkpoint=checkpoint, progress=progress)
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        model.config["freeze"] = frozen


def _check(model, train, val, recipe: Recipe) -> None:
    for name, data in (("train", train), ("val", val)):
        if data is None:
            continue
        if len(data) == 0:
            raise ValueError(f"{name} is empty: there are no images to {'train' if name == 'train' else 'validate'} on")
        classes = getattr(model, "classes", None)
        if classes is not None and tuple(classes) != tuple(data.classes):
            raise ValueError(
                f"the model was built for the classes {list(classes)}, {name} has {list(data.classes)}: "
                f"build it with build_model(..., classes={name}.classes)"
            )
    asked = {"all": None, "head": "all"}.get(recipe.trainable, recipe.trainable)
    if asked is not None and getattr(model, "config", {}).get("freeze") != asked:
        raise ValueError(
            f"the recipe trains only a part of the network (trainable={recipe.trainable!r}), but the "
            f"model is not frozen so: freeze(model, {asked!r}) first, or fit(..., trainable='all')"
        )
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("every parameter of the model is frozen: there is nothing to train; unfreeze(model) first")
    if val is None and (recipe.early_stopping or recipe.monitor != "val_loss"):
        raise ValueError("the recipe monitors a validation value, but val is missing: fit(model, train, val, ...)")


def _averaged(model: nn.Module, decay: float):
    """A copy of the model that follows it as a moving average, batch-norm statistics included; None without decay."""
    if not decay:
        return None
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    params = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(params, recipe.lr, momentum=0.9, weight_decay=recipe.weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    fused = params[0].device.type in ("cpu", "cuda")  # one pass over all weights; not every torch has it elsewhere
    return kind(params, recipe.lr, weight_decay=recipe.weight_decay, fused=fused)


def _schedule(optimizer, recipe: Recipe, steps: int):
    """The learning-rate schedule; ``steps`` is the number of steps in one epoch."""
    options = dict(recipe.schedule_options)
    lrs = torch.optim.lr_scheduler
    total = recipe.epochs * steps
    try:
        match recipe.schedule:
            case "plateau":
                mode = "min" if recipe.monitor == "val_loss" else "max"
                made = lrs.ReduceLROnPlateau(
                    optimizer,
                    mode,
                    options.pop("factor", 0.1),
                    options.pop("patience", 2),
                    min_lr=options.pop("min_lr", 0.0),
                )
            case "cyclic":
                made = lrs.CyclicLR(
                    optimizer,
                    base_lr=options.pop("base_lr", recipe.lr / 100),
                    max_lr=recipe.lr,
                    step_size_up=max(1, round(options.pop("step_epochs", 2) * steps)),
                    mode="triangular",
                    cycle_momentum=False,
                )
            case "onecycle":
                made = lrs.OneCycleLR(
                    optimizer,
                    recipe.lr,
                    total_steps=max(total, 2),
                    cycle_momentum=False,
                    pct_start=options.pop("pct_start", 0.3),
                    div_factor=options.pop("div_factor", 25.0),
                )
            case "cosine":
                made = lrs.CosineAnnealingLR(optimizer, total, eta_min=options.pop("min_lr", 0.0))
            case _:
                made = lrs.ConstantLR(optimizer, factor=1.0)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(
            f"recipe: the schedule {recipe.schedule!r} cannot be made with the schedule_options "
            f"{short(recipe.schedule_options)}: {error}"
        ) from error
    if options:
        raise ValueError(f"recipe: schedule {recipe.schedule!r} does not know the option(s) {sorted(options)}")
    return made


def _class_weights(weights, train) -> torch.Tensor | None:
    """Weights (K,) with mean 1 over the training images, so that the loss keeps its scale."""
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
    return torch.tensor(weights / (weights @ counts / counts.sum()), dtype=torch.float32)


@torch.no_grad()
def _validate(accelerator, net, val, recipe, dtype, weights, layout) -> dict:
    processes = accelerator.num_processes
    loader = accelerator.prepare(
        DataLoader(val, -(-max(recipe.batch_size, 64) // processes) * processes, collate_fn=_as_is)
    )
    net.eval()
    logits, labels = [], []
    for images, y in loader:
        x = images.to(dtype=torch.float32).div_(255).contiguous(memory_format=layout)
        with torch.autocast(accelerator.device.type, dtype=dtype, enabled=dtype is not None):
            out = net(x)
        out, y = accelerator.gather_for_metrics((out.float(), y))
        logits.append(out)
        labels.append(y)
    logits, labels = torch.cat(logits), torch.cat(labels)
    one_hot = nn.functional.one_hot(labels, logits.shape[1]).float()
    loss = nn.functional.cross_entropy(logits, one_hot, weight=weights, label_smoothing=recipe.label_smoothing)
    probs = logits.double().softmax(1).cpu().numpy()
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    return {"val_loss": loss.item(), "val_accuracy": accuracy, "val_auc": auc_of(labels.cpu().numpy(), probs)}


class _State:
    """All that a run needs to continue: weights, optimizer, schedule, best weights so far, history."""

    def __init__(self, model, averaged, optimizer, schedule, scaler, history: History):
        self.model, self.averaged = model, averaged
        self.optimizer, self.schedule, self.scaler = optimizer, schedule, scaler
        self.history = history
        self.best: dict | None = None
        self.best_value = None
        self.waited = 0
        self.finished = False

    def update(self, row: dict, validated: bool) -> None:
        """Judge the epoch that has just ended."""
        recipe = self.history.recipe
        if not np.isfinite(row["loss"]):
            self.history.stopped, self.finished = "diverged", True
            warnings.warn(
                f"the loss became {row['loss']} in epoch {row['epoch']}: training stopped. "
                f"A lower learning rate than {recipe.lr:g} usually helps",
                stacklevel=3,
            )
        elif validated:
            value = row[recipe.monitor] if recipe.monitor == "val_loss" else -row[recipe.monitor]
            if self.best_value is None or value < self.best_value:
                self.best_value, self.waited = value, 0
                self.history.best_epoch = row["epoch"]
                if recipe.restore_best:
                    self.best = copy.deepcopy(self._judged().state_dict())
            else:
                self.waited += 1
            if recipe.early_stopping and self.waited >= recipe.early_stopping:
                self.history.stopped, self.finished = "early", True
        self.finished |= row["epoch"] >= recipe.epochs

    def _judged(self) -> nn.Module:
        """The network that was validated: the averaged one, where there is one."""
        return self.model if self.averaged is None else self.averaged.module

    def keep_final(self) -> None:
        """Put the weights that are to stay into the model."""
        if self.best is not None:
            self.model.load_state_dict(self.best)
        elif self.averaged is not None:
            self.model.load_state_dict(self.averaged.module.state_dict())

    def save(self, path: Path, fingerprint: str) -> None:
        write_torch(
            path,
            {
                "format": CHECKPOINT_FORMAT,
                "kind": "cxrlib training checkpoint",
                "data": fingerprint,
                "recipe": _plain(self.history.recipe.to_dict()),
                "epochs": self.history.epochs,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": {k: v for k, v in self.schedule.state_dict().items() if not callable(v)},
                "averaged": None if self.averaged is None else self.averaged.state_dict(),
                "scaler": self.scaler.state_dict(),
                "best": self.best,
                "best_value": self.best_value,
                "best_epoch": self.history.best_epoch,
                "waited": self.waited,
                "stopped": self.history.stopped,
                "finished": self.finished,
            },
        )

    def load(self, path: Path, fingerprint: str) -> None:
        remedy = "delete the file to start anew, or name another one (checkpoint=, or --out of `cxr train`)"
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            kind = type(error).__name__
            raise ValueError(f"{path} is not a readable training checkpoint ({kind}); {remedy}") from error
        if not isinstance(saved, dict) or str(saved.get("kind")) != "cxrlib training checkpoint":
            raise ValueError(f"{path} is not a training checkpoint of cxrlib.fit; {remedy}")
        damaged = f"{path} is damaged, or was written by another version; {remedy}"
        if not has_shape(saved, {"recipe": {}, "data": str}) or not _is_json(saved["recipe"]):
            raise ValueError(damaged)
        now = _plain(self.history.recipe.to_dict())
        then = _plain(Recipe().to_dict()) | saved["recipe"]  # a checkpoint may be older than a field
        if different := sorted(k for k in now if k != "about" and now[k] != then.get(k)):
            changes = "; ".join(f"{k} was {then.get(k)!r}, is {now[k]!r}" for k in different)
            raise ValueError(f"{path} was made with other settings ({changes[:400]}); {remedy}")
        if saved["data"] != fingerprint:
            raise ValueError(f"{path} was trained on other images than those given as train; {remedy}")
        if has_shape(saved, {"model": {}}) and not _fits(saved["model"], self.model.state_dict()):
            raise ValueError(f"{path} holds the weights of another architecture than this model; {remedy}")
        if not self._holds(saved):
            raise ValueError(damaged)
        try:
            self.model.load_state_dict(saved["model"])
            if self.averaged is not None:
                self.averaged.load_state_dict(saved["averaged"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.schedule.load_state_dict(saved["schedule"])
            self.scaler.load_state_dict(saved["scaler"])
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(damaged) from error
        self.best, self.best_value, self.waited = saved["best"], saved["best_value"], saved["waited"]
        self.finished = saved["finished"]
        h = self.history
        h.epochs[:] = saved["epochs"]
        h.best_epoch, h.stopped, h.resumed_at = saved["best_epoch"], saved["stopped"], len(saved["epochs"])

    def _holds(self, saved: dict) -> bool:
        """Whether all parts of a checkpoint are there, and such that this run can go on with them."""
        shape = {
            "model": {},
            "optimizer": {"state": {}, "param_groups": [{"lr": float, "params": [int]}]},
            "schedule": {},
            "scaler": {},
            "waited": int,
            "finished": bool,
            "stopped": str,
            "epochs": [{"epoch": int, "seconds": float, "images_per_second": float}],
        }
        if not has_shape(saved, shape) or not {"averaged", "best", "best_value", "best_epoch"} <= set(saved):
            return False
        if not all(_is_number(v) for row in saved["epochs"] for v in row.values()):
            return False
        if not all(saved[k] is None or _is_number(saved[k]) for k in ("best_value", "best_epoch")):
            return False
        if self.averaged is not None and not _fits(saved["averaged"], self.averaged.state_dict()):
            return False
        if saved["best"] is not None and not _fits(saved["best"], self.model.state_dict()):
            return False
        groups = zip(saved["optimizer"]["param_groups"], self.optimizer.param_groups, strict=False)
        pairs = [
            (saved["schedule"], self.schedule.state_dict()),
            (saved["scaler"], self.scaler.state_dict()),
            *((theirs, {k: v for k, v in ours.items() if k != "params"}) for theirs, ours in groups),
        ]
        if not all(_fits(theirs[k], ours[k]) for theirs, ours in pairs for k in theirs.keys() & ours.keys()):
            return False
        params = [p for group in self.optimizer.param_groups for p in group["params"]]
        parts = {"sgd": {"momentum_buffer"}}.get(self.history.recipe.optimizer, {"step", "exp_avg", "exp_avg_sq"})
        return all(
            number in range(len(params))
            and isinstance(state, dict)
            and parts <= set(state)
            and all(
                _is_number(v) or v is None or (is_dense(v) and v.shape in ((), params[number].shape))
                for v in state.values()
            )
            for number, state in saved["optimizer"]["state"].items()
        )


def _is_number(value) -> bool:
    return isinstance(value, int | float)


def _is_json(value) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _fits(theirs, ours) -> bool:
    """Whether a part of a checkpoint has the kind and the shape of this run's own."""
    if isinstance(ours, torch.Tensor):
        return is_dense(theirs) and theirs.shape == ours.shape
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and set(theirs) == set(ours) and all(_fits(theirs[k], ours[k]) for k in ours)
    if isinstance(ours, list | tuple):
        return isinstance(theirs, list | tuple) and len(theirs) == len(ours) and all(map(_fits, theirs, ours))
    if isinstance(ours, int | float) and not isinstance(ours, bool):
        return _is_number(theirs)
    return type(theirs) is type(ours)


def _plain(value):
    """Tuples become lists, as they do in JSON, so that a recipe compares equal to its saved form."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


class _LiveCurve:
    """A learning curve that is redrawn after every epoch while a notebook cell runs."""

    def __init__(self, enabled: bool):
        self.handle = None
        self.enabled = enabled and _in_notebook() and not os.environ.get("TQDM_DISABLE")

    def update(self, history: History) -> None:
        if not self.enabled or len(history.epochs) < 2:
            return
        from IPython.display import HTML, display

        content = HTML(history.plot().to_html())
        if self.handle is None:
            self.handle = display(content, display_id=True)
        else:
            self.handle.update(content)

    def clear(self) -> None:
        # The History shows the final curve; two of them in one cell would be one too many.
        if self.handle is not None:
            from IPython.display import HTML

            self.handle.update(HTML(""))


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None
