"""Recipes: every decision of an experiment in one place, as data.

``recipes["baseline"]`` is a :class:`Recipe`; ``recipes["baseline"].but(lr=1e-4)`` is the same with one change.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace

from .augment import Augment

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "plateau", "cyclic", "onecycle", "cosine")
PRECISIONS = ("auto", "bf16", "fp16", "fp32")


@dataclass(frozen=True)
class Recipe:
    """How a model is built and trained.

    Parameters
    ----------
    model, model_options : the name and the options given to ``build_model``.
    size : image height and width in pixels.
    epochs, batch_size : passes over the training images; images in one step.
    optimizer : "adam", "adamw" or "sgd" (with momentum 0.9).
    lr, weight_decay : the learning rate (for "cyclic" and "onecycle" its maximum) and the weight decay.
    schedule : "constant"; "plateau" (ReduceLROnPlateau on the monitored value); "cyclic" (triangular, Smith 2017);
        "onecycle" (Smith and Topin 2018); "cosine" (Loshchilov and Hutter 2017, one half wave).
    schedule_options : options of the schedule: plateau ``factor``, ``patience``, ``min_lr``; cyclic ``base_lr``,
        ``step_epochs``; onecycle ``pct_start``, ``div_factor``; cosine ``min_lr``.
    early_stopping : stop after so many epochs without an improvement of ``monitor``; None never stops.
    monitor : "val_loss", "val_accuracy" or "val_auc".
    restore_best : at the end, return to the weights of the best epoch by ``monitor``.
    class_weights : None, "balanced" (inverse to the class counts), or one number a class.
    label_smoothing : share of the target spread over all classes, 0 to 1 (Szegedy et al. 2016).
    augment : an ``Augment`` or None.
    precision : "auto" (bf16 where the device gains from it), "bf16", "fp16" (CUDA only) or "fp32".
    seed : of the initial weights (through ``build_model``), the image order, the augmentation and dropout.
    about : one sentence for people.
    """

    model: str = "cnn5"
    model_options: dict = field(default_factory=dict)
    size: int = 128
    epochs: int = 8
    batch_size: int = 32
    optimizer: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: str = "constant"
    schedule_options: dict = field(default_factory=dict)
    early_stopping: int | None = None
    monitor: str = "val_loss"
    restore_best: bool = True
    class_weights: str | tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    augment: Augment | None = None
    precision: str = "auto"
    seed: int = 0
    about: str = ""

    def __post_init__(self):
        for name, allowed in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS),
                              ("monitor", ("val_loss", "val_accuracy", "val_auc"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"recipe: {name}={getattr(self, name)!r} is not one of {', '.join(allowed)}")
        for name in ("epochs", "batch_size", "size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"recipe: {name} must be a whole number of at least 1, got {value!r}")
        if not self.lr > 0:
            raise ValueError(f"recipe: lr must be above 0, got {self.lr!r}")
        if not self.weight_decay >= 0:
            raise ValueError(f"recipe: weight_decay must be 0 or more, got {self.weight_decay!r}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"recipe: label_smoothing must be in [0, 1), got {self.label_smoothing!r}")
        if self.early_stopping is not None and self.early_stopping < 1:
            raise ValueError(f"recipe: early_stopping must be at least 1 epoch or None, got {self.early_stopping!r}")
        if isinstance(self.class_weights, str) and self.class_weights != "balanced":
            raise ValueError(f'recipe: class_weights must be None, "balanced" or numbers, got {self.class_weights!r}')

    def but(self, **changes) -> Recipe:
        """This recipe with some fields changed."""
        known = {f.name for f in fields(self)}
        if unknown := set(changes) - known:
            raise ValueError(f"recipe: unknown field {sorted(unknown)}; fields are {', '.join(sorted(known))}")
        return replace(self, **changes)

    def to_dict(self) -> dict:
        """Plain values only, for JSON."""
        return asdict(self)


def _layout(layers: str, about: str, **changes) -> Recipe:
    options = {"filters": (64, 128), "hidden": 128, "dropout": 0.3}
    return Recipe(model=layers, model_options=options, lr=1e-4, size=64, about=about).but(**changes)


#: The course's named recipes.
recipes: dict[str, Recipe] = {
    "baseline": Recipe(about="The five-layer CNN, no augmentation."),
    "augmented": Recipe(
        model="resnet18", model_options={"normalize": "image"}, epochs=10, lr=2e-3, optimizer="adamw",
        weight_decay=0.05, schedule="onecycle", monitor="val_auc",
        augment=Augment(flip=0.5, rotate=10, shift=0.06, zoom=0.12, brightness=0.15, contrast=0.25, gamma=0.3,
                        noise=0.02, blur=0.8),
        about="ResNet-18 from scratch with augmentation of geometry and exposure."),
    **{f"layers-{s}": _layout(s, "One of the five layer orders of the layer-order comparison.")
       for s in ("CCPCCPFDD", "CPCPCPCPFDD", "CPCPCCFDD", "CCPFDD", "CPCFDD")},
    **{f"lr-{name}": _layout("CPCFDD", "The learning-rate comparison.", lr=lr)
       for name, lr in (("1e-3", 1e-3), ("1e-4", 1e-4), ("1e-5", 1e-5), ("1e-6", 1e-6))},
}
