"""How the network behind `cxr.lungs` is made: phantoms, varied far beyond what a phantom is, and nothing else.

A network learns what all its images have in common. No phantom looks quite like a real X-ray, so the images are varied
until the one thing that they share is where the lungs are (domain randomization; Tobin et al., IROS 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from cxrlib._lungs import SIZE
from cxrlib.device import autocast_dtype, memory_layout
from cxrlib.files import atomic_path
from cxrlib.models.unet import UNet
from cxrlib.phantom import make_phantoms
from cxrlib.progress import bar

KINDS = ("normal", "bacterial", "viral", "covid-19", "tuberculosis")


@dataclass(frozen=True)
class LungsRecipe:
    """Every decision of the training, as data.

    Parameters
    ----------
    phantoms : int
        Children, and as many adults, with all kinds of disease.
    steps, batch_size : int
        Optimizer steps; images in each.
    lr, weight_decay : float
        Of AdamW, under a one-cycle schedule.
    lesion_contrast : float
        How dense the lesions are; see ``make_phantoms``.
    variety : bool
        Vary the phantoms (``vary``); False shows what that is worth.
    seed : int
        Of phantoms, weights, order and variation.
    precision : {"auto", "bf16", "fp32"}
    """

    phantoms: int = 1500
    steps: int = 1500
    batch_size: int = 32
    lr: float = 3e-3
    weight_decay: float = 0.01
    lesion_contrast: float = 1.4
    variety: bool = True
    seed: int = 0
    precision: str = "auto"


def train_lungs(recipe: LungsRecipe | None = None, *, progress: bool = True) -> UNet:
    """Train the network of ``cxr.lungs`` on phantoms alone; ``save_weights`` writes it to a file.

    Works on one thread of the processor, so that the weights do not depend on how many there are: the same recipe gives
    the same weights on the same kind of processor and version of PyTorch.
    """
    recipe = recipe or LungsRecipe()
    images, targets = _phantoms(recipe, progress)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _fit(recipe, images, targets, progress)
    finally:
        torch.set_num_threads(threads)


def _fit(recipe: LungsRecipe, images: torch.Tensor, targets: torch.Tensor, progress: bool) -> UNet:
    cpu = torch.device("cpu")
    dtype = autocast_dtype(recipe.precision, cpu)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = UNet().to(memory_format=memory_layout(cpu)).train()
        optimizer = torch.optim.AdamW(network.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=recipe.steps)
        shown = bar(range(recipe.steps), desc="train-lungs", unit="step", show=progress)
        for _ in shown:
            rows = torch.randint(len(images), (recipe.batch_size,))
            x, y = images[rows].float() / 255, targets[rows].float()
            if recipe.variety:
                x, y = vary(x, y)
            with torch.autocast("cpu", dtype, enabled=dtype is not None):
                logits = network(x.contiguous(memory_format=memory_layout(cpu)))
            loss = overlap_loss(logits.float(), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            shown.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return network.eval()


def overlap_loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cross-entropy per pixel, plus one minus the Dice overlap of the whole batch."""
    p = logits.sigmoid()
    dice = (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)
    return F.binary_cross_entropy_with_logits(logits, y) + 1 - dice


