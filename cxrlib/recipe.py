"""Recipes: every decision of an experiment in one place, as data; and ``build``, from a recipe to its network.

``recipes["baseline"]`` is a :class:`Recipe`; ``recipes["baseline"].replace(lr=1e-4)`` is the same with one change.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import partial

import numpy as np

from ._predict import VIEWS
from .augment import Augment
from .models import CxrNet, build_model, freeze, leaves
from .optimize import SCHEDULE_OPTIONS
from .validate import number, one_of, several, short, whole
from .values import plain

_CHECKS = {
    "optimizer": partial(one_of, allowed=("adam", "adamw", "sgd")),
    "schedule": partial(one_of, allowed=SCHEDULE_OPTIONS),
    "precision": partial(one_of, allowed=("auto", "bf16", "fp16", "fp32")),
    "monitor": partial(one_of, allowed=("val_loss", "val_accuracy", "val_auc")),
    **dict.fromkeys(("epochs", "batch_size", "size"), partial(whole, low=1)),
    **dict.fromkeys(("head_epochs", "seed"), whole),
    **dict.fromkeys(("lr", "head_lr"), partial(number, low=0, open_low=True)),
    **dict.fromkeys(("weight_decay", "crop_margin", "attend_weight"), partial(number, low=0)),
    **dict.fromkeys(("label_smoothing", "ema_decay"), partial(number, low=0, high=1, open_high=True)),
}  # fmt: skip
MODEL_OPTIONS = sorted({*inspect.signature(build_model).parameters} - {"name", "classes", "size", "seed"})


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained.

    Parameters
    ----------
    model, model_options : str, dict
        The name and the options for ``build_model``.
    trainable : {"all", "head"} or int
        How much of the network learns: all of it, the head (the body is frozen), or the head and the last k layers of
        the body, see ``freeze``. ``build`` applies it, and ``fit`` refuses a network in which another part is frozen;
        "all" takes any network as it is.
    freeze_norms : bool
        Freeze the batch norms of the whole body, those above the frozen layers too.
    head_epochs, head_lr : int, float
        Epochs that train the head alone, before the ``epochs`` begin, and their learning rate: a new head
        sends random gradients into weights that were good.
    size : int
        Image height and width in pixels.
    crop, crop_margin : {"lungs"}, optional, and float
        Cut each image to the box around its lungs before the network sees it, see ``crop_to_lungs``.
    epochs, batch_size : int
        Passes over the training images; images per step.
    optimizer : {"adam", "adamw", "sgd"}
        sgd has momentum 0.9.
    lr, weight_decay : float
        The learning rate (for "cyclic" and "onecycle" its maximum) and the weight decay.
    schedule : {"constant", "plateau", "cyclic", "onecycle", "cosine"}
        "plateau" is ReduceLROnPlateau on the monitored value; "cyclic" is triangular (Smith 2017); "onecycle" is that
        of Smith and Topin (2018); "cosine" is one half wave (Loshchilov and Hutter 2017).
    schedule_options : dict
        Of plateau ``factor``, ``patience``, ``min_lr``; of cyclic ``base_lr``, ``step_epochs``; of onecycle
        ``pct_start``, ``div_factor``; of cosine ``min_lr``.
    early_stopping : int, optional
        Stop after so many epochs without an improvement of ``monitor``; None never stops.
    ema_decay : float
        0, or the decay of an exponential moving average of the weights over the steps (0.995 looks back some 200
        steps). It starts lower and rises to this value, as min(ema_decay, (1 + n) / (10 + n)) in step n, so that a
        short run does not keep its random first weights. The averaged network is validated and kept.
    monitor : {"val_loss", "val_accuracy", "val_auc"}
        The value by which epochs are compared.
    restore_best : bool
        At the end, return to the weights of the best epoch by ``monitor``.
    class_weights : "balanced" or sequence of float, optional
        Weights of the classes in the loss: inverse to their counts, or one number per class.
    attend, attend_weight : {"lungs", "lesion"}, optional, and float
        Add to the loss the fraction of an image's class activation map that lies outside this region, times the weight,
        see ``cxrlib.attend``. Too large a weight keeps the network from learning the classes.
    label_smoothing : float
        The fraction of the target that is spread over all classes, 0 to 1 (Szegedy et al. 2016).
    augment : Augment, optional
    tta : sequence of str
        Test-time augmentation: which views of an image are averaged when the trained network is scored, see
        ``predict``. Training and its validation look at the image as it is.
    precision : {"auto", "bf16", "fp16", "fp32"}
        The numbers that training computes in. "auto" takes bf16 where the device gains from it; fp16 needs CUDA.
        Trained networks are scored in fp32, so that a score does not depend on the machine.
    seed : int
        Of the initial weights, the order of the images, the augmentation and dropout.
    about : str
        One sentence for people.
    """

    model: str = "cnn5"
    model_options: dict = field(default_factory=dict)
    trainable: str | int = "all"
    freeze_norms: bool = False
    head_epochs: int = 0
    head_lr: float = 1e-3
    size: int = 128
    crop: str | None = None
    crop_margin: float = 0.06
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
    attend: str | None = None
    attend_weight: float = 0.3
    label_smoothing: float = 0.0
    augment: Augment | None = None
    tta: tuple[str, ...] = ()
    precision: str = "auto"
    seed: int = 0
    about: str = ""

    def __post_init__(self) -> None:
        for name, value in vars(self).copy().items():
            object.__setattr__(self, name, _kept(value))
        for name, check in _CHECKS.items():
            check(f"recipe: {name}", getattr(self, name))
        if self.trainable not in ("all", "head"):
            words = '"all", "head" or the number of top layers of the body that learn'
            whole(f"recipe: trainable ({words})", self.trainable, 1)
        for name, allowed in (("crop", ["lungs"]), ("attend", ["lungs", "lesion"])):
            if getattr(self, name) is not None:
                one_of(f"recipe: {name}", getattr(self, name), allowed)
        if self.early_stopping is not None:
            whole("recipe: early_stopping (epochs, or None)", self.early_stopping, 1)
        for name, kind, what in (
            ("model", str, "text"), ("about", str, "text"), ("freeze_norms", bool, "True or False"),
            ("restore_best", bool, "True or False"), ("model_options", dict, "a dictionary of options"),
            ("schedule_options", dict, "a dictionary of options"), ("augment", Augment | None, "an Augment or None"),
            ("tta", tuple, "a list of views"),
        ):  # fmt: skip
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"recipe: {name}: give {what}, got {short(getattr(self, name))}")
        for name in ("model_options", "schedule_options"):
            if not all(isinstance(key, str) for key in getattr(self, name)):
                raise ValueError(f"recipe: {name}: give options by name, got {short(getattr(self, name))}")
        for view in self.tta:
            one_of("recipe: tta", view, VIEWS)
        if self.class_weights not in (None, "balanced"):
            name = 'recipe: class_weights (None, "balanced", or one number per class)'
            weights = tuple(several(name, self.class_weights, partial(number, low=0)))
            if not any(weights):
                raise ValueError(f"{name}: give at least one above 0, got {short(weights)}")
            object.__setattr__(self, "class_weights", weights)

    @property
    def read_size(self) -> int:
        """The size in pixels at which to ``load`` images: larger than ``size`` where they are cut first."""
        return self.size if self.crop is None else -(-self.size * 7 // 5)  # lungs take up some 70 % of a side

    def replace(self, **changes) -> Recipe:
        """Return this recipe with some fields changed."""
        known = [f.name for f in fields(self)]
        for name in changes:
            one_of("recipe: field", name, known)
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict:
        """Return plain values only, for JSON."""
        return plain(dataclasses.asdict(self), None)

    @classmethod
    def from_dict(cls, values: dict) -> Recipe:
        """Return the recipe that ``to_dict`` wrote."""
        augment = values.get("augment")
        return cls().replace(**values | {"augment": Augment(**augment) if isinstance(augment, dict) else augment})


def _kept(value: object) -> object:
    """Make lists and arrays tuples, and numpy's numbers Python's: so a recipe equals itself, read again from JSON."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _kept(part) for name, part in value.items()}
    return tuple(map(_kept, value)) if isinstance(value, list | tuple) else value


def build(recipe: Recipe, classes: Sequence[str]) -> CxrNet:
    """Build the network of a recipe, with so much of it frozen as ``recipe.trainable`` says; it is not trained yet.

    ``classes`` are the names in the order of the outputs, such as ``data.classes``. The weights are drawn from
    ``recipe.seed``, or pretrained; ConnectionError where these cannot be downloaded.
    """
    for name in recipe.model_options:
        one_of("recipe: model_options", name, MODEL_OPTIONS)
    model = build_model(recipe.model, classes, size=recipe.size, seed=recipe.seed, **recipe.model_options)
    if recipe.trainable == "all" and not recipe.freeze_norms:
        return model
    layers = {"head": "all", "all": len(leaves(model.body))}.get(recipe.trainable, recipe.trainable)
    return freeze(model, layers, freeze_norms=recipe.freeze_norms)


_STRONG = Augment(
    flip=0.5, rotate=15, shift=0.08, zoom=0.2, brightness=0.2, contrast=0.4, gamma=0.5, noise=0.03, blur=1.2, mixup=0.2
)
_MILD = Augment(
    flip=0.5, rotate=10, shift=0.06, zoom=0.12, brightness=0.15, contrast=0.25, gamma=0.3, noise=0.02, blur=0.8
)
_ONE_CYCLE = {"optimizer": "adamw", "weight_decay": 0.05, "schedule": "onecycle"}

_WHOLE = Recipe(
    model="efficientnet_lite0", model_options={"pretrained": True, "normalize": "image", "head_dropout": 0.2}, size=160,
    epochs=8, lr=5e-4, **_ONE_CYCLE, ema_decay=0.995, restore_best=False, class_weights="balanced", augment=_STRONG,
    precision="fp32", tta=("identity", "flip", "shift-left", "shift-right", "shift-up", "shift-down"),
    about="EfficientNet-Lite0, fine-tuned with strong augmentation, mixup and averaged weights; six views scored.",
)  # fmt: skip
_ORDER = Recipe(
    model="CPCFDD", model_options={"filters": (64, 128), "hidden": 128, "dropout": 0.3}, size=48, lr=1e-4,
    about="One of the five layer orders of the layer-order comparison.",
)  # fmt: skip

#: The course's named recipes.
recipes: dict[str, Recipe] = {
    "baseline": Recipe(about="The five-layer CNN, no augmentation."),
    "augmented": Recipe(
        model="resnet18", model_options={"normalize": "image"}, epochs=10, lr=2e-3, **_ONE_CYCLE, monitor="val_auc",
        augment=_MILD, about="ResNet-18 from scratch with augmentation of geometry and exposure.",
    ),
    "whole": _WHOLE,
    "best": _WHOLE.replace(crop="lungs", about="The recipe `whole`, on images that are cut to the lungs."),
    **{
        f"layers-{model}": _ORDER.replace(model=model)
        for model in ("CCPCCPFDD", "CPCPCPCPFDD", "CPCPCCFDD", "CCPFDD", "CPCFDD")
    },
    **{
        f"lr-{lr}": _ORDER.replace(lr=float(lr), about="The learning-rate comparison.")
        for lr in ("1e-3", "1e-4", "1e-5", "1e-6")
    },
}  # fmt: skip
