"""fit: a plain PyTorch training loop, on Hugging Face Accelerate so that it also runs on several devices.

One epoch is a pure function of the state at its start, the seed and its number: the order of the images, their
augmentation and the dropout are all drawn from (seed, epoch). That is why a run that was killed and resumed ends
with the same weights as one that was not.
"""

from __future__ import annotations

import copy
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from .attend import Attention
from .device import autocast_dtype, describe, memory_layout, processes_started
from .files import write_torch
from .history import History, LiveCurve
from .models import CxrNet, freeze
from .multilabel import JOIN, targets, to_probabilities
from .optimize import class_weights, make_optimizer, make_schedule, moving_average, undefined
from .progress import bar as progress_bar
from .ranking import auc_of
from .recipe import Recipe
from .validate import short

if TYPE_CHECKING:
    from .data import CxrDataset

CHECKPOINT_FORMAT = 2


def fit(
    model: CxrNet, train: CxrDataset, val: CxrDataset | None = None, recipe: Recipe | None = None, *,
    checkpoint: str | Path | None = None, progress: bool = True, **changes,
) -> History:  # fmt: skip
    """Train ``model`` in place and return its :class:`History`.

    Processes that ``torchrun`` or ``accelerate launch`` has started divide each batch: same steps, learning rates and
    images per step. Batch norm, dropout and augmentation see the part of their process, so the numbers differ a little.
    Ctrl-C (or the notebook's stop button) ends the training early and returns what there is. The global random state of
    torch is left as it was. Raises ValueError where data, model, recipe and checkpoint do not belong together; a class
    without images is a warning.

    Parameters
    ----------
    model : CxrNet
        From ``build(recipe, classes)`` or ``build_model``: images (B, 1, H, W) in [0, 1] -> logits (B, K).
    train, val : CxrDataset
        Without ``val`` nothing is monitored and the last weights are kept.
    recipe : Recipe, optional
        A recipe's ``model``, ``model_options``, ``trainable`` and ``size`` describe how ``model`` and the data were
        made: ``build(recipe, classes)`` makes the model.
    checkpoint : path, optional
        It is written after every epoch (atomically); when it exists the run continues from it. The head's own epochs
        (``recipe.head_epochs``) have another one beside it.
    progress : bool
        Show a progress bar and, in a notebook, a live curve.
    **changes
        Fields of the recipe to change: ``epochs=3, lr=1e-4``.
    """
    recipe = (recipe or Recipe()).replace(**changes)
    _check(model, train, val, recipe)
    checkpoint = None if checkpoint is None else Path(checkpoint)
    with torch.random.fork_rng():
        attention = Attention(model, train, recipe, progress) if recipe.attend else None
        parts = model, train, val, attention
        head = _train_head(*parts, recipe, checkpoint, progress) if recipe.head_epochs else None
        training = _Training(*parts, recipe, head.epochs if head else [])
        if head and head.stopped in ("interrupted", "diverged"):
            training.history.stopped = head.stopped
            return training.history
        return training.run(checkpoint, progress)


def _train_head(
    model: CxrNet, train: CxrDataset, val: CxrDataset | None, attention: Attention | None, recipe: Recipe,
    checkpoint: Path | None, progress: bool,
) -> History:  # fmt: skip
    """Train the head alone for its epochs; afterwards the same layers are trainable as before."""
    flags = [(p, p.requires_grad) for p in model.parameters()]
    frozen = {name: model.config[name] for name in ("freeze", "freeze_norms")}
    freeze(model, "all")
    first = recipe.replace(
        head_epochs=0, trainable="head", freeze_norms=False, epochs=recipe.head_epochs, lr=recipe.head_lr,
        schedule="constant", schedule_options={}, early_stopping=None,
    )  # fmt: skip
    try:
        training = _Training(model, train, val, attention, first, [])
        return training.run(checkpoint and checkpoint.with_name(f"{checkpoint.stem}-head{checkpoint.suffix}"), progress)
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        model.config |= frozen


