"""Things in the picture that are not anatomy: side markers, leads and tubes, a helper's hand, collimation."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from .anatomy import Chest, Film, capsule
from .physics import step

#: text, x0, y0, x1, y1 (x1 and y1 lie outside the box), heavy, brightness
Marker = tuple[str, int, int, int, int, bool, float]
# Strokes of the lead letters in a box of 4 by 6.
_LETTERS = {
    "R": [[(0, 6), (0, 0), (3, 0), (4, 1), (4, 2), (3, 3), (0, 3)], [(2, 3), (4, 6)]],
    "L": [[(0, 0), (0, 6), (4, 6)]],
}


@lru_cache(maxsize=64)
def _letter(text: str, height: int, heavy: bool) -> np.ndarray:
    """Antialiased letter, float32 (height, width) in 0..1."""
    k = 8  # supersampling
    width = max(2, round(height * 0.72))
    image = Image.new("L", (width * k, height * k))
    draw = ImageDraw.Draw(image)
    line = max(1, round(height * k * (0.20 if heavy else 0.13)))
    pad = line / 2 + 1
    sx, sy = (width * k - 2 * pad) / 4, (height * k - 2 * pad) / 6
    for stroke in _LETTERS[text]:
        draw.line([(pad + a * sx, pad + b * sy) for a, b in stroke], fill=255, width=line, joint="curve")
    return np.asarray(image, np.float32).reshape(height, k, width, k).mean((1, 3)) / 255


def place_marker(rng: np.random.Generator, size: int) -> Marker:
    """Choose a side marker."""
    text = "R" if rng.random() < 0.85 else "L"
    height = max(6, round(size * rng.uniform(0.045, 0.085)))
    heavy = bool(rng.random() < 0.5)
    h, w = _letter(text, height, heavy).shape
    x = round(size * rng.uniform(0.02, 0.09))
    y = round(size * rng.uniform(0.03, 0.50))
    x = x if text == "R" else size - x - w  # the patient's right is on the left of the picture
    return text, x, y, x + w, y + h, heavy, float(rng.uniform(0.82, 0.98))


def stamp_marker(image: np.ndarray, marker: Marker) -> None:
    """Write the marker into a float image (H, W) in 0..1, in place; nothing outside its box changes."""
    text, x0, y0, x1, y1, heavy, value = marker
    a = _letter(text, y1 - y0, heavy)
    box = image[y0:y1, x0:x1]
    box += a * np.maximum(value - box, 0.1)
    np.minimum(box, 1, out=box)


def leads(chest: Chest, rng: np.random.Generator) -> np.ndarray:
    """Draw monitoring leads with electrodes and sometimes a tube, as metal thickness (cm of bone)."""
    film = Film(chest)
    for _ in range(int(rng.integers(1, 4))):
        side = rng.choice([-1, 1])
        x, y = side * rng.uniform(0.25, 0.8), rng.uniform(-0.5, 0.5)
        end = (side * rng.uniform(0.8, 1.3), rng.uniform(-1.2, 1.2))
        mid = ((x + end[0]) / 2 + rng.normal(0, 0.15), (y + end[1]) / 2 + rng.normal(0, 0.2))
        t = np.linspace(0, 1, 14)[:, None]
        curve = (1 - t) ** 2 * [x, y] + 2 * t * (1 - t) * np.array(mid) + t**2 * np.array(end)
        film.line(curve, 0.010, rng.uniform(120, 220))
        if rng.random() < 0.6:
            radius = chest.size * rng.uniform(0.03, 0.05)
            film.disk((x, y), radius * 0.7, radius, rng.uniform(100, 230))
    if rng.random() < 0.35:  # a gastric or endotracheal tube
        t = np.linspace(0, 1, 12)[:, None]
        x0 = rng.normal(0, 0.04)
        curve = np.hstack([x0 + 0.05 * np.sin(3 * t + x0 * 30), -1.2 + t * rng.uniform(0.9, 1.8)])
        film.line(curve, 0.016, 110)
    return 2.4 * film.read(0.5)


def hand(chest: Chest, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a helper's hand at the edge of the field: (soft, bone) thickness in cm."""
    side = rng.choice([-1, 1])
    y0 = rng.uniform(-0.9, 0.6)
    soft = np.zeros_like(chest.x)
    film = Film(chest)
    for k in range(4):
        y = y0 + 0.13 * k
        a, b = (side * 1.15, y), (side * (0.84 + 0.03 * abs(k - 1.5)), y + rng.normal(0, 0.04))
        soft = np.maximum(soft, capsule(chest.x, chest.y, (*a, 0.06), (*b, 0.05)))
        film.line([a, b], 0.035, 90)
    return 1.6 * soft, 0.9 * film.read(0.6)


def collimation(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the fraction of the beam that is let through, (H, W): straight dark borders on some sides."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    open_ = np.ones((size, size), np.float32)
    for edge in range(4):
        if rng.random() < 0.30:
            depth, slope = rng.uniform(0.01, 0.10), rng.normal(0, 0.012)
            d = axis[None, :] + slope * axis[:, None]
            d = d if edge < 2 else d.T
            d = 1 - depth - d if edge % 2 else d + 1 - depth
            open_ *= step(d, 0.012)
    return open_
