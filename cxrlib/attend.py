"""Training that looks where it should: the part of a map that lies outside a region is added to the loss.

Ross, Hughes and Doshi-Velez ("Right for the right reasons", IJCAI 2017) penalized input gradients outside of an
annotated region, Li et al. ("Tell me where to look", CVPR 2018) trained with attention maps. Here it is the class
activation map at the end of networks in which it takes no gradient: weights of the output layer times activations.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from ._lungs import known_lungs
from .cam import pooled_weights
from .models import CxrNet, evaluating

if TYPE_CHECKING:
    from .data import CxrDataset
    from .recipe import Recipe


class Attention(Dataset):
    """The training images with their regions, and the penalty of a batch.

    The map is that of the image's own class (of its mixture of classes after mixup) minus the mean over the classes, at
    the end of the body and without its negative part: what speaks for the right answer shall lie inside. The mean
    changes no answer; without it a network could leave the map blank and speak through the other classes' negative
    parts, and did. Cells of the map's grid that the region touches are inside. Images without a region are not
    penalized; a warning counts them.

    Parameters
    ----------
    model, train, recipe : CxrNet, CxrDataset, Recipe
        ``recipe.attend`` is "lungs" (those of the data, else those that ``cxr.lungs`` finds) or "lesion" (its masks).

    Raises
    ------
    ValueError
        A network whose maps need a gradient, or data without lesion masks.
    """

    def __init__(self, model: CxrNet, train: CxrDataset, recipe: Recipe, progress: bool = False) -> None:
        if pooled_weights(model) is None:
            needed = "a network that ends in global average pooling and one linear layer"
            remedy = "take resnet18, efficientnet_lite0 or a layer string without F such as CPCPCPC, or attend=None"
            raise ValueError(f"recipe: attend needs {needed}, {model.name!r} does not: {remedy}")
        if recipe.attend == "lesion" and train.masks is None:
            remedy = 'phantoms have them; attend="lungs" needs none'
            raise ValueError(f'recipe: attend="lesion" needs lesion masks, and train has none: {remedy}')
        self.model, self.data, self.weight, self.maps = model, train, recipe.attend_weight, None
        self.masks = train.masks if recipe.attend == "lesion" else known_lungs(train, progress)
        self._warn(recipe.attend)

    def __len__(self) -> int:
        """Count the images."""
        return len(self.data)

    def __getitems__(self, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Read a whole batch: images and labels as the data give them, and regions, bool (B, H, W)."""
        return *self.data.__getitems__(rows), torch.from_numpy(np.array(self.masks[rows]))

    def open(self) -> None:
        """Start to keep what leaves the body in every forward pass."""
        self._hook = self.model.body.register_forward_hook(self._keep)

    def close(self) -> None:
        """Stop that."""
        self._hook.remove()
        self.maps = None

    def _keep(self, module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        self.maps = output

    def penalty(self, y: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Look at the last forward pass, of images with targets y (B, K) and regions (B, H, W).

        Returns the sum of the fractions outside over images with a region, how many these are, and what is added to the
        loss.
        """
        weights = pooled_weights(self.model)
        fractions, there = outside(self.maps, y @ weights - weights.mean(0), masks)
        self.maps = None
        total, count = fractions.sum(), there.sum()
        return total.detach(), count, self.weight * total / count.clamp(min=1)

    def _warn(self, region: str) -> None:
        side = self.data.size
        with torch.no_grad(), evaluating(self.model):
            image = next(self.model.parameters()).new_zeros(1, 1, side, side)
            grid = tuple(self.model.body(self.model.input(image)).shape[2:])
        parts = np.split(self.masks, range(256, len(self.masks), 256))
        inside = torch.cat([touched(torch.from_numpy(part), grid).flatten(1) for part in parts])
        empty, full = int((~inside.any(1)).sum()), int(inside.all(1).sum())
        told = [f"{empty:,} have no {'lung' if region == 'lungs' else region} mask"] if empty else []
        if full:
            finer = "larger images give finer maps"
            told.append(f"in {full:,} all cells of the {grid[0]} x {grid[1]} map are inside ({finer})")
        if told:
            given = f"recipe: attend: of {len(inside):,} training images {' and '.join(told)}"
            warnings.warn(f"{given}: nothing is penalized there", stacklevel=4)


def outside(maps: torch.Tensor, weights: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute which fraction of each map lies outside of its region, bool (B, H, W).

    ``maps`` (B, C, h, w) are the activations, ``weights`` (B, C) those of the image's class. The fractions (B,) are 0
    where the map has no positive value or the region is empty; a second result, bool (B,), says which regions are not.
    """
    energy = torch.einsum("bc,bchw->bhw", weights, maps.to(weights.dtype)).relu()
    inside = touched(masks, energy.shape[1:])
    there = inside.flatten(1).any(1)
    total = energy.sum((1, 2)).clamp(min=torch.finfo(energy.dtype).tiny)
    return (energy * ~inside).sum((1, 2)) / total * there, there


def touched(masks: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Find the cells (B, h, w) of a grid that regions (B, H, W) touch."""
    return F.adaptive_max_pool2d(masks[:, None].float(), tuple(grid))[:, 0] > 0
