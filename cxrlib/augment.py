"""Augmentation of whole batches on the device, with other random values for every image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .validate import number

# Columns of the table of random numbers: one row per image. The table always has all columns, so that
# switching one operation on or off does not change what the others do under the same seed.
_FLIP, _ROTATE, _SHIFT_X, _SHIFT_Y, _ZOOM, _CROP, _CROP_X, _CROP_Y, *_OTHERS = range(13)
_BRIGHT, _CONTRAST, _GAMMA, _BLUR, _NOISE = _OTHERS

#: The largest value of each magnitude; 0 is off.
LARGEST = {
    "flip": 1, "rotate": 180, "shift": 0.9, "zoom": 0.9, "brightness": 1, "contrast": 1, "gamma": 4, "blur": 20,
    "noise": 1, "mixup": 100,
}  # fmt: skip


@dataclass(frozen=True)
class Augment:
    """Random changes of X-ray images. Every magnitude is off by default.

    All geometry is done in one step with one interpolation; what comes from outside the image is black. The intensity
    steps follow in the order blur, gamma, contrast and brightness, noise; the result is clipped to [0, 1].

    A horizontal flip moves the heart to the right side of the chest (situs inversus, about 1 person in 10,000) and
    mirrors the letters L and R. A network may profit from it all the same, but it then sees images that hardly exist.

    Parameters
    ----------
    flip : float
        Probability of a horizontal flip, 0 to 1.
    rotate, shift : float
        Largest rotation to either side, in degrees; largest shift along each axis, as a fraction of the side.
    zoom : float
        Largest change of scale: 0.1 draws a scale from 0.9 to 1.1.
    crop : float or None
        Smallest part of the area kept by a random crop, which is resized to the full size; None or 1 is off.
        The aspect ratio stays as it is.
    brightness, contrast : float
        Largest value added or subtracted, where 1 is the full range from black to white; largest change of contrast
        around the mean of the image: 0.2 draws a factor from 0.8 to 1.2.
    gamma : float
        Largest change of the exponent: 0.25 draws it from 1 / 1.25 to 1.25, uniformly in its logarithm.
    blur, noise : float
        Largest standard deviation of a Gaussian blur, in pixels; of Gaussian noise, where 1 is the full range.
    mixup : float
        Alpha of mixup (Zhang et al., ICLR 2018): images and labels are mixed in pairs, in proportions from Beta(alpha,
        alpha).
    """

    flip: float = 0.0
    rotate: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    crop: float | None = None
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    mixup: float = 0.0

    def __post_init__(self):
        for name, most in LARGEST.items():
            number(name, getattr(self, name), 0, most)
        if self.crop is not None:
            number("crop", self.crop, 0, 1, open_low=True)

    def __bool__(self) -> bool:
        """Say whether any magnitude is on."""
        return self._crops or any(getattr(self, name) for name in LARGEST)

    def __call__(
        self, x: torch.Tensor, y: torch.Tensor | None = None, generator: torch.Generator | None = None,
        masks: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor | None, ...]:  # fmt: skip
        """Change a batch: (x, y), or (x, y, masks); same shape, dtype and device, and not changed in place.

        ``x`` are images, float (B, C, H, W) in [0, 1], on any device; ``y`` one-hot labels or fractions, float (B, K),
        which only mixup needs and changes. The same state of ``generator``, a CPU one, gives the same result; the
        default is torch's global generator. ``masks``, bool (B, H, W), are moved as the images are, and nothing else is
        done to them. Mixup joins the masks of both images; where one of them is empty, the result is.
        """
        self._check(x, y, masks)
        if not self or len(x) == 0:
            return (x, y) if masks is None else (x, y, masks)
        u = torch.rand(len(x), 13, generator=generator, dtype=torch.float64)
        # Positions and smooth intensities need more than the 8 bits of bfloat16.
        out = x if x.dtype == torch.float64 else x.float()
        out = self._geometry(out, u)
        out = self._intensity(out, u, generator)
        out = (out.clamp(0, 1) if out is x else out.clamp_(0, 1)).to(x.dtype)
        if masks is not None:
            masks = self._geometry(masks[:, None].float(), u)[:, 0] > 0.5
        if self.mixup:
            out, y, masks = self._mix(out, y, masks, generator)
        return (out, y) if masks is None else (out, y, masks)

    @property
    def _crops(self) -> bool:
        return self.crop is not None and self.crop < 1

    def _check(self, x: torch.Tensor, y: torch.Tensor | None, masks: torch.Tensor | None) -> None:
        if x.ndim != 4 or not x.is_floating_point():
            got = f"{x.dtype} {tuple(x.shape)}"
            raise ValueError(f"x: give float images (B, C, H, W), got {got}; divide uint8 images by 255")
        # Only here: to ask an accelerator for a number would make every batch wait for the one before.
        if x.device.type == "cpu" and x.numel() and not x.max() <= 1.5:
            raise ValueError(f"x: give values in [0, 1], got up to {x.max():g}; divide images from 0 to 255 by 255")
        if self.mixup and (y is None or y.ndim != 2 or not y.is_floating_point() or len(y) != len(x)):
            got = None if y is None else f"{y.dtype} {tuple(y.shape)}"
            raise ValueError(f"y: mixup needs one-hot float labels (B, K) for {len(x)} images, got {got}")
        if masks is not None and (masks.dtype != torch.bool or masks.shape != (len(x), *x.shape[2:])):
            size, got = (len(x), *x.shape[2:]), f"{masks.dtype} {tuple(masks.shape)}"
            raise ValueError(f"masks: give bool masks of the images' size, {size}, got {got}")

    def _geometry(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        if not (self.rotate or self.shift or self.zoom or self._crops):
            if not self.flip:
                return x
            flipped = (u[:, _FLIP] < self.flip).to(x.device).view(-1, 1, 1, 1)
            return torch.where(flipped, x.flip(-1), x)
        grid = _grid(self._theta(u, x.shape[3] / x.shape[2]).to(x.device, x.dtype), *x.shape[2:])
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def _theta(self, u: torch.Tensor, aspect: float) -> torch.Tensor:
        """Affine matrices (B, 2, 3) from output to input positions, both axes running from -1 to 1."""
        spread = (u * 2 - 1).T  # uniform in [-1, 1]
        angle = spread[_ROTATE] * math.radians(self.rotate)
        scale = 1 / (1 + spread[_ZOOM] * self.zoom)
        shift_x, shift_y = spread[_SHIFT_X] * 2 * self.shift, spread[_SHIFT_Y] * 2 * self.shift
        if self._crops:
            side = (self.crop + (1 - self.crop) * u[:, _CROP]).sqrt()
            shift_x, shift_y = shift_x + spread[_CROP_X] * (1 - side), shift_y + spread[_CROP_Y] * (1 - side)
            scale = scale * side
        mirror = torch.where(u[:, _FLIP] < self.flip, -1.0, 1.0)
        cos, sin = angle.cos() * scale, angle.sin() * scale
        # A rotation keeps lengths in pixels, not in units of the two sides: hence the aspect ratio.
        rows = [cos * mirror, -sin / aspect, shift_x], [sin * mirror * aspect, cos, shift_y]
        return torch.stack([torch.stack(row, 1) for row in rows], 1)

    def _intensity(self, x: torch.Tensor, u: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        def column(values: torch.Tensor) -> torch.Tensor:
            return values.to(x.device, x.dtype).view(-1, 1, 1, 1)

        given = x  # never changed in place; what the steps below make is
        if self.blur:
            x = gaussian_blur(x, u[:, _BLUR] * self.blur)
        if self.gamma:
            exponent = column(torch.exp((u[:, _GAMMA] * 2 - 1) * math.log1p(self.gamma)))
            x = x.clamp(0, 1).pow_(exponent)
        if self.contrast or self.brightness:
            factor = column(1 + (u[:, _CONTRAST] * 2 - 1) * self.contrast)
            added = column((u[:, _BRIGHT] * 2 - 1) * self.brightness)
            added = x.mean((1, 2, 3), keepdim=True) * (1 - factor) + added
            x = x * factor if x is given else x.mul_(factor)
            x.add_(added)
        if self.noise:
            x = _normal(x, generator).mul_(column(u[:, _NOISE] * self.noise)).add_(x)
        return x

    def _mix(
        self, x: torch.Tensor, y: torch.Tensor, masks: torch.Tensor | None, generator: torch.Generator | None
    ) -> tuple:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        part = torch.from_numpy(np.random.default_rng(seed).beta(self.mixup, self.mixup, len(x))).to(x.device)
        partner = torch.randperm(len(x), generator=generator).to(x.device)
        x = torch.lerp(x[partner], x, part.to(x.dtype).view(-1, 1, 1, 1))
        y = torch.lerp(y[partner.to(y.device)], y, part.to(y.device, y.dtype).view(-1, 1))
        if masks is not None:
            there = masks.any((1, 2))
            masks = (masks | masks[partner]) & (there & there[partner]).view(-1, 1, 1)
        return x, y, masks


def gaussian_blur(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur every image of x, float (B, C, H, W), with its own Gaussian; the border is continued outward.

    ``sigma`` (B,) is the standard deviation in pixels; 0 leaves an image as it is.
    """
    batch, channels, height, width = x.shape
    radius = max(1, math.ceil(3 * float(sigma.max())))
    position = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = torch.exp(-position.square() / (2 * sigma.double().cpu().clamp(min=1e-3).view(-1, 1).square()))
    weights = (weights / weights.sum(1, keepdim=True)).to(x.device, x.dtype).repeat_interleave(channels, 0)
    # One group per image: every image meets its own kernel in a single convolution.
    groups = batch * channels
    x = F.pad(x.reshape(1, groups, height, width), (radius,) * 4, mode="replicate")
    x = F.conv2d(x, weights.view(groups, 1, 1, -1), groups=groups)
    x = F.conv2d(x, weights.view(groups, 1, -1, 1), groups=groups)
    return x.view(batch, channels, height, width)


def _grid(theta: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return sampling positions (B, H, W, 2); F.affine_grid gives the same, but takes four times as long on a CPU."""

    def centers(length: int) -> torch.Tensor:
        return (torch.arange(length, device=theta.device, dtype=theta.dtype) * 2 + 1) / length - 1

    across = theta[:, :, 0, None] * centers(width) + theta[:, :, 2, None]  # (B, 2, W)
    down = theta[:, :, 1, None] * centers(height)  # (B, 2, H)
    return across.transpose(1, 2).unsqueeze(1) + down.transpose(1, 2).unsqueeze(2)


def _normal(x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    if x.device.type == "cpu":
        return torch.randn(x.shape, generator=generator, dtype=x.dtype)
    # Drawn where it is needed, from a generator whose seed comes from the CPU one.
    own = torch.Generator(x.device).manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
    return torch.randn(x.shape, generator=own, dtype=x.dtype, device=x.device)