def _check(model: CxrNet, train: CxrDataset, val: CxrDataset | None, recipe: Recipe) -> None:
    """Refuse what cannot be trained; say which class has no images where."""
    for name, data, use, means in (
        ("train", train, "train", "the network cannot learn it"),
        ("val", val, "validate", "nothing can be said about it there"),
    ):
        if data is None:
            continue
        if len(data) == 0:
            raise ValueError(f"{name} is empty: there are no images to {use} on")
        known = train.classes if model.multilabel else model.classes
        if tuple(known) != tuple(data.classes):
            known = f"the model was built for the classes {list(known)}, {name} has {list(data.classes)}"
            raise ValueError(f"{known}: build it with build(recipe, {name}.classes)")
        there = targets(model, data.classes)[data.labels].any(0)
        if missing := [c for c, some in zip(model.classes, there, strict=True) if not some]:
            warnings.warn(f"{name} has no image of {', '.join(missing)}: {means}", stacklevel=3)
    if model.multilabel and (other := [name for name in ("class_weights", "attend") if getattr(recipe, name)]):
        raise ValueError(f"recipe: {other[0]} is for mutually exclusive classes: leave it out for findings")
    if not model.multilabel and (joined := [name for name in model.classes if JOIN in name]):
        remedy = 'model_options={"multilabel": True} (--multilabel of `cxr train`) has one output per finding'
        warnings.warn(f"{', '.join(joined)} is learned as a class of its own; {remedy}", stacklevel=3)
    if recipe.trainable != "all" or recipe.freeze_norms:
        asked = {"head": "all", "all": model.config["freeze"]}.get(recipe.trainable, recipe.trainable)
        if (model.config["freeze"], model.config["freeze_norms"]) != (asked, recipe.freeze_norms):
            part = f"a part of the network (trainable={recipe.trainable!r}, freeze_norms={recipe.freeze_norms})"
            remedy = "build(recipe, classes) makes it; fit(..., trainable='all', freeze_norms=False) takes it as it is"
            raise ValueError(f"the recipe trains only {part}, but the model is not frozen so: {remedy}")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("every parameter of the model is frozen: there is nothing to train; unfreeze(model) first")
    if val is None and (recipe.early_stopping or recipe.monitor != "val_loss"):
        raise ValueError("the recipe monitors a validation value, but val is missing: fit(model, train, val, ...)")
    if undefined(recipe, val, targets(model, train.classes)):
        follows = 'the weights of the last epoch are kept, and training does not stop early; a "plateau" keeps its '
        follows += "learning rate. Take another monitor, other class_weights, or validation images of every class"
        warnings.warn(f"{recipe.monitor} is undefined on these validation images: {follows}", stacklevel=3)