def _phantoms(recipe: LungsRecipe, progress: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Make the phantoms of both ages: images uint8 and lungs bool, each (N, 1, H, W)."""
    made = [
        make_phantoms(
            recipe.phantoms, SIZE, KINDS, 2 * recipe.seed + k, age=age, bedside=1.0,
            lesion_contrast=recipe.lesion_contrast, progress=progress,
        )
        for k, age in enumerate(("child", "adult"))
    ]  # fmt: skip
    images, lungs = (np.concatenate(parts) for parts in zip(*((p.images, p.lungs) for p in made), strict=True))
    return torch.from_numpy(images), torch.from_numpy(lungs)[:, None]


def vary(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Vary images and masks, each float (B, 1, H, W) from 0 to 1, with torch's global generator."""
    x, y = _place(_gas(_fill(x, y), y), y)
    x, y = _nothing(x, y)
    return _cover(_expose(x), y)


def _any(b: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    return low + (high - low) * torch.rand(b, 1, 1, 1)


def _chance(b: int, p: float) -> torch.Tensor:
    return (torch.rand(b, 1, 1, 1) < p).float()


def _field(b: int, cells: int, size: int) -> torch.Tensor:
    """Draw smooth random fields (b, 1, size, size) with about ``cells`` bumps across."""
    return F.interpolate(torch.randn(b, 1, cells, cells), (size, size), mode="bicubic", align_corners=True)


def _fill(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Make parts of some lungs as dense as the tissue around them: dense lungs stay lungs."""
    b, _, _, size = x.shape
    outside = F.avg_pool2d(x * (1 - y), 4).flatten(1).sort(1)[0]
    tissue = outside[:, int(0.93 * outside.shape[1])].reshape(b, 1, 1, 1)
    amount = (0.6 * _field(b, 5, size) + _any(b, -0.7, 0.7)).clamp(0, 1) * _any(b, 0, 0.8) * _chance(b, 0.4)
    blunt = F.interpolate(F.avg_pool2d(y, 4), (size, size), mode="bilinear")
    return x + blunt * amount * (tissue - x).clamp(min=0)


def _gas(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Put bubbles as dark as lungs below them, as near as a stomach lies: gas is not yet lung."""
    b, _, _, size = x.shape
    dark = ((x * y).sum((2, 3)) / y.sum((2, 3)).clamp(min=1))[:, :, None, None] * _any(b, 0.6, 1.2)
    across = torch.linspace(0, 1, size)
    wall = 1 - F.max_pool2d(y, 5, 1, 2)
    for _ in range(2):
        middle = (across - _any(b, 0.3, 0.85)) / _any(b, 0.04, 0.16)
        height = (across - _any(b, 0.6, 0.9)) / _any(b, 0.03, 0.12)
        inside = (3 - 3 * (middle**2 + height.mT**2) + 0.8 * _field(b, 9, size)).clamp(0, 1)
        x = torch.lerp(x, torch.minimum(x, dark), inside * wall * _any(b, 0.3, 1) * _chance(b, 0.4))
    return x


def _place(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn, scale, shear, shift, bend and mirror; what lies outside the image goes on, is black, or is white."""
    b, _, _, size = x.shape
    angle, shear, right, down = ((_any(b) * 2 - 1) * most for most in (0.25, 0.1, 0.2, 0.2))
    zoom, aspect = (torch.exp((_any(b) * 2 - 1) * most) for most in (0.4, 0.2))
    rows = [[angle.cos() * zoom * aspect, shear - angle.sin() * zoom, right]]
    rows += [[angle.sin() * zoom, angle.cos() * zoom / aspect, down]]
    matrix = torch.stack([torch.cat(row, 1)[:, :, 0, 0] for row in rows], 1)
    bend = torch.cat([_field(b, 5, size), _field(b, 5, size)], 1) * _any(b, 0, 0.05)
    grid = F.affine_grid(matrix, x.shape, align_corners=False) + bend.permute(0, 2, 3, 1)
    # What no affine map does: domes that fall more steeply to the sides, wider and narrower mediastinums, round apices.
    right, down = grid.split(1, 3)
    near, top = torch.exp(-((right / 0.25) ** 2)), torch.sigmoid(-10 * (down + 0.4))
    steep = _any(b, -0.05, 0.22) * ((right.abs() - 0.34) / 0.45).clamp(-1, 1) ** 2 * torch.sigmoid(10 * (down - 0.15))
    narrow = (_any(b, -0.4, 0.7) + _any(b, -0.2, 0.6) * top) * near
    grid = torch.cat([right * (1 + narrow), down - steep - _any(b, 0, 0.2) * top * near], 3)
    x, y = F.grid_sample(torch.cat([x, y], 1), grid, padding_mode="border", align_corners=False).split(1, 1)
    beyond = (grid.abs() > 1).any(3)[:, None].float()
    x = torch.lerp(x, _chance(b, 0.15).expand_as(x), beyond * _chance(b, 0.7))
    mirrored = _chance(b, 0.5)
    x, y, beyond = (torch.lerp(it, it.flip(3), mirrored) for it in (x, y, beyond))
    return x, y * (1 - beyond)


def _nothing(x: torch.Tensor, y: torch.Tensor, fraction: float = 0.06) -> tuple[torch.Tensor, torch.Tensor]:
    """Replace some images by random fields as rough as the image was (its Fourier phases are drawn anew): no lungs."""
    b, _, _, size = x.shape
    spectrum = torch.fft.rfft2(x - x.mean((2, 3), keepdim=True))
    random = torch.fft.irfft2(spectrum.abs() * torch.exp(2j * torch.pi * torch.rand(spectrum.shape)), s=(size, size))
    random = 0.5 + random * _any(b, 0, 1.5) + _field(b, 3, size) * _any(b, 0, 0.3)
    gone = _chance(b, fraction)
    return torch.lerp(x, random, gone), y * (1 - gone)


def _expose(x: torch.Tensor) -> torch.Tensor:
    """Change the display curve, contrast at two scales, shading and noise."""
    b, _, _, size = x.shape
    x = x.clamp(1e-3, 1) ** torch.exp(_any(b, -0.8, 0.8))
    x = x + (x - F.interpolate(F.adaptive_avg_pool2d(x, 8), (size, size), mode="bicubic")) * _any(b, -0.6, 1.4)
    x = x + (x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)) * _any(b, -1, 2)
    x = x + 0.12 * _field(b, 4, size) * _any(b)
    return x + 0.04 * torch.randn_like(x) * _any(b)


def _cover(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay labels over the image, under which the lungs go on, and borders, where they end."""
    b, _, _, size = x.shape
    across = torch.linspace(0, 1, size)
    down = across[:, None]
    for _ in range(2):
        box = ((across - _any(b)).abs() < _any(b, 0.01, 0.08)) & ((down - _any(b)).abs() < _any(b, 0.01, 0.08))
        x = torch.lerp(x, _any(b, -0.5, 1.5).clamp(0, 1).expand_as(x), box * _chance(b, 0.3))
    depth = [_any(b, 0, 0.25) * _chance(b, 0.15) for _ in range(4)]
    border = ((down < depth[0]) | (down > 1 - depth[1]) | (across < depth[2]) | (across > 1 - depth[3])).float()
    return torch.lerp(x, _chance(b, 0.15).expand_as(x), border), y * (1 - border)


def save_weights(network: UNet, path: str | Path) -> Path:
    """Write a network's weights in half precision, without pickle, as ``cxr.lungs`` reads them; returns the path."""
    state = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{name: value.half().numpy() for name, value in state.items()})
    return Path(path)
