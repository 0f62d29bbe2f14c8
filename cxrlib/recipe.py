"""Recipes: every decision of an experiment in one place, as data.

``recipes["baseline"]`` is a :class:`Recipe`; ``recipes["baseline"].replace(lr=1e-4)`` is the same with one change.
"""

from __future__ import annotations

import math
import reprlib
from dataclasses import asdict, dataclass, field, fields
from dataclasses import replace as replace_fields
from numbers import Integral, Real

import numpy as np

from .augment import Augment

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "plateau", "cyclic", "onecycle", "cosine")
PRECISIONS = ("auto", "bf16", "fp16", "fp32")


def short(value) -> str:
    """A value for a message: as Python shows it, but not endless."""
    return reprlib.repr(value)


def _is_number(value, low: float, high: float = math.inf) -> bool:
    """Whether low <= value < high, and it is a finite number."""
    return isinstance(value, Real) and not isinstance(value, bool) and low <= value < high and value < 1e300


def _is_whole(value, low: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and low <= value < 2**63


@dataclass(frozen=True)
class Recipe:
    """How a model is built and trained.

    Parameters
    ----------
    model, model_options : the name and the options given to ``build_model``.
    trainable : how much of the network learns: "all"; "head" (the body is frozen); or k, the head and the last k layers
        of the body, see ``freeze``. ``experiment.build`` applies it; ``fit`` refuses a model that disagrees.
    freeze_norms : keep the batch norms of the body as they are, above the cut too.
    head_epochs, head_lr : so many epochs first in which only the head learns, at this rate. A new head sends random
        gradients into weights that were good; then come the ``epochs``.
    size : image height and width in pixels.
    epochs, batch_size : passes over the training images; images in one step.
    optimizer : "adam", "adamw" or "sgd" (with momentum 0.9).
    lr, weight_decay : the learning rate (for "cyclic" and "onecycle" its maximum) and the weight decay.
    schedule : "constant"; "plateau" (ReduceLROnPlateau on the monitored value); "cyclic" (triangular, Smith 2017);
        "onecycle" (Smith and Topin 2018); "cosine" (Loshchilov and Hutter 2017, one half wave).
    schedule_options : options of the schedule: plateau ``factor``, ``patience``, ``min_lr``; cyclic ``base_lr``,
        ``step_epochs``; onecycle ``pct_start``, ``div_factor``; cosine ``min_lr``.
    early_stopping : stop after so many epochs without an improvement of ``monitor``; None never stops.
    ema_decay : 0, or the decay of an exponential moving average of the weights over the steps (Polyak averaging; 0.995
        looks back some 200 steps). Then it is the averaged network that is validated and kept.
    monitor : "val_loss", "val_accuracy" or "val_auc".
    restore_best : at the end, return to the weights of the best epoch by ``monitor``.
    class_weights : None, "balanced" (inverse to the class counts), or one number a class.
    label_smoothing : share of the target spread over all classes, 0 to 1 (Szegedy et al. 2016).
    augment : an ``Augment`` or None.
    tta : test-time augmentation: which views of an image are averaged when the trained network is scored, see
        ``ensemble.predict_views``. Training and its validation look at the image as it is.
    precision : "auto" (bf16 where the device gains from it), "bf16", "fp16" (CUDA only) or "fp32".
    seed : of the initial weights (through ``build_model``), the image order, the augmentation and dropout.
    about : one sentence for people.
    """

    model: str = "cnn5"
    model_options: dict = field(default_factory=dict)
    trainable: str | int = "all"
    freeze_norms: bool = False
    head_epochs: int = 0
    head_lr: float = 1e-3
    size: int = 128
    epochs: int = 8
    batch_size: int = 32
    optimizer: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: str = "constant"
    schedule_options: dict = field(default_factory=dict)
    early_stopping: int | None = None
    ema_decay: float = 0.0
    monitor: str = "val_loss"
    restore_best: bool = True
    class_weights: str | tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    augment: Augment | None = None
    tta: tuple[str, ...] = ()
    precision: str = "auto"
    seed: int = 0
    about: str = ""

    def __post_init__(self):
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("monitor", ("val_loss", "val_accuracy", "val_auc")),
        ):
            self._require(name, getattr(self, name) in allowed, f"is not one of {', '.join(allowed)}")
        for name in ("model", "about"):
            self._require(name, isinstance(getattr(self, name), str), "must be text")
        for name in ("model_options", "schedule_options"):
            value = getattr(self, name)
            self._require(
                name,
                isinstance(value, dict) and all(isinstance(key, str) for key in value),
                "must be a dictionary of options",
            )
        for name, least in (("epochs", 1), ("batch_size", 1), ("size", 1), ("head_epochs", 0), ("seed", 0)):
            self._require(name, _is_whole(getattr(self, name), least), f"must be a whole number, {least} or more")
        self._require(
            "trainable",
            self.trainable in ("all", "head") or _is_whole(self.trainable, 1),
            'must be "all", "head" or the number of top layers of the body that learn (at least 1)',
        )
        for name in ("lr", "head_lr"):
            value = getattr(self, name)
            self._require(name, _is_number(value, 0) and value > 0, "must be a number above 0")
        self._require("weight_decay", _is_number(self.weight_decay, 0), "must be a number, 0 or more")
        for name in ("label_smoothing", "ema_decay"):
            self._require(name, _is_number(getattr(self, name), 0, 1), "must be a number in [0, 1)")
        self._require(
            "early_stopping",
            self.early_stopping is None or _is_whole(self.early_stopping, 1),
            "must be a whole number of epochs, at least 1, or None",
        )
        weights = self.class_weights
        self._require(
            "class_weights",
            weights is None
            or (isinstance(weights, str) and weights == "balanced")
            or (
                isinstance(weights, list | tuple | np.ndarray)
                and all(_is_number(w, 0) for w in weights)
                and any(weights)
            ),
            'must be None, "balanced" or one number for each class, 0 or more and not all 0',
        )
        self._require("augment", isinstance(self.augment, Augment | None), "must be an Augment or None")
        self._require(
            "tta",
            isinstance(self.tta, list | tuple) and all(isinstance(view, str) or callable(view) for view in self.tta),
            "must be a list of views",
        )

    def _require(self, name: str, right: bool, what: str) -> None:
        if not right:
            raise ValueError(f"recipe: {name} {what}, got {short(getattr(self, name))}")

    def replace(self, **changes) -> Recipe:
        """This recipe with some fields changed."""
        known = {f.name for f in fields(self)}
        if unknown := set(changes) - known:
            raise ValueError(f"recipe: unknown field {sorted(unknown)}; fields are {', '.join(sorted(known))}")
        return replace_fields(self, **changes)

    def to_dict(self) -> dict:
        """Plain values only, for JSON."""
        return asdict(self)