class _Training:
    """One run of the loop: the network, its data, and all that changes from epoch to epoch."""

    def __init__(
        self, model: CxrNet, train: CxrDataset, val: CxrDataset | None, attention: Attention | None, recipe: Recipe,
        head: list,
    ) -> None:  # fmt: skip
        from accelerate import Accelerator, DataLoaderConfiguration  # takes half a second to import

        # the recipe's batch is divided among the processes, and the recipe alone says in which numbers to compute
        started, divided = processes_started(), DataLoaderConfiguration(split_batches=True)
        on_cpu = started > 1 and not torch.cuda.is_available()
        self.accelerator = Accelerator(mixed_precision="no", dataloader_config=divided, cpu=on_cpu)
        self.device, self.processes = self.accelerator.device, self.accelerator.num_processes
        if self.processes != started:
            found = f"{started} processes train together, but only {self.processes} can find each other"
            raise ValueError(f"WORLD_SIZE says that {found}: start them with torchrun or accelerate launch")
        self.model, self.train, self.val, self.attention, self.recipe = model, train, val, attention, recipe
        self.dtype, self.layout = autocast_dtype(recipe.precision, self.device), memory_layout(self.device)
        model.to(device=self.device, memory_format=self.layout)
        self.batch = _batch_size(recipe, len(train), self.processes)
        self.steps = len(train) // self.batch  # of one epoch
        self.optimizer = make_optimizer(model, recipe)
        self.schedule = make_schedule(self.optimizer, recipe, self.steps)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)
        self.targets = torch.from_numpy(targets(model, train.classes)).to(self.device, torch.float32)
        weights = class_weights(recipe.class_weights, train)
        self.weights = None if weights is None else weights.to(self.device)
        self.averaged = moving_average(model, recipe.ema_decay)
        self.judged = model if self.averaged is None else self.averaged.module  # what is validated and kept
        self.history = History(recipe, hardware=describe(self.device) | {"processes": self.processes}, head=head)
        self.best = self.best_value = None  # the weights of the best epoch, and what it was judged by
        self.waited, self.finished = 0, False  # epochs without an improvement; whether to stop

    def run(self, checkpoint: Path | None, progress: bool) -> History:
        """Train until the recipe's end, from where the checkpoint is."""
        recipe, history, accelerator = self.recipe, self.history, self.accelerator
        if checkpoint is not None and checkpoint.exists():
            self.load(checkpoint)
        done = _same_everywhere(len(history.epochs)) * self.steps
        self.net = accelerator.prepare(self.model)
        show = progress and accelerator.is_main_process
        bar = progress_bar(total=recipe.epochs * self.steps, initial=done, desc=recipe.model, unit="step", show=show)
        live = LiveCurve(enabled=show)
        try:
            if self.attention is not None:
                self.attention.open()
            while not self.finished:
                epoch = len(history.epochs) + 1
                start, cpu_start = time.perf_counter(), time.process_time()
                row, speed = self.train_epoch(epoch, bar)
                if self.val is not None:
                    row |= self.validate()
                row |= {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu_start}
                row["images_per_second"] = speed
                history.epochs.append(row)
                self.judge(row)
                if checkpoint is not None and accelerator.is_main_process:
                    self.save(checkpoint)
                shown = {k: f"{row[k]:.3f}" for k in ("loss", "val_loss", "val_accuracy") if k in row}
                bar.set_postfix(shown, epoch=epoch)
                live.update(history)
            history.stopped = history.stopped or "finished"
        except KeyboardInterrupt:
            history.stopped, epoch = "interrupted", len(history.epochs) + 1
            warnings.warn(f"training was interrupted in epoch {epoch}; returning what there is", stacklevel=4)
        finally:
            bar.close()
            live.clear()
            if self.attention is not None:
                self.attention.close()
            self.model.load_state_dict(self.best or self.judged.state_dict())
            self.model.eval()
            if self.device.type != "cpu" or self.processes > 1:  # it collects garbage, which can outlast a short run
                accelerator.free_memory()
        return history

    def batches(self, data: CxrDataset, batch: int, **options: object) -> DataLoader:
        """Make the loader of (images, labels) for this process; ``__getitems__`` makes tensors of a whole batch."""
        return self.accelerator.prepare(DataLoader(data, batch, collate_fn=lambda made: made, **options))

    def train_epoch(self, epoch: int, bar: object) -> tuple[dict, float]:
        """Show the network every training image once; return the epoch's row, and images per second."""
        recipe = self.recipe
        seed = int(np.random.SeedSequence([recipe.seed, epoch]).generate_state(1)[0])
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(seed)).tolist()
        shown = self.train if self.attention is None else self.attention
        batches = self.batches(shown, self.batch, sampler=order, drop_last=True)
        seed += self.accelerator.process_index
        torch.manual_seed(seed)  # dropout
        generator = torch.Generator().manual_seed(seed)  # augmentation
        start = time.perf_counter()
        self.model.train()
        # filled in place: small tensors kept from every step would lie between large ones, and memory would grow
        losses, hits, seen = torch.empty(self.steps, device=self.device), 0.0, 0
        outside = torch.zeros(2, self.steps, device=self.device)  # fractions of maps, and how many
        for step, (images, labels, *masks) in enumerate(batches):
            x = images.to(dtype=torch.float32).div_(255)
            y = self.targets[labels]
            if recipe.augment is not None:
                x, y, *masks = recipe.augment(x, y, generator, *masks)
            logits = self.forward(self.net, x)
            loss = penalized = self.loss(logits, y)
            if self.attention is not None:
                outside[0, step], outside[1, step], penalty = self.attention.penalty(y, *masks)
                penalized = loss + penalty
            self.optimizer.zero_grad(set_to_none=True)
            self.accelerator.backward(self.scaler.scale(penalized))
            self.scaler.step(self.optimizer)
            self.scaler.update()
            if self.averaged is not None:
                self.averaged.update_parameters(self.model)
            if recipe.schedule in ("cyclic", "onecycle", "cosine"):
                self.schedule.step()
            losses[step] = loss.detach()
            hits += self.right(logits, y).sum()
            seen += len(y)
            bar.update()
            if step % 10 == 9:
                bar.set_postfix(epoch=epoch, loss=f"{loss.item():.3f}", refresh=False)
        seconds = time.perf_counter() - start
        totals = [float(losses.sum()), float(hits), seen, len(losses), *outside.sum(1).tolist()]
        totals = torch.tensor(totals, device=self.device)
        loss, hits, seen, steps, outside, looked = self.accelerator.reduce(totals, "sum").tolist()
        lr = float(self.optimizer.param_groups[0]["lr"])
        row = {"epoch": epoch, "lr": lr, "loss": loss / steps, "accuracy": hits / seen}
        if self.attention is not None:
            row["outside"] = outside / looked if looked else float("nan")
        return row, seen / seconds

    @torch.no_grad()
    def validate(self) -> dict:
        """Loss, accuracy and AUC on the validation images; an AUC that is undefined is NaN."""
        from accelerate.utils import broadcast

        net = self.net if self.averaged is None else self.averaged
        if self.averaged is not None and self.processes > 1:  # each has seen its own images' batch statistics
            broadcast(list(self.averaged.module.buffers()))
        batch = -(-max(self.recipe.batch_size, 64) // self.processes) * self.processes
        net.eval()
        found = []
        for images, labels in self.batches(self.val, batch):
            logits = self.forward(net, images.to(dtype=torch.float32).div_(255)).float()
            found.append(self.accelerator.gather_for_metrics((logits, labels)))
        logits, labels = (torch.cat(part) for part in zip(*found, strict=True))
        y = self.targets[labels]
        loss = self.loss(logits, y)
        if self.weights is not None and not self.weights[labels].any():  # 0 would be the best value of all
            loss = torch.full_like(loss, torch.nan)
        probs = to_probabilities(self.model, logits.double()).cpu().numpy()
        auc = auc_of((y if self.model.multilabel else labels).cpu().numpy(), probs)
        return {"val_loss": loss.item(), "val_accuracy": self.right(logits, y).float().mean().item(), "val_auc": auc}

    def right(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Say which images (B,) get the right answer: the class, or all findings, each decided at 0.5."""
        if self.model.multilabel:
            return ((logits > 0) == (y > 0.5)).all(1)
        return logits.argmax(1) == y.argmax(1)

    def forward(self, net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) in the recipe's precision."""
        try:
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
                return net(x.contiguous(memory_format=self.layout))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            problem = f"a batch of {len(x)} image gives batch norm a single value per channel, which has no variance"
            remedy = "take a batch_size of at least 2 per process (--batch-size of `cxr train`), or freeze batch norms"
            raise ValueError(f"{problem}: {remedy}") from error

    def loss(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Cross-entropy with the recipe's class weights and label smoothing; of findings, the mean of binary ones."""
        smoothing = self.recipe.label_smoothing
        if self.model.multilabel:
            return nn.functional.binary_cross_entropy_with_logits(logits.float(), y * (1 - smoothing) + smoothing / 2)
        return nn.functional.cross_entropy(logits.float(), y, weight=self.weights, label_smoothing=smoothing)

    def judge(self, row: dict) -> None:
        """Compare the epoch that has just ended with the best. An undefined value is neither better nor worse."""
        recipe, history = self.recipe, self.history
        value = row.get(recipe.monitor, float("nan"))
        watched = row["loss"] if self.val is None else value
        if recipe.schedule == "plateau" and not np.isnan(watched):
            self.schedule.step(watched)
        if not np.isfinite(row["loss"]):
            history.stopped, self.finished = "diverged", True
            ended = f"the loss became {row['loss']} in epoch {row['epoch']}: training stopped"
            warnings.warn(f"{ended}. A lower learning rate than {recipe.lr:g} usually helps", stacklevel=5)
        elif not np.isnan(value):
            value = value if recipe.monitor == "val_loss" else -value
            if self.best_value is None or value < self.best_value:
                self.best_value, self.waited, history.best_epoch = value, 0, row["epoch"]
                if recipe.restore_best:
                    self.best = copy.deepcopy(self.judged.state_dict())
            else:
                self.waited += 1
            if recipe.early_stopping and self.waited >= recipe.early_stopping:
                history.stopped, self.finished = "early", True
        self.finished |= row["epoch"] >= recipe.epochs

    def parts(self) -> dict:
        """Give what has a state that a checkpoint keeps."""
        names = ("model", "optimizer", "schedule", "scaler", "averaged")
        return {name: part for name in names if (part := getattr(self, name)) is not None}

    def save(self, path: Path) -> None:
        """Write all that this run needs to continue."""
        content = {name: part.state_dict() for name, part in self.parts().items()}
        content["schedule"] = {k: v for k, v in content["schedule"].items() if not callable(v)}
        content |= {name: getattr(self, name) for name in ("best", "best_value", "waited", "finished")}
        content["history"] = {name: getattr(self.history, name) for name in ("epochs", "best_epoch", "stopped")}
        about = {"format": CHECKPOINT_FORMAT, "recipe": self.recipe.to_dict(), "data": self.train.fingerprint}
        write_torch(path, about | content)

    def load(self, path: Path) -> None:
        """Continue from what ``save`` wrote. Raises ValueError for anything else, or another run's."""
        remedy = "delete the file to start anew, or name another one (checkpoint=, or --out of `cxr train`)"
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            if saved["format"] != CHECKPOINT_FORMAT:
                raise ValueError("another format")
            now, then, data = self.recipe.to_dict(), saved["recipe"], saved["data"]
            different = sorted(k for k in now if k not in ("about", "tta") and now[k] != then.get(k))
        except Exception as error:  # torch raises many kinds for a damaged or foreign file
            reason = f"of this version of cxrlib, or it is damaged ({type(error).__name__})"
            raise ValueError(f"{path} is not a training checkpoint {reason}; {remedy}") from error
        if different:
            changes = "; ".join(f"{k} was {then.get(k)!r}, is {now[k]!r}" for k in different)
            raise ValueError(f"{path} was made with other settings ({changes[:400]}); {remedy}")
        if data != self.train.fingerprint:
            raise ValueError(f"{path} was trained on other images than those given as train; {remedy}")
        try:
            for name, part in self.parts().items():
                part.load_state_dict(saved[name])
            for name in ("best", "best_value", "waited", "finished"):
                setattr(self, name, saved[name])
            for name, value in saved["history"].items():
                setattr(self.history, name, value)
            self.history.resumed_at = len(self.history.epochs)
        except Exception as error:
            raise ValueError(f"{path} does not fit this network, or it is damaged ({error}); {remedy}") from error


def _batch_size(recipe: Recipe, images: int, processes: int) -> int:
    """Images per step, over all processes together."""
    if recipe.batch_size % processes:
        remedy = f"take a batch_size that {processes} divides (--batch-size of `cxr train`)"
        problem = f"a batch of {recipe.batch_size} images cannot be shared by {processes} processes"
        raise ValueError(f"recipe: {problem}; {remedy}")
    if images < processes:
        raise ValueError(f"there are only {images} images to train on, fewer than the {processes} processes")
    return min(recipe.batch_size, images - images % processes)


def _same_everywhere(epochs: int) -> int:
    """Return the number of finished epochs, which must agree: processes would wait for each other forever."""
    from accelerate.utils import gather_object

    found = gather_object([epochs])
    if len(set(found)) > 1:
        where = "the checkpoint must lie in a folder that all of them share"
        raise ValueError(f"the processes continue after different epochs ({short(found)}): {where}")
    return epochs
