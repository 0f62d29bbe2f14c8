"""Draw book/_static/card.png: what a shared link to the book shows. Run by hand after an edit of the title.

python -m coursekit.social_card
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import numpy as np
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cxrlib.phantom import make_phantoms

from .course import ROOT

WIDTH, HEIGHT, DPI = 1200, 630, 100  # pixels: what https://ogp.me images are usually cut to
DARK, LIGHT, ACCENT = "#12303c", "#bfe3ee", "#f28a3c"  # of favicon.svg
SEED = 5  # a phantom with a lesion that is easy to see


def draw(target: Path) -> Path:
    """Write the card as PNG; the title is the one of _config.yml."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    title, _, claim = settings["title"].partition(": ")
    phantom = make_phantoms(1, 512, ("pneumonia",), SEED, progress=False)

    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor=DARK)
    side = HEIGHT / WIDTH
    picture = figure.add_axes((1 - side, 0, side, 1))
    picture.imshow(phantom.images[0, 0], cmap="gray", vmin=0, vmax=255)
    picture.contour(phantom.masks[0], [0.5], colors=ACCENT, linewidths=4)
    picture.set_axis_off()
    figure.text(0.05, 0.72, title, color="white", fontsize=48, fontweight="bold", va="center")
    figure.text(0.05, 0.47, textwrap.fill(claim, 16), color=ACCENT, fontsize=34, va="center", linespacing=1.4)
    below = "A course on deep learning,\nwith computed X-rays"
    figure.text(0.05, 0.13, below, color=LIGHT, fontsize=22, va="center", linespacing=1.4)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # a palette makes the file half as large, and nobody sees the difference
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(64).save(target, optimize=True)
    return target


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(draw(ROOT / "book" / "_static" / "card.png"))
