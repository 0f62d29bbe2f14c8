"""A small U-Net: from one-channel images to one logit per pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class UNet(nn.Module):
    """Label every pixel: down through coarser maps that see far, up again with what each level saw.

    The first layer folds squares of 2 x 2 pixels into four channels and the last unfolds them, so that no convolution
    runs at full resolution: four times cheaper, and as sharp. Every image is brought to zero mean and unit variance
    first. Source: Ronneberger et al., U-Net, MICCAI 2015; the folding from Shi et al., CVPR 2016.

    Parameters
    ----------
    channels : tuple of int
        Maps of each level, from fine to coarse; each is half as high and wide as the one before.
    """

    def __init__(self, channels: tuple[int, ...] = (16, 32, 48, 60)) -> None:
        super().__init__()
        fine, coarse = channels[-2::-1], channels[:0:-1]
        self.down = nn.ModuleList(_block(i, o) for i, o in zip((4, *channels), channels, strict=False))
        self.up = nn.ModuleList(_block(below + beside, beside) for below, beside in zip(coarse, fine, strict=True))
        self.output = nn.Conv2d(channels[0], 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits (B, 1, H, W) of float images (B, 1, H, W); H and W are multiples of 2 ** levels."""
        sd, mean = torch.std_mean(x, dim=(2, 3), keepdim=True)
        x = F.pixel_unshuffle((x - mean) / (sd + 1e-3), 2)
        seen = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            seen.append(x)
        x = seen.pop()
        for block in self.up:
            larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([larger, seen.pop()], 1))
        return F.pixel_shuffle(self.output(x), 2)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)