def _layout(layers: str, about: str, **changes) -> Recipe:
    options = {"filters": (64, 128), "hidden": 128, "dropout": 0.3}
    return Recipe(model=layers, model_options=options, lr=1e-4, size=48, about=about).replace(**changes)


#: The course's named recipes.
recipes: dict[str, Recipe] = {
    "baseline": Recipe(about="The five-layer CNN, no augmentation."),
    "augmented": Recipe(
        model="resnet18",
        model_options={"normalize": "image"},
        epochs=10,
        lr=2e-3,
        optimizer="adamw",
        weight_decay=0.05,
        schedule="onecycle",
        monitor="val_auc",
        augment=Augment(
            flip=0.5, rotate=10, shift=0.06, zoom=0.12, brightness=0.15, contrast=0.25, gamma=0.3, noise=0.02, blur=0.8
        ),
        about="ResNet-18 from scratch with augmentation of geometry and exposure.",
    ),
    "best": Recipe(
        model="efficientnet_lite0",
        model_options={"pretrained": True, "normalize": "image", "head_dropout": 0.2},
        size=160,
        epochs=8,
        lr=5e-4,
        optimizer="adamw",
        weight_decay=0.05,
        schedule="onecycle",
        ema_decay=0.995,
        restore_best=False,
        class_weights="balanced",
        augment=Augment(
            flip=0.5,
            rotate=15,
            shift=0.08,
            zoom=0.2,
            brightness=0.2,
            contrast=0.4,
            gamma=0.5,
            noise=0.03,
            blur=1.2,
            mixup=0.2,
        ),
        tta=("identity", "flip", "shift-left", "shift-right", "shift-up", "shift-down"),
        precision="fp32",
        about="EfficientNet-Lite0, fine-tuned with strong augmentation, mixup and averaged weights; six views scored.",
    ),
    **{
        f"layers-{s}": _layout(s, "One of the five layer orders of the layer-order comparison.")
        for s in ("CCPCCPFDD", "CPCPCPCPFDD", "CPCPCCFDD", "CCPFDD", "CPCFDD")
    },
    **{
        f"lr-{name}": _layout("CPCFDD", "The learning-rate comparison.", lr=lr)
        for name, lr in (("1e-3", 1e-3), ("1e-4", 1e-4), ("1e-5", 1e-5), ("1e-6", 1e-6))
    },
}
